//! How steps end, and how they are held back when nobody knows.
//!
//! Invariant: a step ends once, in a way that what was recorded of it justifies.

use squid_mesh_core::change::{Change, StepEnd};
use squid_mesh_core::definition::{OnLost, StepIndex, StepKind};
use squid_mesh_core::event::{ChildEnd, Role, code};
use squid_mesh_core::id::RunId;
use squid_mesh_core::run::Seq;

use super::Landing;
use super::change::Cause;
use crate::fault::sometimes::Milestone;
use crate::ghost::{Progress, Way};
use crate::violation::{Check, Promise, broken, ensure};

impl Cause<'_> {
    /// The step that it is about.
    pub(super) fn of(&self) -> Option<StepIndex> {
        match self {
            Cause::Failure(step, Role::Step, _)
            | Cause::Loss(step, Role::Step, _)
            | Cause::Conflict(step)
            | Cause::Success(step, _)
            | Cause::Fails(step, _)
            | Cause::Again(step)
            | Cause::ChildEnded(step, _)
            | Cause::Children(step) => Some(*step),
            _ => None,
        }
    }

    /// Whether a step fails with this code because of it.
    fn says(&self, step: StepIndex, reason: &str) -> bool {
        let said = match self {
            Cause::Failure(_, Role::Step, failure) => failure.code == reason,
            Cause::Loss(_, Role::Step, _) => reason == code::LOST,
            Cause::Conflict(_) => reason == code::CONFLICT,
            Cause::Fails(_, expected) => expected == reason,
            Cause::ChildEnded(_, ChildEnd::Failed) => reason == code::CHILD_FAILED,
            Cause::ChildEnded(_, ChildEnd::Cancelled) => reason == code::CHILD_CANCELLED,
            _ => false,
        };
        said && self.of() == Some(step)
    }

    /// The step of an attempt of which nobody knows whether it had its effect, or will still have it.
    fn in_doubt(&self) -> Option<StepIndex> {
        let (step, unclear) = match self {
            Cause::Failure(step, Role::Step, failure) => {
                let unclear = matches!(failure.code.as_str(), code::TIMEOUT | code::PANIC);
                (*step, unclear)
            }
            Cause::Loss(step, Role::Step, begun) => (*step, *begun),
            _ => return None,
        };
        unclear.then_some(step)
    }
}

impl Landing<'_> {
    /// What must not be repeated blindly is held back whenever it is in doubt.
    pub(super) fn doubt_is_held(&self, id: RunId, changes: &[Change], cause: &Cause<'_>) -> Check {
        let Some(step) = cause.in_doubt() else {
            return Ok(());
        };
        let spec = self.ghost.run(id).definition.step(step);
        let mut changes = changes.iter();
        let held = changes
            .any(|change| matches!(change, Change::Hold { step: held, .. } if *held == step));
        ensure!(
            held || spec.on_lost != OnLost::Hold,
            RetryPolicy,
            "run {id} step {} is in doubt because of {cause:?}, and not held back",
            spec.name
        );
        Ok(())
    }

    /// Nobody knows whether the attempt had its effect, and it must not have it twice.
    pub(super) fn held_back(&mut self, id: RunId, step: StepIndex, cause: &Cause<'_>) -> Check {
        let run = self.ghost.run(id);
        let unclear = match cause {
            // Whoever forces a run to its end does not wait to hear what came of its attempts.
            Cause::Other => run.forced && self.ghost.attempt_on(id, step, Role::Step).is_some(),
            _ => cause.in_doubt() == Some(step),
        };
        ensure!(
            unclear && run.definition.step(step).on_lost == OnLost::Hold,
            RetryPolicy,
            "run {id} step {} is held back because of {cause:?}",
            run.definition.step(step).name
        );
        self.sometimes.reached(Milestone::HeldBack);
        let state = self.ghost.step_mut(id, step);
        state.progress = Progress::Held;
        state.doubtful = true;
        Ok(())
    }

    pub(super) fn settled(
        &mut self,
        id: RunId,
        step: StepIndex,
        end: StepEnd,
        cause: &Cause<'_>,
    ) -> Check {
        let run = self.ghost.run(id);
        let name = run.definition.step(step).name.clone();
        let progress = run.steps[step.at()].progress;
        ensure!(
            !progress.is_settled(),
            SettlesOnce,
            "run {id} step {name} is settled twice"
        );
        match end {
            StepEnd::Succeeded => self.succeeds(id, step, cause)?,
            StepEnd::Skipped => {
                let run = self.ghost.run(id);
                ensure!(
                    progress == Progress::Blocked && run.is_open() && run.way(step) == Way::Never,
                    FollowsTheGraph,
                    "run {id} step {name} is skipped, and is {:?}",
                    run.way(step)
                );
                self.sometimes.reached(Milestone::Skipped);
            }
            StepEnd::Cancelled => self.is_cancelled(id, step, cause)?,
        }
        let seq = self.ghost.run(id).seq;
        let state = self.ghost.step_mut(id, step);
        state.settled = seq;
        state.doubtful &= end == StepEnd::Cancelled;
        state.progress = match end {
            StepEnd::Succeeded => Progress::Succeeded,
            StepEnd::Cancelled => Progress::Cancelled,
            StepEnd::Skipped => Progress::Skipped,
        };
        Ok(())
    }

    fn succeeds(&mut self, id: RunId, step: StepIndex, cause: &Cause<'_>) -> Check {
        let kind = &self.ghost.run(id).definition.step(step).kind;
        if matches!(kind, StepKind::Handler { .. }) {
            return self.succeeds_with_its_children(id, step);
        }
        if let Cause::Success(own, output) = cause
            && *own == step
        {
            self.ghost.step_mut(id, step).output = output.clone();
            return Ok(());
        }
        // A signal that came before its step was reached.
        let taken = self.taken.take();
        let run = self.ghost.run(id);
        let name = &run.definition.step(step).name;
        let StepKind::Signal { signal, .. } = &run.definition.step(step).kind else {
            return broken(
                Promise::ResultIsReal,
                format!("run {id} step {name} succeeds without having reported so"),
            );
        };
        let Some((_, payload)) = taken.filter(|(kept, _)| kept == signal) else {
            return broken(
                Promise::SignalsArrive,
                format!("run {id} step {name} takes a signal that did not come"),
            );
        };
        self.goes_on_or_evaluated(id, step)?;
        self.ghost.step_mut(id, step).output = Some(payload);
        Ok(())
    }

    fn is_cancelled(&mut self, id: RunId, step: StepIndex, cause: &Cause<'_>) -> Check {
        let own = match cause {
            Cause::Success(own, _)
            | Cause::Failure(own, Role::Step, _)
            | Cause::Loss(own, Role::Step, _)
            | Cause::Conflict(own)
            | Cause::ChildEnded(own, _)
            | Cause::Children(own) => *own == step,
            _ => false,
        };
        // What this very operation puts aside is out no longer.
        let attempt = self.ghost.attempt_on(id, step, Role::Step);
        let out = attempt.is_some_and(|grant| !self.is_said_unreadable(&grant.key));
        let run = self.ghost.run(id);
        let name = &run.definition.step(step).name;
        ensure!(
            run.winding.is_some(),
            FollowsTheGraph,
            "run {id} step {name} is cancelled in a run that goes on"
        );
        ensure!(
            run.forced || own || !out,
            EndsWithItsAttempts,
            "run {id} step {name} ends while an attempt is out"
        );
        ensure!(
            run.steps[step.at()].returned.is_none(),
            ResultIsReal,
            "run {id} step {name} is cancelled although its handler has returned"
        );
        let children = &run.steps[step.at()].children;
        ensure!(
            children.active() == 0 || run.forced && children.told >= children.started,
            EndsWithItsAttempts,
            "run {id} step {name} ends with {} children out",
            children.active()
        );
        Ok(())
    }

    /// A step with children out is to fail once they have ended.
    pub(super) fn spoilt(
        &mut self,
        id: RunId,
        step: StepIndex,
        reason: &str,
        cause: &Cause<'_>,
    ) -> Check {
        let state = &self.ghost.run(id).steps[step.at()];
        ensure!(
            state.children.spoilt.is_none() && cause.says(step, reason),
            ResultIsReal,
            "run {id} step {} is to fail with {reason}, because of {cause:?}",
            step.0
        );
        self.ghost.step_mut(id, step).children.spoilt = Some(reason.to_owned());
        Ok(())
    }

    pub(super) fn failed(
        &mut self,
        id: RunId,
        step: StepIndex,
        reason: &str,
        place: Seq,
        cause: &Cause<'_>,
    ) -> Check {
        let run = self.ghost.run(id);
        let name = run.definition.step(step).name.clone();
        let state = &run.steps[step.at()];
        let said = match &state.children.spoilt {
            Some(spoilt) => spoilt == reason && cause.of() == Some(step),
            None => cause.says(step, reason),
        };
        ensure!(
            !state.progress.is_settled(),
            SettlesOnce,
            "run {id} step {name} is settled twice"
        );
        ensure!(
            said,
            ResultIsReal,
            "run {id} step {name} fails with {reason}, because of {cause:?}"
        );
        ensure!(
            state.children.active() == 0,
            EndsWithItsAttempts,
            "run {id} step {name} fails with {} children out",
            state.children.active()
        );
        let seq = self.ghost.run(id).seq;
        let failure = self.row_payload(id, place);
        let state = self.ghost.step_mut(id, step);
        (state.progress, state.settled) = (Progress::Failed, seq);
        (state.failure, state.doubtful) = (failure, false);
        Ok(())
    }
}
