//! Tasks that this worker holds: inputs are fetched, the handler executes, the outcome is reported.
//!
//! Invariant: every task held has a slot, from when it is received until its report is answered or it is handed back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::inputs::Gathering;
use super::memory::Memory;
use super::slots::Place;
use super::timers::Timer;
use super::{
    Action, AttemptFailure, AttemptId, Execution, Returned, StopReason, Ticket, Worker, chores,
    returned,
};
use crate::change::Chore;
use crate::definition::{Definition, OnLost, Step, StepIndex};
use crate::eval;
use crate::event::{Failure, Parent, Role};
use crate::id::{Incarnation, Life, RunId};
use crate::mutant::Mutant;
use crate::operation::{Finding, Outcome, Report};
use crate::payload::Payload;
use crate::run::Seq;
use crate::task::{Fence, Item, Lane, TaskKey, TaskKind, TaskRow, Token, Work};
use crate::time::{Moment, Timestamp};

#[cfg(test)]
mod tests;

/// Tasks held, and those remembered.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) held: BTreeMap<AttemptId, Task>,
    pub(super) memory: Memory,
}

impl Attempts {
    /// The tasks held of one run.
    pub(super) fn of_run(&self, run: RunId) -> impl Iterator<Item = AttemptId> {
        let held = self.held.range(first_of(run)..);
        held.map(|(id, _)| *id)
            .take_while(move |id| id.key.run == run)
    }

    /// Whether a task is held that a run which has not ended has: not one that reports its end, nor one that it no longer
    /// waits for.
    pub(super) fn moves_on(&self, run: RunId) -> bool {
        self.of_run(run).any(|id| {
            let task = &self.held[&id];
            let told = matches!(task.stage, Stage::Executing { told: true });
            task.item != Item::Delivery && !task.lost && !told
        })
    }
}

/// What comes before every attempt of a run.
fn first_of(run: RunId) -> AttemptId {
    AttemptId {
        key: TaskKey { run, lane: Lane(0) },
        token: Token {
            life: Life(0),
            fence: Fence {
                seq: Seq(0),
                claims: 0,
            },
            owner: Incarnation::from_u128(0),
        },
    }
}

/// A task held.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) place: Place,
    step: StepIndex,
    item: Item,
    /// Who is to hear of the run's end, of a task that reports it.
    parent: Option<Parent>,
    /// What the run runs, once that is known.
    definition: Option<Arc<Definition>>,
    pub(super) stage: Stage,
    /// When its lease is to be renewed, unless that is being asked for.
    pub(super) renew_at: Option<Moment>,
    /// The lease is somebody else's.
    pub(super) lost: bool,
}

impl Task {
    /// How many steps may become ready with its report beyond the one that takes its slot over; an engine item has none to
    /// take over, and how far what it does reaches is not known.
    pub(super) fn leads_to(&self) -> u32 {
        match (self.item, &self.definition) {
            (Item::Attempt, Some(definition)) => {
                let next = definition.dependents(self.step).len().saturating_sub(1);
                u32::try_from(next).unwrap_or(u32::MAX)
            }
            _ => u32::MAX,
        }
    }
}

/// How far a task held is.
#[derive(Debug)]
pub(super) enum Stage {
    /// It was received.
    Received,
    /// Its inputs are being fetched.
    Fetching(Box<Gathering>),
    /// That its body may begin is being recorded, because it must not be repeated blindly.
    Beginning(Box<Execution>),
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
            item: task.item(),
            parent: match &task.brief.work {
                Work::Deliver { parent, .. } => Some(parent.clone()),
                Work::Plain
                | Work::Spawn { .. }
                | Work::Collect { .. }
                | Work::Recall { .. }
                | Work::RecallCalled { .. }
                | Work::Fire { .. }
                | Work::Release { .. } => None,
            },
            definition: None,
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
        let renewal = from.since.plus(lasts.saturating_sub(lease - lease / 3));
        if let Some(outcome) = self.known_outcome(&task) {
            self.watch_lease(id, renewal);
            return self.report(id, outcome);
        }
        match task.item() {
            Item::Attempt | Item::Chore(_) | Item::Delivery | Item::Firing if begins => {
                self.watch_lease(id, renewal);
                self.timers.set(Timer::LeaseEnd(id), ends);
                self.gather(id, task, now);
            }
            Item::Attempt | Item::Chore(_) | Item::Delivery | Item::Firing => self.hand_back(id),
            Item::Loss | Item::Wait | Item::Deadline => {
                unreachable!("what is to be reported of these is known")
            }
        }
    }

    /// What is to be reported of an engine item, where nothing needs to be read for it.
    fn known_outcome(&self, task: &TaskRow) -> Option<Outcome> {
        match (task.item(), &task.brief.work) {
            (Item::Chore(Chore::Recall), _) => Some(recall(task)),
            (item @ (Item::Loss | Item::Wait | Item::Deadline), _) => Some(Outcome::Engine(item)),
            (Item::Delivery, Work::Release { schedule }) => Some(Outcome::Released {
                schedule: *schedule,
            }),
            (Item::Firing, Work::Fire { trigger }) => {
                let declared = self.config.workflows.get(&task.brief.definition.name);
                let declared = declared.filter(|own| own.trigger(trigger.as_str()).is_some());
                declared.map(|own| Outcome::Fired {
                    definition: Some(own.key().clone()),
                })
            }
            _ => None,
        }
    }

    /// Begins with a task whose parts are there.
    pub(super) fn begin(&mut self, id: AttemptId, gathering: Gathering, now: Moment) {
        if gathering.task.kind == TaskKind::Firing {
            let definition = gathering.child.flatten().map(|found| found.key().clone());
            return self.report(id, Outcome::Fired { definition });
        }
        let known = gathering.definition.clone();
        let at = gathering.task.step.at();
        let Some(definition) = known.filter(|definition| at < definition.steps().len()) else {
            let key = &gathering.task.brief.definition;
            let missing = format!("definition {key} has no step {at}");
            return self.report_unreadable(id, &missing);
        };
        if gathering.task.item() != Item::Attempt {
            return self.do_chore(id, gathering, &definition);
        }
        let step = &definition.steps()[at];
        let input = match attempt_input(&gathering, &definition, step) {
            Ok(input) => input,
            Err(failure) => return self.report_failed(id, failure),
        };
        self.task_mut(id).definition = Some(Arc::clone(&definition));
        let task = gathering.task;
        let execution = Box::new(Execution {
            attempt: id,
            handler: task.brief.handler.clone(),
            step: step.name.clone(),
            input,
            timeout: task.brief.timeout,
            transactional: step.transactional && task.role() == Role::Step,
            task,
        });
        let marked = execution.role() == Role::Step && step.on_lost == OnLost::Hold;
        if marked && !self.config.mutation.is(Mutant::BegunNotMarked) {
            self.task_mut(id).stage = Stage::Beginning(execution);
            self.leases.begin(id.key.run.shard(self.config.shards), id);
        } else {
            self.execute(id, execution, now);
        }
    }

    /// Has the driver execute an attempt. It bounds a transactional one itself, for which the time begins with its
    /// transaction.
    pub(super) fn execute(&mut self, id: AttemptId, execution: Box<Execution>, now: Moment) {
        if let Some(timeout) = execution.timeout.filter(|_| !execution.transactional) {
            self.timers.set(Timer::Timeout(id), now.plus(timeout));
        }
        self.task_mut(id).stage = Stage::Executing { told: false };
        self.stats.executed += 1;
        self.actions.push_back(Action::Execute(execution));
    }

    pub(super) fn finished(&mut self, id: AttemptId, result: Result<Returned, AttemptFailure>) {
        if !self.is_executing(id) {
            return;
        }
        let task = self.task_mut(id);
        let (definition, step) = (task.definition.clone(), task.step);
        let way = |label: &str| definition.as_ref()?.step(step).way(label);
        let outcome = returned::outcome(result, way, self.config.payload_limit);
        self.report(id, outcome);
    }

    pub(super) fn timed_out(&mut self, id: AttemptId) {
        if self.is_executing(id) {
            self.stats.timed_out += 1;
            self.actions.push_back(Action::Abort { attempt: id });
            self.report_failed(id, Failure::timed_out());
        }
    }

    /// What a task needs is not what any engine wrote, or is not there: no attempt can mend that. A run is halted there; who
    /// waits for the end of another run is told that it failed.
    pub(super) fn report_unreadable(&mut self, id: AttemptId, what: &str) {
        let halts = matches!(self.task_mut(id).item, Item::Attempt | Item::Chore(_));
        if halts {
            let detail = what.to_owned();
            self.report(id, Outcome::Unreadable { detail });
        } else {
            self.report_failed(id, Failure::unreadable(what));
        }
    }

    /// A failure of an attempt, or of something that the engine does by itself.
    pub(super) fn report_failed(&mut self, id: AttemptId, failure: Failure) {
        let task = self.task_mut(id);
        let outcome = match (task.item, task.parent.take()) {
            (Item::Attempt, _) => Outcome::Failed {
                failure,
                details: None,
            },
            (Item::Delivery, Some(parent)) => chores::undelivered(id.key.run, parent, &failure),
            (Item::Firing, _) => Outcome::Fired { definition: None },
            (Item::Delivery | Item::Chore(_) | Item::Loss | Item::Wait | Item::Deadline, _) => {
                Outcome::Found(Finding::Failure(failure))
            }
        };
        self.report(id, outcome);
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
            Some(Stage::Fetching(_) | Stage::Beginning(_)) => self.hand_back(id),
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

    pub(super) fn is_executing(&self, id: AttemptId) -> bool {
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

/// What an attempt is given.
fn attempt_input(
    gathering: &Gathering,
    definition: &Definition,
    step: &Step,
) -> Result<Payload, Failure> {
    let input = chores::bound(gathering, definition, step)?;
    if gathering.task.role() == Role::Step {
        return Ok(input);
    }
    let count = step.input.sources().len();
    let given = |nth: usize| gathering.parts.get(count + nth).cloned().flatten();
    let null = Payload::null;
    Ok(eval::undo_input(
        &input,
        &given(0).unwrap_or_else(null),
        &given(1).unwrap_or_else(null),
        given(2).as_ref(),
    ))
}

fn recall(task: &TaskRow) -> Outcome {
    match &task.brief.work {
        Work::Recall { from, upto } => Outcome::Recall {
            from: *from,
            upto: *upto,
            called: Vec::new(),
        },
        Work::RecallCalled { from, runs } => Outcome::Recall {
            from: *from,
            upto: from.saturating_add(u32::try_from(runs.len()).unwrap_or(u32::MAX)),
            called: runs.clone(),
        },
        Work::Plain
        | Work::Spawn { .. }
        | Work::Collect { .. }
        | Work::Deliver { .. }
        | Work::Fire { .. }
        | Work::Release { .. } => Outcome::Engine(task.item()),
    }
}
