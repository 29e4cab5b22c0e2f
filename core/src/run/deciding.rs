//! A decision in the making: changes are applied to a copy of the run as they are decided, so that later ones see them.
//!
//! Invariant: the copy at the end is what folding the finished transition gives.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::decide::{Facts, Stop};
use super::{Kept, Phase, Run, Stage};
use crate::change::{Change, Chore, Gate, Heading, StepEnd};
use crate::definition::{Definition, Guard, Step, StepIndex, StepKind, Way, label};
use crate::event::Role;
use crate::limits;
use crate::mutant::Mutant;
use crate::payload::OutputRef;
use crate::task::Lane;
use crate::time::Timestamp;

/// The run as the decision leaves it so far, and the changes that led there.
pub(super) struct Deciding<'a> {
    pub(super) run: Run,
    pub(super) changes: Vec<Change>,
    pub(super) facts: Facts<'a>,
    definition: &'a Definition,
}

/// Whether a blocked step may go on.
enum Readiness {
    /// Everything it waits for is there.
    Ready,
    /// Something is not there yet.
    Pending,
    /// Something it waits for went another way.
    Excluded,
}

impl<'a> Deciding<'a> {
    pub(super) fn new(run: Run, definition: &'a Definition, facts: Facts<'a>) -> Deciding<'a> {
        Deciding {
            run,
            changes: Vec::new(),
            facts,
            definition,
        }
    }

    /// What the run runs.
    pub(super) fn definition(&self) -> &'a Definition {
        self.definition
    }

    /// A step of it.
    pub(super) fn spec(&self, step: StepIndex) -> &'a Step {
        self.definition.step(step)
    }

    pub(super) fn is(&self, mutant: Mutant) -> bool {
        self.facts.mutation.is(mutant)
    }

    /// Decides one more change.
    pub(super) fn push(&mut self, change: Change) {
        self.run
            .apply_change(&change)
            .expect("a decision only makes changes that fit the run it was made for");
        self.changes.push(change);
    }

    pub(super) fn settle(&mut self, step: StepIndex, end: StepEnd) {
        self.push(Change::Settle { step, end });
    }

    /// The instant that delays count from: the clock as it was read, not the run's monotone time.
    pub(super) fn base(&self) -> Timestamp {
        if self.is(Mutant::DueFromMonotoneTime) {
            self.run.at
        } else {
            self.facts.now
        }
    }

    /// Steps that are claimed.
    pub(super) fn claimed(&self) -> Result<&'a BTreeSet<Lane>, Stop> {
        self.facts.claimed.ok_or(Stop::Claims)
    }

    /// Schedules an attempt again, in the lane it has or else the lowest free one, after a delay.
    pub(super) fn again(
        &mut self,
        step: StepIndex,
        role: Role,
        lane: Option<Lane>,
        delay: Duration,
    ) {
        let due = self.base().plus(delay.min(limits::SPAN_MAX));
        let lane = lane.unwrap_or_else(|| self.free_lane());
        self.push(Change::Schedule {
            step,
            role,
            lane,
            due,
        });
    }

    /// Has the engine do something about a step at once, in the lane that the step has or else the lowest free one.
    pub(super) fn engage(&mut self, step: StepIndex, chore: Chore) {
        let held = self.run.step(step).stage.armed();
        let lane = held.map_or_else(|| self.free_lane(), |armed| armed.lane);
        let due = self.base();
        self.push(Change::Engage {
            step,
            chore,
            lane,
            due,
        });
    }

    /// Arms the run's deadline.
    pub(super) fn arm_deadline(&mut self, due: Timestamp) {
        let lane = self.free_lane();
        self.push(Change::ArmDeadline { lane, due });
    }

    /// The lowest lane that nothing holds.
    pub(super) fn free_lane(&self) -> Lane {
        let taken: BTreeSet<Lane> = self.run.lanes().map(|armed| armed.lane).collect();
        let lane = (0..=u16::MAX).map(Lane).find(|lane| !taken.contains(lane));
        lane.expect(
            "a run has at most 1,000 steps, each with at most two tasks, and two tasks of its own",
        )
    }

    /// Lets everything go on that was waiting for steps that have just ended, counting from `base`.
    pub(super) fn propagate(&mut self, ended: StepIndex, base: Timestamp) {
        let mut ended = VecDeque::from([ended]);
        while let Some(step) = ended.pop_front() {
            for dependent in self.definition.dependents(step) {
                if self.consider(*dependent, base) {
                    ended.push_back(*dependent);
                }
            }
        }
    }

    /// Lets everything go on that waits for nothing that is not there, at the start of the run.
    pub(super) fn begin(&mut self, base: Timestamp) {
        for step in self.definition.indexes() {
            if self.consider(step, base) {
                self.propagate(step, base);
            }
        }
    }

    /// Lets one step go on, if it may; whether it has ended.
    fn consider(&mut self, step: StepIndex, base: Timestamp) -> bool {
        match self.readiness(step) {
            Readiness::Pending => return false,
            Readiness::Ready => self.reach(step, base),
            Readiness::Excluded if self.is(Mutant::SkipNotPropagated) => return false,
            Readiness::Excluded => self.settle(step, StepEnd::Skipped),
        }
        self.run.step(step).stage.is_settled()
    }

    fn readiness(&self, step: StepIndex) -> Readiness {
        let spec = self.spec(step);
        let stage = |step: &StepIndex| self.run.step(*step).stage;
        if stage(&step) != Stage::Blocked {
            return Readiness::Pending;
        }
        let mut pending = spec.after.iter().any(|step| !stage(step).is_settled());
        let mut wants = |there: bool, settled: bool| {
            pending |= !there && !settled;
            !there && settled
        };
        let excluded = spec
            .needs
            .iter()
            .map(stage)
            .any(|stage| wants(stage == Stage::Succeeded, stage.is_settled()))
            || spec
                .failures
                .iter()
                .map(stage)
                .any(|stage| wants(stage == Stage::Failed, stage.is_settled()))
            || spec.either.iter().any(|group| {
                let settled = group.iter().all(|step| stage(step).is_settled());
                let any = group.iter().any(|step| stage(step) == Stage::Succeeded);
                let there = settled || self.is(Mutant::EitherTakesFirst);
                wants(there && any, settled)
            })
            || spec
                .guards
                .iter()
                .any(|guard| wants(self.holds(guard), stage(&guard.step).is_settled()));
        match (excluded, pending) {
            (true, _) => Readiness::Excluded,
            (false, true) => Readiness::Pending,
            (false, false) => Readiness::Ready,
        }
    }

    fn holds(&self, guard: &Guard) -> bool {
        let state = self.run.step(guard.step);
        match &guard.way {
            Way::Failed => state.stage == Stage::Failed,
            Way::Label(label) => {
                let taken = state.label == Some(*label) || self.is(Mutant::GuardIgnored);
                state.stage == Stage::Succeeded && taken
            }
        }
    }

    /// A step has everything it waits for.
    fn reach(&mut self, step: StepIndex, base: Timestamp) {
        let chore = match &self.spec(step).kind {
            StepKind::Handler { .. } => {
                let (lane, due) = (self.free_lane(), base);
                let role = Role::Step;
                return self.push(Change::Schedule {
                    step,
                    role,
                    lane,
                    due,
                });
            }
            StepKind::Wait { duration } => {
                let (lane, due) = (self.free_lane(), base.plus(*duration));
                return self.push(Change::Await { step, lane, due });
            }
            StepKind::Pause { .. } | StepKind::Approval { .. } | StepKind::Signal { .. } => {
                if base <= self.facts.now {
                    return self.open(step);
                }
                Chore::Evaluate
            }
            StepKind::Child { .. } => {
                self.push(Change::Fan { step, count: 1 });
                Chore::Spawn
            }
            StepKind::Until
            | StepKind::Log { .. }
            | StepKind::Route { .. }
            | StepKind::Each { .. } => Chore::Evaluate,
        };
        let (lane, due) = (self.free_lane(), base);
        self.push(Change::Engage {
            step,
            chore,
            lane,
            due,
        });
    }

    /// Opens a gate; one that waits for a signal which came already ends at once.
    pub(super) fn open(&mut self, step: StepIndex) {
        let (gate, deadline) = match &self.spec(step).kind {
            StepKind::Signal {
                signal, deadline, ..
            } => {
                let mut kept = self.run.kept().iter();
                let own = |kept: &&Kept| kept.signal == *signal;
                let kept = if self.is(Mutant::NewestSignalTaken) {
                    kept.rfind(own)
                } else {
                    kept.find(own)
                };
                if let Some(kept) = kept.cloned() {
                    if !self.is(Mutant::KeptSignalTwice) {
                        self.push(Change::Take { seq: kept.seq });
                    }
                    let place = OutputRef::here(kept.seq, kept.payload);
                    return self.give(step, label::RECEIVED, place);
                }
                (Gate::Signal, deadline)
            }
            StepKind::Pause { deadline } | StepKind::Approval { deadline } => {
                (Gate::Person, deadline)
            }
            other => unreachable!("{other:?} is no gate"),
        };
        // The lane of a gate that was put off is its own again.
        let held = self.run.step(step).stage.armed();
        let lane = held.map_or_else(|| self.free_lane(), |armed| armed.lane);
        let base = if self.is(Mutant::GateDeadlineFromStart) {
            self.run.origin().at
        } else {
            self.base()
        };
        let deadline = deadline.map(|deadline| (lane, base.plus(deadline)));
        self.push(Change::Open {
            step,
            gate,
            deadline,
        });
    }

    /// A step succeeds with a label and an output that is no report's.
    pub(super) fn give(&mut self, step: StepIndex, label: &str, place: OutputRef) {
        let label = self.spec(step).way(label);
        let label = label.expect("a gate returns the labels that its kind has");
        self.push(Change::Label { step, label });
        if !self.is(Mutant::GivenOutputLost) {
            self.push(Change::Place { step, place });
        }
        self.settle(step, StepEnd::Succeeded);
    }

    /// Fails the run if a failure was routed to steps that were all skipped in the end; completes it if nothing is left to
    /// do in it.
    pub(super) fn conclude(&mut self) -> Result<(), Stop> {
        let steps = || self.definition.indexes().zip(self.run.steps());
        let mut failed = steps().filter(|(_, state)| state.stage == Stage::Failed);
        let stranded = failed.find(|(step, _)| self.run.is_stranded(self.definition, *step));
        if let Some((step, _)) = stranded {
            let claimed = self.claimed()?;
            let heading = self.failed_by(step);
            self.wind(heading, claimed);
            return Ok(());
        }
        let done = steps().all(|(_, state)| state.stage.is_settled());
        if done && !self.is(Mutant::JoinForgotten) {
            let heading = if self.has_result() {
                Heading::Completed
            } else {
                Heading::Failed(crate::change::Cause::NoResult)
            };
            self.push(Change::Wind { heading });
            self.finish_if_done();
        }
        Ok(())
    }

    fn has_result(&self) -> bool {
        use crate::definition::Origin;
        let succeeded = |step: &StepIndex| self.run.step(*step).stage == Stage::Succeeded;
        let there = |origin: &Origin| match origin {
            Origin::Input | Origin::Constant(_) => true,
            Origin::Output(step) => succeeded(step),
            Origin::Failure(step) => self.run.step(*step).stage == Stage::Failed,
            Origin::Either(steps) => steps.iter().any(succeeded),
        };
        let sources = self.definition.result().sources();
        sources.into_iter().all(|source| there(&source.origin))
    }

    /// Goes on after a step has ended, in whatever way.
    pub(super) fn after(&mut self, step: StepIndex) -> Result<(), Stop> {
        if self.run.phase == Phase::Open {
            if self.run.deadline.is_some() && self.is(Mutant::DeadlineForgotten) {
                self.push(Change::DisarmDeadline);
            }
            let base = self.base();
            self.propagate(step, base);
            return self.conclude();
        }
        if self.is(Mutant::CancelNotRechecked) {
            let base = self.base();
            self.propagate(step, base);
        }
        self.finish_if_done();
        Ok(())
    }
}
