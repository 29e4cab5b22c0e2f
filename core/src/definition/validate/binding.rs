//! The bindings of a draft.
//!
//! Invariant: a checked source takes what its definition has, by a path that an input can have.

use std::collections::BTreeSet;

use super::super::draft::{DraftBinding, DraftOrigin, DraftSource};
use super::super::path::{Path, Segment};
use super::super::problem::ProblemCode;
use super::super::{Binding, Origin, Source, StepIndex, reader};
use super::{Checker, shown, too_many};
use crate::limits;

impl Checker<'_> {
    pub(super) fn binding(
        &mut self,
        path: &str,
        who: &str,
        draft: &DraftBinding,
    ) -> Option<Binding> {
        let mut sources: Vec<Option<Source>> = Vec::new();
        for (path, source) in draft.sources(path) {
            sources.push(self.source(&path, who, source));
        }
        if let DraftBinding::Object(named) = draft {
            let base = reader::field(path, "object");
            for name in named.keys().filter(|name| name.contains('\0')) {
                self.nul_name(&reader::field(&base, name));
            }
        }
        let sources: Vec<Source> = sources.into_iter().collect::<Option<_>>()?;
        Some(match draft {
            DraftBinding::Nothing => Binding::Nothing,
            DraftBinding::Whole(_) => Binding::Whole(sources.into_iter().next()?),
            DraftBinding::Tuple(_) => Binding::Tuple(sources),
            DraftBinding::Object(named) => {
                Binding::Object(named.keys().cloned().zip(sources).collect())
            }
        })
    }

    fn source(&mut self, path: &str, who: &str, draft: &DraftSource) -> Option<Source> {
        self.json_path(path, &draft.path);
        let origin = match &draft.origin {
            DraftOrigin::Input => Origin::Input,
            DraftOrigin::Output(step) => {
                Origin::Output(self.reference(|| path.to_owned(), who, step)?)
            }
            DraftOrigin::Failure(step) => Origin::Failure(self.failure(path, who, step)?),
            DraftOrigin::Either(steps) => Origin::Either(self.alternatives(path, who, steps)?),
            DraftOrigin::Constant(value) => {
                self.json(&reader::field(path, "constant"), value);
                if !draft.path.is_whole() {
                    let message = "a constant is taken as a whole, without a path";
                    self.report(path, ProblemCode::OptionWithoutEffect, message);
                }
                Origin::Constant(value.clone())
            }
        };
        let path = draft.path.clone();
        Some(Source { origin, path })
    }

    /// The step whose failure is taken.
    fn failure(&mut self, path: &str, who: &str, name: &str) -> Option<StepIndex> {
        let step = self.reference(|| path.to_owned(), who, name)?;
        let can_fail = (self.draft.steps.get(step.at())).is_some_and(|step| self.can_fail(step));
        if !can_fail {
            let message = format!(
                "{who} takes the failure of step {:?}, which cannot fail",
                shown(name)
            );
            self.report(path, ProblemCode::NeverFails, message);
        }
        Some(step)
    }

    /// The steps of which the first that succeeded is taken; one that is named again changes nothing.
    fn alternatives(&mut self, path: &str, who: &str, names: &[String]) -> Option<Vec<StepIndex>> {
        if names.is_empty() {
            self.no_alternatives(path, who);
        }
        let steps: Vec<Option<StepIndex>> = names
            .iter()
            .map(|name| self.reference(|| path.to_owned(), who, name))
            .collect();
        let mut steps: Vec<StepIndex> = steps.into_iter().collect::<Option<_>>()?;
        let mut seen = BTreeSet::new();
        steps.retain(|step| seen.insert(*step));
        Some(steps)
    }

    pub(super) fn no_alternatives(&mut self, path: &str, who: &str) {
        let message = format!("{who} waits for one of no steps");
        self.report(path, ProblemCode::NoAlternatives, message);
    }

    /// A path into a value of a run.
    pub(super) fn json_path(&mut self, path: &str, draft: &Path) {
        let segments = draft.segments();
        let most = limits::PATH_SEGMENTS;
        self.problems
            .extend(too_many(path, "segments of a path", segments.len(), most));
        for segment in segments {
            match segment {
                Segment::Field(name) if name.contains('\0') => self.nul_name(path),
                Segment::Field(_) | Segment::Index(_) => {}
            }
        }
    }

    fn nul_name(&mut self, path: &str) {
        let message = "the name has a NUL character, which not every store can hold";
        self.report(path, ProblemCode::NulCharacter, message);
    }

    /// A result takes no failure: a run that completes may have none.
    pub(super) fn result_failures(&mut self, draft: &DraftBinding) {
        for (path, source) in draft.sources("result") {
            if source.is_failure() {
                let message = "the result takes a failure, which a run may complete without";
                self.report(&path, ProblemCode::FailureInResult, message);
            }
        }
    }
}
