//! What was decided because of an event: every change must follow from it, and everything that follows must be there.
//!
//! Invariant: the reference is the definition and the semantics; the engine's own fold is not asked.

use std::time::Duration;

use squid_mesh_core::change::{Change, Chore};
use squid_mesh_core::definition::{StepIndex, StepKind};
use squid_mesh_core::event::{ChildEnd, Failure, Role};
use squid_mesh_core::id::RunId;
use squid_mesh_core::limits;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::time::Timestamp;

use super::Landing;
use crate::fault::sometimes::Milestone;
use crate::ghost::{Progress, Way};
use crate::violation::{Check, Promise, broken, ensure};

/// What a step's next due time is counted from.
#[derive(Debug, Clone)]
pub(super) enum Cause<'e> {
    /// The run's start.
    Start,
    /// A failed attempt of this step.
    Failure(StepIndex, Role, &'e Failure),
    /// A lost attempt of this step; whether its body may have begun.
    Loss(StepIndex, Role, bool),
    /// A conflict of this step's transaction.
    Conflict(StepIndex),
    /// This step ends with this output.
    Success(StepIndex, Option<Payload>),
    /// The undo of this step succeeded.
    Undone(StepIndex),
    /// This step fails for good with this code.
    Fails(StepIndex, String),
    /// The engine has looked at this step, and it goes on until then.
    Until(StepIndex, Timestamp),
    /// This step, whose outcome was unknown, is tried again.
    Again(StepIndex),
    /// What takes this step's effect back is given up.
    GivenUp(StepIndex),
    /// A child of this step has ended so.
    ChildEnded(StepIndex, ChildEnd),
    /// Something about the children of this step.
    Children(StepIndex),
    /// Something that concerns no step, or that many.
    Other,
}

/// No rest after a loss is longer.
pub(super) const LOSS_REST: Duration = Duration::from_secs(60);

impl Landing<'_> {
    pub(super) fn changes(&mut self, id: RunId, changes: &[Change], cause: &Cause<'_>) -> Check {
        self.doubt_is_held(id, changes, cause)?;
        self.returned(id, cause);
        for change in changes {
            self.change(id, change, cause)?;
        }
        Ok(())
    }

    fn change(&mut self, id: RunId, change: &Change, cause: &Cause<'_>) -> Check {
        match change {
            Change::Belong { occurrence } => self.belongs(id, occurrence),
            Change::Schedule {
                step,
                role: Role::Step,
                due,
                ..
            } => self.scheduled(id, *step, *due, cause),
            Change::Schedule {
                step,
                role: Role::Undo,
                due,
                ..
            } => self.undo_scheduled(id, *step, *due, cause),
            Change::Engage {
                step, chore, due, ..
            } => self.engaged(id, *step, *chore, *due, cause),
            Change::Await { step, due, .. } => self.awaited(id, *step, *due, cause),
            Change::Open { step, deadline, .. } => {
                self.opened(id, *step, deadline.map(|(_, due)| due), cause)
            }
            Change::ArmDeadline { due, .. } => {
                let expected = self.ghost.run(id).deadline;
                ensure!(
                    expected == Some(*due),
                    TimersAreExact,
                    "run {id} must have ended by {expected:?}, its deadline is armed for {due}"
                );
                Ok(())
            }
            Change::DisarmDeadline => {
                ensure!(
                    !self.ghost.run(id).is_open(),
                    TimersAreExact,
                    "run {id} goes on, and its deadline is disarmed"
                );
                Ok(())
            }
            Change::Report { .. }
            | Change::Lose { .. }
            | Change::Conflict { .. }
            | Change::Stop { .. }
            | Change::Place { .. }
            | Change::Obey { .. } => Ok(()),
            Change::Hold { step, .. } => self.held_back(id, *step, cause),
            Change::Label { step, label } => {
                self.ghost.step_mut(id, *step).label = Some(*label);
                Ok(())
            }
            Change::Settle { step, end } => self.settled(id, *step, *end, cause),
            Change::Fail { step, code, place } => self.failed(id, *step, code, place.seq, cause),
            Change::Fan { step, count } => self.fanned(id, *step, *count),
            Change::Spawn { step, upto } => self.spawned(id, *step, *upto),
            Change::Rest { step } => {
                self.ghost.step_mut(id, *step).progress = Progress::Resting;
                Ok(())
            }
            Change::Recall { step, upto } => {
                self.tells(id, *step, *upto);
                Ok(())
            }
            // What a handler starts is compared with what it asked for, as a whole.
            Change::Arrive { .. } | Change::Adopt { .. } => Ok(()),
            Change::Spoil { step, code, .. } => self.spoilt(id, *step, code, cause),
            Change::Keep { signal, .. } => self.kept(id, signal),
            Change::Take { seq } => self.taken(id, *seq),
            Change::Undone { step, done } => self.undone(id, *step, *done, cause),
            Change::Inherit { step, code, .. } => self.inherits(id, *step, code.as_deref()),
            Change::Wind { heading } => self.winds(id, heading),
            Change::Finish => self.finished(id),
            Change::Deliver { .. } => self.delivers(id),
        }
    }

    fn scheduled(
        &mut self,
        id: RunId,
        step: StepIndex,
        due: Timestamp,
        cause: &Cause<'_>,
    ) -> Check {
        let clock = self.landed.at;
        let run = self.ghost.run(id);
        let name = &run.definition.step(step).name;
        ensure!(
            run.is_open(),
            CancelIsFinal,
            "run {id} is ending ({:?}), and step {name} is scheduled",
            run.winding
        );
        let state = &run.steps[step.at()];
        let (least, most) = match (state.progress, cause) {
            (Progress::Blocked, _) => {
                self.goes_on(id, step)?;
                let base = self.base(id, cause);
                (base, base)
            }
            (
                Progress::Scheduled(_) | Progress::Held,
                Cause::Failure(failed, Role::Step, failure),
            ) if *failed == step => {
                let (least, most) = self.delay(id, step, Role::Step, failure);
                self.sometimes.reached(Milestone::Retried);
                (clock.plus(least), clock.plus(most))
            }
            (Progress::Scheduled(_), Cause::Loss(lost, Role::Step, _)) if *lost == step => {
                (clock, clock.plus(LOSS_REST))
            }
            (Progress::Scheduled(_) | Progress::Held, Cause::Conflict(met)) if *met == step => {
                (clock, clock)
            }
            (Progress::Held, Cause::Again(again)) if *again == step => {
                self.ghost.step_mut(id, step).tries.granted += 1;
                (clock, clock)
            }
            (progress, _) => {
                return broken(
                    Promise::SettlesOnce,
                    format!("run {id} step {name} is scheduled while it is {progress:?}"),
                );
            }
        };
        let run = self.ghost.run(id);
        ensure!(
            (least..=most).contains(&due),
            TimersAreExact,
            "run {id} step {} is due at {due}, and should be between {least} and {most}",
            run.definition.step(step).name
        );
        if run.definition.step(step).needs.len() > 1 && matches!(cause, Cause::Success(..)) {
            self.sometimes.reached(Milestone::Joined);
        }
        let state = self.ghost.step_mut(id, step);
        state.progress = Progress::Scheduled(due);
        state.doubtful = false;
        Ok(())
    }

    /// How long after a failure the next attempt is due.
    pub(super) fn delay(
        &self,
        id: RunId,
        step: StepIndex,
        role: Role,
        failure: &Failure,
    ) -> (Duration, Duration) {
        let run = self.ghost.run(id);
        match failure.retry_after {
            Some(span) => (span.min(limits::SPAN_MAX), span.min(limits::SPAN_MAX)),
            None => {
                let tries = run.steps[step.at()].tries(role);
                run.retry_delay(step, role, tries.map_or(0, |tries| tries.executed))
            }
        }
    }

    /// What first due times are counted from.
    fn base(&self, id: RunId, cause: &Cause<'_>) -> Timestamp {
        if matches!(cause, Cause::Start) {
            self.ghost.run(id).base
        } else {
            self.landed.at
        }
    }

    /// A blocked step goes on only when everything it waits for is there.
    pub(super) fn goes_on(&self, id: RunId, step: StepIndex) -> Check {
        let run = self.ghost.run(id);
        ensure!(
            run.is_open() && run.way(step) == Way::On,
            FollowsTheGraph,
            "run {id} step {} goes on before it is ready",
            run.definition.step(step).name
        );
        Ok(())
    }

    fn engaged(
        &mut self,
        id: RunId,
        step: StepIndex,
        chore: Chore,
        due: Timestamp,
        cause: &Cause<'_>,
    ) -> Check {
        let base = self.base(id, cause);
        let run = self.ghost.run(id);
        let (spec, state) = (run.definition.step(step), &run.steps[step.at()]);
        let blocked = state.progress == Progress::Blocked;
        if blocked {
            self.goes_on(id, step)?;
        }
        let (spec, state) = (spec.clone(), state.clone());
        let room = match &spec.kind {
            StepKind::Each { parallel, .. } => state.children.active() < *parallel,
            _ => true,
        };
        let all_ended = state.children.ends.len() == state.children.count as usize;
        let (fits, progress) = match chore {
            Chore::Evaluate => (blocked, Progress::Evaluating(due)),
            Chore::Spawn => (
                state.children.started < state.children.count && room,
                Progress::Spawning,
            ),
            Chore::Collect => (
                matches!(spec.kind, StepKind::Each { .. }) && all_ended,
                Progress::Collecting,
            ),
            Chore::Recall => {
                let ending = !self.ghost.run(id).is_open() || state.children.spoilt.is_some();
                let untold = state.children.told < state.children.started;
                (ending && untold, Progress::Recalling)
            }
        };
        ensure!(
            fits && !state.progress.is_settled(),
            FollowsTheGraph,
            "run {id} step {}: the engine is to {chore:?} while it is {:?} with {:?}",
            spec.name,
            state.progress,
            state.children
        );
        ensure!(
            due == base,
            TimersAreExact,
            "run {id} step {}: the engine is to {chore:?} at {due} instead of {base}",
            spec.name
        );
        self.ghost.step_mut(id, step).progress = progress;
        Ok(())
    }

    fn awaited(&mut self, id: RunId, step: StepIndex, due: Timestamp, cause: &Cause<'_>) -> Check {
        let base = self.base(id, cause);
        let run = self.ghost.run(id);
        let spec = run.definition.step(step);
        let expected = match (&spec.kind, cause) {
            (StepKind::Wait { duration }, _) => {
                ensure!(
                    run.steps[step.at()].progress == Progress::Blocked,
                    FollowsTheGraph,
                    "run {id} waits at {} twice",
                    spec.name
                );
                self.goes_on(id, step)?;
                base.plus(*duration)
            }
            (StepKind::Until, Cause::Until(own, until)) if *own == step => *until,
            _ => {
                return broken(
                    Promise::FollowsTheGraph,
                    format!("run {id} step {} is no wait", spec.name),
                );
            }
        };
        ensure!(
            due == expected,
            TimersAreExact,
            "run {id} waits at {} until {due}, and should until {expected}",
            self.ghost.run(id).definition.step(step).name
        );
        self.ghost.step_mut(id, step).progress = Progress::Waiting(due);
        Ok(())
    }
}
