//! What `soak` prints.
//!
//! Invariant: `ok` only if nothing was lost, duplicated or violated.

use std::io::{self, Write as _};

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::{Deserialize, Serialize};
use squid_mesh::core::run::Status;
use tokio::task::JoinError;

use super::plan::Outcome;

/// The outcome of `soak`, as its JSON has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Whether everything is as it should be.
    pub ok: bool,
    /// `sqlite` or `postgres`.
    pub store: String,
    /// Runs that were started, replays aside.
    pub started: usize,
    /// Those that completed.
    pub completed: usize,
    /// Those that failed, as they should.
    pub failed_as_expected: usize,
    /// Those that were cancelled.
    pub cancelled: usize,
    /// Replays that completed.
    pub replayed: usize,
    /// Those that are not at the end they should have come to.
    pub lost: usize,
    /// Effects that happened more often than their attempts account for.
    pub duplicated: usize,
    /// How much else is not as it should be.
    pub violations: usize,
    /// The first of what is not as it should be; not there if everything is.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub deviations: Vec<String>,
}

/// How many deviations are told.
const TOLD: usize = 20;

impl Report {
    /// Of no run yet.
    pub(super) fn new(store: &str) -> Report {
        Report {
            store: store.to_owned(),
            ..Report::default()
        }
    }

    /// Counts a run.
    pub(super) fn count(&mut self, ended: Result<Outcome, JoinError>) {
        let outcome = match ended {
            Ok(outcome) => outcome,
            Err(error) => return self.lose(error.to_string()),
        };
        self.replayed += usize::from(outcome.replayed);
        self.duplicated += outcome.duplicated;
        self.violations += outcome.violations.len();
        for violation in outcome.violations {
            self.tell(violation);
        }
        match outcome.end {
            Ok(Status::Completed) => self.completed += 1,
            Ok(Status::Failed) => self.failed_as_expected += 1,
            Ok(Status::Cancelled) => self.cancelled += 1,
            Ok(open) => self.lose(format!("a run is {open}")),
            Err(why) => self.lose(why),
        }
    }

    fn lose(&mut self, why: String) {
        self.lost += 1;
        self.tell(why);
    }

    fn tell(&mut self, deviation: String) {
        if self.deviations.len() < TOLD {
            self.deviations.push(deviation);
        }
    }

    /// Compares the sums, when all runs are counted.
    pub(super) fn sum_up(mut self) -> Report {
        let ends = self.completed + self.failed_as_expected + self.cancelled + self.lost;
        if ends != self.started {
            self.violations += 1;
            self.tell(format!("{} runs were started, {ends} ended", self.started));
        }
        self.ok = self.lost == 0 && self.duplicated == 0 && self.violations == 0;
        self
    }

    /// Prints it: one JSON object on one line, or a table and a verdict.
    ///
    /// # Errors
    /// If nobody takes it.
    pub fn print(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            return writeln!(out, "{}", serde_json::to_string(self)?);
        }
        writeln!(out, "{}", self.table())?;
        for deviation in &self.deviations {
            writeln!(out, "deviation: {deviation}")?;
        }
        let (verdict, store) = (if self.ok { "ok" } else { "NOT ok" }, &self.store);
        writeln!(
            out,
            "{verdict}: {} runs were started, on {store}",
            self.started
        )
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header(["what", "how many"]);
        let counts = [
            ("started", self.started),
            ("completed", self.completed),
            ("failed as expected", self.failed_as_expected),
            ("cancelled", self.cancelled),
            ("replayed", self.replayed),
            ("lost", self.lost),
            ("duplicated effects", self.duplicated),
            ("violations", self.violations),
        ];
        for (what, count) in counts {
            table.add_row([what.to_owned(), count.to_string()]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(end: Result<Status, String>) -> Result<Outcome, JoinError> {
        Ok(Outcome {
            end,
            replayed: false,
            duplicated: 0,
            violations: Vec::new(),
        })
    }

    #[test]
    fn a_run_that_is_lost_or_not_counted_makes_the_report_not_ok() {
        let report = |started: usize, ends: &[Result<Status, String>]| {
            let mut report = Report::new("sqlite");
            report.started = started;
            for end in ends {
                report.count(outcome(end.clone()));
            }
            report.sum_up()
        };
        let completed = Ok(Status::Completed);
        let good = report(2, &[completed.clone(), Ok(Status::Failed)]);
        assert!(good.ok && good.deviations.is_empty(), "{good:?}");
        assert_eq!((good.completed, good.failed_as_expected), (1, 1));
        let lost = report(1, &[Err("it hangs".to_owned())]);
        assert_eq!((lost.ok, lost.lost, lost.violations), (false, 1, 0));
        assert_eq!(lost.deviations, ["it hangs"]);
        let missing = report(2, &[completed]);
        assert_eq!((missing.ok, missing.violations), (false, 1));
        let open = report(1, &[Ok(Status::Waiting)]);
        assert_eq!((open.ok, open.lost), (false, 1));
    }
}
