//! `run`: a campaign.
//!
//! Invariant: a campaign of 10,000 seeds or more that missed something it should have reached has not passed.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use squid_mesh_core::mutant::Mutation;
use squid_mesh_sim::campaign::{Campaign, SeedFailure, Summary};
use squid_mesh_sim::shrink::Setting;

use super::extent::Extent;
use super::failure::Failure;
use super::progress::Progress;
use super::span;

/// From this many seeds on, everything has to be reached.
const COMPLETE: u64 = 10_000;

/// Runs a campaign.
#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    extent: Extent,
    /// Of how many seeds one is run twice, to compare the traces; 0 for none.
    #[arg(long, default_value_t = 128)]
    twice: u64,
    /// For how long the first failure is made small.
    #[arg(long, value_parser = span, default_value = "10s")]
    shrink: Duration,
    /// Writes the first failure to a file, made small.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Ends with one JSON object.
    #[arg(long)]
    json: bool,
    /// Also prints every counter.
    #[arg(long)]
    counters: bool,
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    seeds: u64,
    events: u64,
    sim_seconds: u64,
    wall_seconds: f64,
    failures: &'a [SeedFailure],
    failed: u64,
    sometimes_missing: &'a [String],
    trace_hash: String,
    profile: &'static str,
    median_workers: u32,
    median_runs: u32,
    median_faults: u32,
}

impl Run {
    pub(super) fn run(self) -> ExitCode {
        let campaign = Campaign {
            twice_one_in: self.twice,
            ..self.extent.campaign()
        };
        let progress = Progress::of(self.extent.seeds);
        let summary = campaign.run(&|done| progress.at(done));
        progress.end();
        let missing = if summary.seeds >= COMPLETE {
            summary
                .sometimes
                .missing(self.extent.profile.profile().loses())
        } else {
            Vec::new()
        };
        self.tell(&summary, &missing);
        if self.json {
            println!("{}", self.report(&summary, &missing));
        }
        if summary.failed == 0 && missing.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn report(&self, summary: &Summary, missing: &[String]) -> String {
        let [median_workers, median_runs, median_faults] = summary.medians();
        let report = Report {
            seeds: summary.seeds,
            events: summary.events,
            sim_seconds: summary.simulated / 1_000_000,
            wall_seconds: summary.wall.as_secs_f64(),
            failures: &summary.failures,
            failed: summary.failed,
            sometimes_missing: missing,
            trace_hash: format!("{:016x}", summary.hash),
            profile: self.extent.profile.name(),
            median_workers,
            median_runs,
            median_faults,
        };
        serde_json::to_string(&report).expect("a report is serialisable")
    }

    /// How the first failure came about, as small as it can be made.
    fn tell_story(&self, failure: &SeedFailure) {
        let setting = Setting {
            profile: self.extent.profile.profile(),
            mutation: Mutation::NONE,
        };
        let Some(small) = Failure::of_seed(failure.seed, setting, self.shrink) else {
            // A trace that differs from run to run: there is nothing that one run could tell.
            return;
        };
        if let Some(path) = &self.out
            && let Err(error) = small.write(path)
        {
            eprintln!("{error}");
        }
        println!("\n{}", small.report(self.out.as_ref()));
    }

    fn tell(&self, summary: &Summary, missing: &[String]) {
        let wall = summary.wall.as_secs_f64().max(1e-9);
        let rate = |count: u64| count as f64 / wall;
        println!(
            "{} seeds, {} events, {} simulated seconds in {wall:.1} s: {:.0} seeds/s, {:.0} events/s, {:.0} simulated s/s",
            summary.seeds,
            summary.events,
            summary.simulated / 1_000_000,
            rate(summary.seeds),
            rate(summary.events),
            rate(summary.simulated / 1_000_000)
        );
        let [workers, runs, faults] = summary.medians();
        println!(
            "median seed: {workers} workers, {runs} runs, {faults} faults; trace {:016x}",
            summary.hash
        );
        if self.counters {
            for (name, count) in summary.sometimes.counts() {
                println!("{count:>10}  {name}");
            }
        }
        if let Some(first) = summary.failures.first() {
            self.tell_story(first);
        }
        for failure in &summary.failures {
            println!(
                "\nseed {}: {}\n  {}",
                failure.seed, failure.promise, failure.detail
            );
            println!("  {}", failure.reproduce);
        }
        if summary.failed > 0 {
            println!("\n{} seeds failed", summary.failed);
        }
        for name in missing {
            println!("never reached: {name}");
        }
    }
}
