//! Copies of runs: what they take over, and what they do again.
//!
//! Invariant: which steps a copy takes over follows from its source and from what was asked for, and from nothing else.

use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::event::CopyKind;
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::Start;

use super::Landing;
use crate::fault::sometimes::Milestone;
use crate::ghost::Progress;
use crate::violation::{Check, Promise, broken, ensure};

impl Landing<'_> {
    /// A copy takes over how a step of its source ended: of one that is not done again.
    pub(super) fn inherits(&mut self, id: RunId, step: StepIndex, code: Option<&str>) -> Check {
        let run = self.ghost.run(id);
        let Some(copy) = run.start.copy.clone() else {
            return broken(
                Promise::CopiesAreSafe,
                format!("run {id} inherits a step, and is no copy"),
            );
        };
        let Some(source) = self.ghost.runs.get(&copy.source) else {
            return broken(
                Promise::CopiesAreSafe,
                format!("run {id} is a copy of a run that never was"),
            );
        };
        let state = source.steps[step.at()].clone();
        let as_said = match code {
            None => state.progress == Progress::Succeeded,
            Some(_) => state.progress == Progress::Failed,
        };
        ensure!(
            as_said && state.undo.is_none() && copy.kind != CopyKind::Replay,
            CopiesAreSafe,
            "run {id} takes over step {} of run {}, which is {:?}",
            step.0,
            copy.source,
            state.progress
        );
        let seq = self.ghost.run(id).seq;
        let own = self.ghost.step_mut(id, step);
        (own.progress, own.output, own.failure) = (state.progress, state.output, state.failure);
        (own.label, own.settled, own.inherited) = (state.label, seq, true);
        Ok(())
    }

    /// A copy was started: its source has ended, it takes over what it does not do again, and repeats nothing that it must
    /// not.
    pub(super) fn copy_is_safe(&mut self, id: RunId) -> Check {
        let run = self.ghost.run(id);
        let Some(copy) = run.start.copy.clone() else {
            return Ok(());
        };
        let source = self.ghost.run(copy.source);
        ensure!(
            source.ended.is_some(),
            CopiesAreSafe,
            "run {id} is a copy of run {}, which goes on",
            copy.source
        );
        let again = source.repeated(&copy);
        let unsafe_step = source.unsafe_of(&again).next();
        ensure!(
            unsafe_step.is_none() || copy.allow_irreversible,
            CopiesAreSafe,
            "run {id} repeats step {unsafe_step:?} of run {}, which must not be repeated unasked",
            copy.source
        );
        let otherwise = run.definition.indexes().find(|step| {
            let ended = matches!(
                source.steps[step.at()].progress,
                Progress::Succeeded | Progress::Failed
            );
            let taken_over = ended && !again.contains(step);
            run.steps[step.at()].inherited != taken_over
        });
        ensure!(
            otherwise.is_none(),
            CopiesAreSafe,
            "run {id} takes over step {otherwise:?} of run {} and should not, or does it again and should not",
            copy.source
        );
        self.sometimes.reached(Milestone::Copied);
        Ok(())
    }

    /// Whether a copy would really repeat what must not be repeated unasked.
    pub(super) fn copy_is_unsafe(&self, start: &Start) -> bool {
        let Some(copy) = start.copy.as_ref() else {
            return false;
        };
        let source = self.ghost.runs.get(&copy.source);
        source.is_some_and(|source| {
            let again = source.repeated(copy);
            !copy.allow_irreversible && source.unsafe_of(&again).next().is_some()
        })
    }
}
