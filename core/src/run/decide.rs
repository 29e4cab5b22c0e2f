//! Deciding: what follows from an event.
//!
//! Invariant: total and pure. Whatever does not fit the run is a `Rejection`, and the same run, definition, event and
//! facts give the same transition.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ready::Deciding;
use super::{Phase, Run, Seq, Stage};
use crate::change::{Cause, Change, Heading, StepEnd};
use crate::definition::{Definition, StepIndex};
use crate::event::{Event, Failure, Started, code};
use crate::id::{Life, RunId};
use crate::mutant::{Mutant, Mutation};
use crate::operation::Rejection;
use crate::payload::PayloadDigest;
use crate::task::{Fence, Lane};
use crate::time::Timestamp;
use crate::transition::Transition;

/// What a decision may know beyond the run itself.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The database's clock.
    pub now: Timestamp,
    /// Lanes of handler steps that somebody holds under lease; `None` if the tasks were not read.
    pub claimed: Option<&'a BTreeSet<Lane>>,
    /// The seeded bug to decide with.
    pub mutation: Mutation,
}

/// What follows from an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// This is written down.
    Decided(Box<Decided>),
    /// The decision depends on which steps are claimed: read the run's tasks and ask again.
    Claims,
    /// The event does not fit; nothing is written.
    Refused(Rejection),
}

/// A transition, and the run as it is after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The journal row.
    pub transition: Transition,
    /// What folding it in gives.
    pub run: Run,
}

impl Run {
    /// Starts a run.
    pub fn start(
        id: RunId,
        life: Life,
        definition: &Definition,
        started: Started,
        now: Timestamp,
        mutation: Mutation,
    ) -> Decided {
        let born = Run::born(id, life, now, &started, definition.steps().len());
        let base = started.due.unwrap_or(now);
        let deadline = started.deadline;
        let mut deciding = Deciding::new(born, definition, now, mutation);
        let all: Vec<StepIndex> = definition.indexes().collect();
        deciding.ready(&all, base);
        if let Some(due) = deadline {
            deciding.arm_deadline(due);
        }
        let event = Event::Started(Box::new(started));
        let transition = Transition {
            seq: Seq::FIRST,
            at: now,
            event,
            changes: deciding.changes,
        };
        Decided {
            transition,
            run: deciding.run,
        }
    }

    /// Decides what follows from `event`.
    pub fn decide(&self, definition: &Definition, event: Event, facts: &Facts<'_>) -> Verdict {
        if let Phase::Ended(_) = self.phase {
            return Verdict::Refused(Rejection::Finished {
                run: self.id,
                status: self.status(),
            });
        }
        let mut next = self.clone();
        next.advance(self.seq.next(), self.at.max(facts.now), &event);
        let mut deciding = Deciding::new(next, definition, facts.now, facts.mutation);
        let outcome = match &event {
            Event::Started(_) => Err(Stop::Refused(self.stale(StepIndex(0)))),
            Event::Succeeded {
                step,
                fence,
                output,
            } => self.success(&mut deciding, *step, *fence, *output, facts),
            Event::Failed {
                step,
                fence,
                failure,
            } => self.failure(&mut deciding, *step, *fence, failure, facts),
            Event::Lost { step, .. } => self.loss(&mut deciding, *step, facts),
            Event::Due { step } => self.due(&mut deciding, *step, facts),
            Event::DeadlineReached => self.deadline_reached(&mut deciding, facts),
            Event::CancelRequested(request) => self.cancelled(&mut deciding, request.force, facts),
        };
        match outcome {
            Ok(()) => {
                let Deciding { run, changes, .. } = deciding;
                let transition = Transition {
                    seq: run.seq,
                    at: run.at,
                    event,
                    changes,
                };
                Verdict::Decided(Box::new(Decided { transition, run }))
            }
            Err(Stop::Claims) => Verdict::Claims,
            Err(Stop::Refused(rejection)) => Verdict::Refused(rejection),
        }
    }

    fn success(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        fence: Fence,
        output: PayloadDigest,
        facts: &Facts<'_>,
    ) -> Result<(), Stop> {
        self.attempt_lane(step)?;
        deciding.push(Change::Report {
            step,
            fence,
            digest: output,
        });
        deciding.push(Change::Settle {
            step,
            end: StepEnd::Succeeded,
        });
        self.after_success(deciding, step, facts);
        Ok(())
    }

    fn after_success(&self, deciding: &mut Deciding<'_>, step: StepIndex, facts: &Facts<'_>) {
        let open = self.phase == Phase::Open || facts.mutation.is(Mutant::CancelNotRechecked);
        if !open {
            return deciding.finish_if_done();
        }
        let base = deciding.base();
        let dependents = deciding.dependents(step);
        deciding.ready(dependents, base);
        if self.phase == Phase::Open {
            deciding.complete_if_done();
        } else {
            deciding.finish_if_done();
        }
    }

    fn failure(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        fence: Fence,
        failure: &Failure,
        facts: &Facts<'_>,
    ) -> Result<(), Stop> {
        let lane = self.attempt_lane(step)?;
        let digest = crate::operation::failure_digest(failure);
        deciding.push(Change::Report {
            step,
            fence,
            digest,
        });
        let retry = &deciding.definition().step(step).retry;
        let executed = deciding.run.step(step).executed;
        let allowed = retry.max_attempts + u32::from(facts.mutation.is(Mutant::OneAttemptTooMany));
        let again = failure.retryable && executed < allowed;
        if self.phase != Phase::Open {
            let end = if again {
                StepEnd::Cancelled
            } else {
                StepEnd::Failed
            };
            deciding.push(Change::Settle { step, end });
            deciding.finish_if_done();
            return Ok(());
        }
        if !again {
            return self.fail(deciding, step, &failure.code, facts);
        }
        let counted = executed + u32::from(facts.mutation.is(Mutant::BackoffOffByOne));
        let computed = retry.delay(counted, self.salt(step));
        let delay = failure.retry_after.unwrap_or(computed);
        let delay = if facts.mutation.is(Mutant::RetryNotDelayed) {
            Duration::ZERO
        } else {
            delay
        };
        deciding.again(step, lane, delay.min(crate::limits::SPAN_MAX));
        Ok(())
    }

    fn loss(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        facts: &Facts<'_>,
    ) -> Result<(), Stop> {
        let lane = self.attempt_lane(step)?;
        if !facts.mutation.is(Mutant::LossNotCounted) {
            deciding.push(Change::Lose { step });
        }
        if self.phase != Phase::Open {
            deciding.push(Change::Settle {
                step,
                end: StepEnd::Cancelled,
            });
            deciding.finish_if_done();
            return Ok(());
        }
        let lost = deciding.run.step(step).lost;
        if lost > deciding.definition().step(step).retry.max_lost {
            return self.fail(deciding, step, code::LOST, facts);
        }
        deciding.again(step, lane, after_loss(lost));
        Ok(())
    }

    fn due(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        facts: &Facts<'_>,
    ) -> Result<(), Stop> {
        let Some(Stage::Waiting(armed)) = self.steps.get(step.at()).map(|state| state.stage) else {
            return Err(Stop::Refused(self.stale(step)));
        };
        if facts.now < armed.due && !facts.mutation.is(Mutant::WaitNotRechecked) {
            return Err(Stop::Refused(Rejection::NotDue {
                run: self.id,
                due: armed.due,
            }));
        }
        deciding.push(Change::Settle {
            step,
            end: StepEnd::Succeeded,
        });
        self.after_success(deciding, step, facts);
        Ok(())
    }

    fn deadline_reached(&self, deciding: &mut Deciding<'_>, facts: &Facts<'_>) -> Result<(), Stop> {
        let Some(armed) = self.deadline else {
            return Err(Stop::Refused(self.stale(StepIndex(0))));
        };
        if facts.now < armed.due {
            return Err(Stop::Refused(Rejection::NotDue {
                run: self.id,
                due: armed.due,
            }));
        }
        let claimed = facts.claimed.ok_or(Stop::Claims)?;
        deciding.wind(Heading::Failed(Cause::DeadlineExceeded), claimed);
        Ok(())
    }

    fn cancelled(
        &self,
        deciding: &mut Deciding<'_>,
        force: bool,
        facts: &Facts<'_>,
    ) -> Result<(), Stop> {
        match &self.phase {
            Phase::Winding(Heading::Cancelled) if force => {
                for step in deciding.definition().indexes() {
                    if !self.step(step).stage.is_settled() {
                        deciding.push(Change::Settle {
                            step,
                            end: StepEnd::Cancelled,
                        });
                    }
                }
                deciding.finish_if_done();
                Ok(())
            }
            Phase::Open if force || facts.mutation.is(Mutant::CancelForgetsClaims) => {
                deciding.wind(Heading::Cancelled, &BTreeSet::new());
                Ok(())
            }
            Phase::Open => {
                let claimed = facts.claimed.ok_or(Stop::Claims)?;
                deciding.wind(Heading::Cancelled, claimed);
                Ok(())
            }
            Phase::Winding(_) | Phase::Ended(_) => Err(Stop::Refused(Rejection::Winding {
                run: self.id,
                status: self.status(),
            })),
        }
    }

    /// A step has failed for good while the run was open: the run fails.
    fn fail(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        code: &str,
        facts: &Facts<'_>,
    ) -> Result<(), Stop> {
        let claimed = facts.claimed.ok_or(Stop::Claims)?;
        deciding.push(Change::Settle {
            step,
            end: StepEnd::Failed,
        });
        deciding.wind(
            Heading::Failed(Cause::Step {
                step,
                code: code.to_owned(),
            }),
            claimed,
        );
        Ok(())
    }

    fn attempt_lane(&self, step: StepIndex) -> Result<Lane, Stop> {
        match self.steps.get(step.at()).map(|state| state.stage) {
            Some(Stage::Scheduled(armed) | Stage::Stopping(armed)) => Ok(armed.lane),
            Some(
                Stage::Blocked
                | Stage::Waiting(_)
                | Stage::Succeeded
                | Stage::Failed
                | Stage::Cancelled,
            )
            | None => Err(Stop::Refused(self.stale(step))),
        }
    }

    fn stale(&self, step: StepIndex) -> Rejection {
        Rejection::Stale {
            run: self.id,
            step: step.0,
        }
    }

    /// Makes jitter differ between runs and steps, and the same on every replay.
    fn salt(&self, step: StepIndex) -> u64 {
        let id = self.id.as_u128();
        let halves = (id >> 64) ^ (id & u128::from(u64::MAX));
        u64::try_from(halves & u128::from(u64::MAX)).expect("masked to 64 bits")
            ^ (u64::from(step.0) << 48)
    }
}

/// Why no transition came of it.
enum Stop {
    Claims,
    Refused(Rejection),
}

/// How long a step rests after its n-th loss: not at all after the first, which is most often a deploy; then 1 s, doubling
/// up to 32 s, so that a step which kills its host leaves the next one some air.
fn after_loss(lost: u32) -> Duration {
    match lost {
        0 | 1 => Duration::ZERO,
        n => Duration::from_secs(1 << (n - 2).min(5)),
    }
}
