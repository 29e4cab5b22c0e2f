//! That everything follows from an event which must.
//!
//! Invariant: what is checked here is there; that nothing else is there is checked change by change.

use squid_mesh_core::definition::{StepIndex, StepKind};
use squid_mesh_core::event::{ChildEnd, Role};
use squid_mesh_core::id::RunId;
use squid_mesh_core::limits;

use super::Landing;
use super::change::Cause;
use crate::fault::sometimes::Milestone;
use crate::ghost::{GhostRun, Progress};
use crate::violation::{Check, ensure};

impl Landing<'_> {
    /// After an event of a run that went on: was the step tried again exactly when its policy says so, and did it end if it
    /// was to end?
    pub(super) fn consequence(&mut self, id: RunId, cause: &Cause<'_>) -> Check {
        match cause {
            Cause::Failure(step, role, _) => {
                self.tried_again(id, (*step, *role), cause, Milestone::Exhausted)
            }
            Cause::Loss(step, role, _) => {
                self.tried_again(id, (*step, *role), cause, Milestone::LostTooOften)
            }
            Cause::Conflict(step) => {
                let too_often = Milestone::ConflictedTooOften;
                self.tried_again(id, (*step, Role::Step), cause, too_often)
            }
            _ => self.ends(id, cause),
        }
    }

    /// A step of which a child has failed is not attempted again; any other is as often as its policy says. What must not be
    /// repeated blindly waits for somebody to say, whatever its policy.
    fn tried_again(
        &mut self,
        id: RunId,
        (step, role): (StepIndex, Role),
        cause: &Cause<'_>,
        exhausted: Milestone,
    ) -> Check {
        let run = self.ghost.run(id);
        let state = &run.steps[step.at()];
        let spoilt = role == Role::Step && state.children.spoilt.is_some();
        let again = may_try_again(run, step, cause) && !spoilt;
        let tried_again = match role {
            Role::Step => matches!(state.progress, Progress::Scheduled(_) | Progress::Held),
            Role::Undo => state.undo.as_ref().is_some_and(|undo| undo.due.is_some()),
        };
        let held = state.progress == Progress::Held && role == Role::Step;
        ensure!(
            held || tried_again == again,
            RetryPolicy,
            "run {id} step {} ({role:?}) after {:?}: it should {}be tried again, and is {:?}",
            run.definition.step(step).name,
            state.tries(role),
            if again { "" } else { "not " },
            state.progress
        );
        if !again {
            self.sometimes.reached(exhausted);
        }
        Ok(())
    }

    /// A step that was to end has ended, unless children of it are out.
    fn ends(&self, id: RunId, cause: &Cause<'_>) -> Check {
        let run = self.ghost.run(id);
        let Some(step) = cause.of() else {
            return Ok(());
        };
        let (spec, state) = (run.definition.step(step), &run.steps[step.at()]);
        let progress = state.progress;
        let children = &state.children;
        let failing = progress == Progress::Failed || children.spoilt.is_some();
        let follows = match cause {
            Cause::Success(..) => {
                progress == Progress::Succeeded || children.active() > 0 || failing
            }
            Cause::Fails(..) => failing,
            Cause::Until(_, until) => progress == Progress::Waiting(*until),
            Cause::Again(_) => matches!(progress, Progress::Scheduled(_)) || failing,
            Cause::ChildEnded(_, ChildEnd::Failed | ChildEnd::Cancelled) => {
                failing || matches!(spec.kind, StepKind::Each { collect: true, .. })
            }
            _ => true,
        };
        ensure!(
            follows,
            FollowsTheGraph,
            "run {id} step {} is {progress:?} after {cause:?}",
            spec.name
        );
        Ok(())
    }
}

/// Whether the policy of a step, or of its undo, has it tried again.
fn may_try_again(run: &GhostRun, step: StepIndex, cause: &Cause<'_>) -> bool {
    let tries = |role| {
        run.steps[step.at()]
            .tries(role)
            .cloned()
            .unwrap_or_default()
    };
    match cause {
        Cause::Failure(_, role, failure) => {
            failure.retryable && tries(*role).executed < run.retry(step, *role).max_attempts
        }
        Cause::Loss(_, role, _) => tries(*role).lost <= run.retry(step, *role).max_lost,
        Cause::Conflict(_) => tries(Role::Step).conflicts <= limits::CONFLICTS,
        _ => false,
    }
}
