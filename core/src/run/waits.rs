//! What a run waits for from outside.
//!
//! Invariant: whoever sends what is listed here is not told that nothing waits for it.

use super::{Run, Stage};
use crate::definition::{Definition, StepIndex, StepKind};
use crate::operation::{Rejection, Waiting, Wants};

impl Run {
    /// The steps that wait for somebody outside, in declaration order.
    pub fn waits(&self, definition: &Definition) -> Vec<(StepIndex, Wants)> {
        let steps = definition.indexes();
        steps
            .filter_map(|step| self.wants(definition, step).map(|wants| (step, wants)))
            .collect()
    }

    fn wants(&self, definition: &Definition, step: StepIndex) -> Option<Wants> {
        let state = self.step(step);
        match state.stage {
            Stage::Open { .. } => match &definition.step(step).kind {
                StepKind::Pause { .. } => Some(Wants::Resume),
                _ => Some(Wants::Approval),
            },
            Stage::Listening { .. } => Some(Wants::Signal),
            Stage::Held { .. } => Some(Wants::Outcome),
            Stage::Blocked
            | Stage::Scheduled(_)
            | Stage::Evaluating(_)
            | Stage::Waiting(_)
            | Stage::Spawning(_)
            | Stage::Resting
            | Stage::Collecting(_)
            | Stage::Recalling(_)
            | Stage::Stopping(_)
            | Stage::Succeeded
            | Stage::Failed
            | Stage::Cancelled
            | Stage::Skipped => state.undoing().map(|_| Wants::Undo),
        }
    }

    /// What somebody is told who sends what nothing waits for.
    pub(crate) fn not_waiting(&self, definition: &Definition) -> Rejection {
        Rejection::NotWaiting {
            run: self.id,
            waits: named(definition, &self.waits(definition)),
        }
    }
}

/// The same with the steps' names.
pub(crate) fn named(definition: &Definition, waits: &[(StepIndex, Wants)]) -> Vec<Waiting> {
    let one = |(step, wants): &(StepIndex, Wants)| Waiting {
        step: definition.step(*step).name.clone(),
        wants: *wants,
    };
    waits.iter().map(one).collect()
}
