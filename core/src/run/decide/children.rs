//! Children of steps: started, ended, told to cancel, their results put together.
//!
//! Invariant: a child that exists is counted, its end is counted once, and a step ends only when its children have.

use super::super::deciding::Deciding;
use super::super::{Fan, Phase, Run, Stage};
use super::Stop;
use crate::change::{Change, Chore, StepEnd};
use crate::definition::{StepIndex, StepKind};
use crate::event::{ChildEnd, code};
use crate::mutant::Mutant;
use crate::payload::{OutputRef, PayloadDigest};

impl Run {
    pub(super) fn spawned(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        from: u32,
        upto: u32,
        payload: Option<PayloadDigest>,
    ) -> Result<(), Stop> {
        let (Stage::Spawning(_), Some(fan)) = (self.stage(step)?, self.fan_of_step(step)) else {
            return Err(self.stale(step));
        };
        let detach = matches!(
            deciding.spec(step).kind,
            StepKind::Child { detach: true, .. }
        );
        let fits = from == fan.started && from < upto && upto <= fan.count;
        if !fits || detach != payload.is_some() {
            return Err(self.stale(step));
        }
        deciding.push(Change::Spawn { step, upto });
        if let Some(digest) = payload {
            let place = OutputRef::here(deciding.run.seq, digest);
            deciding.push(Change::Place { step, place });
            deciding.settle(step, StepEnd::Succeeded);
            return deciding.after(step);
        }
        deciding.spawn_on(step, true);
        Ok(())
    }

    pub(super) fn recalled(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        upto: u32,
    ) -> Result<(), Stop> {
        let (Stage::Recalling(_), Some(fan)) = (self.stage(step)?, self.fan_of_step(step)) else {
            return Err(self.stale(step));
        };
        if upto <= fan.recalled || upto > fan.started {
            return Err(self.stale(step));
        }
        deciding.push(Change::Recall { step, upto });
        deciding.recall(step);
        deciding.settle_recalled(step)
    }

    pub(super) fn child_ended(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        child: u32,
        end: ChildEnd,
        payload: PayloadDigest,
    ) -> Result<(), Stop> {
        let known = self.stage(step).is_ok_and(|stage| !stage.is_settled());
        let fan = self.fan_of_step(step).filter(|_| known);
        if fan.is_none_or(|fan| child >= fan.started || fan.has_arrived(child)) {
            return Err(self.stale(step));
        }
        deciding.push(Change::Arrive { step, child });
        let place = OutputRef::here(deciding.run.seq, payload);
        let failed_as = match end {
            ChildEnd::Completed => None,
            ChildEnd::Failed if deciding.is(Mutant::ChildFailureTakenAsResult) => None,
            ChildEnd::Failed => Some(code::CHILD_FAILED),
            ChildEnd::Cancelled => Some(code::CHILD_CANCELLED),
        };
        if matches!(deciding.spec(step).kind, StepKind::Handler { .. }) {
            return deciding.called_ended(step, failed_as, place);
        }
        let ending = self.phase != Phase::Open
            || self
                .fan_of_step(step)
                .is_some_and(|fan| fan.spoilt.is_some());
        if ending {
            if let Some(code) = failed_as
                && deciding.is(Mutant::SpoiltByLast)
            {
                let code = code.to_owned();
                deciding.push(Change::Spoil { step, code, place });
            }
            return deciding.settle_recalled(step);
        }
        let collects = match &deciding.spec(step).kind {
            StepKind::Each { collect, .. } => Some(*collect),
            _ => None,
        };
        match (collects, failed_as) {
            (None, None) => {
                if !deciding.is(Mutant::ChildResultLost) {
                    deciding.push(Change::Place { step, place });
                }
                deciding.settle(step, StepEnd::Succeeded);
                deciding.after(step)
            }
            (None | Some(false), Some(code)) => deciding.spoil(step, code, place),
            (Some(_), None) | (Some(true), Some(_)) => {
                deciding.spawn_on(step, false);
                Ok(())
            }
        }
    }

    pub(super) fn collected(
        &self,
        deciding: &mut Deciding<'_>,
        step: StepIndex,
        output: PayloadDigest,
    ) -> Result<(), Stop> {
        let Stage::Collecting(_) = self.stage(step)? else {
            return Err(self.stale(step));
        };
        let place = OutputRef::here(deciding.run.seq, output);
        deciding.push(Change::Place { step, place });
        deciding.settle(step, StepEnd::Succeeded);
        deciding.after(step)
    }

    fn fan_of_step(&self, step: StepIndex) -> Option<&Fan> {
        self.steps.get(step.at())?.fan.as_deref()
    }
}

impl Deciding<'_> {
    /// Starts more children where there is room for them, puts the results together once all have ended, or rests.
    /// `consumed` says that the task in the step's lane has been done.
    fn spawn_on(&mut self, step: StepIndex, consumed: bool) {
        let parallel = match &self.spec(step).kind {
            StepKind::Each { parallel, .. } => *parallel,
            _ => 1,
        };
        let state = self.run.step(step);
        let fan = state
            .fan
            .as_ref()
            .expect("a step that spawned has children");
        let room = fan.active() < parallel || self.is(Mutant::EachOverParallel);
        let room = room && fan.started < fan.count;
        let pending = matches!(state.stage, Stage::Spawning(_)) && !consumed;
        if fan.arrived == fan.count {
            self.engage(step, Chore::Collect);
        } else if room && !pending {
            self.engage(step, Chore::Spawn);
        } else if consumed {
            self.push(Change::Rest { step });
        }
    }

    /// The step fails, once its other children have been told to cancel and have ended.
    pub(super) fn spoil(
        &mut self,
        step: StepIndex,
        code: &str,
        place: OutputRef,
    ) -> Result<(), Stop> {
        if !self.run.step(step).has_children_out() || self.is(Mutant::SpoiltNotAwaited) {
            return self.fail(step, code, place);
        }
        let code = code.to_owned();
        self.push(Change::Spoil { step, code, place });
        self.recall(step);
        Ok(())
    }

    /// Ends a step whose children were told to cancel, once they have all ended.
    pub(super) fn settle_recalled(&mut self, step: StepIndex) -> Result<(), Stop> {
        if self.run.step(step).has_children_out() && !self.is(Mutant::RecallNotAwaited) {
            self.finish_if_winding();
            return Ok(());
        }
        let spoilt = self
            .run
            .step(step)
            .fan
            .as_ref()
            .and_then(|fan| fan.spoilt.clone());
        match spoilt {
            Some(spoilt) => self.fail(step, &spoilt.code, spoilt.place),
            None => {
                self.close(step);
                self.after(step)
            }
        }
    }

    fn finish_if_winding(&mut self) {
        if self.run.phase != Phase::Open {
            self.finish_if_done();
        }
    }
}
