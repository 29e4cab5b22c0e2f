//! Tasks that this worker holds: inputs are fetched, the handler executes, the outcome is reported.
//!
//! Invariant: every task held has a slot, from when it is received until its report is answered or it is handed back.

use std::collections::BTreeMap;

use super::inputs::Gathering;
use super::memory::Memory;
use super::returned;
use super::slots::Place;
use super::timers::Timer;
use super::{Action, AttemptFailure, AttemptId, Execution, StopReason, Ticket, Worker};
use crate::definition::StepIndex;
use crate::eval;
use crate::event::{Failure, code};
use crate::mutant::Mutant;
use crate::operation::{Outcome, Report};
use crate::payload::Payload;
use crate::task::{Item, TaskRow};
use crate::time::{Moment, Timestamp};

#[cfg(test)]
mod tests;

/// Tasks held, and those remembered.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) held: BTreeMap<AttemptId, Task>,
    pub(super) memory: Memory,
}

/// A task held.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) place: Place,
    step: StepIndex,
    pub(super) stage: Stage,
    /// When its lease is to be renewed, unless that is being asked for.
    pub(super) renew_at: Option<Moment>,
    /// The lease is somebody else's.
    pub(super) lost: bool,
}

/// How far a task held is.
#[derive(Debug)]
pub(super) enum Stage {
    /// It was received.
    Received,
    /// Its inputs are being fetched.
    Fetching(Box<Gathering>),
    /// Its handler executes.
    Executing {
        /// The cancellation token was fired.
        told: bool,
    },
    /// Its report waits to be sent, or to be answered.
    Reporting,
    /// It never began, and is being handed back.
    HandingBack,
}

/// Where tasks come from: one reply.
#[derive(Debug)]
pub(super) struct HandOut {
    pub(super) ticket: Ticket,
    /// When the operation was sent.
    pub(super) since: Moment,
    /// The database's clock when it decided.
    pub(super) clock: Timestamp,
}

impl Worker {
    /// Takes in tasks that this worker holds under lease, unless it knows them.
    ///
    /// # Panics
    /// If a task has no owner: a broken store.
    pub(super) fn receive(&mut self, tasks: Vec<TaskRow>, from: &HandOut, now: Moment) {
        for task in tasks {
            let token = task
                .token()
                .expect("a task that is handed out has an owner");
            let id = AttemptId {
                key: task.key,
                token,
            };
            let known = self.attempts.held.contains_key(&id) || self.attempts.memory.knows(&id);
            if known && !self.config.mutation.is(Mutant::HandOutNotDeduplicated) {
                self.stats.known += 1;
                continue;
            }
            self.stats.received += 1;
            self.take_in(id, task, from, now);
        }
    }

    /// The lease lasts from when the request was sent, less a margin for clocks that run at different speeds.
    fn take_in(&mut self, id: AttemptId, task: TaskRow, from: &HandOut, now: Moment) {
        let place = self.slots.place(&task);
        self.slots.hold(place);
        let held = Task {
            place,
            step: task.step,
            stage: Stage::Received,
            renew_at: None,
            lost: false,
        };
        self.attempts.held.insert(id, held);
        let lease = self.config.lease;
        let lasts = task.due_at.since(from.clock);
        let ends = from.since.plus(lasts.saturating_sub(self.lease_margin()));
        let begins =
            self.phase.is_working() && now < ends && self.attempts.memory.trusts(from.ticket);
        match task.item() {
            Item::Attempt if begins => {
                self.watch_lease(id, from.since.plus(lasts.saturating_sub(lease - lease / 3)));
                self.timers.set(Timer::LeaseEnd(id), ends);
                self.gather(id, task, now);
            }
            Item::Attempt => self.hand_back(id),
            item @ (Item::Loss | Item::Wait | Item::Deadline) => {
                self.watch_lease(id, from.since.plus(lasts.saturating_sub(lease - lease / 3)));
                self.report(id, Outcome::Engine(item));
            }
        }
    }

    /// Executes an attempt whose inputs are there.
    pub(super) fn begin(&mut self, id: AttemptId, gathering: Gathering, now: Moment) {
        let Gathering {
            task,
            definition,
            parts,
        } = gathering;
        let step = definition
            .as_ref()
            .and_then(|definition| definition.steps().get(task.step.at()));
        let Some(step) = step else {
            let missing = format!(
                "definition {} has no step {}",
                task.brief.definition, task.step.0
            );
            return self.report_unreadable(id, &missing);
        };
        let input = match eval::bind(&step.input, &parts) {
            Ok(input) => input,
            Err(failure) => {
                return self.report(
                    id,
                    Outcome::Failed {
                        failure,
                        details: None,
                    },
                );
            }
        };
        if let Some(timeout) = task.brief.timeout {
            self.timers.set(Timer::Timeout(id), now.plus(timeout));
        }
        self.task_mut(id).stage = Stage::Executing { told: false };
        self.stats.executed += 1;
        self.actions.push_back(Action::Execute(Box::new(Execution {
            attempt: id,
            handler: task.brief.handler.clone(),
            step: step.name.clone(),
            input,
            timeout: task.brief.timeout,
            task,
        })));
    }

    pub(super) fn finished(&mut self, id: AttemptId, result: Result<Payload, AttemptFailure>) {
        if self.is_executing(id) {
            self.report(id, returned::outcome(result, self.config.payload_limit));
        }
    }

    pub(super) fn timed_out(&mut self, id: AttemptId) {
        if self.is_executing(id) {
            self.stats.timed_out += 1;
            self.actions.push_back(Action::Abort { attempt: id });
            let failure = Failure::new(
                code::TIMEOUT,
                "the attempt exceeded the timeout of its step",
                true,
            );
            self.report(
                id,
                Outcome::Failed {
                    failure,
                    details: None,
                },
            );
        }
    }

    /// What an attempt needs is not what any engine wrote, or is not there: no attempt can mend that.
    pub(super) fn report_unreadable(&mut self, id: AttemptId, what: &str) {
        let failure = Failure::new(code::UNREADABLE, what, false);
        self.report(
            id,
            Outcome::Failed {
                failure,
                details: None,
            },
        );
    }

    pub(super) fn report(&mut self, id: AttemptId, outcome: Outcome) {
        self.timers.cancel(Timer::LeaseEnd(id));
        self.timers.cancel(Timer::Timeout(id));
        let task = self.task_mut(id);
        task.stage = Stage::Reporting;
        let report = Report {
            key: id.key,
            step: task.step,
            token: id.token,
            outcome,
        };
        let shard = id.key.run.shard(self.config.shards);
        self.settles.push(shard, report);
    }

    /// Gives a task that never began back, so that somebody else may have it at once.
    pub(super) fn hand_back(&mut self, id: AttemptId) {
        self.timers.cancel(Timer::LeaseEnd(id));
        self.unwatch_lease(id);
        self.task_mut(id).stage = Stage::HandingBack;
        self.leases
            .hand_back(id.key.run.shard(self.config.shards), id);
    }

    /// Fires the cancellation token of an attempt that executes; once is enough.
    pub(super) fn stop(&mut self, id: AttemptId, reason: StopReason) {
        if let Some(Task {
            stage: Stage::Executing { told: told @ false },
            ..
        }) = self.attempts.held.get_mut(&id)
        {
            *told = true;
            self.timers.cancel(Timer::LeaseEnd(id));
            self.actions.push_back(Action::Stop {
                attempt: id,
                reason,
            });
        }
    }

    /// The lease of an attempt is about to end and was not renewed.
    pub(super) fn lease_ending(&mut self, id: AttemptId) {
        match self.attempts.held.get(&id).map(|task| &task.stage) {
            Some(Stage::Executing { .. }) => self.stop(id, StopReason::LeaseEnding),
            Some(Stage::Fetching(_)) => self.hand_back(id),
            Some(Stage::Received | Stage::Reporting | Stage::HandingBack) | None => {}
        }
    }

    /// Forgets a task that is done with, and frees its slot.
    pub(super) fn drop_task(&mut self, id: AttemptId) {
        self.timers.cancel(Timer::LeaseEnd(id));
        self.timers.cancel(Timer::Timeout(id));
        self.unwatch_lease(id);
        if let Some(task) = self.attempts.held.remove(&id) {
            self.slots.give_up(task.place);
            self.attempts.memory.remember(id, self.flight.newest());
        }
    }

    /// Attempts whose handlers execute, in order.
    pub(super) fn executing(&self) -> Vec<AttemptId> {
        let executes = |task: &Task| matches!(task.stage, Stage::Executing { .. });
        self.attempts
            .held
            .iter()
            .filter(|(_, task)| executes(task))
            .map(|(id, _)| *id)
            .collect()
    }

    fn is_executing(&self, id: AttemptId) -> bool {
        matches!(
            self.attempts.held.get(&id),
            Some(Task {
                stage: Stage::Executing { .. },
                ..
            })
        )
    }

    pub(super) fn task_mut(&mut self, id: AttemptId) -> &mut Task {
        self.attempts
            .held
            .get_mut(&id)
            .expect("only tasks that are held change their stage")
    }
}
