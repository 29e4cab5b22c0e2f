//! Compensation: taking back, step by step, what a run has done.
//!
//! Invariant: one step at a time, in reverse order of success, each step once, and only what this very run did.

use std::cmp::Reverse;
use std::time::Duration;

use super::super::deciding::Deciding;
use super::super::{Phase, Run, Stage, UndoStage};
use super::Stop;
use crate::change::{Change, Heading};
use crate::definition::StepIndex;
use crate::event::Role;
use crate::mutant::Mutant;

impl Run {
    /// The undo of a step has ended for good.
    pub(super) fn undone(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        done: bool,
    ) -> Result<(), Stop> {
        deciding.push(Change::Undone { step, done });
        deciding.finish_if_done();
        Ok(())
    }
}

impl Deciding<'_> {
    /// Schedules what is to be taken back next, unless that is under way; whether anything is.
    pub(super) fn undo_next(&mut self) -> bool {
        if !self.takes_back() {
            return false;
        }
        if self.run.steps().iter().any(|step| step.undoing().is_some()) {
            return true;
        }
        let open = self
            .definition()
            .indexes()
            .filter(|step| self.is_to_undo(*step));
        let order = |step: &StepIndex| (self.run.step(*step).settled, *step);
        let next = if self.is(Mutant::UndoInOrder) {
            open.min_by_key(|step| order(step))
        } else {
            open.min_by_key(|step| Reverse(order(step)))
        };
        if let Some(step) = next {
            self.again(step, Role::Undo, None, Duration::ZERO);
        }
        next.is_some()
    }

    fn takes_back(&self) -> bool {
        let mut undos = self.run.steps().iter().flat_map(|step| &step.undo);
        if self.is(Mutant::FailedUndoStops) && undos.any(|undo| undo.stage == UndoStage::Failed) {
            return false;
        }
        match &self.run.phase {
            Phase::Winding(Heading::Failed(_)) => true,
            Phase::Winding(Heading::Cancelled) => self
                .run
                .cancel
                .is_some_and(|cancel| cancel.undo && !cancel.force),
            Phase::Winding(Heading::Completed) | Phase::Open | Phase::Ended(_) => false,
        }
    }

    /// A step that succeeded in this run, can be undone and was not. What a copy took over belongs to its source.
    fn is_to_undo(&self, step: StepIndex) -> bool {
        let state = self.run.step(step);
        let inherited = state.place.is_some_and(|place| place.run.is_some());
        let did = state.stage == Stage::Succeeded
            || self.is(Mutant::UndoOfStarted) && state.tries.executed > 0;
        self.spec(step).undo.is_some() && did && !inherited && state.undo.is_none()
    }
}
