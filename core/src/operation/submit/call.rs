//! Runs that a step's handler starts while it is executed.
//!
//! Invariant: the run and what its parent records of it are written together, and only under the attempt's own lease.

use std::sync::Arc;

use super::{Refusal, Start, unreadable};
use crate::definition::StepIndex;
use crate::event::{Event, Parent};
use crate::id::{Incarnation, Life, RunId};
use crate::limits;
use crate::mutant::Mutant;
use crate::operation::batch::{Batch, Lookup};
use crate::operation::{Rejection, StartReply};
use crate::run::Run;
use crate::task::{TaskKey, TaskKind, Token};

/// Start a run for the handler of a step that is being attempted. Made by [`Call::new`].
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The task of the attempt.
    pub task: TaskKey,
    /// The step that is attempted.
    pub step: StepIndex,
    /// The lease under which it is.
    pub token: Token,
    /// The run goes its own way: its end is not reported back, and a cancel is not passed on to it.
    pub detached: bool,
    /// The run to be. Whoever decides adds its parent.
    pub start: Start,
}

impl Call {
    /// Has a handler start a run under a key. The run's id and life follow from step and key, whatever `start` says: the same
    /// key in the same step is always the same run.
    pub fn new(
        (task, step, token): (TaskKey, StepIndex, Token),
        key: String,
        detached: bool,
        start: Start,
    ) -> Call {
        let run = RunId::child_by_key(task.run, step, &key);
        Call {
            task,
            step,
            token,
            detached,
            start: Start {
                run,
                life: Life::child(token.life, run),
                key: Some(key),
                parent: None,
                copy: None,
                ..start
            },
        }
    }

    pub(super) fn obey(
        &self,
        batch: &mut Batch<'_>,
        offerer: Option<Incarnation>,
    ) -> Result<StartReply, Refusal> {
        match batch.find(self.start.run) {
            Lookup::Here => return self.start.again(batch, offerer),
            Lookup::Busy => return Err(Refusal::Busy),
            Lookup::Unreadable(error) => return Err(unreadable(self.start.run, error)),
            Lookup::Absent => {}
        }
        let id = self.task.run;
        match batch.find(id) {
            Lookup::Here => {}
            Lookup::Busy => return Err(Refusal::Busy),
            Lookup::Unreadable(error) => return Err(unreadable(id, error)),
            Lookup::Absent => return Err(Refusal::Rejected(Rejection::UnknownRun { run: id })),
        }
        self.start.check(batch.view.now)?;
        let parent = self.parent(batch)?;
        let Some(definition) = batch.view.definitions.get(&self.start.definition) else {
            return Err(Refusal::Rejected(Rejection::UnknownWorkflow {
                definition: self.start.definition.clone(),
            }));
        };
        let definition = Arc::clone(definition);
        if !batch.view.mutation.is(Mutant::CallUnrecorded) {
            let event = Event::Called {
                step: self.step,
                fence: self.token.fence,
                run: self.start.run,
                detached: self.detached,
            };
            batch.decide(id, event, None)?;
        }
        let start = Start {
            parent: Some(parent),
            ..self.start.clone()
        };
        start.begin_as_is(batch, &definition);
        Ok(StartReply {
            run: start.run,
            existing: false,
        })
    }

    /// What the run says of whose child it is, if the attempt may start any.
    fn parent(&self, batch: &Batch<'_>) -> Result<Parent, Refusal> {
        let (run, _) = batch.run(self.task.run);
        if run.is_ended() {
            return Err(Refusal::Rejected(run.finished()));
        }
        if !self.is_held(batch) && !batch.view.mutation.is(Mutant::CallIgnoresLease) {
            return Err(Refusal::Rejected(run.stale_report(self.step)));
        }
        let depth = run.origin().depth() + 1;
        if depth > limits::DEPTH {
            return Err(Refusal::Rejected(Rejection::LimitExceeded {
                what: "the number of runs above the child".to_owned(),
                limit: u64::from(limits::DEPTH),
                found: u64::from(depth),
            }));
        }
        Ok(Parent {
            run: run.id(),
            life: run.life(),
            step: self.step,
            child: next_child(run, self.step),
            depth,
            detached: self.detached,
        })
    }

    /// Whether the attempt still holds its step. An undo starts no runs.
    fn is_held(&self, batch: &Batch<'_>) -> bool {
        batch.task(self.task).is_some_and(|row| {
            let attempt = matches!(row.kind, TaskKind::Step | TaskKind::Stopping);
            attempt && row.step == self.step && row.is_held_by(&self.token)
        })
    }
}

fn next_child(run: &Run, step: StepIndex) -> u32 {
    let state = run.steps().get(step.at());
    let fan = state.and_then(|state| state.fan.as_ref());
    fan.map_or(0, |fan| fan.started)
}
