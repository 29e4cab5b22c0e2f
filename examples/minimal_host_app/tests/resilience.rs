//! `resilience` as a user runs it, on both databases.
//!
//! Invariant: the program is run as it is built, on a database of its own.

mod common;

use std::process::Output;

use common::{report, run};
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
    check(&run("resilience", &["--json"]), "sqlite");
}

#[test]
fn every_run_ends_as_it_should_across_kills_and_clean_restarts_on_postgres() {
    let database = TestDatabase::fresh();
    let options = ["--json", "--database-url", database.url()];
    check(&run("resilience", &options), "postgres");
}

fn check(output: &Output, store: &str) {
    let report: Report = report(output);
    assert!(report.ok && report.deviations.is_empty(), "{report:#?}");
    assert_eq!(report.store, store);
    assert_eq!(report.scenarios.len(), 8);
    for restart in [Restart::Sigkill, Restart::Clean] {
        let runs = report.scenarios.iter().filter(|run| run.restart == restart);
        let found: Vec<_> = runs.clone().map(|run| run.name.as_str()).collect();
        assert_eq!(found, EXPECTED.map(|(name, _)| name));
        for (run, (_, attempts)) in runs.zip(EXPECTED) {
            assert_eq!(run.status, "completed");
            let attempts = attempts..=attempts + run.lost;
            assert!(attempts.contains(&run.attempts), "{run:?}");
        }
    }
}
