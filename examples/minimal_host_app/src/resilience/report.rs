//! What `resilience` prints.
//!
//! Invariant: table and JSON say the same, and `ok` only if nothing deviates.

use comfy_table::Table;
use serde::{Deserialize, Serialize};

use super::Restart;
use super::cases::Case;
use crate::report::{self, Findings};
use crate::smoke::Check;

/// The outcome of `resilience`, as its JSON has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether every run ended as it should.
    pub ok: bool,
    /// `sqlite` or `postgres`.
    pub store: String,
    /// The runs.
    pub scenarios: Vec<ScenarioReport>,
    /// What is not as it should be; not there if everything is.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub deviations: Vec<String>,
}

/// One run across one restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioReport {
    /// What it waited for when its worker ended: `queued`, `delayed`, `retrying` or `paused`.
    pub name: String,
    /// How its worker ended.
    pub restart: Restart,
    /// The run's status; `unknown` if it could not be looked at.
    pub status: String,
    /// Attempts of all its steps, lost ones included.
    pub attempts: u32,
    /// Attempts that were lost with the worker.
    pub lost: u32,
}

impl Report {
    /// Sums the scenarios up.
    pub(super) fn new(store: &str, scenarios: Vec<(Case, Restart, Check)>) -> Report {
        let mut report = Report {
            ok: true,
            store: store.to_owned(),
            scenarios: Vec::new(),
            deviations: Vec::new(),
        };
        for (case, restart, check) in scenarios {
            let (name, how) = (case.name(), restart.name());
            let told = check.deviations.iter();
            let told = told.map(|what| format!("{name}, {how}: {what}"));
            report.deviations.extend(told);
            let status = check.status.map(|status| status.to_string());
            report.scenarios.push(ScenarioReport {
                name: name.to_owned(),
                restart,
                status: status.unwrap_or_else(|| "unknown".to_owned()),
                attempts: check.attempts,
                lost: check.lost,
            });
        }
        report.ok = report.deviations.is_empty();
        report
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
        let mut table = report::table(["run", "restart", "status", "attempts", "lost"]);
        for run in &self.scenarios {
            table.add_row([
                run.name.clone(),
                run.restart.name().to_owned(),
                run.status.clone(),
                run.attempts.to_string(),
                run.lost.to_string(),
            ]);
        }
        table
    }

    fn verdict(&self) -> String {
        let (runs, store) = (self.scenarios.len(), &self.store);
        match self.deviations.len() {
            0 => format!("ok: {runs} runs ended as they should, on {store}"),
            found => format!("NOT ok: {found} deviations among {runs} runs, on {store}"),
        }
    }
}
