//! Children that a step's handler starts: they end before their step does, and their failures are the step's.
//!
//! Invariant: a handler's step with children out neither succeeds nor fails nor is given up before they have ended, unless
//! nobody waits for them.

use super::super::deciding::Deciding;
use super::super::{Phase, Run, Stage};
use super::Stop;
use crate::change::{Change, StepEnd};
use crate::definition::StepIndex;
use crate::id::RunId;
use crate::limits;
use crate::mutant::Mutant;
use crate::operation::Rejection;
use crate::payload::OutputRef;

impl Run {
    /// A handler has started a run. Only an attempt of a step that goes on can: one that was told to stop starts nothing.
    pub(super) fn called(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        run: RunId,
        detached: bool,
    ) -> Result<(), Stop> {
        let stage = self.stage(step)?;
        if self.phase != Phase::Open {
            return Err(Stop::Refused(self.winding()));
        }
        let Stage::Scheduled(_) = stage else {
            return Err(self.stale(step));
        };
        if detached {
            return Ok(());
        }
        let children = self.step(step).fan.as_ref().map_or(0, |fan| fan.started);
        if children >= limits::CHILDREN_CALLED {
            return Err(Stop::Refused(Rejection::LimitExceeded {
                what: format!(
                    "the number of children of step {}",
                    deciding.spec(step).name
                ),
                limit: u64::from(limits::CHILDREN_CALLED),
                found: u64::from(children) + 1,
            }));
        }
        deciding.push(Change::Adopt { step, run });
        Ok(())
    }
}

impl Deciding<'_> {
    /// A child that a handler started has ended. What the attempt is at goes on; what would be attempted again is not, once
    /// a child has failed.
    pub(super) fn called_ended(
        &mut self,
        step: StepIndex,
        failed_as: Option<&str>,
        place: OutputRef,
    ) -> Result<(), Stop> {
        let spoilt = self.is_spoilt(step);
        let ending = self.run.phase != Phase::Open || spoilt;
        match (self.run.step(step).stage, failed_as) {
            (Stage::Scheduled(armed), Some(code)) if !ending => {
                if self.claimed()?.contains(&armed.lane) {
                    let code = code.to_owned();
                    self.push(Change::Spoil { step, code, place });
                    return Ok(());
                }
                self.spoil(step, code, place)
            }
            (Stage::Held { .. }, Some(code)) if !ending => {
                let code = code.to_owned();
                self.push(Change::Spoil { step, code, place });
                Ok(())
            }
            (Stage::Scheduled(_) | Stage::Stopping(_) | Stage::Held { .. }, _) => Ok(()),
            (_, Some(code)) if !ending => self.spoil(step, code, place),
            _ => self.settle_recalled(step),
        }
    }

    /// A handler has returned an output: its step ends with it, once the children that it started have ended.
    pub(super) fn return_from(&mut self, step: StepIndex) -> Result<(), Stop> {
        if self.run.step(step).fan.is_none() || self.is(Mutant::CallNotAwaited) {
            self.settle(step, StepEnd::Succeeded);
            return self.after(step);
        }
        if self.is_spoilt(step) || self.run.phase != Phase::Open {
            return self.let_go(step);
        }
        if self.run.step(step).has_children_out() {
            // A step whose outcome somebody had to say has no lane, and waits all the same.
            self.push(Change::Rest { step });
            return Ok(());
        }
        self.close(step);
        self.after(step)
    }

    /// A step is not attempted any more: it ends once its children have, all of which are told to cancel.
    pub(super) fn let_go(&mut self, step: StepIndex) -> Result<(), Stop> {
        if self.run.step(step).has_children_out() {
            self.recall(step);
        }
        self.settle_recalled(step)
    }

    /// Whether a child of the step has failed, which is what the step will fail with.
    pub(super) fn is_spoilt(&self, step: StepIndex) -> bool {
        let fan = self.run.step(step).fan.as_ref();
        fan.is_some_and(|fan| fan.spoilt.is_some())
    }

    /// Ends a step none of whose children is waited for: it succeeded if its handler had returned an output.
    pub(super) fn close(&mut self, step: StepIndex) {
        let returned = self.run.step(step).place.is_some();
        let end = if returned {
            StepEnd::Succeeded
        } else {
            StepEnd::Cancelled
        };
        self.settle(step, end);
    }
}
