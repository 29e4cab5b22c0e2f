//! What `soak` prints.
//!
//! Invariant: `ok` only if nothing was lost, duplicated or violated.

use comfy_table::Table;
use serde::{Deserialize, Serialize};
use squid_mesh::core::run::Status;
use tokio::task::JoinError;

use super::plan::Outcome;
use crate::report::{self, Findings};

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
        self.duplicated += outcome.duplicates.len();
        self.violations += outcome.violations.len();
        for deviation in outcome.duplicates.into_iter().chain(outcome.violations) {
            self.tell(deviation);
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
}

impl Findings for Report {
    fn ok(&self) -> bool {
        self.ok
    }

    fn deviations(&self) -> &[String] {
        &self.deviations
    }

    fn verdict(&self) -> String {
        let (verdict, store) = (if self.ok { "ok" } else { "NOT ok" }, &self.store);
        format!("{verdict}: {} runs were started, on {store}", self.started)
    }

    fn table(&self) -> Table {
        let mut table = report::table(["what", "how many"]);
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
            duplicates: Vec::new(),
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

    #[test]
    fn what_deviates_in_a_run_that_ended_well_makes_the_report_not_ok() {
        let with = |deviate: fn(&mut Outcome)| {
            let mut report = Report::new("sqlite");
            report.started = 1;
            let mut ended = outcome(Ok(Status::Completed)).expect("it was not aborted");
            deviate(&mut ended);
            report.count(Ok(ended));
            report.sum_up()
        };
        let twice = with(|outcome| outcome.duplicates.push("booked twice".to_owned()));
        assert_eq!((twice.ok, twice.duplicated), (false, 1));
        assert_eq!(twice.deviations, ["booked twice"]);
        let wrong = with(|outcome| outcome.violations.push("total: 3".to_owned()));
        assert_eq!((wrong.ok, wrong.violations), (false, 1));
    }
}
