//! What one run should have come to, compared with what it came to.
//!
//! Invariant: a deviation is never dropped, and comparing goes on after one, so that all are told at once.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::{Debug, Display};
use std::time::Duration;

use squid_mesh::HistoryEntry;
use squid_mesh::core::id::RunId;
use squid_mesh::core::run::Status;

use crate::ledger::Effect;
use crate::scene::Ended;

/// One run under comparison.
#[derive(Debug)]
pub struct Check {
    /// The workflow.
    pub name: String,
    /// The run, if it was started.
    pub run: Option<RunId>,
    /// Its status, if it was looked at.
    pub status: Option<Status>,
    /// How many steps it has.
    pub steps: usize,
    /// Attempts of all its steps, lost ones included.
    pub attempts: u32,
    /// Attempts that were lost with their process.
    pub lost: u32,
    /// From its start to its last transition, by the database's clock.
    pub duration: Duration,
    /// What is not as it should be.
    pub deviations: Vec<String>,
}

impl Check {
    /// Begins to compare a run of this workflow.
    pub fn new(name: &str) -> Check {
        Check {
            name: name.to_owned(),
            run: None,
            status: None,
            steps: 0,
            attempts: 0,
            lost: 0,
            duration: Duration::ZERO,
            deviations: Vec::new(),
        }
    }

    /// What is left of a scenario that could not be brought to its end.
    pub fn broken(name: &str, error: &(dyn Error + 'static)) -> Check {
        let mut check = Check::new(name);
        check.deviate(error);
        check
    }

    /// Notes a deviation.
    pub fn deviate(&mut self, what: impl Display) {
        self.deviations.push(what.to_string());
    }

    /// Notes a deviation unless both are the same.
    pub fn equal<T: PartialEq + Debug>(&mut self, what: &str, found: T, expected: T) {
        if found != expected {
            self.deviate(format!("{what}: found {found:?}, expected {expected:?}"));
        }
    }

    /// Takes over what is reported of a run, and compares its status, the attempts of each step and their effects: `expected`
    /// names every step that is executed at all, each time with an effect.
    pub fn ended(&mut self, ended: &Ended, status: Status, expected: &[(&str, u32)]) {
        self.attempts(ended, status, expected);
        self.effects(&ended.effects, expected);
    }

    /// Takes over what is reported of a run, and compares its status and the attempts of each step.
    pub fn attempts(&mut self, ended: &Ended, status: Status, expected: &[(&str, u32)]) {
        self.look_at(ended);
        self.equal("status", ended.inspection.status, status);
        let steps = ended.inspection.steps.iter();
        let executed: BTreeMap<&str, u32> = steps
            .filter(|step| step.executed > 0)
            .map(|step| (step.name.as_str(), step.executed))
            .collect();
        self.equal("attempts", executed, expected.iter().copied().collect());
        self.equal("lost attempts", self.lost, 0);
    }

    /// Takes over what is reported of a run.
    pub fn look_at(&mut self, ended: &Ended) {
        let inspection = &ended.inspection;
        self.run = Some(inspection.run);
        self.status = Some(inspection.status);
        self.steps = inspection.steps.len();
        let steps = inspection.steps.iter();
        self.attempts = steps.map(|step| step.executed + step.lost).sum();
        self.lost = inspection.steps.iter().map(|step| step.lost).sum();
        self.duration = inspection.updated.since(inspection.created);
    }

    /// No process died, so every handler's body was executed exactly as often as the journal says.
    pub fn effects(&mut self, effects: &[Effect], expected: &[(&str, u32)]) {
        let mut attempts: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for effect in effects {
            attempts
                .entry(&effect.step)
                .or_default()
                .push(effect.attempt);
        }
        let expected = expected
            .iter()
            .map(|(step, executed)| (*step, (1..=*executed).collect()))
            .collect();
        self.equal("attempts that had an effect", attempts, expected);
    }

    /// Compares the failures of a step that the journal has, in order: their code, and how many.
    pub fn failures(&mut self, history: &[HistoryEntry], step: &str, code: &str, expected: usize) {
        let failed = history
            .iter()
            .filter(|entry| entry.event == "failed" && entry.step.as_deref() == Some(step));
        let failed: Vec<&str> = failed.map(|entry| entry.summary.as_str()).collect();
        self.equal(
            &format!("recorded failures of {step}"),
            failed.len(),
            expected,
        );
        for summary in failed {
            if !summary.contains(&format!("failed with {code}:")) {
                self.deviate(format!(
                    "recorded failure of {step}: {summary:?} has another code than {code}"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_expected_is_no_deviation_and_everything_else_is_told() {
        let mut check = Check::new("lunch");
        check.equal("seats", 2, 2);
        assert_eq!(check.deviations, [""; 0]);
        check.equal("seats", 2, 3);
        check.failures(&[], "cook", "burnt", 1);
        assert_eq!(
            check.deviations,
            [
                "seats: found 2, expected 3",
                "recorded failures of cook: found 0, expected 1"
            ]
        );
    }

    #[test]
    fn an_attempt_without_an_effect_and_an_effect_without_an_attempt_deviate() {
        let effect = |step: &str, attempt: u32| Effect {
            key: step.to_owned(),
            step: step.to_owned(),
            attempt,
            token: format!("{step} {attempt}"),
        };
        let deviations = |effects: &[Effect]| {
            let mut check = Check::new("lunch");
            check.effects(effects, &[("cook", 2), ("serve", 1)]);
            check.deviations.len()
        };
        let all = [effect("cook", 1), effect("cook", 2), effect("serve", 1)];
        assert_eq!(deviations(&all), 0);
        assert_eq!(deviations(&all[..2]), 1);
        assert_eq!(deviations(&[all.as_slice(), &all[2..]].concat()), 1);
    }
}
