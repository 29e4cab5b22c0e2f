//! What is found out about a run whose rows were damaged.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::time::Duration;

use common::*;
use serde_json::json;
use squid_mesh_core::definition::Definition;
use squid_mesh_core::id::RunId;
use squid_mesh_core::run::Seq;
use squid_mesh_core::store::StoredRow;
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::transition::DecodeError;
use squid_mesh_core::verify::{self, Discrepancy};

fn two_steps() -> Definition {
    workflow(json!([
        {"name": "a", "handler": "work"},
        {"name": "b", "handler": "work", "needs": ["a"]},
    ]))
}

/// A run whose second step is due, and its rows.
fn under_way() -> (Desk, RunId, Vec<StoredRow>) {
    let mut desk = Desk::new([two_steps()]);
    let run = desk.started(1);
    desk.finish(run, 0, output("1"));
    let rows = desk.journal(run).cloned();
    let rows = rows.map(|row| StoredRow {
        seq: row.seq,
        row: Ok(row),
    });
    let rows = rows.collect();
    (desk, run, rows)
}

#[test]
fn a_task_that_is_due_at_another_time_is_found_unless_it_was_put_aside() {
    let (desk, run, rows) = under_way();
    let definition = two_steps();
    let row = desk.row(run).unwrap();
    let mut tasks = desk.tasks_of(run);
    let due = Discrepancy::Task {
        lane: tasks[0].key.lane,
        column: "due_at",
    };
    tasks[0].due_at = tasks[0].due_at.plus(Duration::from_secs(1));
    assert_eq!(verify::stored(&definition, row, &rows, &tasks), [due]);
    tasks[0].due_at = Timestamp::MAX;
    assert_eq!(verify::stored(&definition, row, &rows, &tasks), []);
}

#[test]
fn rows_that_cannot_be_read_are_named_and_the_tasks_compared_with_the_snapshot() {
    let (desk, run, mut rows) = under_way();
    let definition = two_steps();
    let row = desk.row(run).unwrap();
    let tasks = desk.tasks_of(run);
    assert_eq!(verify::stored(&definition, row, &rows, &tasks), []);

    let newer = DecodeError::Newer {
        format: 9,
        known: 1,
    };
    rows[0].row = Err(newer);
    rows[1].row = Err(DecodeError::Corrupt);
    let unreadable = |seq, error| Discrepancy::Unreadable {
        seq: Seq(seq),
        error,
    };
    let named = [unreadable(1, newer), unreadable(2, DecodeError::Corrupt)];
    assert_eq!(verify::stored(&definition, row, &rows, &tasks), named);

    let without_tasks = verify::stored(&definition, row, &rows, &[]);
    assert_eq!(without_tasks[..2], named);
    assert!(without_tasks.len() > 2, "{without_tasks:?}");

    let mut torn = row.clone();
    torn.state.truncate(3);
    let found = verify::stored(&definition, &torn, &rows, &tasks);
    assert!(
        matches!(found[..], [_, _, Discrepancy::Snapshot(_)]),
        "{found:?}"
    );
}
