//! Deciding: what follows from an event.
//!
//! Invariant: total and pure. Whatever does not fit the run is a `Rejection`, and the same run, definition, event and
//! facts give the same transition.

mod attempt;
mod called;
mod children;
mod engine;
mod resolve;
mod signal;
mod undo;
mod wind;

use std::collections::BTreeSet;

use super::deciding::Deciding;
use super::{Phase, Run, Seq, Stage};
use crate::change::Change;
use crate::definition::{Definition, StepIndex};
use crate::event::{Event, Started};
use crate::id::{CommandId, Life, RunId};
use crate::limits;
use crate::mutant::{Mutant, Mutation};
use crate::operation::Rejection;
use crate::task::Lane;
use crate::time::Timestamp;
use crate::transition::Transition;

pub(crate) use attempt::held_report;

/// What a decision may know beyond the run itself.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The database's clock.
    pub now: Timestamp,
    /// Lanes of attempts that somebody holds under lease; `None` if the tasks were not read.
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

/// Why no transition came of it.
pub(super) enum Stop {
    /// It depends on which steps are claimed.
    Claims,
    /// It does not fit.
    Refused(Rejection),
}

impl Run {
    /// Starts a run. `inherited` are the changes by which a copy takes over what its source did.
    pub fn start(
        id: RunId,
        life: Life,
        definition: &Definition,
        started: Started,
        inherited: Vec<Change>,
        facts: Facts<'_>,
    ) -> Decided {
        let born = Run::born(id, life, facts.now, &started, definition.steps().len());
        let delayed = started
            .due
            .filter(|_| !facts.mutation.is(Mutant::DelayIgnored));
        let base = delayed.unwrap_or(facts.now);
        let mut deciding = Deciding::new(born, definition, facts);
        for change in inherited {
            deciding.push(change);
        }
        deciding.begin(base);
        if let Some(due) = started.deadline {
            deciding.arm_deadline(due);
        }
        // Nothing is claimed in a run that nobody knows yet, and a copy may have nothing left to do.
        let unclaimed = BTreeSet::new();
        deciding.facts.claimed = Some(&unclaimed);
        let concluded = deciding.conclude();
        assert!(concluded.is_ok(), "the claims are known");
        let transition = Transition {
            seq: Seq::FIRST,
            at: facts.now,
            event: Event::Started(Box::new(started)),
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
            return Verdict::Refused(self.finished());
        }
        let mut next = self.clone();
        next.advance(self.seq.next(), self.at.max(facts.now), &event);
        let mut deciding = Deciding::new(next, definition, *facts);
        match self.follow(&mut deciding, &event) {
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

    fn follow(&self, deciding: &mut Deciding<'_>, event: &Event) -> Result<(), Stop> {
        match event {
            Event::Started(_) => Err(self.stale(StepIndex(0))),
            Event::Succeeded {
                step,
                role,
                fence,
                output,
                label,
            } => self.success(deciding, *step, *role, (*fence, *output), *label),
            Event::Failed {
                step,
                role,
                fence,
                failure,
                payload,
            } => self.failed(deciding, (*step, *role), *fence, failure, *payload),
            Event::Lost {
                step,
                role,
                fence,
                begun,
                payload,
            } => self.loss(deciding, (*step, *role), *fence, *begun, *payload),
            Event::Conflicted {
                step,
                fence,
                payload,
            } => self.conflict(deciding, *step, *fence, *payload),
            Event::Evaluated { step, found } => self.evaluated(deciding, *step, found),
            Event::Due { step, payload } => self.due(deciding, *step, *payload),
            Event::DeadlineReached { payload } => self.deadline_reached(deciding, *payload),
            Event::CancelRequested(request) => self.cancelled(deciding, request),
            Event::Resolved(resolved) => self.resolved(deciding, resolved),
            Event::Signalled(signalled) => self.signalled(deciding, signalled),
            Event::Spawned {
                step,
                from,
                upto,
                payload,
            } => self.spawned(deciding, *step, *from, *upto, *payload),
            Event::Recalled { step, upto } => self.recalled(deciding, *step, *upto),
            Event::ChildEnded {
                step,
                child,
                end,
                payload,
            } => self.child_ended(deciding, *step, *child, *end, *payload),
            Event::Collected { step, output } => self.collected(deciding, *step, *output),
            Event::Called {
                step,
                run,
                detached,
                ..
            } => self.called(deciding, *step, *run, *detached),
        }
    }

    /// Notes that a command has its effect. A run remembers each, so it takes only so many.
    fn obey(&self, deciding: &mut Deciding<'_>, command: CommandId) -> Result<(), Stop> {
        if self.commands.len() >= limits::COMMANDS {
            let bound = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            return Err(Stop::Refused(Rejection::LimitExceeded {
                what: format!("the number of commands to run {}", self.id),
                limit: bound(limits::COMMANDS),
                found: bound(self.commands.len() + 1),
            }));
        }
        deciding.push(Change::Obey { command });
        Ok(())
    }

    fn stage(&self, step: StepIndex) -> Result<Stage, Stop> {
        let state = self.steps.get(step.at());
        state
            .map(|state| state.stage)
            .ok_or_else(|| self.stale(step))
    }

    fn stale(&self, step: StepIndex) -> Stop {
        Stop::Refused(self.stale_report(step))
    }

    /// What a report is told whose lease is not current any more.
    pub(crate) fn stale_report(&self, step: StepIndex) -> Rejection {
        Rejection::Stale {
            run: self.id,
            step: step.0,
        }
    }

    /// What comes too late is told, once the run ends.
    pub(crate) fn winding(&self) -> Rejection {
        Rejection::Winding {
            run: self.id,
            status: self.status(),
        }
    }

    /// What comes too late is told, once the run has ended.
    pub(crate) fn finished(&self) -> Rejection {
        Rejection::Finished {
            run: self.id,
            status: self.status(),
        }
    }

    fn not_due(&self, due: Timestamp) -> Stop {
        Stop::Refused(Rejection::NotDue { run: self.id, due })
    }
}
