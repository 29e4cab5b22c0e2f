//! Runs as files: what is written reads back, and what was tampered with is refused.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::sync::Arc;

use common::*;
use serde_json::{Value, json};
use squid_mesh_core::change::Change;
use squid_mesh_core::definition::{Definition, StepIndex};
use squid_mesh_core::event::Failure;
use squid_mesh_core::export::{ExportedRun, InvalidExport};
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Outcome, Ruling};
use squid_mesh_core::run::{Seq, Status};
use squid_mesh_core::store::StoredRow;
use squid_mesh_core::task::Item;
use squid_mesh_core::transition::DecodeError;

fn order() -> Definition {
    workflow(json!([
        {"name": "charge", "handler": "charge", "input": "input", "retry": {"max_attempts": 5}, "undo": {"handler": "refund"}},
        {"name": "review", "approval": {"deadline": "1h"}, "needs": ["charge"]},
        {"name": "paid", "signal": {"name": "paid"}, "needs": ["review"], "when": {"step": "review", "label": "approved"}},
        {"name": "no", "handler": "apologise", "when": {"step": "review", "label": "rejected"}},
        {"name": "rest", "wait": "5s", "needs": ["paid"], "when": {"step": "review", "label": "approved"}},
    ]))
}

/// A run with a row of most kinds: a failure, a loss, an output, an approval, a signal, the end of a wait.
fn eventful() -> (Desk, RunId) {
    let mut desk = Desk::new([order()]);
    let run = desk.started(1);
    desk.finish(run, 0, failing(Failure::new("busy", "later", true)));
    desk.claim(run, 0);
    desk.finish(run, 0, Outcome::Engine(Item::Loss));
    desk.finish(run, 0, output("{\"b\": 1, \"a\":2}"));
    desk.resolve(resolving(run, 5, None, Ruling::Approve))
        .unwrap();
    desk.signal(signalling(run, 6, "paid")).unwrap();
    desk.now = due(60);
    desk.finish(run, 0, Outcome::Engine(Item::Wait));
    assert_eq!(desk.run(run).status(), Status::Completed);
    (desk, run)
}

fn stored(desk: &Desk, run: RunId) -> Vec<StoredRow> {
    let rows = desk.journal(run).cloned();
    rows.map(|row| StoredRow {
        seq: row.seq,
        row: Ok(row),
    })
    .collect()
}

fn of(desk: &Desk, run: RunId, payloads: bool) -> Result<ExportedRun, InvalidExport> {
    let row = desk.row(run).unwrap();
    ExportedRun::of(row, Arc::new(order()), stored(desk, run), payloads)
}

fn exported(payloads: bool) -> ExportedRun {
    let (desk, run) = eventful();
    of(&desk, run, payloads).unwrap()
}

/// What reading the file says after something in it was changed.
fn tampered(change: impl FnOnce(&mut Value)) -> InvalidExport {
    let mut file: Value = serde_json::from_str(&exported(true).to_text()).unwrap();
    change(&mut file);
    ExportedRun::parse(&file.to_string()).unwrap_err()
}

#[test]
fn an_exported_run_reads_back_with_and_without_payloads() {
    for payloads in [true, false] {
        let exported = exported(payloads);
        let read = ExportedRun::parse(&exported.to_text()).unwrap();
        assert_eq!(read, exported);
        assert_eq!(read.to_text(), exported.to_text());
        let there = read.rows().iter().any(|row| row.payload.is_some());
        assert_eq!((there, read.has_payloads()), (payloads, payloads));
        assert_eq!(read.status(), Status::Completed);
    }
}

#[test]
fn payloads_keep_their_bytes_when_a_tool_formats_the_file_anew() {
    let exported = exported(true);
    let file: Value = serde_json::from_str(&exported.to_text()).unwrap();
    let pretty = serde_json::to_string_pretty(&file).unwrap();
    let read = ExportedRun::parse(&pretty).unwrap();
    assert_eq!(read, exported);
    let output = read.payload(Seq(4)).unwrap();
    assert_eq!(output.bytes(), b"{\"b\": 1, \"a\":2}");
}

#[test]
fn the_file_says_what_each_row_is_without_decoding_it() {
    let file: Value = serde_json::from_str(&exported(false).to_text()).unwrap();
    let rows = file["rows"].as_array().unwrap();
    let events: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["event"].as_str())
        .collect();
    let kinds = [
        "started",
        "failed",
        "lost",
        "succeeded",
        "resolved",
        "signalled",
        "due",
    ];
    assert_eq!(events, kinds);
    assert_eq!(rows[0]["at"], "2023-11-14T22:13:20.000000Z");
    assert_eq!(
        (&file["format"], &file["payloads"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(file["run"]["status"], "completed");
}

#[test]
fn rows_that_were_written_after_the_run_was_read_are_left_out() {
    let (mut desk, run) = (Desk::new([order()]), run_id(1));
    desk.started(1);
    let before = desk.row(run).unwrap().clone();
    desk.finish(run, 0, output("1"));
    let exported = ExportedRun::of(&before, Arc::new(order()), stored(&desk, run), true).unwrap();
    assert_eq!(exported.rows().len(), 1);
    assert_eq!(exported.status(), Status::Pending);
}

#[test]
fn a_row_that_cannot_be_read_is_named() {
    let (desk, run) = eventful();
    let mut rows = stored(&desk, run);
    rows[2].row = Err(DecodeError::Corrupt);
    let error = ExportedRun::of(desk.row(run).unwrap(), Arc::new(order()), rows, true).unwrap_err();
    let expected = "journal row 3 cannot be decoded: the bytes are not what any engine writes";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_file_that_is_no_exported_run_is_refused() {
    for text in [
        "",
        "[]",
        "{}",
        "{\"format\":1}",
        "{\"format\":1,\"rows\":[]}",
    ] {
        let error = ExportedRun::parse(text).unwrap_err();
        assert!(matches!(error, InvalidExport::Json(_)), "{text}: {error}");
    }
    let error = tampered(|file| file["else"] = json!(1));
    assert!(
        error.to_string().contains("unknown field `else`"),
        "{error}"
    );
    for format in [json!(2), json!("1"), json!(null)] {
        let found = format.to_string();
        let error = tampered(|file| file["format"] = format);
        let expected = format!("the exported run has format {found}, this engine reads 1");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn an_invalid_definition_is_refused_with_its_problems() {
    let error = tampered(|file| file["definition"]["steps"][1]["needs"] = json!(["ghost"]));
    assert!(matches!(error, InvalidExport::Definition(_)));
    assert!(error.to_string().contains("ghost"), "{error}");
}

#[test]
fn another_definition_than_the_one_that_the_run_was_started_of_is_refused() {
    let error = tampered(|file| file["definition"]["steps"][4]["wait"] = json!("6s"));
    assert!(
        matches!(error, InvalidExport::OtherDefinition { .. }),
        "{error}"
    );
}

#[test]
fn a_gap_is_refused_wherever_it_is() {
    let without = |at: usize| {
        tampered(|file| {
            file["rows"].as_array_mut().unwrap().remove(at);
        })
    };
    let gap =
        |expected, found| format!("the journal has row {found} where row {expected} should be");
    assert_eq!(without(0).to_string(), gap(1, 2));
    assert_eq!(without(3).to_string(), gap(4, 5));
    assert_eq!(
        without(6).to_string(),
        "the journal ends with row 6, the run with row 7"
    );
    let error = tampered(|file| file["rows"] = json!([]));
    assert!(matches!(error, InvalidExport::Fold(_)), "{error}");
}

#[test]
fn a_row_whose_bytes_were_changed_is_refused_with_its_number() {
    let transition = |at: usize, text: &str| {
        tampered(|file| file["rows"][at]["transition"] = json!(text)).to_string()
    };
    assert_eq!(
        transition(1, "0x"),
        "the transition of journal row 2 is no hexadecimal text"
    );
    assert!(transition(1, "01ff").starts_with("journal row 2 cannot be decoded"));
    let newer = transition(2, "0900");
    assert!(
        newer.contains("row 3") && newer.contains("format 9"),
        "{newer}"
    );
    let swapped = tampered(|file| {
        file["rows"][3]["transition"] = file["rows"][2]["transition"].clone();
    });
    let expected = "the event of journal row 4 is not what its transition says";
    assert_eq!(swapped.to_string(), expected);
    let later = tampered(|file| file["rows"][3]["at"] = json!("2030-01-01T00:00:00Z"));
    let expected = "the at of journal row 4 is not what its transition says";
    assert_eq!(later.to_string(), expected);
}

#[test]
fn a_payload_that_was_changed_removed_or_added_is_refused_with_its_row() {
    let payload = |at: usize, value: Value| tampered(|file| file["rows"][at]["payload"] = value);
    let changed = payload(3, json!({"json": {"b": 1, "a": 3}}));
    let expected = "the payload of journal row 4 does not match the digest in its event";
    assert_eq!(changed.to_string(), expected);
    let removed = payload(3, Value::Null);
    assert!(matches!(removed, InvalidExport::PayloadMissing { seq: 4 }));
    let added = payload(6, json!({"json": null}));
    assert!(matches!(added, InvalidExport::PayloadUnexpected { seq: 7 }));
    let unreadable = payload(3, json!({"hex": "0"}));
    assert!(matches!(unreadable, InvalidExport::PayloadHex { seq: 4 }));
    let hidden = tampered(|file| file["payloads"] = json!(false));
    assert!(matches!(
        hidden,
        InvalidExport::PayloadUnexpected { seq: 1 }
    ));
}

#[test]
fn a_journal_that_does_not_fold_is_refused() {
    let (desk, run) = eventful();
    let mut rows = stored(&desk, run);
    // The definition has no such step.
    let second = rows[1].row.as_mut().unwrap();
    second.transition.changes = vec![Change::Stop {
        step: StepIndex(99),
    }];
    let error = ExportedRun::of(desk.row(run).unwrap(), Arc::new(order()), rows, true).unwrap_err();
    let InvalidExport::Fold(fold) = error else {
        panic!("{error}");
    };
    assert_eq!(fold.seq, Seq(2));
}

#[test]
fn what_is_said_of_the_run_has_to_be_what_its_journal_folds_to() {
    let error = tampered(|file| file["run"]["status"] = json!("failed"));
    assert!(
        matches!(error, InvalidExport::Run { column: "status" }),
        "{error}"
    );
    let error = tampered(|file| file["run"]["life"] = json!("1"));
    assert!(
        error.to_string().contains("16 hexadecimal digits"),
        "{error}"
    );
}
