//! `soak` as a user runs it, on both databases.
//!
//! Invariant: the program is run as it is built, on a database of its own.

use std::process::{Command, Output};

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
    let mut command = Command::new(env!("CARGO_BIN_EXE_minimal-host-app"));
    command.arg("soak");
    for (name, value) in [("--seconds", SECONDS), ("--rate", RATE)] {
        if !options.contains(&name) {
            command.args([name, &value.to_string()]);
        }
    }
    command
        .args(options)
        .env_remove("DATABASE_URL")
        .env_remove("RUST_LOG")
        .output()
        .expect("the program starts")
}

fn check(output: &Output, store: &str) {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let report: Report = serde_json::from_str(stdout.lines().last().unwrap_or_default())
        .expect("the last line is JSON");
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
