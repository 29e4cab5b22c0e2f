//! S8: what a copy takes over: what is neither named, undone nor unfinished in its source, nor comes after anything that is.
//!
//! Invariant: a replay takes over nothing.

use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::event::CopyKind;

use super::Model;
use super::ending::stranded;
use super::graph::conditions;
use crate::witness::{End, SeenStep};

impl<'m> Model<'m> {
    /// S8.1: what must not be repeated unasked.
    pub(super) fn copy_refused(&self) -> Option<String> {
        let (copy, definition, source) = self.facts.source?;
        let lasting = |step: &StepIndex| {
            let (spec, seen) = (definition.step(*step), &source.steps[step.at()]);
            (spec.irreversible || !spec.compensatable) && seen.end == End::Succeeded
        };
        let mut repeated = definition.indexes().filter(lasting);
        let unasked = repeated.find(|step| self.taken_over(*step).is_none());
        let unasked = unasked.filter(|_| !copy.allow_irreversible)?;
        Some(format!(
            "it repeats {} unasked",
            definition.step(unasked).name
        ))
    }

    /// How a step has ended in the source, if that is taken over.
    pub(super) fn taken_over(&self, step: StepIndex) -> Option<&'m SeenStep> {
        let (copy, definition, source) = self.facts.source?;
        let own = &source.steps.get(step.at())?;
        let ended = matches!(own.end, End::Succeeded | End::Failed);
        if !ended || copy.kind == CopyKind::Replay {
            return None;
        }
        let begins = |step: StepIndex| {
            let (seen, name) = (&source.steps[step.at()], &definition.step(step).name);
            let unfinished = matches!(seen.end, End::Open | End::Cancelled) || seen.undo.is_some();
            let named = copy.kind == CopyKind::Fork && copy.from.contains(name);
            named || unfinished || stranded(definition, source, step).is_some()
        };
        let mut again: Vec<bool> = definition.indexes().map(begins).collect();
        loop {
            let follows = |step: &StepIndex| {
                let mut before = conditions(definition.step(*step)).flat_map(|(_, steps)| steps);
                !again[step.at()] && before.any(|before| again[before.at()])
            };
            match definition.indexes().find(follows) {
                Some(next) => again[next.at()] = true,
                None => return (!again[step.at()]).then_some(*own),
            }
        }
    }
}
