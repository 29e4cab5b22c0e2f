//! S3.3: what a step waits for, and whether that was there before the run began to end.
//!
//! Invariant: an end after that is as good as none.

use std::slice::from_ref;

use squid_mesh_core::definition::{Definition, LabelIndex, Step, StepIndex, Way};

use super::Model;
use crate::witness::{End, SeenStep};

/// What has to come of steps, each of which has to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// One of them succeeds.
    Success,
    /// It succeeds with this label.
    Label(LabelIndex),
    /// It fails for good.
    Failure,
    /// Whatever.
    End,
}

/// Everything that a step waits for.
pub(super) fn conditions(spec: &Step) -> impl Iterator<Item = (Want, &[StepIndex])> {
    let one = |want| move |step| (want, from_ref(step));
    let needs = spec.needs.iter().map(one(Want::Success));
    let failures = spec.failures.iter().map(one(Want::Failure));
    let after = spec.after.iter().map(one(Want::End));
    let either = spec.either.iter().map(|group| (Want::Success, &group[..]));
    let guards = spec.guards.iter().map(|guard| match guard.way {
        Way::Failed => (Want::Failure, from_ref(&guard.step)),
        Way::Label(label) => (Want::Label(label), from_ref(&guard.step)),
    });
    let all = needs.chain(failures).chain(after);
    all.chain(either).chain(guards)
}

/// The steps that take the failure of another.
pub(super) fn takers(of: &Definition, failed: StepIndex) -> impl Iterator<Item = StepIndex> {
    let failure = (Want::Failure, &[failed][..]);
    let takes = |step: &StepIndex| conditions(of.step(*step)).any(|one| one == failure);
    of.indexes().filter(takes).collect::<Vec<_>>().into_iter()
}

/// Whether a step goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Since this row.
    On(u32),
    /// It is excluded since this row.
    Never(u32),
    /// Something was not there in time.
    Waits,
}

impl Model<'_> {
    pub(super) fn step(&self, step: StepIndex) -> &SeenStep {
        &self.seen.steps[step.at()]
    }

    /// When a step ended, if it did before the run began to end.
    fn settled(&self, step: StepIndex) -> Option<u32> {
        let SeenStep { end, at, .. } = self.step(step);
        (!matches!(end, End::Open | End::Cancelled) && *at <= self.cut).then_some(*at)
    }

    pub(super) fn reach(&self, step: StepIndex) -> Reach {
        let (mut since, mut waits, mut never) = (1, false, u32::MAX);
        for (want, steps) in conditions(self.facts.definition.step(step)) {
            let any = |end| steps.iter().any(|step| self.step(*step).end == end);
            let went = |label| self.step(steps[0]).label == Some(label);
            let holds = match want {
                Want::Success => any(End::Succeeded),
                Want::Label(label) => any(End::Succeeded) && went(label),
                Want::Failure => any(End::Failed),
                Want::End => true,
            };
            let last = |last: u32, step: &StepIndex| Some(last.max(self.settled(*step)?));
            match steps.iter().try_fold(0, last) {
                None => waits = true,
                Some(at) if holds => since = since.max(at),
                Some(at) => never = never.min(at),
            }
        }
        match (never, waits) {
            (u32::MAX, true) => Reach::Waits,
            (u32::MAX, false) => Reach::On(since),
            (at, _) => Reach::Never(at),
        }
    }
}
