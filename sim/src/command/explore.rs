//! `explore`: everything that can happen in a small scope.
//!
//! Invariant: exit code 0 means that every path was run, and that no promise was broken on any.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use squid_mesh_sim::choice::Path;
use squid_mesh_sim::explore::{FAULTS, Found, Search};
use squid_mesh_sim::trace::Trace;

use super::progress::Progress;
use super::span;

/// Tries everything that can happen to one run of three steps and its workers, with a few faults.
#[derive(Debug, Args)]
pub(super) struct Explore {
    /// How many faults may strike in one world.
    #[arg(long, default_value_t = 2)]
    faults: u32,
    /// How many workers there are.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..))]
    workers: u8,
    /// How many threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Stops after so long, even if paths are left.
    #[arg(long, value_parser = span)]
    time: Option<Duration>,
    /// Repeats one path, as a failure gives it, and tells its story.
    #[arg(long, value_delimiter = ',', num_args = 0..)]
    path: Option<Vec<u16>>,
    /// Ends with one JSON object.
    #[arg(long)]
    json: bool,
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Report {
    worlds: u64,
    events: u64,
    decisions: u64,
    complete: bool,
    left: u64,
    failed: u64,
    failures: Vec<ReportedFailure>,
    wall_seconds: f64,
}

#[derive(Serialize)]
struct ReportedFailure {
    path: Path,
    promise: &'static str,
    detail: String,
    reproduce: String,
}

impl Explore {
    pub(super) fn run(self) -> ExitCode {
        let search = Search {
            workers: self.workers.into(),
            threads: self.threads,
            time: self.time,
            ..Search::of(self.faults)
        };
        if let Some(path) = self.path {
            return tell(&search, path);
        }
        let progress = Progress::of(0);
        let found = search.run(&|done, left| progress.at_of(done, done + left));
        progress.end();
        self.print(&found);
        if found.is_complete() && found.failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn print(&self, found: &Found) {
        let wall = found.wall.as_secs_f64().max(1e-9);
        println!(
            "{} worlds with {} decisions and {} events in {wall:.1} s: {:.0} worlds/s; {}",
            found.worlds,
            found.decisions,
            found.events,
            found.worlds as f64 / wall,
            match found.left {
                0 => "every path was run".to_owned(),
                left => format!("at least {left} paths were not run"),
            }
        );
        for fault in FAULTS {
            println!("{:>9}  {}", found.sometimes.total(fault), fault.name());
        }
        let failures: Vec<ReportedFailure> = found
            .failures
            .iter()
            .map(|failure| ReportedFailure {
                path: failure.path.clone(),
                promise: failure.violation.promise.text(),
                detail: failure.violation.detail.clone(),
                reproduce: self.reproduce(&failure.path),
            })
            .collect();
        for failure in &failures {
            println!(
                "\n{}\n  {}\n  {}",
                failure.promise, failure.detail, failure.reproduce
            );
        }
        if found.failed > 0 {
            println!("\n{} worlds failed", found.failed);
        }
        if self.json {
            let report = Report {
                worlds: found.worlds,
                events: found.events,
                decisions: found.decisions,
                complete: found.is_complete(),
                left: found.left,
                failed: found.failed,
                failures,
                wall_seconds: found.wall.as_secs_f64(),
            };
            let text = serde_json::to_string(&report).expect("a report is serialisable");
            println!("{text}");
        }
    }

    fn reproduce(&self, path: &Path) -> String {
        let answers: Vec<String> = path.iter().map(u16::to_string).collect();
        format!(
            "squid-mesh-sim explore --faults {} --workers {} --path {}",
            self.faults,
            self.workers,
            answers.join(",")
        )
    }
}

/// The story of one path.
fn tell(search: &Search, path: Path) -> ExitCode {
    let outcome = search.world(path, Trace::told()).run();
    for line in &outcome.story {
        println!("{line}");
    }
    match outcome.violation {
        None => {
            println!(
                "{} events, {} decisions, no promise broken",
                outcome.events, outcome.decisions
            );
            ExitCode::SUCCESS
        }
        Some(violation) => {
            println!("{violation}");
            ExitCode::FAILURE
        }
    }
}
