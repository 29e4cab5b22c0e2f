//! `mutants`: how well the simulator finds bugs that were put there.
//!
//! Invariant: exit code 0 means that every mutant asked for was killed.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use clap::Args;
use comfy_table::Table;
use comfy_table::presets;
use serde::Serialize;
use squid_mesh_core::mutant::Mutant;
use squid_mesh_sim::mutants::{Effort, Row, ablation, hunt};
use squid_mesh_sim::violation::Promise;

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
    /// Also looks for the mutants that would survive without the promise that finds them, on so many seeds.
    #[arg(long, value_name = "SEEDS")]
    ablation: Option<u64>,
    /// Also says which of them the reference model finds if nobody else is asked, on so many seeds.
    #[arg(long, value_name = "SEEDS")]
    model: Option<u64>,
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
    /// Which mutants survive without each promise.
    #[serde(skip_serializing_if = "Option::is_none")]
    ablation: Option<BTreeMap<String, Vec<String>>>,
    /// How many seeds it takes until the reference model alone finds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<BTreeMap<String, u64>>,
}

impl Mutants {
    pub(super) fn run(self) -> ExitCode {
        let wanted = |mutant: &Mutant| {
            self.only
                .as_ref()
                .is_none_or(|only| format!("{mutant:?}").contains(only.as_str()))
        };
        let mutants: Vec<Mutant> = Mutant::ALL.iter().copied().filter(wanted).collect();
        let rows = self.each(&mutants, |mutant| hunt(mutant, self.effort()));
        let ablation = self
            .ablation
            .map(|seeds| self.ablate(&mutants, &rows, seeds));
        let model = self.model.map(|seeds| self.by_model(&mutants, seeds));
        let killed = rows.iter().filter(|row| row.killed).count();
        println!("{}", table(&rows));
        println!("killed {killed} of {}", rows.len());
        for (promise, survivors) in ablation.iter().flatten() {
            println!(
                "without \"{promise}\" survive {}: {}",
                survivors.len(),
                survivors.join(", ")
            );
        }
        if let Some(found) = &model {
            let found: Vec<String> = found
                .iter()
                .map(|(mutant, seeds)| format!("{mutant} ({seeds})"))
                .collect();
            let (found, names) = (found.len(), found.join(", "));
            println!("the reference model alone finds {found}: {names}");
        }
        if self.json {
            let report = Report {
                killed,
                total: rows.len(),
                rows: &rows,
                ablation,
                model,
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

    fn effort(&self) -> Effort {
        Effort {
            seeds: self.seeds,
            repetitions: self.repetitions,
        }
    }

    fn ablate(
        &self,
        mutants: &[Mutant],
        rows: &[Row],
        seeds: u64,
    ) -> BTreeMap<String, Vec<String>> {
        let effort = Effort {
            seeds,
            ..self.effort()
        };
        let row = |mutant| {
            let name = format!("{mutant:?}");
            rows.iter().find(move |row| row.mutant == name)
        };
        let survivors = self.each(mutants, |mutant| {
            let promise = row(mutant).and_then(|row| ablation::only_by(mutant, row, effort));
            (format!("{mutant:?}"), promise)
        });
        ablation::table(&survivors)
    }

    fn by_model(&self, mutants: &[Mutant], seeds: u64) -> BTreeMap<String, u64> {
        let found = self.each(mutants, |mutant| {
            let seeds = ablation::alone(mutant, Promise::AsModelled, seeds);
            seeds.map(|seeds| (format!("{mutant:?}"), seeds))
        });
        found.into_iter().flatten().collect()
    }

    /// Does something with each mutant, and gives what came of it in the order of the mutants.
    fn each<T: Send>(&self, mutants: &[Mutant], work: impl Fn(Mutant) -> T + Sync) -> Vec<T> {
        let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let progress = Progress::of(mutants.len() as u64);
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let result = work(*mutant);
                        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                        results.push((*mutant, result));
                        progress.at(results.len() as u64);
                    }
                });
            }
        });
        progress.end();
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        results.sort_by_key(|(mutant, _)| *mutant);
        results.into_iter().map(|(_, result)| result).collect()
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
