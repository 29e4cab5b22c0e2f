//! `coverage`: which faults have met which states.
//!
//! Invariant: exit code 0 means that nothing failed, and that as many of the feasible pairs have met as have to.

use std::process::ExitCode;

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use squid_mesh_sim::campaign::Summary;
use squid_mesh_sim::fault::sometimes::Sometimes;
use squid_mesh_sim::fault::{Fault, State};

use super::extent::Extent;
use super::progress::Progress;

/// Of a thousand feasible pairs, so many have to meet.
const ENOUGH: usize = 950;

/// Runs a campaign and prints how often each fault fired in each state of what was under way.
#[derive(Debug, Args)]
pub(super) struct Coverage {
    #[command(flatten)]
    extent: Extent,
    /// Ends with one JSON object.
    #[arg(long)]
    json: bool,
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Report {
    seeds: u64,
    failed: u64,
    met: usize,
    feasible: usize,
    missing: Vec<String>,
}

impl Coverage {
    pub(super) fn run(self) -> ExitCode {
        let campaign = self.extent.campaign();
        let progress = Progress::of(self.extent.seeds);
        let summary = campaign.run(&|done| progress.at(done));
        progress.end();
        self.print(&summary)
    }

    fn print(&self, summary: &Summary) -> ExitCode {
        let (met, feasible) = summary.sometimes.coverage();
        let missing = missing(&summary.sometimes);
        println!("{}", table(&summary.sometimes));
        println!(
            "{} seeds, {} failed: {met} of {feasible} feasible pairs of a fault and a state have met",
            summary.seeds, summary.failed
        );
        for pair in &missing {
            println!("never: {pair}");
        }
        if self.json {
            let report = Report {
                seeds: summary.seeds,
                failed: summary.failed,
                met,
                feasible,
                missing,
            };
            let text = serde_json::to_string(&report).expect("a report is serialisable");
            println!("{text}");
        }
        if summary.failed == 0 && met * 1_000 >= feasible * ENOUGH {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

fn missing(sometimes: &Sometimes) -> Vec<String> {
    let mut missing = Vec::new();
    for fault in Fault::ALL {
        let states = State::ALL.iter().filter(|state| state.is_feasible(*fault));
        let unmet = states.filter(|state| sometimes.meetings(*fault, **state) == 0);
        missing.extend(unmet.map(|state| format!("{} in {}", fault.name(), state.name())));
    }
    missing
}

fn table(sometimes: &Sometimes) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let states = State::ALL.iter().map(|state| state.name());
    table.set_header(["fault"].into_iter().chain(states));
    for fault in Fault::ALL {
        let counts = State::ALL.iter().map(|state| {
            match (
                sometimes.meetings(*fault, *state),
                state.is_feasible(*fault),
            ) {
                (0, false) => "-".to_owned(),
                (count, _) => count.to_string(),
            }
        });
        table.add_row([fault.name().to_owned()].into_iter().chain(counts));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
