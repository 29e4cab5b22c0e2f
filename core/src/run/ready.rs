//! A decision in the making: changes are applied to a copy of the run as they are decided, so that later ones see them.
//!
//! Invariant: the copy at the end is what folding the finished transition gives.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Run, Stage};
use crate::change::{Change, Heading, StepEnd};
use crate::definition::{Definition, StepIndex, StepKind};
use crate::mutant::{Mutant, Mutation};
use crate::task::Lane;
use crate::time::Timestamp;

/// The run as the decision leaves it so far, and the changes that led there.
pub(super) struct Deciding<'a> {
    pub(super) run: Run,
    pub(super) changes: Vec<Change>,
    definition: &'a Definition,
    now: Timestamp,
    mutation: Mutation,
}

impl<'a> Deciding<'a> {
    pub(super) fn new(
        run: Run,
        definition: &'a Definition,
        now: Timestamp,
        mutation: Mutation,
    ) -> Deciding<'a> {
        Deciding {
            run,
            changes: Vec::new(),
            definition,
            now,
            mutation,
        }
    }

    /// What the run runs.
    pub(super) fn definition(&self) -> &'a Definition {
        self.definition
    }

    /// The steps that may become ready by the end of `step`.
    pub(super) fn dependents(&self, step: StepIndex) -> &'a [StepIndex] {
        self.definition.dependents(step)
    }

    /// Decides one more change.
    pub(super) fn push(&mut self, change: Change) {
        self.run
            .apply_change(&change)
            .expect("a decision only makes changes that fit the run it was made for");
        self.changes.push(change);
    }

    /// The instant that delays count from: the clock as it was read, not the run's monotone time.
    pub(super) fn base(&self) -> Timestamp {
        if self.mutation.is(Mutant::DueFromMonotoneTime) {
            self.run.at
        } else {
            self.now
        }
    }

    /// Schedules or awaits every step of `candidates` for which everything is there, counting from `base`.
    pub(super) fn ready(&mut self, candidates: &[StepIndex], base: Timestamp) {
        let ready: Vec<StepIndex> = candidates
            .iter()
            .copied()
            .filter(|step| self.is_ready(*step))
            .collect();
        if ready.is_empty() {
            return;
        }
        let mut taken = self.lanes();
        for step in ready {
            let lane = lowest_free(&mut taken);
            match &self.definition.step(step).kind {
                StepKind::Handler { .. } => self.push(Change::Schedule {
                    step,
                    lane,
                    due: base,
                }),
                StepKind::Wait { duration } => self.push(Change::Await {
                    step,
                    lane,
                    due: base.plus(*duration),
                }),
            }
        }
    }

    /// Schedules a step again, in the lane it has, after a delay.
    pub(super) fn again(&mut self, step: StepIndex, lane: Lane, delay: Duration) {
        let due = self.base().plus(delay);
        self.push(Change::Schedule { step, lane, due });
    }

    /// Arms the run's deadline.
    pub(super) fn arm_deadline(&mut self, due: Timestamp) {
        let lane = lowest_free(&mut self.lanes());
        self.push(Change::ArmDeadline { lane, due });
    }

    /// Completes the run if nothing is left to do in it.
    pub(super) fn complete_if_done(&mut self) {
        let done = self.run.steps.iter().all(|step| step.stage.is_settled());
        if done && !self.mutation.is(Mutant::JoinForgotten) {
            self.push(Change::Wind {
                heading: Heading::Completed,
            });
            self.finish_if_done();
        }
    }

    /// Begins to end the run: what nobody holds ends at once, what is claimed is told to stop.
    pub(super) fn wind(&mut self, heading: Heading, claimed: &BTreeSet<Lane>) {
        self.push(Change::Wind { heading });
        for step in self.definition.indexes() {
            match self.run.step(step).stage {
                Stage::Scheduled(armed) if claimed.contains(&armed.lane) => {
                    self.push(Change::Stop { step })
                }
                Stage::Waiting(_) if self.mutation.is(Mutant::CancelLeavesTimer) => {}
                // What is left blocked can become ready, once nothing checks whether the run is ending.
                Stage::Blocked if self.mutation.is(Mutant::CancelNotRechecked) => {}
                Stage::Blocked | Stage::Scheduled(_) | Stage::Waiting(_) => {
                    self.push(Change::Settle {
                        step,
                        end: StepEnd::Cancelled,
                    });
                }
                Stage::Stopping(_) | Stage::Succeeded | Stage::Failed | Stage::Cancelled => {}
            }
        }
        self.finish_if_done();
    }

    /// Ends a winding run once no attempt is out; its deadline no longer matters from the moment it winds.
    pub(super) fn finish_if_done(&mut self) {
        if self.run.deadline.is_some() {
            self.push(Change::DisarmDeadline);
        }
        let out = |stage: Stage| matches!(stage, Stage::Stopping(_));
        if !self.run.steps.iter().any(|step| out(step.stage)) {
            self.push(Change::Finish);
        }
    }

    fn is_ready(&self, step: StepIndex) -> bool {
        let spec = self.definition.step(step);
        let stage = |index: &StepIndex| self.run.step(*index).stage;
        stage(&step) == Stage::Blocked
            && spec
                .needs
                .iter()
                .all(|need| stage(need) == Stage::Succeeded)
            && spec.after.iter().all(|before| stage(before).is_settled())
    }

    fn lanes(&self) -> BTreeSet<Lane> {
        let steps = self.run.steps.iter().filter_map(|step| step.stage.armed());
        steps
            .chain(self.run.deadline)
            .map(|armed| armed.lane)
            .collect()
    }
}

fn lowest_free(taken: &mut BTreeSet<Lane>) -> Lane {
    let lane = (0..=u16::MAX).map(Lane).find(|lane| !taken.contains(lane));
    let lane =
        lane.expect("a run has at most 1,000 steps and one deadline, fewer than there are lanes");
    taken.insert(lane);
    lane
}
