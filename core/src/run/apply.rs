//! Folding: a transition's changes, one after the other.
//!
//! Invariant: nothing is decided here. A change that does not fit the state is a corrupt journal, or a bug.

use super::{
    Armed, CancelRecord, CommandRecord, Fan, Kept, Origin, Phase, Reported, Run, Seq, Spoilt,
    Stage, StepState, Tries, UndoStage, UndoState,
};
use crate::change::{Change, Chore, Gate, Heading, StepEnd};
use crate::definition::StepIndex;
use crate::event::{Event, Role, Started};
use crate::id::{Life, RunId};
use crate::task::Lane;
use crate::time::Timestamp;
use crate::transition::Transition;

impl Run {
    /// The run right after its start was written down, before any change.
    pub(super) fn born(
        id: RunId,
        life: Life,
        at: Timestamp,
        started: &Started,
        steps: usize,
    ) -> Run {
        Run {
            id,
            life,
            seq: Seq::FIRST,
            at,
            definition: started.definition.clone(),
            origin: Origin {
                command: started.command,
                at,
                due: started.due,
                input: started.input,
                raw_input: started.raw_input,
                queue: started.queue.clone(),
                priority: started.priority,
                trace: started.trace.clone(),
                trigger: started.trigger.clone(),
                parent: started.parent.clone(),
                copy: started.copy.clone(),
                occurrence: None,
            },
            phase: Phase::Open,
            cancel: None,
            deadline: None,
            delivery: None,
            signals: Vec::new(),
            commands: Vec::new(),
            steps: vec![StepState::default(); steps],
        }
    }

    /// Folds a whole journal, in order, of a definition with that many steps.
    ///
    /// # Errors
    /// Names the row that does not follow from those before it.
    pub fn fold<'a>(
        id: RunId,
        life: Life,
        steps: usize,
        journal: impl IntoIterator<Item = &'a Transition>,
    ) -> Result<Run, FoldError> {
        let mut rows = journal.into_iter();
        let first = rows.next().ok_or(FoldError {
            seq: Seq::FIRST,
            detail: "the journal is empty".into(),
        })?;
        let Event::Started(started) = &first.event else {
            return Err(FoldError {
                seq: first.seq,
                detail: "the first row is no start".into(),
            });
        };
        let mut run = Run::born(id, life, first.at, started, steps);
        if first.seq != Seq::FIRST {
            return Err(FoldError {
                seq: first.seq,
                detail: "the journal does not begin at 1".into(),
            });
        }
        for change in &first.changes {
            run.apply_change(change)?;
        }
        for row in rows {
            run.apply(row)?;
        }
        Ok(run)
    }

    /// Folds the next transition in.
    ///
    /// # Errors
    /// If the transition does not follow from this state: the journal is corrupt.
    pub fn apply(&mut self, transition: &Transition) -> Result<(), FoldError> {
        if transition.seq != self.seq.next() || transition.at < self.at {
            return Err(FoldError {
                seq: transition.seq,
                detail: "out of order".into(),
            });
        }
        self.advance(transition.seq, transition.at, &transition.event);
        for change in &transition.changes {
            self.apply_change(change)?;
        }
        Ok(())
    }

    /// Moves on to the next journal position; keeps the one fact that no change carries: which cancel came first.
    pub(super) fn advance(&mut self, seq: Seq, at: Timestamp, event: &Event) {
        self.seq = seq;
        self.at = at;
        if let Event::CancelRequested(request) = event {
            let record = self.cancel.get_or_insert(CancelRecord {
                command: request.command,
                seq,
                at,
                undo: request.undo,
                force: false,
            });
            record.force |= request.force;
        }
    }

    /// Folds one change of the transition at `self.seq`.
    pub(super) fn apply_change(&mut self, change: &Change) -> Result<(), FoldError> {
        match change {
            Change::Schedule {
                step,
                role,
                lane,
                due,
            } => self.schedule(*step, *role, self.armed(*lane, *due)),
            Change::Engage {
                step,
                chore,
                lane,
                due,
            } => {
                let armed = self.armed(*lane, *due);
                self.enter(*step, chore_stage(*chore, armed))
            }
            Change::Await { step, lane, due } => {
                let armed = self.armed(*lane, *due);
                self.enter(*step, Stage::Waiting(armed))
            }
            Change::Open {
                step,
                gate,
                deadline,
            } => {
                let deadline = deadline.map(|(lane, due)| self.armed(lane, due));
                let since = self.seq;
                let stage = match gate {
                    Gate::Person => Stage::Open { since, deadline },
                    Gate::Signal => Stage::Listening { since, deadline },
                };
                self.enter(*step, stage)
            }
            Change::Hold { step, fence } => {
                let (since, fence) = (self.seq, *fence);
                self.enter(*step, Stage::Held { since, fence })
            }
            Change::Rest { step } => self.enter(*step, Stage::Resting),
            Change::Stop { step } => self.stop(*step),
            Change::Settle { step, end } => self.settle(*step, end_stage(*end)),
            Change::Fail { step, code, place } => {
                self.settle(*step, Stage::Failed)?;
                let state = self.state(*step)?;
                (state.code, state.place) = (Some(code.clone()), Some(*place));
                Ok(())
            }
            Change::Inherit {
                step,
                code,
                label,
                place,
            } => {
                let failed = code.is_some();
                self.settle(
                    *step,
                    if failed {
                        Stage::Failed
                    } else {
                        Stage::Succeeded
                    },
                )?;
                let state = self.state(*step)?;
                (state.code, state.label, state.place) = (code.clone(), *label, *place);
                Ok(())
            }
            Change::Undone { step, done } => self.take_back(*step, *done),
            Change::Report { .. }
            | Change::Lose { .. }
            | Change::Conflict { .. }
            | Change::Label { .. }
            | Change::Place { .. } => self.note(change),
            Change::Fan { .. }
            | Change::Spawn { .. }
            | Change::Recall { .. }
            | Change::Arrive { .. }
            | Change::Spoil { .. } => self.count_children(change),
            Change::Adopt { step, run } => {
                let since = self.seq;
                let fan = &mut self.state(*step)?.fan;
                fan.get_or_insert_with(|| Box::new(Fan::of(0, since)))
                    .adopt(*run);
                Ok(())
            }
            Change::ArmDeadline { .. }
            | Change::DisarmDeadline
            | Change::Keep { .. }
            | Change::Take { .. }
            | Change::Obey { .. }
            | Change::Wind { .. }
            | Change::Finish
            | Change::Deliver { .. }
            | Change::Belong { .. } => self.alter(change),
        }
    }

    /// A change of the run as a whole.
    fn alter(&mut self, change: &Change) -> Result<(), FoldError> {
        match change {
            Change::ArmDeadline { lane, due } => self.deadline = Some(self.armed(*lane, *due)),
            Change::DisarmDeadline => self.deadline = None,
            Change::Keep { signal, payload } => self.signals.push(Kept {
                signal: signal.clone(),
                seq: self.seq,
                payload: *payload,
            }),
            Change::Take { seq } => {
                let kept = self.signals.iter().position(|kept| kept.seq == *seq);
                let absent = || misfit(self.seq, "a signal is taken that was not kept");
                self.signals.remove(kept.ok_or_else(absent)?);
            }
            Change::Obey { command } => self.commands.push(CommandRecord {
                command: *command,
                seq: self.seq,
                at: self.at,
            }),
            Change::Wind { heading } => self.phase = Phase::Winding(heading.clone()),
            Change::Finish => {
                let Phase::Winding(heading) = &self.phase else {
                    return Err(misfit(self.seq, "a run finishes that was not winding"));
                };
                self.phase = Phase::Ended(Heading::clone(heading));
            }
            Change::Deliver { lane, due } => self.delivery = Some(self.armed(*lane, *due)),
            Change::Belong { occurrence } => self.origin.occurrence = Some(occurrence.clone()),
            other => return Err(misfit(self.seq, format!("{other:?} concerns a step"))),
        }
        Ok(())
    }

    /// Something to remember about a step, wherever it stands.
    fn note(&mut self, change: &Change) -> Result<(), FoldError> {
        let seq = self.seq;
        match change {
            Change::Report {
                step,
                role,
                fence,
                digest,
            } => {
                let tries = self.tries(*step, *role)?;
                tries.executed += 1;
                tries.reported = Some(Reported {
                    fence: *fence,
                    seq,
                    digest: *digest,
                });
            }
            Change::Lose { step, role } => self.tries(*step, *role)?.lost += 1,
            Change::Conflict {
                step,
                fence,
                digest,
            } => {
                let tries = &mut self.state(*step)?.tries;
                tries.conflicts += 1;
                tries.reported = Some(Reported {
                    fence: *fence,
                    seq,
                    digest: *digest,
                });
            }
            Change::Label { step, label } => self.state(*step)?.label = Some(*label),
            Change::Place { step, place } => self.state(*step)?.place = Some(*place),
            other => return Err(misfit(seq, format!("{other:?} is nothing to note"))),
        }
        Ok(())
    }

    /// A change of a step's children.
    fn count_children(&mut self, change: &Change) -> Result<(), FoldError> {
        let (Change::Fan { step, .. }
        | Change::Spawn { step, .. }
        | Change::Recall { step, .. }
        | Change::Arrive { step, .. }
        | Change::Spoil { step, .. }) = change
        else {
            return Err(misfit(self.seq, format!("{change:?} concerns no children")));
        };
        let seq = self.seq;
        if let Change::Fan { count, .. } = change {
            self.state(*step)?.fan = Some(Box::new(Fan::of(*count, seq)));
            return Ok(());
        }
        let childless = || misfit(seq, format!("step {} has no children", step.0));
        let fan = self.state(*step)?.fan.as_mut().ok_or_else(childless)?;
        match change {
            Change::Spawn { upto, .. } => fan.started = *upto,
            Change::Recall { upto, .. } => fan.recalled = *upto,
            Change::Arrive { child, .. } => {
                if !fan.arrive(*child) {
                    let detail = format!("child {child} of step {} arrives twice", step.0);
                    return Err(misfit(seq, detail));
                }
            }
            Change::Spoil { code, place, .. } => {
                fan.spoilt = Some(Spoilt {
                    code: code.clone(),
                    place: *place,
                });
            }
            other => return Err(misfit(seq, format!("{other:?} concerns no children"))),
        }
        Ok(())
    }

    fn schedule(&mut self, step: StepIndex, role: Role, armed: Armed) -> Result<(), FoldError> {
        if role == Role::Step {
            return self.enter(step, Stage::Scheduled(armed));
        }
        let state = self.state(step)?;
        let tries = state.undo.take().map(|undo| undo.tries);
        state.undo = Some(Box::new(UndoState {
            stage: UndoStage::Scheduled(armed),
            tries: tries.unwrap_or_default(),
        }));
        Ok(())
    }

    fn stop(&mut self, step: StepIndex) -> Result<(), FoldError> {
        let seq = self.seq;
        let state = self.state(step)?;
        let Stage::Scheduled(armed) = state.stage else {
            return Err(misfit(
                seq,
                format!("step {} is stopped but not scheduled", step.0),
            ));
        };
        state.stage = Stage::Stopping(armed);
        Ok(())
    }

    fn settle(&mut self, step: StepIndex, end: Stage) -> Result<(), FoldError> {
        let seq = self.seq;
        let state = self.state(step)?;
        if state.stage.is_settled() {
            return Err(misfit(seq, format!("step {} is settled twice", step.0)));
        }
        state.settled = seq;
        state.doubtful &= end == Stage::Cancelled;
        state.stage = end;
        Ok(())
    }

    fn take_back(&mut self, step: StepIndex, done: bool) -> Result<(), FoldError> {
        let seq = self.seq;
        let undo = self.state(step)?.undo.as_mut();
        let undo = undo.ok_or_else(|| not_undone(seq, step))?;
        undo.stage = if done {
            UndoStage::Done
        } else {
            UndoStage::Failed
        };
        Ok(())
    }

    fn enter(&mut self, step: StepIndex, stage: Stage) -> Result<(), FoldError> {
        let seq = self.seq;
        let state = self.state(step)?;
        if state.stage.is_settled() {
            return Err(misfit(
                seq,
                format!("step {} goes on after its end", step.0),
            ));
        }
        state.stage = stage;
        // Whoever waits for children to end is not attempted again, so what was in doubt stays so.
        let ending = matches!(stage, Stage::Recalling(_) | Stage::Resting);
        state.doubtful = matches!(stage, Stage::Held { .. }) || ending && state.doubtful;
        Ok(())
    }

    fn armed(&self, lane: Lane, due: Timestamp) -> Armed {
        let seq = self.seq;
        Armed { lane, due, seq }
    }

    fn tries(&mut self, step: StepIndex, role: Role) -> Result<&mut Tries, FoldError> {
        let seq = self.seq;
        let state = self.state(step)?;
        match role {
            Role::Step => Ok(&mut state.tries),
            Role::Undo => {
                let undo = state.undo.as_mut().map(|undo| &mut undo.tries);
                undo.ok_or_else(|| not_undone(seq, step))
            }
        }
    }

    fn state(&mut self, step: StepIndex) -> Result<&mut StepState, FoldError> {
        let seq = self.seq;
        let state = self.steps.get_mut(step.at());
        state.ok_or_else(|| misfit(seq, format!("there is no step {}", step.0)))
    }
}

fn misfit(seq: Seq, detail: impl Into<String>) -> FoldError {
    FoldError {
        seq,
        detail: detail.into(),
    }
}

fn not_undone(seq: Seq, step: StepIndex) -> FoldError {
    misfit(seq, format!("step {} is not being undone", step.0))
}

fn end_stage(end: StepEnd) -> Stage {
    match end {
        StepEnd::Succeeded => Stage::Succeeded,
        StepEnd::Cancelled => Stage::Cancelled,
        StepEnd::Skipped => Stage::Skipped,
    }
}

fn chore_stage(chore: Chore, armed: Armed) -> Stage {
    match chore {
        Chore::Evaluate => Stage::Evaluating(armed),
        Chore::Spawn => Stage::Spawning(armed),
        Chore::Collect => Stage::Collecting(armed),
        Chore::Recall => Stage::Recalling(armed),
    }
}

/// A journal row that does not follow from those before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("journal row {}: {detail}", seq.0)]
pub struct FoldError {
    /// The row.
    pub seq: Seq,
    /// What does not fit.
    pub detail: String,
}
