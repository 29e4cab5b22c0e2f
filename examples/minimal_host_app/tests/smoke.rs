//! `smoke` as somebody runs it who has just cloned the repository.
//!
//! Invariant: the program is run as it is built, on a database of its own.

mod common;

use std::process::Output;

use common::{report, run};
use minimal_host_app::smoke::Report;
use squid_mesh_test_support::{TestDatabase, sqlite_url};

/// Every workflow with the end it should come to, its steps and its attempts.
const EXPECTED: [(&str, &str, usize, u32); 13] = [
    ("payment_recovery", "completed", 7, 5),
    ("dependency_recovery", "completed", 3, 3),
    ("cancellable_wait", "cancelled", 3, 1),
    ("retry_verification", "completed", 2, 5),
    ("timeout_recovery", "completed", 1, 2),
    ("run_deadline", "failed", 2, 0),
    ("manual_approval", "completed", 4, 2),
    ("manual_pause", "completed", 3, 2),
    ("saga_checkout", "failed", 3, 3),
    ("local_ledger_checkout", "completed", 2, 3),
    ("nested_invite_delivery", "completed", 2, 1),
    ("daily_digest", "completed", 2, 2),
    ("daily_digest_nightly", "completed", 2, 2),
];

#[test]
fn smoke_runs_every_workflow_to_its_end_on_an_sqlite_file_of_its_own() {
    check(&run("smoke", &["--json"]), "sqlite");
}

#[test]
fn smoke_runs_every_workflow_to_its_end_on_postgres() {
    let database = TestDatabase::fresh();
    check(
        &run("smoke", &["--json", "--database-url", database.url()]),
        "postgres",
    );
}

#[test]
fn smoke_can_be_repeated_in_one_place_and_prints_a_table_for_people() {
    let file = sqlite_url().expect("a temporary directory");
    let directory = file
        .path()
        .parent()
        .expect("a file is in a directory")
        .display()
        .to_string();
    for _ in 0..2 {
        let output = run("smoke", &["--data-dir", &directory]);
        let text = String::from_utf8(output.stdout).expect("stdout is text");
        assert!(output.status.success(), "{text}");
        for (name, status, ..) in EXPECTED {
            let row = text
                .lines()
                .find(|line| line.contains(name))
                .expect("each workflow has a row");
            assert!(row.contains(status) && row.contains(" ms"), "{row}");
        }
        let verdict = text.lines().last().unwrap_or_default();
        assert!(
            verdict.starts_with("ok: 13 scenarios") && verdict.contains("sqlite"),
            "{verdict}"
        );
        assert!(
            !text.contains('\u{1b}'),
            "colours and progress are for terminals: {text:?}"
        );
    }
}

fn check(output: &Output, store: &str) {
    let report: Report = report(output);
    assert!(report.ok && report.deviations.is_empty(), "{report:#?}");
    assert_eq!(report.store, store);
    assert!(report.wall_seconds > 0.0);
    let found: Vec<(&str, &str, usize, u32)> = report
        .workflows
        .iter()
        .map(|run| {
            (
                run.name.as_str(),
                run.status.as_str(),
                run.steps,
                run.attempts,
            )
        })
        .collect();
    assert_eq!(found, EXPECTED);
    assert!(
        report
            .workflows
            .iter()
            .all(|run| !run.run.is_empty() && run.ms > 0),
        "{report:#?}"
    );
}
