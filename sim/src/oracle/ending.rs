//! How runs end, and how copies begin.
//!
//! Invariant: a run winds for a reason, ends with nothing out, and a copy takes over nothing that its source did not do.

use squid_mesh_core::change::{Cause as Reason, Heading};
use squid_mesh_core::definition::{Origin, StepIndex};
use squid_mesh_core::event::{CopyKind, Role};
use squid_mesh_core::id::RunId;
use squid_mesh_core::run::Status;

use super::Landing;
use super::change::Cause;
use crate::fault::sometimes::Milestone;
use crate::ghost::{GhostRun, Progress, Way, Winding};
use crate::violation::{Check, Promise, broken, ensure};

impl Landing<'_> {
    pub(super) fn winds(&mut self, id: RunId, heading: &Heading) -> Check {
        let clock = self.landed.at;
        let run = self.ghost.run_mut(id);
        let settled = run.steps.iter().all(|step| step.progress.is_settled());
        let unrouted = run.unrouted().next().is_some();
        let overdue = run.deadline.is_some_and(|deadline| clock >= deadline);
        let result = has_result(run);
        let (winding, allowed) = match heading {
            Heading::Completed => (Winding::Completed, settled && !unrouted && result),
            Heading::Failed(Reason::Step { step, .. }) => {
                let failed = run.unrouted().any(|unrouted| unrouted == *step);
                (Winding::Failed, failed)
            }
            Heading::Failed(Reason::DeadlineExceeded { .. }) => (Winding::Failed, overdue),
            Heading::Failed(Reason::NoResult) => (Winding::Failed, settled && !result),
            Heading::Cancelled => (Winding::Cancelled, run.cancel.is_some()),
        };
        ensure!(
            allowed && run.winding.is_none(),
            FollowsTheGraph,
            "run {id} heads for {heading:?} without a reason"
        );
        run.winding = Some(winding);
        if let Heading::Failed(Reason::Step { step, .. }) = heading {
            run.failed_by = Some(*step);
        }
        if winding == Winding::Failed {
            let milestone = match heading {
                Heading::Failed(Reason::DeadlineExceeded { .. }) => Milestone::FailedByDeadline,
                _ => Milestone::FailedByStep,
            };
            self.sometimes.reached(milestone);
        }
        Ok(())
    }

    pub(super) fn finished(&mut self, id: RunId) -> Check {
        let run = self.ghost.run(id);
        let open = self
            .ghost
            .held_of(id)
            .find(|grant| grant.body.is_some() && grant.end.is_none());
        ensure!(
            run.forced || open.is_none(),
            EndsWithItsAttempts,
            "run {id} ends while an attempt of step {} is out",
            open.map_or(0, |grant| grant.step.0)
        );
        ensure!(
            !run.compensates() || run.next_undo().is_none(),
            Compensation,
            "run {id} ends before step {:?} was taken back",
            run.next_undo()
        );
        let undoing = |state: &crate::ghost::GhostStep| {
            state.undo.as_ref().is_some_and(|undo| undo.due.is_some())
        };
        ensure!(
            !run.steps.iter().any(undoing),
            Compensation,
            "run {id} ends while a step is being taken back"
        );
        for (index, state) in run.steps.iter().enumerate() {
            let children = &state.children;
            let told = children.told >= children.started;
            let detached = run.definition.steps()[index]
                .kind
                .workflow()
                .is_some_and(|_| state.progress == Progress::Succeeded);
            ensure!(
                children.active() == 0 || detached || run.forced && told,
                EndsWithItsAttempts,
                "run {id} ends with {} children of step {index} out",
                children.active()
            );
        }
        let status = match run.winding {
            Some(Winding::Completed) => Status::Completed,
            Some(Winding::Failed) => Status::Failed,
            Some(Winding::Cancelled) => Status::Cancelled,
            None => {
                return broken(
                    Promise::FollowsTheGraph,
                    format!("run {id} ends without heading for an end"),
                );
            }
        };
        match status {
            Status::Completed => self.sometimes.reached(Milestone::Completed),
            Status::Cancelled => self.sometimes.reached(Milestone::Cancelled),
            _ => {}
        }
        self.ghost.run_mut(id).ended = Some(status);
        Ok(())
    }

    /// After a failure or a loss: was the step tried again exactly when its policy says so?
    pub(super) fn consequence(&mut self, id: RunId, cause: &Cause<'_>) -> Check {
        let run = self.ghost.run(id);
        // A step of which a child has failed is not attempted again.
        let spoilt = |step: StepIndex, role: Role| {
            role == Role::Step && run.steps[step.at()].children.spoilt.is_some()
        };
        let (step, role, again, exhausted) = match cause {
            Cause::Failure(step, role, failure) => {
                let executed = run.steps[step.at()]
                    .tries(*role)
                    .map_or(0, |tries| tries.executed);
                let allowed = run.retry(*step, *role).max_attempts;
                let again = failure.retryable && executed < allowed && !spoilt(*step, *role);
                (*step, *role, again, Milestone::Exhausted)
            }
            Cause::Loss(step, role, _) => {
                let lost = run.steps[step.at()]
                    .tries(*role)
                    .map_or(0, |tries| tries.lost);
                let again = lost <= run.retry(*step, *role).max_lost && !spoilt(*step, *role);
                (*step, *role, again, Milestone::LostTooOften)
            }
            _ => return Ok(()),
        };
        let state = &run.steps[step.at()];
        let name = &run.definition.step(step).name;
        let tried_again = match role {
            Role::Step => matches!(state.progress, Progress::Scheduled(_) | Progress::Held),
            Role::Undo => state.undo.as_ref().is_some_and(|undo| undo.due.is_some()),
        };
        // What must not be repeated blindly waits for somebody to say, whatever its policy.
        let held = state.progress == Progress::Held && role == Role::Step;
        ensure!(
            held || tried_again == again,
            RetryPolicy,
            "run {id} step {name} ({role:?}) after {:?}: it should {}be tried again, and is {:?}",
            state.tries(role),
            if again { "" } else { "not " },
            state.progress
        );
        if !again {
            self.sometimes.reached(exhausted);
        }
        Ok(())
    }

    /// Whatever is ready goes on, whatever is excluded is skipped, and a run with nothing left to do has ended.
    pub(super) fn follows(&self, id: RunId) -> Check {
        self.nothing_dropped(id)?;
        let run = self.ghost.run(id);
        if !run.is_open() {
            return Ok(());
        }
        for step in run.definition.indexes() {
            ensure!(
                run.steps[step.at()].progress != Progress::Blocked || run.way(step) == Way::NotYet,
                FollowsTheGraph,
                "run {id} step {} is to go {:?}, and did not",
                run.definition.step(step).name,
                run.way(step)
            );
        }
        ensure!(
            run.steps.iter().any(|step| !step.progress.is_settled()),
            FollowsTheGraph,
            "every step of run {id} is settled, and it goes on"
        );
        ensure!(
            run.unrouted().next().is_none(),
            FollowsTheGraph,
            "a step of run {id} has failed, nobody takes its failure, and it goes on"
        );
        Ok(())
    }

    /// A copy takes over how a step of its source ended: of one that is not done again.
    pub(super) fn inherits(&mut self, id: RunId, step: StepIndex, code: Option<&str>) -> Check {
        let run = self.ghost.run(id);
        let Some(copy) = run.start.copy.clone() else {
            return broken(
                Promise::CopiesAreSafe,
                format!("run {id} inherits a step, and is no copy"),
            );
        };
        let Some(source) = self.ghost.runs.get(&copy.source) else {
            return broken(
                Promise::CopiesAreSafe,
                format!("run {id} is a copy of a run that never was"),
            );
        };
        let state = source.steps[step.at()].clone();
        let as_said = match code {
            None => state.progress == Progress::Succeeded,
            Some(_) => state.progress == Progress::Failed,
        };
        ensure!(
            as_said && state.undo.is_none() && copy.kind != CopyKind::Replay,
            CopiesAreSafe,
            "run {id} takes over step {} of run {}, which is {:?}",
            step.0,
            copy.source,
            state.progress
        );
        let seq = self.ghost.run(id).seq;
        let own = self.ghost.step_mut(id, step);
        (own.progress, own.output, own.failure) = (state.progress, state.output, state.failure);
        (own.label, own.settled, own.inherited) = (state.label, seq, true);
        Ok(())
    }

    /// A copy was started: its source has ended, and it repeats nothing that it must not.
    pub(super) fn copy_is_safe(&mut self, id: RunId) -> Check {
        let run = self.ghost.run(id);
        let Some(copy) = run.start.copy.clone() else {
            return Ok(());
        };
        let source = self.ghost.run(copy.source);
        ensure!(
            source.ended.is_some(),
            CopiesAreSafe,
            "run {id} is a copy of run {}, which goes on",
            copy.source
        );
        let repeated = source.definition.indexes().find(|step| {
            let (spec, state) = (source.definition.step(*step), &source.steps[step.at()]);
            let lasting = spec.irreversible || !spec.compensatable;
            let inherited = run.steps[step.at()].inherited;
            !inherited && (state.doubtful || lasting && state.progress == Progress::Succeeded)
        });
        ensure!(
            repeated.is_none() || copy.allow_irreversible,
            CopiesAreSafe,
            "run {id} repeats step {:?} of run {}, which must not be repeated unasked",
            repeated,
            copy.source
        );
        let stranded = run.definition.indexes().find(|step| {
            let taken_over = |before: &StepIndex| {
                run.steps[before.at()].inherited
                    || source.steps[before.at()].progress == Progress::Skipped
            };
            let spec = run.definition.step(*step);
            let guards = spec.guards.iter().map(|guard| &guard.step);
            let mut before = (spec.needs.iter().chain(&spec.failures).chain(&spec.after))
                .chain(spec.either.iter().flatten())
                .chain(guards);
            run.steps[step.at()].inherited && !before.all(taken_over)
        });
        ensure!(
            stranded.is_none(),
            CopiesAreSafe,
            "run {id} takes over step {stranded:?} of run {}, and does again what that waited for",
            copy.source
        );
        self.sometimes.reached(Milestone::Copied);
        Ok(())
    }
}

fn has_result(run: &GhostRun) -> bool {
    let ended = |step: StepIndex, as_: Progress| run.steps[step.at()].progress == as_;
    let there = |origin: &Origin| match origin {
        Origin::Output(step) => ended(*step, Progress::Succeeded),
        Origin::Failure(step) => ended(*step, Progress::Failed),
        Origin::Either(steps) => steps.iter().any(|step| ended(*step, Progress::Succeeded)),
        _ => true,
    };
    let sources = run.definition.result().sources();
    sources.into_iter().all(|source| there(&source.origin))
}
