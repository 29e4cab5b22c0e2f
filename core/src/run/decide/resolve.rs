//! Decisions of people about a step: gates, attempts of unknown outcome, undos that cannot be done.
//!
//! Invariant: a gate and a doubt are resolved once; whoever comes later is told what the run is waiting for in fact.

use std::time::Duration;

use super::super::deciding::Deciding;
use super::super::{Armed, Phase, Run, Stage, UndoStage};
use super::Stop;
use crate::change::Change;
use crate::definition::{StepIndex, StepKind, label};
use crate::event::{Resolution, Resolved, Role};
use crate::mutant::Mutant;
use crate::operation::Rejection;
use crate::payload::OutputRef;

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
        match stage {
            Stage::Open { deadline, .. } => self.decided(deciding, resolved, deadline),
            Stage::Held { .. } => self.said(deciding, resolved),
            _ => Err(Stop::Refused(self.not_waiting(deciding.definition()))),
        }
    }

    /// Somebody ends a gate, which is open until somebody has closed it, even if its time is over.
    fn decided(
        &self,
        deciding: &mut Deciding<'_>,
        resolved: &Resolved,
        closes: Option<Armed>,
    ) -> Result<(), Stop> {
        if closes.is_some() && deciding.is(Mutant::DecisionYieldsToExpiry) {
            return Ok(());
        }
        let step = resolved.step;
        let given = match (&deciding.spec(step).kind, &resolved.verdict) {
            (StepKind::Pause { .. }, Resolution::Resume) => Some(label::RESUMED),
            (StepKind::Approval { .. }, Resolution::Approve) => Some(label::APPROVED),
            (StepKind::Approval { .. }, Resolution::Reject)
                if deciding.is(Mutant::RejectionApproves) =>
            {
                Some(label::APPROVED)
            }
            (StepKind::Approval { .. }, Resolution::Reject) => Some(label::REJECTED),
            _ => None,
        };
        let over = closes.is_some_and(|closes| deciding.facts.now >= closes.due);
        let given = given.filter(|_| !(over && deciding.is(Mutant::ExpiryBeforeItsCommit)));
        let not_waiting = || Stop::Refused(self.not_waiting(deciding.definition()));
        let (label, place) = given
            .zip(payload_of(deciding, resolved))
            .ok_or_else(not_waiting)?;
        deciding.give(step, label, place);
        deciding.after(step)
    }

    /// Somebody says what became of an attempt whose outcome is unknown. A step of which a child has failed fails with that.
    fn said(&self, deciding: &mut Deciding<'_>, resolved: &Resolved) -> Result<(), Stop> {
        let step = resolved.step;
        let place = payload_of(deciding, resolved);
        let definition = deciding.definition();
        let place = || place.ok_or_else(|| Stop::Refused(self.not_waiting(definition)));
        match &resolved.verdict {
            Resolution::Succeeded { label } => {
                if let Some(label) = label.filter(|_| !deciding.is(Mutant::ResolvedLabelLost)) {
                    deciding.push(Change::Label { step, label });
                }
                let place = place()?;
                deciding.push(Change::Place { step, place });
                deciding.return_from(step)
            }
            Resolution::Retry | Resolution::Fail { .. } if deciding.is_spoilt(step) => {
                deciding.let_go(step)
            }
            Resolution::Retry if deciding.is(Mutant::ResolvedRetryForgotten) => Ok(()),
            Resolution::Fail { code } if !deciding.is(Mutant::ResolvedFailRetried) => {
                deciding.spoil(step, code, place()?)
            }
            Resolution::Retry | Resolution::Fail { .. } => {
                deciding.again(step, Role::Step, None, Duration::ZERO);
                Ok(())
            }
            Resolution::Resume
            | Resolution::Approve
            | Resolution::Reject
            | Resolution::SkipUndo => Err(Stop::Refused(self.not_waiting(definition))),
        }
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
        let held = deciding.claimed()?.contains(&armed.lane);
        if held && !deciding.is(Mutant::SkipIgnoresHolder) {
            return Err(Stop::Refused(Rejection::Held {
                run: self.id,
                step: deciding.spec(step).name.clone(),
            }));
        }
        let done = deciding.is(Mutant::SkipCountsAsDone);
        self.undone(deciding, step, done)
    }
}

/// Where the payload of a decision lives, if it has one.
fn payload_of(deciding: &Deciding<'_>, resolved: &Resolved) -> Option<OutputRef> {
    let seq = deciding.run.seq;
    resolved.payload.map(|digest| OutputRef::here(seq, digest))
}
