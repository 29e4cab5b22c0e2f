//! Decisions of people about a step: gates, attempts of unknown outcome, undos that cannot be done.
//!
//! Invariant: a gate and a doubt are resolved once; whoever comes later is told what the run is waiting for in fact.

use std::time::Duration;

use super::super::deciding::Deciding;
use super::super::{Phase, Run, Stage, UndoStage};
use super::Stop;
use crate::change::Change;
use crate::definition::{StepIndex, StepKind, label};
use crate::event::{Resolution, Resolved, Role};
use crate::operation::Rejection;
use crate::payload::{OutputRef, PayloadDigest};

impl Run {
    pub(super) fn resolved(
        &self,
        deciding: &mut Deciding<'_>,
        resolved: &Resolved,
    ) -> Result<(), Stop> {
        let step = resolved.step;
        let stage = self.stage(step)?;
        self.obey(deciding, resolved.command)?;
        if resolved.verdict == Resolution::SkipUndo {
            return self.skip_undo(deciding, step);
        }
        if self.phase != Phase::Open {
            return Err(Stop::Refused(self.winding()));
        }
        let seq = deciding.run.seq;
        let here = |digest: PayloadDigest| OutputRef::here(seq, digest);
        let place = resolved.payload.map(here);
        let definition = deciding.definition();
        let not_waiting = || Stop::Refused(self.not_waiting(definition));
        let kind = &deciding.spec(step).kind;
        match (stage, kind, &resolved.verdict) {
            (Stage::Open { .. }, StepKind::Pause { .. }, Resolution::Resume) => {
                deciding.give(step, label::RESUMED, place.ok_or_else(not_waiting)?);
            }
            (Stage::Open { .. }, StepKind::Approval { .. }, Resolution::Approve) => {
                deciding.give(step, label::APPROVED, place.ok_or_else(not_waiting)?);
            }
            (Stage::Open { .. }, StepKind::Approval { .. }, Resolution::Reject) => {
                deciding.give(step, label::REJECTED, place.ok_or_else(not_waiting)?);
            }
            (Stage::Held { .. }, _, Resolution::Succeeded { label }) => {
                if let Some(label) = *label {
                    deciding.push(Change::Label { step, label });
                }
                let place = place.ok_or_else(not_waiting)?;
                deciding.push(Change::Place { step, place });
                return deciding.return_from(step);
            }
            // It fails with what failed first.
            (Stage::Held { .. }, _, Resolution::Retry | Resolution::Fail { .. })
                if deciding.is_spoilt(step) =>
            {
                return deciding.let_go(step);
            }
            (Stage::Held { .. }, _, Resolution::Retry) => {
                deciding.again(step, Role::Step, None, Duration::ZERO);
                return Ok(());
            }
            (Stage::Held { .. }, _, Resolution::Fail { code }) => {
                return deciding.spoil(step, code, place.ok_or_else(not_waiting)?);
            }
            _ => return Err(not_waiting()),
        }
        deciding.after(step)
    }

    /// An undo that nobody can do is not attempted any more. One that somebody holds is waited for.
    fn skip_undo(&self, deciding: &mut Deciding<'_>, step: StepIndex) -> Result<(), Stop> {
        let undo = self
            .steps
            .get(step.at())
            .and_then(|state| state.undo.as_ref());
        let Some(UndoStage::Scheduled(armed)) = undo.map(|undo| undo.stage) else {
            return Err(Stop::Refused(self.not_waiting(deciding.definition())));
        };
        if deciding.claimed()?.contains(&armed.lane) {
            return Err(Stop::Refused(Rejection::Held {
                run: self.id,
                step: deciding.spec(step).name.clone(),
            }));
        }
        self.undone(deciding, step, false)
    }
}
