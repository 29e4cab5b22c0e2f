//! What a copy of a run takes over, and what it must not repeat unasked.
//!
//! Invariant: a copy inherits a step only if everything that the step waited for is inherited too.

use std::collections::BTreeSet;

use super::{Run, Stage};
use crate::change::Change;
use crate::definition::{Definition, StepIndex};
use crate::payload::OutputRef;

impl Run {
    /// Whether doing a step of this run again could do harm: it had an effect that cannot be taken back or compensated for,
    /// or may have had one.
    pub fn is_unsafe_to_repeat(&self, definition: &Definition, step: StepIndex) -> bool {
        let (spec, state) = (definition.step(step), self.step(step));
        let lasting = spec.irreversible || !spec.compensatable;
        state.doubtful || lasting && state.stage == Stage::Succeeded
    }

    /// The steps that a copy does again if it does these: with them what did not get to its end, and so has nothing to take
    /// over, what was taken back, and all that waits for any of them.
    pub fn repeated(
        &self,
        definition: &Definition,
        mut from: BTreeSet<StepIndex>,
    ) -> BTreeSet<StepIndex> {
        from.extend(self.unfinished(definition));
        from.extend(self.undone_steps());
        definition.downstream(&from)
    }

    /// Steps whose failure ended the run, or that did not get to their end because it ended.
    fn unfinished(&self, definition: &Definition) -> BTreeSet<StepIndex> {
        let open = |step: &StepIndex| match self.step(*step).stage {
            Stage::Failed => self.is_stranded(definition, *step),
            stage => stage == Stage::Cancelled || !stage.is_settled(),
        };
        definition.indexes().filter(open).collect()
    }

    /// Steps whose effect was taken back, or was to be.
    pub fn undone_steps(&self) -> BTreeSet<StepIndex> {
        let steps = (0..).map(StepIndex).zip(&self.steps);
        let undone = steps.filter(|(_, state)| state.undo.is_some());
        undone.map(|(step, _)| step).collect()
    }

    /// Whether nobody takes a step's failure: whoever was to was skipped, or nobody was to.
    pub(super) fn is_stranded(&self, definition: &Definition, failed: StepIndex) -> bool {
        let mut consumers = definition.consumers(failed).iter();
        consumers.all(|step| self.step(*step).stage == Stage::Skipped)
    }

    /// The changes by which a copy takes over how every step ended that is not done again. What was skipped is skipped
    /// again by itself.
    pub fn inheritance(&self, definition: &Definition, again: &BTreeSet<StepIndex>) -> Vec<Change> {
        let kept = definition.indexes().filter(|step| !again.contains(step));
        kept.filter_map(|step| {
            let state = self.step(step);
            let place = match state.stage {
                Stage::Succeeded => state.output(),
                Stage::Failed => state.failure(),
                _ => return None,
            };
            Some(Change::Inherit {
                step,
                code: state.code.clone(),
                label: state.label,
                place: place.map(|place| OutputRef {
                    run: place.run.or(Some(self.id)),
                    ..place
                }),
            })
        })
        .collect()
    }
}
