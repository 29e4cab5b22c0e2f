//! How runs end: by a failure, a deadline, a cancel, or because nothing is left to do.
//!
//! Invariant: a run that winds schedules nothing but what takes effects back, and ends once no attempt and no child is out.

use std::collections::BTreeSet;

use super::super::deciding::Deciding;
use super::super::{Phase, Run, Stage};
use super::Stop;
use crate::change::{Cause, Change, Chore, Heading, StepEnd};
use crate::definition::{OnLost, StepIndex};
use crate::event::CancelRequested;
use crate::mutant::Mutant;
use crate::payload::{OutputRef, PayloadDigest};
use crate::task::{Fence, Lane};

impl Run {
    pub(super) fn deadline_reached(
        &self,
        deciding: &mut Deciding<'_>,
        payload: PayloadDigest,
    ) -> Result<(), Stop> {
        let armed = self.deadline.ok_or_else(|| self.stale(StepIndex(0)))?;
        if deciding.facts.now < armed.due && !deciding.is(Mutant::DeadlineNotRechecked) {
            return Err(self.not_due(armed.due));
        }
        let nobody = BTreeSet::new();
        let mut claimed = deciding.claimed()?;
        if deciding.is(Mutant::DeadlineForgetsClaims) {
            claimed = &nobody;
        }
        let place = OutputRef::here(deciding.run.seq, payload);
        deciding.wind(Heading::Failed(Cause::DeadlineExceeded { place }), claimed);
        Ok(())
    }

    pub(super) fn cancelled(
        &self,
        deciding: &mut Deciding<'_>,
        request: &CancelRequested,
    ) -> Result<(), Stop> {
        let nobody = BTreeSet::new();
        match &self.phase {
            Phase::Winding(Heading::Cancelled) if request.force && !self.is_undoing() => {
                deciding.end_attempts();
                deciding.finish_if_done();
                Ok(())
            }
            Phase::Open => {
                let mut claimed = deciding.claimed()?;
                if request.force {
                    deciding.doubt(claimed);
                }
                if request.force || deciding.is(Mutant::CancelForgetsClaims) {
                    claimed = &nobody;
                }
                deciding.wind(Heading::Cancelled, claimed);
                Ok(())
            }
            Phase::Winding(_) | Phase::Ended(_) => Err(Stop::Refused(self.winding())),
        }
    }
}

impl Deciding<'_> {
    /// A step has failed for good: its failure goes where it is wired to, or else the run fails.
    pub(in super::super) fn fail(
        &mut self,
        step: StepIndex,
        code: &str,
        place: OutputRef,
    ) -> Result<(), Stop> {
        let routed =
            !self.definition().consumers(step).is_empty() && !self.is(Mutant::FailureNotRouted);
        let open = self.run.phase == Phase::Open;
        let claimed = if open && !routed {
            Some(self.claimed()?)
        } else {
            None
        };
        let code = code.to_owned();
        self.push(Change::Fail { step, code, place });
        match claimed {
            Some(claimed) => {
                self.wind(self.failed_by(step), claimed);
                Ok(())
            }
            None => self.after(step),
        }
    }

    /// The end of a run that a failed step brings about.
    pub(in super::super) fn failed_by(&self, step: StepIndex) -> Heading {
        let code = self.run.step(step).code.clone().unwrap_or_default();
        Heading::Failed(Cause::Step { step, code })
    }

    /// Begins to end the run: what nobody holds ends at once, what is claimed is told to stop, children are told to cancel.
    pub(in super::super) fn wind(&mut self, heading: Heading, claimed: &BTreeSet<Lane>) {
        self.push(Change::Wind { heading });
        for step in self.definition().indexes() {
            match self.run.step(step).stage {
                Stage::Scheduled(armed) if claimed.contains(&armed.lane) => {
                    self.push(Change::Stop { step });
                }
                Stage::Waiting(_) if self.is(Mutant::CancelLeavesTimer) => {}
                // What is left blocked can become ready, once nothing checks whether the run is ending.
                Stage::Blocked if self.is(Mutant::CancelNotRechecked) => {}
                Stage::Scheduled(_)
                | Stage::Held { .. }
                | Stage::Spawning(_)
                | Stage::Resting
                | Stage::Collecting(_)
                    if self.run.step(step).has_children_out()
                        && !self.is(Mutant::CancelForgetsChildren) =>
                {
                    self.recall(step);
                }
                Stage::Recalling(_) => {}
                Stage::Blocked
                | Stage::Scheduled(_)
                | Stage::Evaluating(_)
                | Stage::Waiting(_)
                | Stage::Open { .. }
                | Stage::Listening { .. }
                | Stage::Held { .. }
                | Stage::Spawning(_)
                | Stage::Resting
                | Stage::Collecting(_) => self.settle(step, StepEnd::Cancelled),
                Stage::Stopping(_)
                | Stage::Succeeded
                | Stage::Failed
                | Stage::Cancelled
                | Stage::Skipped => {}
            }
        }
        self.finish_if_done();
    }

    /// Has the children of a step told to cancel, unless they all were.
    pub(super) fn recall(&mut self, step: StepIndex) {
        let untold = self.run.step(step).fan.as_ref();
        if untold.is_some_and(|fan| fan.has_untold()) {
            self.engage(step, Chore::Recall);
        } else if self.run.step(step).stage.armed().is_some() {
            self.push(Change::Rest { step });
        }
    }

    /// Ends every attempt that was told to stop as if nobody held it.
    fn end_attempts(&mut self) {
        let lanes = self.run.lanes().map(|armed| armed.lane).collect();
        self.doubt(&lanes);
        for step in self.definition().indexes() {
            let state = self.run.step(step);
            if !matches!(state.stage, Stage::Stopping(_) | Stage::Held { .. }) {
                continue;
            }
            if state.has_children_out() {
                self.recall(step);
            } else {
                self.settle(step, StepEnd::Cancelled);
            }
        }
    }

    /// Notes that nobody will know what becomes of the attempts in these lanes, of steps that must not be repeated blindly.
    fn doubt(&mut self, lanes: &BTreeSet<Lane>) {
        for step in self.definition().indexes() {
            let (Stage::Scheduled(armed) | Stage::Stopping(armed)) = self.run.step(step).stage
            else {
                continue;
            };
            if self.spec(step).on_lost == OnLost::Hold && lanes.contains(&armed.lane) {
                // No report of it counts any more.
                let (seq, claims) = (armed.seq, 0);
                let fence = Fence { seq, claims };
                self.push(Change::Hold { step, fence });
            }
        }
    }

    /// Ends a winding run once nothing is out any more: attempts, children, what takes effects back. Its deadline no longer
    /// matters from the moment it winds.
    pub(in super::super) fn finish_if_done(&mut self) {
        if self.run.deadline.is_some() && !self.is(Mutant::DeadlineKept) {
            self.push(Change::DisarmDeadline);
        }
        if self.run.steps().iter().any(|state| self.is_out(state)) {
            return;
        }
        self.end_orphaned();
        if self.undo_next() && !self.is(Mutant::UndoNotAwaited) {
            return;
        }
        self.push(Change::Finish);
        let parent = self.run.origin.parent.as_ref();
        let reports =
            self.run.origin.is_awaited() || parent.is_some() && self.is(Mutant::DetachedReports);
        if reports && !self.is(Mutant::DeliveryForgotten) {
            let (lane, due) = (Lane(0), self.base());
            self.push(Change::Deliver { lane, due });
        }
    }

    /// Whether the run must wait for a step. One that was to end at once waits for its children to be told, no longer.
    fn is_out(&self, state: &super::super::StepState) -> bool {
        let forced = self.run.cancel.is_some_and(|cancel| cancel.force);
        match state.stage {
            Stage::Stopping(_) | Stage::Recalling(_) => true,
            Stage::Resting => !forced,
            Stage::Blocked
            | Stage::Scheduled(_)
            | Stage::Evaluating(_)
            | Stage::Waiting(_)
            | Stage::Open { .. }
            | Stage::Listening { .. }
            | Stage::Held { .. }
            | Stage::Spawning(_)
            | Stage::Collecting(_)
            | Stage::Succeeded
            | Stage::Failed
            | Stage::Cancelled
            | Stage::Skipped => false,
        }
    }

    /// Steps whose children are not waited for.
    fn end_orphaned(&mut self) {
        for step in self.definition().indexes() {
            if self.run.step(step).stage == Stage::Resting {
                self.close(step);
            }
        }
    }
}
