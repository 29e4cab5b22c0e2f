//! What `smoke` prints.
//!
//! Invariant: table and JSON say the same, and `ok` only if nothing deviates.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table};
use serde::{Deserialize, Serialize};

use super::Check;
use crate::report::{self, Findings};

/// The outcome of `smoke`, as its JSON has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Whether every run ended as it should.
    pub ok: bool,
    /// `sqlite` or `postgres`.
    pub store: String,
    /// The runs.
    pub workflows: Vec<WorkflowReport>,
    /// What is not as it should be; not there if everything is.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub deviations: Vec<String>,
    /// How long all of it took, setting up included.
    pub wall_seconds: f64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowReport {
    /// The workflow.
    pub name: String,
    /// The run's id; empty if none was started.
    pub run: String,
    /// The run's status; `unknown` if it could not be looked at.
    pub status: String,
    /// How many steps it has.
    pub steps: usize,
    /// Attempts of all its steps.
    pub attempts: u32,
    /// From its start to its end, by the database's clock.
    pub ms: u64,
}

impl Report {
    /// Sums the checks up.
    pub fn new(store: &str, checks: Vec<Check>, wall: Duration) -> Report {
        let told = |check: &Check| {
            let name = check.name.clone();
            check
                .deviations
                .iter()
                .map(move |what| format!("{name}: {what}"))
                .collect::<Vec<_>>()
        };
        let deviations: Vec<String> = checks.iter().flat_map(told).collect();
        Report {
            ok: deviations.is_empty(),
            store: store.to_owned(),
            workflows: checks.into_iter().map(WorkflowReport::from).collect(),
            deviations,
            wall_seconds: (wall.as_secs_f64() * 1_000.0).round() / 1_000.0,
        }
    }
}

impl Findings for Report {
    fn ok(&self) -> bool {
        self.ok
    }

    fn deviations(&self) -> &[String] {
        &self.deviations
    }

    fn table(&self) -> Table {
        let mut table = report::table(["workflow", "status", "steps", "attempts", "duration"]);
        for run in &self.workflows {
            let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
            table.add_row(vec![
                Cell::new(&run.name),
                Cell::new(&run.status),
                right(run.steps.to_string()),
                right(run.attempts.to_string()),
                right(format!("{} ms", run.ms)),
            ]);
        }
        table
    }

    fn verdict(&self) -> String {
        let (runs, store, seconds) = (self.workflows.len(), &self.store, self.wall_seconds);
        match self.deviations.len() {
            0 => {
                format!("ok: {runs} scenarios ended as they should, on {store}, in {seconds:.1} s")
            }
            found => format!(
                "NOT ok: {found} deviations among {runs} scenarios, on {store}, in {seconds:.1} s"
            ),
        }
    }
}

impl From<Check> for WorkflowReport {
    fn from(check: Check) -> WorkflowReport {
        WorkflowReport {
            name: check.name,
            run: check.run.map(|run| run.to_string()).unwrap_or_default(),
            status: check
                .status
                .map_or_else(|| "unknown".to_owned(), |status| status.to_string()),
            steps: check.steps,
            attempts: check.attempts,
            ms: u64::try_from(check.duration.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_deviation_makes_the_whole_report_not_ok() {
        let good = Report::new(
            "sqlite",
            vec![Check::new("a")],
            Duration::from_millis(1_500),
        );
        assert!(good.ok && good.verdict().starts_with("ok: 1 scenarios"));
        let json = serde_json::to_value(&good).expect("a report is JSON");
        assert_eq!(json["wall_seconds"], 1.5);
        assert!(json.get("deviations").is_none());

        let mut deviating = Check::new("b");
        deviating.deviate("the soup is cold");
        let bad = Report::new("sqlite", vec![Check::new("a"), deviating], Duration::ZERO);
        assert!(
            !bad.ok
                && bad
                    .verdict()
                    .starts_with("NOT ok: 1 deviations among 2 scenarios")
        );
        assert_eq!(bad.deviations, ["b: the soup is cold"]);
    }
}
