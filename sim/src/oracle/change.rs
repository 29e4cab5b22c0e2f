//! What was decided because of an event: every change must follow from it, and everything that follows must be there.
//!
//! Invariant: the reference is the definition and the semantics; the engine's own fold is not asked.

use std::time::Duration;

use squid_mesh_core::change::{Change, Heading, StepEnd};
use squid_mesh_core::definition::{StepIndex, StepKind};
use squid_mesh_core::event::Failure;
use squid_mesh_core::id::RunId;
use squid_mesh_core::limits;
use squid_mesh_core::run::{Seq, Status};
use squid_mesh_core::time::Timestamp;

use super::Landing;
use crate::fault::sometimes::Milestone;
use crate::ghost::{Progress, Winding};
use crate::violation::{Check, Promise, broken, ensure};

/// What a step's next due time is counted from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cause<'e> {
    /// The run's start.
    Start,
    /// A failed attempt of this step.
    Failure(StepIndex, &'e Failure),
    /// A lost attempt of this step.
    Loss(StepIndex),
    /// The end of this step.
    Success(StepIndex),
    /// Something that concerns no step.
    Other,
}

/// No rest after a loss is longer.
const LOSS_REST: Duration = Duration::from_secs(60);

impl Landing<'_> {
    pub(super) fn changes(&mut self, id: RunId, changes: &[Change], cause: Cause<'_>) -> Check {
        for change in changes {
            match change {
                Change::Schedule { step, due, .. } => self.scheduled(id, *step, *due, cause)?,
                Change::Await { step, due, .. } => self.awaited(id, *step, *due)?,
                Change::ArmDeadline { due, .. } => {
                    let expected = self.ghost.run(id).deadline;
                    ensure!(
                        expected == Some(*due),
                        TimersAreExact,
                        "run {id} must have ended by {expected:?}, its deadline is armed for {due}"
                    );
                }
                Change::DisarmDeadline
                | Change::Report { .. }
                | Change::Lose { .. }
                | Change::Stop { .. } => {}
                Change::Settle { step, end } => self.settled(id, *step, *end, cause)?,
                Change::Wind { heading } => self.winds(id, heading)?,
                Change::Finish => self.finished(id)?,
            }
        }
        Ok(())
    }

    fn scheduled(&mut self, id: RunId, step: StepIndex, due: Timestamp, cause: Cause<'_>) -> Check {
        let clock = self.landed.at;
        let run = self.ghost.run(id);
        let name = &run.definition.step(step).name;
        ensure!(
            run.is_open(),
            CancelIsFinal,
            "run {id} is ending ({:?}), and step {name} is scheduled",
            run.winding
        );
        let (least, most) = match (run.steps[step.at()].progress, cause) {
            (Progress::Blocked, _) => {
                ensure!(
                    run.is_ready(step),
                    FollowsTheGraph,
                    "run {id} step {name} is scheduled before it is ready"
                );
                let base = if matches!(cause, Cause::Start) {
                    run.base
                } else {
                    clock
                };
                (base, base)
            }
            (Progress::Scheduled(_), Cause::Failure(failed, failure)) if failed == step => {
                let (least, most) = match failure.retry_after {
                    Some(span) => (span.min(limits::SPAN_MAX), span.min(limits::SPAN_MAX)),
                    None => run.retry_delay(step, run.steps[step.at()].executed),
                };
                self.sometimes.reached(Milestone::Retried);
                (clock.plus(least), clock.plus(most))
            }
            (Progress::Scheduled(_), Cause::Loss(lost)) if lost == step => {
                (clock, clock.plus(LOSS_REST))
            }
            (progress, _) => {
                return broken(
                    Promise::SettlesOnce,
                    format!("run {id} step {name} is scheduled while it is {progress:?}"),
                );
            }
        };
        ensure!(
            (least..=most).contains(&due),
            TimersAreExact,
            "run {id} step {name} is due at {due}, and should be between {least} and {most}"
        );
        let run = self.ghost.run(id);
        if run.definition.step(step).needs.len() > 1 && matches!(cause, Cause::Success(_)) {
            self.sometimes.reached(Milestone::Joined);
        }
        self.ghost.step_mut(id, step).progress = Progress::Scheduled(due);
        Ok(())
    }

    fn awaited(&mut self, id: RunId, step: StepIndex, due: Timestamp) -> Check {
        let run = self.ghost.run(id);
        let spec = run.definition.step(step);
        let StepKind::Wait { duration } = &spec.kind else {
            return broken(
                Promise::FollowsTheGraph,
                format!("run {id} step {} is no wait", spec.name),
            );
        };
        ensure!(
            run.is_open()
                && run.steps[step.at()].progress == Progress::Blocked
                && run.is_ready(step),
            FollowsTheGraph,
            "run {id} waits at {} before it is ready",
            spec.name
        );
        let base = if run.seq == Seq::FIRST {
            run.base
        } else {
            self.landed.at
        };
        let expected = base.plus(*duration);
        ensure!(
            due == expected,
            TimersAreExact,
            "run {id} waits at {} until {due}, and should until {expected}",
            spec.name
        );
        self.ghost.step_mut(id, step).progress = Progress::Waiting(due);
        Ok(())
    }

    fn settled(&mut self, id: RunId, step: StepIndex, end: StepEnd, cause: Cause<'_>) -> Check {
        let forced = self.ghost.run(id).forced;
        let out = self.ghost.attempt_on(id, step).is_some();
        let run = self.ghost.run(id);
        let name = run.definition.step(step).name.clone();
        let own = match cause {
            Cause::Success(own) | Cause::Failure(own, _) | Cause::Loss(own) => own == step,
            Cause::Start | Cause::Other => false,
        };
        let state = &run.steps[step.at()];
        ensure!(
            !state.progress.is_settled(),
            SettlesOnce,
            "run {id} step {name} is settled twice"
        );
        let progress = match end {
            StepEnd::Succeeded => {
                ensure!(
                    own && matches!(cause, Cause::Success(_)),
                    ResultIsReal,
                    "run {id} step {name} succeeds without having reported so"
                );
                Progress::Succeeded
            }
            StepEnd::Failed => {
                ensure!(
                    own,
                    ResultIsReal,
                    "run {id} step {name} fails without having reported so"
                );
                Progress::Failed
            }
            StepEnd::Cancelled => {
                ensure!(
                    run.winding.is_some(),
                    FollowsTheGraph,
                    "run {id} step {name} is cancelled in a run that goes on"
                );
                ensure!(
                    forced || own || !out,
                    EndsWithItsAttempts,
                    "run {id} step {name} ends while an attempt is out"
                );
                Progress::Cancelled
            }
        };
        self.ghost.step_mut(id, step).progress = progress;
        Ok(())
    }

    fn winds(&mut self, id: RunId, heading: &Heading) -> Check {
        let clock = self.landed.at;
        let run = self.ghost.run_mut(id);
        let all = |progress: Progress| run.steps.iter().all(|step| step.progress == progress);
        let any_failed = run
            .steps
            .iter()
            .any(|step| step.progress == Progress::Failed);
        let overdue = run.deadline.is_some_and(|deadline| clock >= deadline);
        let (winding, allowed) = match heading {
            Heading::Completed => (Winding::Completed, all(Progress::Succeeded)),
            Heading::Failed(_) => (Winding::Failed, any_failed || overdue),
            Heading::Cancelled => (Winding::Cancelled, run.cancel.is_some()),
        };
        ensure!(
            allowed && run.winding.is_none(),
            FollowsTheGraph,
            "run {id} heads for {winding:?} without a reason"
        );
        run.winding = Some(winding);
        if winding == Winding::Failed {
            let milestone = if any_failed {
                Milestone::FailedByStep
            } else {
                Milestone::FailedByDeadline
            };
            self.sometimes.reached(milestone);
        }
        Ok(())
    }

    fn finished(&mut self, id: RunId) -> Check {
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
    pub(super) fn consequence(&mut self, id: RunId, cause: Cause<'_>) -> Check {
        let run = self.ghost.run(id);
        let (step, again, exhausted) = match cause {
            Cause::Failure(step, failure) => {
                let state = &run.steps[step.at()];
                let allowed = run.definition.step(step).retry.max_attempts;
                (
                    step,
                    failure.retryable && state.executed < allowed,
                    Milestone::Exhausted,
                )
            }
            Cause::Loss(step) => {
                let allowed = run.definition.step(step).retry.max_lost;
                (
                    step,
                    run.steps[step.at()].lost <= allowed,
                    Milestone::LostTooOften,
                )
            }
            Cause::Start | Cause::Success(_) | Cause::Other => return Ok(()),
        };
        let state = &run.steps[step.at()];
        let name = &run.definition.step(step).name;
        let tried_again = matches!(state.progress, Progress::Scheduled(_));
        ensure!(
            tried_again == again,
            RetryPolicy,
            "run {id} step {name} after {} attempts and {} losses: it should {}be tried again, and is {:?}",
            state.executed,
            state.lost,
            if again { "" } else { "not " },
            state.progress
        );
        if !again {
            self.sometimes.reached(exhausted);
        }
        Ok(())
    }

    /// Whatever is ready is scheduled, and a run with nothing left to do has ended.
    pub(super) fn follows(&self, id: RunId) -> Check {
        let run = self.ghost.run(id);
        if !run.is_open() {
            return Ok(());
        }
        for step in run.definition.indexes() {
            ensure!(
                run.steps[step.at()].progress != Progress::Blocked || !run.is_ready(step),
                FollowsTheGraph,
                "run {id} step {} is ready and was not scheduled",
                run.definition.step(step).name
            );
        }
        ensure!(
            run.steps.iter().any(|step| !step.progress.is_settled()),
            FollowsTheGraph,
            "every step of run {id} is settled, and it goes on"
        );
        Ok(())
    }
}
