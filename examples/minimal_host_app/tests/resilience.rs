//! `resilience` as a user runs it, on both databases.
//!
//! Invariant: the program is run as it is built, on a database of its own.

use std::process::{Command, Output};

use minimal_host_app::resilience::{Report, Restart};
use squid_mesh_test_support::TestDatabase;

/// Every run with its attempts, unless one was lost.
const EXPECTED: [(&str, u32); 4] = [
    ("queued", 3),
    ("delayed", 3),
    ("retrying", 7),
    ("paused", 2),
];

#[test]
fn every_run_ends_as_it_should_across_kills_and_clean_restarts_on_an_sqlite_file() {
    check(&resilience(&["--json"]), "sqlite");
}

#[test]
fn every_run_ends_as_it_should_across_kills_and_clean_restarts_on_postgres() {
    let database = TestDatabase::fresh();
    let options = ["--json", "--database-url", database.url()];
    check(&resilience(&options), "postgres");
}

fn resilience(options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_minimal-host-app"))
        .arg("resilience")
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
    assert!(report.ok && report.deviations.is_empty(), "{report:#?}");
    assert_eq!(report.store, store);
    assert_eq!(report.scenarios.len(), 8);
    for restart in [Restart::Sigkill, Restart::Clean] {
        let runs = report.scenarios.iter().filter(|run| run.restart == restart);
        for (run, (name, attempts)) in runs.zip(EXPECTED) {
            assert_eq!(
                (run.name.as_str(), run.status.as_str()),
                (name, "completed")
            );
            let attempts = attempts..=attempts + run.lost;
            assert!(attempts.contains(&run.attempts), "{run:?}");
        }
    }
}
