//! What a copy of a run does again: the semantics of S8 once more.
//!
//! Invariant: derived from what really became of the steps, by no code of the engine's.

use std::collections::BTreeSet;

use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::event::CopyKind;
use squid_mesh_core::operation::Copy;

use super::{GhostRun, Progress};

impl GhostRun {
    /// The steps that a copy does again.
    pub fn repeated(&self, copy: &Copy) -> BTreeSet<StepIndex> {
        let named = |step: &StepIndex| {
            let name = &self.definition.step(*step).name;
            match copy.kind {
                CopyKind::Replay => true,
                CopyKind::Fork => copy.from.contains(name),
                CopyKind::Resume => false,
            }
        };
        let stranded: BTreeSet<StepIndex> = self.unrouted().collect();
        let open = |step: &StepIndex| {
            let state = &self.steps[step.at()];
            let ended = state.progress.is_settled() && state.progress != Progress::Cancelled;
            !ended || state.undo.is_some() || stranded.contains(step)
        };
        let mut again: BTreeSet<StepIndex> = self
            .definition
            .indexes()
            .filter(|step| named(step) || open(step))
            .collect();
        loop {
            let follows = |step: &StepIndex| {
                !again.contains(step) && self.waits_for(*step).any(|step| again.contains(&step))
            };
            let more: Vec<StepIndex> = self.definition.indexes().filter(follows).collect();
            if more.is_empty() {
                return again;
            }
            again.extend(more);
        }
    }

    /// Those of some steps that must not be done again unasked.
    pub fn unsafe_of<'a>(
        &'a self,
        again: &'a BTreeSet<StepIndex>,
    ) -> impl Iterator<Item = StepIndex> + 'a {
        again.iter().copied().filter(|step| {
            let (spec, state) = (self.definition.step(*step), &self.steps[step.at()]);
            let lasting = spec.irreversible || !spec.compensatable;
            state.doubtful || lasting && state.progress == Progress::Succeeded
        })
    }

    /// Every step that another waits for, in whatever way.
    fn waits_for(&self, step: StepIndex) -> impl Iterator<Item = StepIndex> + '_ {
        let spec = self.definition.step(step);
        let guards = spec.guards.iter().map(|guard| guard.step);
        let plain = spec.needs.iter().chain(&spec.failures).chain(&spec.after);
        let either = spec.either.iter().flatten();
        plain.chain(either).copied().chain(guards)
    }
}
