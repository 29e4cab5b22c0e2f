//! Copies of runs that have ended: replays, forks, resumed failures.
//!
//! Invariant: a copy repeats nothing that must not be repeated, unless whoever asks says that it may.

use std::collections::BTreeSet;

use super::{Refusal, Start, unreadable};
use crate::change::Change;
use crate::definition::{Definition, StepIndex};
use crate::event::CopyKind;
use crate::id::RunId;
use crate::mutant::{Mutant, Mutation};
use crate::name::Name;
use crate::operation::Rejection;
use crate::operation::batch::{Batch, Lookup};
use crate::run::Run;

/// What a new run takes over from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// The other run, which has ended.
    pub source: RunId,
    /// What of it.
    pub kind: CopyKind,
    /// For a fork: the steps that are done again, with all that wait for them.
    pub from: Vec<Name>,
    /// Repeat what must not be repeated unasked.
    pub allow_irreversible: bool,
}

impl Copy {
    /// The changes by which the new run takes over what its source did.
    pub(super) fn inherited(
        &self,
        batch: &mut Batch<'_>,
        start: &Start,
        definition: &Definition,
    ) -> Result<Vec<Change>, Refusal> {
        let id = self.source;
        match batch.find(id) {
            Lookup::Absent => return Err(Refusal::Rejected(Rejection::UnknownRun { run: id })),
            Lookup::Busy => return Err(Refusal::Busy),
            Lookup::Unreadable(error) => return Err(unreadable(id, error)),
            Lookup::Here => {}
        }
        let mutation = batch.view.mutation;
        let (source, of_source) = batch.run(id);
        self.fits(source, start, mutation)?;
        let again = self.again(source, of_source, mutation)?;
        let unsafe_steps: Vec<Name> = again
            .iter()
            .filter(|step| source.is_unsafe_to_repeat(of_source, **step))
            .map(|step| of_source.step(*step).name.clone())
            .collect();
        if !unsafe_steps.is_empty()
            && !self.allow_irreversible
            && !mutation.is(Mutant::UnsafeReplay)
        {
            return Err(Refusal::Rejected(Rejection::UnsafeReplay {
                run: id,
                steps: unsafe_steps,
            }));
        }
        if self.kind == CopyKind::Replay || mutation.is(Mutant::CopyInheritsNothing) {
            return Ok(Vec::new());
        }
        let mut inherited = source.inheritance(definition, &again);
        if mutation.is(Mutant::CopyLosesLabels) {
            inherited.iter_mut().for_each(forget_label);
        }
        Ok(inherited)
    }

    fn fits(&self, source: &Run, start: &Start, mutation: Mutation) -> Result<(), Refusal> {
        let misfit = |detail: &str| {
            Err(Refusal::Rejected(Rejection::InvalidCopy {
                run: self.source,
                detail: detail.to_owned(),
            }))
        };
        if !source.is_ended() && !mutation.is(Mutant::CopyOfRunning) {
            return Err(Refusal::Rejected(Rejection::NotFinished {
                run: self.source,
                status: source.status(),
            }));
        }
        if start.input.digest() != source.origin().input {
            return misfit("it has another input");
        }
        if start.definition.name != source.definition().name {
            return misfit("it is of another workflow");
        }
        if self.kind != CopyKind::Replay && start.definition != *source.definition() {
            return misfit("a fork is of the same version");
        }
        Ok(())
    }

    /// The steps that the copy does again.
    fn again(
        &self,
        source: &Run,
        definition: &Definition,
        mutation: Mutation,
    ) -> Result<BTreeSet<StepIndex>, Refusal> {
        let mut from = BTreeSet::new();
        match self.kind {
            CopyKind::Replay => return Ok(definition.indexes().collect()),
            CopyKind::Resume => {}
            CopyKind::Fork => {
                for name in &self.from {
                    let step = definition.index_of(name.as_str());
                    from.insert(step.ok_or_else(|| {
                        Refusal::Rejected(Rejection::UnknownStep {
                            run: self.source,
                            step: name.to_string(),
                        })
                    })?);
                }
            }
        }
        let mut again = source.repeated(definition, from.clone());
        if mutation.is(Mutant::CopyKeepsUndone) {
            let undone = source.undone_steps();
            again.retain(|step| !undone.contains(step));
        }
        if mutation.is(Mutant::CopyKeepsWhatFollows) {
            again.retain(|step| from.contains(step) || !source.step(*step).stage.is_settled());
        }
        Ok(again)
    }
}

/// Only a mutant asks for it.
fn forget_label(change: &mut Change) {
    if let Change::Inherit { label, .. } = change {
        *label = None;
    }
}
