//! The agenda that a fold implies.
//!
//! Invariant: everything about a task row but its lease is computed here, for the first write and for every check alike.

use std::time::Duration;

use super::{Armed, Fan, Phase, Run, Stage, Tries};
use crate::change::Heading;
use crate::definition::{Definition, StepIndex, StepKind};
use crate::event::{ChildEnd, Role};
use crate::limits;
use crate::name::{ENGINE_QUEUE, Name};
use crate::task::{Brief, Fence, Lane, TASK_FORMAT, TaskKey, TaskKind, TaskRow, Work, engine};

impl Run {
    /// Every task that this fold implies, in lane order, all unclaimed. That of [`Run::delivery`] may have been done.
    pub fn agenda(&self, definition: &Definition) -> Vec<TaskRow> {
        let mut rows: Vec<TaskRow> = definition
            .indexes()
            .flat_map(|step| self.step_tasks(definition, step))
            .collect();
        rows.extend(self.deadline.map(|armed| self.deadline_task(armed)));
        rows.extend(
            self.delivery
                .and_then(|armed| self.delivery_task(definition, armed)),
        );
        rows.sort_by_key(|row| row.key.lane);
        rows
    }

    /// The task that this fold implies in `lane`, unclaimed.
    pub fn task_at(&self, definition: &Definition, lane: Lane) -> Option<TaskRow> {
        if let Some(armed) = self.deadline.filter(|armed| armed.lane == lane) {
            return Some(self.deadline_task(armed));
        }
        if let Some(armed) = self.delivery.filter(|armed| armed.lane == lane) {
            return self.delivery_task(definition, armed);
        }
        let holds = |step: &StepIndex| self.step(*step).armed().any(|armed| armed.lane == lane);
        let step = definition.indexes().find(holds)?;
        self.step_tasks(definition, step)
            .find(|row| row.key.lane == lane)
    }

    /// The task of a step's stage, and that of its undo.
    fn step_tasks(
        &self,
        definition: &Definition,
        step: StepIndex,
    ) -> impl Iterator<Item = TaskRow> + use<> {
        let undoing = self.step(step).undoing();
        let undo = undoing.map(|armed| self.undo_task(definition, step, armed));
        self.stage_task(definition, step).into_iter().chain(undo)
    }

    fn stage_task(&self, definition: &Definition, step: StepIndex) -> Option<TaskRow> {
        let stage = self.step(step).stage;
        let armed = stage.armed()?;
        let row = match stage {
            Stage::Scheduled(_) => self.attempt_task(definition, step, armed),
            Stage::Waiting(_) | Stage::Open { .. } | Stage::Listening { .. } => {
                self.engine_task(TaskKind::Wait, step, armed, engine::WAIT)
            }
            Stage::Evaluating(_) => {
                let row = self.engine_task(TaskKind::Evaluate, step, armed, engine::CHORE);
                self.with_sources(row, definition)
            }
            Stage::Spawning(_) => {
                let row = self.engine_task(TaskKind::Spawn, step, armed, engine::CHORE);
                let from = self.fan_of(step, |fan| fan.started);
                with_work(
                    self.with_sources(row, definition),
                    Work::Spawn {
                        from,
                        depth: self.origin.depth() + 1,
                    },
                )
            }
            Stage::Collecting(_) => {
                let row = self.engine_task(TaskKind::Collect, step, armed, engine::CHORE);
                let work = Work::Collect {
                    count: self.fan_of(step, |fan| fan.count),
                    after: self.fan_of(step, |fan| fan.since),
                    upto: armed.seq,
                };
                with_work(row, work)
            }
            Stage::Recalling(_) => {
                let row = self.engine_task(TaskKind::Recall, step, armed, engine::CHORE);
                let work = self.fan_of(step, |fan| {
                    let from = fan.recalled;
                    let upto = fan.started.min(from + limits::CHILDREN_AT_ONCE);
                    let runs = fan.called(from, upto);
                    if runs.is_empty() {
                        Work::Recall { from, upto }
                    } else {
                        Work::RecallCalled { from, runs }
                    }
                });
                with_work(row, work)
            }
            Stage::Stopping(_) => TaskRow {
                kind: TaskKind::Stopping,
                queue: Name::fixed(ENGINE_QUEUE),
                handler: Name::fixed(engine::ENDING),
                priority: 0,
                ..self.attempt_task(definition, step, armed)
            },
            Stage::Blocked
            | Stage::Held { .. }
            | Stage::Resting
            | Stage::Succeeded
            | Stage::Failed
            | Stage::Cancelled
            | Stage::Skipped => return None,
        };
        Some(row)
    }

    fn fan_of<T>(&self, step: StepIndex, of: impl Fn(&Fan) -> T) -> T {
        let fan = self.step(step).fan.as_ref();
        of(fan.expect("a step that does something about children has them counted"))
    }

    fn attempt_task(&self, definition: &Definition, step: StepIndex, armed: Armed) -> TaskRow {
        let spec = definition.step(step);
        let StepKind::Handler { handler } = &spec.kind else {
            panic!(
                "{} step {} is scheduled but has no handler",
                self.id, spec.name
            );
        };
        let row = self.engine_task(TaskKind::Step, step, armed, engine::ENDING);
        let row = self.queued(row, definition, handler, spec.timeout);
        TaskRow {
            attempt: self.step(step).tries.attempt(),
            ..self.with_sources(row, definition)
        }
    }

    /// What takes a step's effect back is given the step's input and output, the run's input and the failure.
    fn undo_task(&self, definition: &Definition, step: StepIndex, armed: Armed) -> TaskRow {
        let (spec, state) = (definition.step(step), self.step(step));
        let undo = spec.undo.as_ref();
        let undo = undo.expect("only a step that has an undo is undone");
        let row = self.engine_task(TaskKind::Undo, step, armed, engine::ENDING);
        let row = self.queued(row, definition, &undo.handler, undo.timeout);
        let mut row = self.with_sources(row, definition);
        let given = [state.output(), Some(self.input()), self.failure()];
        row.brief.sources.extend(given);
        row.attempt = state.tries(Role::Undo).map_or(1, Tries::attempt);
        row
    }

    /// The row as found under the step's queue and a handler.
    fn queued(
        &self,
        row: TaskRow,
        definition: &Definition,
        handler: &Name,
        timeout: Option<Duration>,
    ) -> TaskRow {
        let spec = definition.step(row.step);
        let own = spec.queue.as_ref().or(self.origin.queue.as_ref());
        let priority = spec.priority.or(self.origin.priority);
        TaskRow {
            queue: own.unwrap_or(definition.queue()).clone(),
            priority: priority.unwrap_or(definition.priority()),
            handler: handler.clone(),
            brief: Brief {
                handler: handler.clone(),
                timeout,
                trace: self.origin.trace.clone(),
                occurrence: self.origin.occurrence.clone(),
                ..row.brief
            },
            ..row
        }
    }

    /// The row with the places of its step's input.
    fn with_sources(&self, mut row: TaskRow, definition: &Definition) -> TaskRow {
        let sources = definition.step(row.step).input.sources();
        let places = sources.iter().map(|source| self.place(&source.origin));
        row.brief.sources = places.collect();
        row.brief.trace = self.origin.trace.clone();
        row
    }

    fn deadline_task(&self, armed: Armed) -> TaskRow {
        self.engine_task(TaskKind::Deadline, StepIndex(0), armed, engine::DEADLINE)
    }

    /// The report to the parent carries the result, or the failure; a schedule need only know that the run has ended.
    fn delivery_task(&self, definition: &Definition, armed: Armed) -> Option<TaskRow> {
        let mut row = self.engine_task(TaskKind::Delivery, StepIndex(0), armed, engine::DELIVERY);
        let Some(parent) = self.origin.parent.clone() else {
            let schedule = self.origin.occurrence.as_ref()?.schedule;
            return Some(with_work(row, Work::Release { schedule }));
        };
        let end = match self.phase {
            Phase::Ended(Heading::Completed) => ChildEnd::Completed,
            Phase::Ended(Heading::Cancelled) => ChildEnd::Cancelled,
            Phase::Open | Phase::Winding(_) | Phase::Ended(Heading::Failed(_)) => ChildEnd::Failed,
        };
        row.brief.sources = match end {
            ChildEnd::Completed => {
                let sources = definition.result().sources();
                sources
                    .iter()
                    .map(|source| self.place(&source.origin))
                    .collect()
            }
            ChildEnd::Failed => vec![self.failure()],
            ChildEnd::Cancelled => Vec::new(),
        };
        let code = self.cause().map(|cause| cause.code().to_owned());
        row.brief.work = Work::Deliver { parent, end, code };
        Some(row)
    }

    fn engine_task(
        &self,
        kind: TaskKind,
        step: StepIndex,
        armed: Armed,
        handler: &'static str,
    ) -> TaskRow {
        TaskRow {
            key: TaskKey {
                run: self.id,
                lane: armed.lane,
            },
            life: self.life,
            kind,
            step,
            queue: Name::fixed(ENGINE_QUEUE),
            priority: 0,
            handler: Name::fixed(handler),
            due_at: armed.due,
            attempt: 1,
            fence: Fence {
                seq: armed.seq,
                claims: 0,
            },
            owner: None,
            begun: false,
            expired: false,
            hand_offs: 0,
            format: TASK_FORMAT,
            renew_until: None,
            brief: Brief {
                definition: self.definition.clone(),
                handler: Name::fixed(handler),
                timeout: None,
                sources: Vec::new(),
                trace: None,
                occurrence: None,
                work: Work::Plain,
            },
        }
    }
}

fn with_work(mut row: TaskRow, work: Work) -> TaskRow {
    row.brief.work = work;
    row
}
