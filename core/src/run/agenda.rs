//! The agenda that a fold implies.
//!
//! Invariant: everything about a task row but its lease is computed here, for the first write and for every check alike.

use super::{Armed, Run, Seq, Stage};
use crate::definition::{Definition, Source, StepIndex, StepKind};
use crate::name::{ENGINE_QUEUE, Name};
use crate::payload::OutputRef;
use crate::task::{Brief, Fence, Lane, TASK_FORMAT, TaskKey, TaskKind, TaskRow, engine};

impl Run {
    /// Every task that this fold implies, in lane order, all unclaimed.
    pub fn agenda(&self, definition: &Definition) -> Vec<TaskRow> {
        let mut rows: Vec<TaskRow> = definition
            .indexes()
            .filter_map(|step| self.step_task(definition, step))
            .collect();
        rows.extend(self.deadline.map(|armed| self.deadline_task(armed)));
        rows.sort_by_key(|row| row.key.lane);
        rows
    }

    /// The task that this fold implies in `lane`, unclaimed.
    pub fn task_at(&self, definition: &Definition, lane: Lane) -> Option<TaskRow> {
        if let Some(armed) = self.deadline.filter(|armed| armed.lane == lane) {
            return Some(self.deadline_task(armed));
        }
        let holds = |step: &StepIndex| {
            self.step(*step)
                .stage
                .armed()
                .is_some_and(|armed| armed.lane == lane)
        };
        let step = definition.indexes().find(holds)?;
        self.step_task(definition, step)
    }

    fn step_task(&self, definition: &Definition, step: StepIndex) -> Option<TaskRow> {
        match self.step(step).stage {
            Stage::Scheduled(armed) => Some(self.attempt_task(definition, step, armed)),
            Stage::Waiting(armed) => {
                Some(self.engine_task(TaskKind::Wait, step, armed, engine::WAIT))
            }
            Stage::Stopping(armed) => {
                let mut row = self.attempt_task(definition, step, armed);
                row.kind = TaskKind::Stopping;
                row.queue = Name::stored(ENGINE_QUEUE);
                row.handler = Name::stored(engine::ENDING);
                row.priority = 0;
                Some(row)
            }
            Stage::Blocked | Stage::Succeeded | Stage::Failed | Stage::Cancelled => None,
        }
    }

    fn attempt_task(&self, definition: &Definition, step: StepIndex, armed: Armed) -> TaskRow {
        let spec = definition.step(step);
        let StepKind::Handler { handler } = &spec.kind else {
            panic!(
                "{} step {} is scheduled but has no handler",
                self.id, spec.name
            );
        };
        let queue = spec
            .queue
            .as_ref()
            .or(self.origin.queue.as_ref())
            .unwrap_or(definition.queue());
        let source = |source: &&Source| -> Option<OutputRef> {
            match source {
                Source::Input => Some(OutputRef {
                    seq: Seq::FIRST,
                    digest: self.origin.input,
                }),
                Source::Output(step) => self.step(*step).output(),
                Source::Constant(_) => None,
            }
        };
        TaskRow {
            kind: TaskKind::Step,
            queue: queue.clone(),
            priority: spec
                .priority
                .or(self.origin.priority)
                .unwrap_or(definition.priority()),
            handler: handler.clone(),
            attempt: self.step(step).attempt(),
            brief: Brief {
                definition: self.definition.clone(),
                handler: handler.clone(),
                timeout: spec.timeout,
                sources: spec.input.sources().iter().map(source).collect(),
                trace: self.origin.trace.clone(),
            },
            ..self.engine_task(TaskKind::Step, step, armed, engine::ENDING)
        }
    }

    fn deadline_task(&self, armed: Armed) -> TaskRow {
        self.engine_task(TaskKind::Deadline, StepIndex(0), armed, engine::DEADLINE)
    }

    fn engine_task(&self, kind: TaskKind, step: StepIndex, armed: Armed, handler: &str) -> TaskRow {
        TaskRow {
            key: TaskKey {
                run: self.id,
                lane: armed.lane,
            },
            life: self.life,
            kind,
            step,
            queue: Name::stored(ENGINE_QUEUE),
            priority: 0,
            handler: Name::stored(handler),
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
                handler: Name::stored(handler),
                timeout: None,
                sources: Vec::new(),
                trace: None,
            },
        }
    }
}
