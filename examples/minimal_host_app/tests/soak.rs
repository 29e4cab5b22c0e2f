//! `soak` as a user runs it, on both databases.
//!
//! Invariant: the program is run as it is built, on a database of its own.

mod common;

use std::process::Output;

use common::{report, run};
use minimal_host_app::soak::Report;
use squid_mesh_test_support::TestDatabase;

const SECONDS: usize = 3;

/// Twice the mix, over all seconds.
const RATE: usize = 6;

#[test]
fn a_soak_loses_and_duplicates_nothing_on_an_sqlite_file() {
    check(&soak(&["--json"]), "sqlite");
}

#[test]
fn a_soak_loses_and_duplicates_nothing_on_postgres() {
    let database = TestDatabase::fresh();
    let options = ["--json", "--database-url", database.url()];
    check(&soak(&options), "postgres");
}

#[test]
fn a_soak_without_end_or_without_runs_is_wrong_usage() {
    for options in [["--seconds", "0"], ["--rate", "0"], ["--rate", "1001"]] {
        let output = soak(&options);
        assert_eq!(output.status.code(), Some(2), "{options:?}");
    }
}

fn soak(options: &[&str]) -> Output {
    let (seconds, rate) = (SECONDS.to_string(), RATE.to_string());
    let mut all = Vec::new();
    for (name, value) in [("--seconds", &seconds), ("--rate", &rate)] {
        if !options.contains(&name) {
            all.extend([name, value]);
        }
    }
    all.extend(options);
    run("soak", &all)
}

fn check(output: &Output, store: &str) {
    let report: Report = report(output);
    let expected = Report {
        ok: true,
        store: store.to_owned(),
        started: SECONDS * RATE,
        completed: 12,
        failed_as_expected: 4,
        cancelled: 2,
        replayed: 2,
        ..Report::default()
    };
    assert_eq!(report, expected);
}
