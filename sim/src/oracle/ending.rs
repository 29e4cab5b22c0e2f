//! How runs end, and that they go on until then.
//!
//! Invariant: a run winds for a reason, ends with nothing out, and leaves nothing ready undone.

use squid_mesh_core::change::{Cause as Reason, Heading};
use squid_mesh_core::definition::{Origin, StepIndex};
use squid_mesh_core::id::RunId;
use squid_mesh_core::run::Status;

use super::Landing;
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
        self.ghost.end_run(id, status);
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
