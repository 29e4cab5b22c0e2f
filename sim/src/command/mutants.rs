//! `mutants`: how well the simulator finds bugs that were put there.
//!
//! Invariant: exit code 0 means that every mutant asked for was killed.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Args;
use comfy_table::Table;
use comfy_table::presets;
use serde::Serialize;
use squid_mesh_core::mutant::Mutant;
use squid_mesh_sim::mutants::{Effort, Row, hunt};

use super::progress::Progress;

/// Measures the simulator with seeded bugs.
#[derive(Debug, Args)]
pub(super) struct Mutants {
    /// Only mutants whose name contains this.
    #[arg(long)]
    only: Option<String>,
    /// Seeds tried at most, for each repetition.
    #[arg(long, default_value_t = Effort::default().seeds)]
    seeds: u64,
    /// How often each search is repeated, from other seeds.
    #[arg(long, default_value_t = Effort::default().repetitions)]
    repetitions: u64,
    /// How many threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Ends with one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    killed: usize,
    total: usize,
    rows: &'a [Row],
}

impl Mutants {
    pub(super) fn run(self) -> ExitCode {
        let wanted = |mutant: &Mutant| {
            self.only
                .as_ref()
                .is_none_or(|only| format!("{mutant:?}").contains(only.as_str()))
        };
        let mutants: Vec<Mutant> = Mutant::ALL.iter().copied().filter(wanted).collect();
        let rows = self.hunt_all(&mutants);
        let killed = rows.iter().filter(|row| row.killed).count();
        eprintln!("{}", table(&rows));
        eprintln!("killed {killed} of {}", rows.len());
        if self.json {
            let report = Report {
                killed,
                total: rows.len(),
                rows: &rows,
            };
            println!(
                "{}",
                serde_json::to_string(&report).expect("a report is serialisable")
            );
        }
        if killed == rows.len() && !rows.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn hunt_all(&self, mutants: &[Mutant]) -> Vec<Row> {
        let effort = Effort {
            seeds: self.seeds,
            repetitions: self.repetitions,
        };
        let (next, rows) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let progress = Progress::of(mutants.len() as u64);
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let row = hunt(*mutant, effort);
                        let mut rows = rows
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner);
                        rows.push((*mutant, row));
                        progress.at(rows.len() as u64);
                    }
                });
            }
        });
        progress.end();
        let mut rows = rows
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        rows.sort_by_key(|(mutant, _)| *mutant);
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "mutant",
        "killed",
        "median seeds",
        "p90 seeds",
        "cpu s",
        "by",
    ]);
    for row in rows {
        table.add_row([
            row.mutant.clone(),
            if row.killed {
                "yes".into()
            } else {
                "NO".into()
            },
            row.median_seeds.to_string(),
            row.p90_seeds.to_string(),
            format!("{:.2}", row.cpu_seconds),
            row.killed_by.join("; "),
        ]);
    }
    table
}
