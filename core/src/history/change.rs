//! Changes as phrases.
//!
//! Invariant: a phrase names steps by their names, and never shows a payload.

use super::{Reader, children};
use crate::change::{Cause, Change, Chore, Gate, Heading, StepEnd};
use crate::definition::StepIndex;

impl Reader<'_> {
    /// What one change does.
    pub fn change(&self, change: &Change) -> String {
        match change {
            Change::Schedule {
                step, role, due, ..
            } => format!("{} is scheduled for {due}", self.what(*role, *step)),
            Change::Engage {
                step, chore, due, ..
            } => self.engage(*step, *chore, &due.to_string()),
            Change::Await { step, due, .. } => {
                format!("wait {} is to end at {due}", self.name(*step))
            }
            Change::Open {
                step,
                gate,
                deadline,
            } => {
                let whom = match gate {
                    Gate::Person => "a person",
                    Gate::Signal => "its signal",
                };
                let until = deadline.map_or_else(String::new, |(_, due)| format!(", until {due}"));
                format!("gate {} is open for {whom}{until}", self.name(*step))
            }
            Change::ArmDeadline { due, .. } => format!("the run must have ended by {due}"),
            Change::DisarmDeadline => "the run's deadline no longer matters".to_owned(),
            Change::Report { step, role, .. } => {
                format!("an attempt of {} has reported", self.what(*role, *step))
            }
            Change::Lose { step, role } => {
                format!("an attempt of {} counts as lost", self.what(*role, *step))
            }
            Change::Conflict { step, .. } => {
                let name = self.name(*step);
                format!("an attempt of step {name} counts as undone by the database")
            }
            Change::Hold { step, .. } => {
                let name = self.name(*step);
                format!("step {name} is held: whether it had its effect is unknown")
            }
            Change::Stop { step } => format!("step {} is told to stop", self.name(*step)),
            Change::Label { step, label } => {
                let label = self.label(*step, *label);
                format!("step {} returned label {label}", self.name(*step))
            }
            Change::Place { step, place } => {
                let (name, seq) = (self.name(*step), place.seq.0);
                format!("what step {name} ends with is in row {seq}")
            }
            Change::Settle { step, end } => {
                let end = match end {
                    StepEnd::Succeeded => "succeeded",
                    StepEnd::Cancelled => "is cancelled",
                    StepEnd::Skipped => "is skipped",
                };
                format!("step {} {end}", self.name(*step))
            }
            Change::Fail { step, code, .. } => {
                format!("step {} failed for good with {code}", self.name(*step))
            }
            Change::Fan { step, count } => {
                format!("step {} is to have {}", self.name(*step), children(*count))
            }
            Change::Spawn { step, upto } => {
                let name = self.name(*step);
                format!("{} of step {name} exist", children(*upto))
            }
            Change::Rest { step } => format!("step {} waits for its children", self.name(*step)),
            Change::Recall { step, upto } => {
                let name = self.name(*step);
                format!("{} of step {name} were told to cancel", children(*upto))
            }
            Change::Arrive { step, child } => {
                format!("child {child} of step {} has ended", self.name(*step))
            }
            Change::Spoil { step, code, .. } => {
                let name = self.name(*step);
                format!("step {name} is to fail with {code} once its children have ended")
            }
            Change::Adopt { step, run } => {
                format!("run {run} is a child of step {}", self.name(*step))
            }
            Change::Keep { signal, .. } => format!("signal {signal} is kept"),
            Change::Take { seq } => format!("the signal kept from row {} is taken", seq.0),
            Change::Obey { command } => format!("command {command} has had its effect"),
            Change::Undone { step, done } => {
                let done = if *done { "is undone" } else { "stays as it is" };
                format!("what step {} did {done}", self.name(*step))
            }
            Change::Inherit { step, code, .. } => {
                let name = self.name(*step);
                match code {
                    Some(code) => format!("step {name} has failed with {code} in the source"),
                    None => format!("step {name} has succeeded in the source"),
                }
            }
            Change::Wind { heading } => format!("the run begins to end: {}", self.heading(heading)),
            Change::Finish => "the run has ended".to_owned(),
            Change::Deliver { .. } => "the end of the run is to be reported".to_owned(),
            Change::Belong { occurrence } => {
                let (name, at) = (&occurrence.name, occurrence.at);
                format!("the run is of schedule {name} at {at}")
            }
        }
    }

    fn engage(&self, step: StepIndex, chore: Chore, due: &str) -> String {
        let name = self.name(step);
        let what = match chore {
            Chore::Evaluate => format!("step {name} is to be evaluated"),
            Chore::Spawn => format!("children of step {name} are to be started"),
            Chore::Collect => {
                format!("the results of the children of step {name} are to be gathered")
            }
            Chore::Recall => format!("the children of step {name} are to be told to cancel"),
        };
        format!("{what} at {due}")
    }

    fn heading(&self, heading: &Heading) -> String {
        match heading {
            Heading::Completed => "completed".to_owned(),
            Heading::Cancelled => "cancelled".to_owned(),
            Heading::Failed(cause) => match cause {
                Cause::Step { step, code } => {
                    format!(
                        "failed, because step {} failed with {code}",
                        self.name(*step)
                    )
                }
                Cause::DeadlineExceeded { .. } | Cause::NoResult => {
                    format!("failed with {}", cause.code())
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::samples;
    use crate::event::Role;
    use crate::task::Lane;
    use crate::time::Timestamp;

    #[test]
    fn a_change_names_its_step_and_one_of_an_unknown_step_its_number() {
        let definition = samples::changed(|_| {});
        let reader = Reader {
            definition: Some(&definition),
            changes: &[],
        };
        let schedule = |step| Change::Schedule {
            step: StepIndex(step),
            role: Role::Undo,
            lane: Lane(0),
            due: Timestamp::from_micros(0),
        };
        let name = &definition.steps()[0].name;
        let expected =
            format!("the undo of step {name} is scheduled for 1970-01-01T00:00:00.000000Z");
        assert_eq!(reader.change(&schedule(0)), expected);
        assert!(reader.change(&schedule(999)).contains("step #999"));
    }
}
