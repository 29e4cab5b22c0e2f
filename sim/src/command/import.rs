//! `import`: a run from production, row by row, and again under faults.
//!
//! Invariant: a row that today's engine would decide otherwise is told, and is no failure.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use squid_mesh_core::export::ExportedRun;
use squid_mesh_core::id::RunId;
use squid_mesh_sim::CampaignError;
use squid_mesh_sim::imported::{self, Ends, RowView, UnderFaultsError};

/// Lines of the story of a world in which a promise did not hold.
const LINES: usize = 30;

/// Steps through a run that `squid-mesh export` wrote, and goes through it again under faults.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// The file.
    file: PathBuf,
    /// Shows the rows up to this one.
    #[arg(long, value_name = "SEQ", default_value_t = u32::MAX, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..))]
    until: u32,
    /// Starts the run again in so many worlds in which everything goes wrong that can.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Ends with one JSON object.
    #[arg(long)]
    json: bool,
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Report<'a> {
    run: RunId,
    definition: String,
    engine: &'a str,
    payloads: bool,
    /// How it stood in production.
    status: &'static str,
    /// Rows that today's engine would decide otherwise.
    decided_otherwise: Vec<u32>,
    rows: &'a [RowView],
    #[serde(skip_serializing_if = "Option::is_none")]
    under_faults: Option<Again>,
}

/// What came of it under faults.
#[derive(Serialize)]
struct Again {
    seeds: u64,
    events: u64,
    faults: u64,
    ends: BTreeMap<String, u64>,
    /// What did not hold.
    broken: Option<String>,
}

impl Import {
    pub(super) fn run(self) -> ExitCode {
        let exported = match self.read() {
            Ok(exported) => exported,
            Err(why) => return refused(&why),
        };
        let mut rows = imported::rows(&exported);
        rows.retain(|row| row.seq <= self.until);
        head(&exported);
        rows.iter().for_each(tell);
        let otherwise: Vec<u32> = rows
            .iter()
            .filter(|row| row.today.is_some())
            .map(|row| row.seq)
            .collect();
        if !otherwise.is_empty() {
            println!(
                "\n{} of {} rows would be decided otherwise by this build: no error, a journal means what it says",
                otherwise.len(),
                rows.len()
            );
        }
        let again = match self.seeds.map(|seeds| again(&exported, seeds)) {
            Some(Err(why)) => return refused(&format!("{}: {why}", self.file.display())),
            Some(Ok(again)) => Some(again),
            None => None,
        };
        let holds = again.as_ref().is_none_or(|again| again.broken.is_none());
        if self.json {
            let report = Report {
                run: exported.id(),
                definition: exported.definition().key().to_string(),
                engine: exported.engine(),
                payloads: exported.has_payloads(),
                status: exported.status().as_str(),
                decided_otherwise: otherwise,
                rows: &rows,
                under_faults: again,
            };
            let text = serde_json::to_string(&report);
            println!("{}", text.expect("a report is serialisable"));
        }
        if holds {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    fn read(&self) -> Result<ExportedRun, String> {
        let wrong = |why: String| format!("{}: {why}", self.file.display());
        let text = std::fs::read_to_string(&self.file).map_err(|error| wrong(error.to_string()))?;
        ExportedRun::parse(&text).map_err(|error| wrong(error.to_string()))
    }
}

fn refused(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::from(2)
}

fn head(exported: &ExportedRun) {
    let took = exported.run().at().since(exported.run().origin().at);
    let payloads = if exported.has_payloads() {
        "with"
    } else {
        "without"
    };
    println!(
        "run {} of {}: {} after {} and {} rows, exported {payloads} payloads by engine {}",
        exported.id(),
        exported.definition().key(),
        exported.status(),
        seconds(took),
        exported.rows().len(),
        exported.engine()
    );
}

fn tell(row: &RowView) {
    println!(
        "\n{:>4}  +{}  {}",
        row.seq,
        seconds(row.since_start),
        row.summary
    );
    if let Some(payload) = &row.payload {
        println!("      with {payload}");
    }
    for change in &row.changes {
        println!("      - {change}");
    }
    for (at, change) in row.today.iter().flatten().enumerate() {
        let head = if at == 0 { "this build decides" } else { "" };
        println!("      ! {head:<18} {change}");
    }
    if row.today.as_ref().is_some_and(Vec::is_empty) {
        println!("      ! this build decides nothing of it");
    }
    println!("      = run: {}", row.status);
    for step in &row.steps {
        println!("        {}: {}", step.name, step.state);
    }
}

/// The run again; what did not hold is told.
fn again(exported: &ExportedRun, seeds: u64) -> Result<Again, UnderFaultsError> {
    match imported::under_faults(exported, seeds) {
        Ok(ends) => Ok(passed(exported, ends)),
        Err(UnderFaultsError::Campaign(CampaignError::Broken(broken))) => {
            println!("\nunder faults, seed {}: {}", broken.seed, broken.violation);
            let skipped = broken.story.len().saturating_sub(LINES);
            println!("the end of its story:");
            broken.story[skipped..]
                .iter()
                .for_each(|line| println!("{line}"));
            println!(
                "the same again: SQUID_MESH_SIM_SEED={} and --seeds 1",
                broken.seed
            );
            Ok(Again {
                seeds,
                events: 0,
                faults: 0,
                ends: BTreeMap::new(),
                broken: Some(broken.violation.to_string()),
            })
        }
        Err(error) => Err(error),
    }
}

fn passed(exported: &ExportedRun, ends: Ends) -> Again {
    let Ends { passed, ends, .. } = ends;
    println!(
        "\nunder faults: every promise held in {} worlds, with {} events and {} faults",
        passed.seeds, passed.events, passed.faults
    );
    println!("in production the run {}", stood(exported));
    for (how, worlds) in &ends {
        println!("{worlds:>8}  {how}");
    }
    Again {
        seeds: passed.seeds,
        events: passed.events,
        faults: passed.faults,
        ends,
        broken: None,
    }
}

fn stood(exported: &ExportedRun) -> String {
    let status = exported.status();
    if status.is_terminal() {
        format!("ended {status}")
    } else {
        format!("was {status}, and had not ended; in these worlds it ended so:")
    }
}

fn seconds(span: Duration) -> String {
    format!("{}.{:06}s", span.as_secs(), span.subsec_micros())
}
