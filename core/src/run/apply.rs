//! Folding: a transition's changes, one after the other.
//!
//! Invariant: nothing is decided here. A change that does not fit the state is a corrupt journal, or a bug.

use super::{Armed, CancelRecord, Origin, Phase, Reported, Run, Seq, Stage, StepState};
use crate::change::{Change, Heading, StepEnd};
use crate::definition::StepIndex;
use crate::event::{Event, Started};
use crate::id::{Life, RunId};
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
            },
            phase: Phase::Open,
            cancel: None,
            deadline: None,
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
            self.cancel.get_or_insert(CancelRecord {
                command: request.command,
                seq,
                at,
            });
        }
    }

    /// Folds one change of the transition at `self.seq`.
    pub(super) fn apply_change(&mut self, change: &Change) -> Result<(), FoldError> {
        let seq = self.seq;
        match change {
            Change::Schedule { step, lane, due } => {
                self.take(
                    *step,
                    Stage::Scheduled(Armed {
                        lane: *lane,
                        due: *due,
                        seq,
                    }),
                )?;
            }
            Change::Await { step, lane, due } => {
                self.take(
                    *step,
                    Stage::Waiting(Armed {
                        lane: *lane,
                        due: *due,
                        seq,
                    }),
                )?;
            }
            Change::ArmDeadline { lane, due } => {
                self.deadline = Some(Armed {
                    lane: *lane,
                    due: *due,
                    seq,
                })
            }
            Change::DisarmDeadline => self.deadline = None,
            Change::Report {
                step,
                fence,
                digest,
            } => {
                let state = self.state(*step)?;
                state.executed += 1;
                state.reported = Some(Reported {
                    fence: *fence,
                    seq,
                    digest: *digest,
                });
            }
            Change::Lose { step } => self.state(*step)?.lost += 1,
            Change::Stop { step } => {
                let state = self.state(*step)?;
                let Stage::Scheduled(armed) = state.stage else {
                    return Err(FoldError {
                        seq,
                        detail: format!("step {} is stopped but not scheduled", step.0),
                    });
                };
                state.stage = Stage::Stopping(armed);
            }
            Change::Settle { step, end } => {
                let state = self.state(*step)?;
                if state.stage.is_settled() {
                    return Err(FoldError {
                        seq,
                        detail: format!("step {} is settled twice", step.0),
                    });
                }
                state.stage = match end {
                    StepEnd::Succeeded => Stage::Succeeded,
                    StepEnd::Failed => Stage::Failed,
                    StepEnd::Cancelled => Stage::Cancelled,
                };
            }
            Change::Wind { heading } => self.phase = Phase::Winding(heading.clone()),
            Change::Finish => {
                let Phase::Winding(heading) = &self.phase else {
                    return Err(FoldError {
                        seq,
                        detail: "a run finishes that was not winding".into(),
                    });
                };
                self.phase = Phase::Ended(Heading::clone(heading));
            }
        }
        Ok(())
    }

    fn take(&mut self, step: StepIndex, stage: Stage) -> Result<(), FoldError> {
        let seq = self.seq;
        let state = self.state(step)?;
        if state.stage.is_settled() {
            return Err(FoldError {
                seq,
                detail: format!("step {} is scheduled after its end", step.0),
            });
        }
        state.stage = stage;
        Ok(())
    }

    fn state(&mut self, step: StepIndex) -> Result<&mut StepState, FoldError> {
        let seq = self.seq;
        self.steps.get_mut(step.at()).ok_or_else(|| FoldError {
            seq,
            detail: format!("there is no step {}", step.0),
        })
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
