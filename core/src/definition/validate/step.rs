//! One step of a draft.
//!
//! Invariant: a checked step refers to steps of its definition only, never to itself, and each at most once per list.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::draft::{DraftRetry, DraftStep, DraftUndo};
use super::super::problem::ProblemCode;
use super::super::retry::Retry;
use super::super::step::{Guard, Undo, label};
use super::super::{Binding, OnLost, Origin, Step, StepIndex, reader};
use super::{Checker, shown};
use crate::name::Name;

/// What a step waits for and takes.
struct Waits {
    needs: BTreeSet<StepIndex>,
    failures: BTreeSet<StepIndex>,
    /// Sorted, and each group too: their order has no meaning.
    either: BTreeSet<Vec<StepIndex>>,
    after: BTreeSet<StepIndex>,
    guards: Vec<Guard>,
    input: Binding,
}

/// How a step is treated.
struct Treatment {
    retry: Retry,
    timeout: Option<Duration>,
    queue: Option<Name>,
    labels: Vec<Name>,
    undo: Option<Undo>,
}

impl Checker<'_> {
    /// The step at position `i`; `None` only if there is a problem.
    pub(super) fn step(&mut self, i: usize, draft: &DraftStep) -> Option<Step> {
        let who = format!("step {:?}", shown(&draft.name));
        let name = self.step_name(i, draft, &who);
        self.texts(
            &format!("steps[{i}]"),
            draft.label.as_deref(),
            draft.description.as_deref(),
        );
        let kind = self.kind(i, draft);
        self.options(i, draft);
        let waits = self.waits(i, draft, &who);
        let treatment = self.treatment(i, draft);
        self.conflicts(i, draft, &who);
        let (kind, waits, treatment) = (kind?, waits?, treatment?);
        let irreversible = draft.irreversible.unwrap_or(false);
        // Only attempts of handlers can be lost with an effect.
        let usual = OnLost::usual(irreversible && kind.handler().is_some());
        Some(Step {
            name: name?,
            label: draft.label.clone(),
            description: draft.description.clone(),
            kind,
            needs: waits.needs.into_iter().collect(),
            failures: waits.failures.into_iter().collect(),
            either: waits.either.into_iter().collect(),
            after: waits.after.into_iter().collect(),
            guards: waits.guards,
            input: waits.input,
            retry: treatment.retry,
            timeout: treatment.timeout,
            queue: treatment.queue,
            priority: draft.priority,
            labels: treatment.labels,
            undo: treatment.undo,
            irreversible,
            compensatable: draft.compensatable.unwrap_or(!irreversible),
            on_lost: draft.on_lost.unwrap_or(usual),
            transactional: draft.transactional,
            mark: draft.mark,
        })
    }

    fn step_name(&mut self, i: usize, draft: &DraftStep, who: &str) -> Option<Name> {
        let path = format!("steps[{i}].name");
        let name = self.name(&path, &draft.name);
        let first = self.steps.get(draft.name.as_str());
        if first.is_some_and(|first| *first != i) {
            let message = format!("{who} is declared more than once");
            self.report(&path, ProblemCode::DuplicateStep, message);
        }
        name
    }

    fn waits(&mut self, i: usize, draft: &DraftStep, who: &str) -> Option<Waits> {
        let path = |key: &str| format!("steps[{i}].{key}");
        let needs = self.references(&path("needs"), who, i, &draft.needs);
        let either = self.groups(&path("either"), who, i, &draft.either);
        let after = self.references(&path("after"), who, i, &draft.after);
        let guards = self.guards(i, draft, who);
        let input_path = path(draft.input_key());
        let input = self.binding(&input_path, who, &draft.input);
        self.own_output(&input_path, who, draft);
        self.exclusions(i, draft, who);
        let mut waits = Waits {
            needs: needs?,
            failures: BTreeSet::new(),
            either: either?,
            after: after?,
            guards: guards?,
            input: input?,
        };
        for source in waits.input.sources() {
            match &source.origin {
                Origin::Output(step) => drop(waits.needs.insert(*step)),
                Origin::Failure(step) => drop(waits.failures.insert(*step)),
                Origin::Either(steps) => drop(waits.either.insert(sorted(steps.clone()))),
                Origin::Input | Origin::Constant(_) => {}
            }
        }
        // A step that is waited for in a stricter way is waited for anyway.
        let stricter: BTreeSet<StepIndex> = (waits.needs.iter().chain(&waits.failures))
            .chain(waits.either.iter().flatten())
            .copied()
            .chain(waits.guards.iter().map(|guard| guard.step))
            .collect();
        waits.after.retain(|step| !stricter.contains(step));
        Some(waits)
    }

    fn treatment(&mut self, i: usize, draft: &DraftStep) -> Option<Treatment> {
        let path = |key: &str| format!("steps[{i}].{key}");
        let retry = self.retry_or_once(&path("retry"), draft.retry.as_ref());
        let timeout = self.positive(&path("timeout"), ProblemCode::InvalidTimeout, draft.timeout);
        let queue = match &draft.queue {
            Some(queue) => self.name(&path("queue"), queue).map(Some),
            None => Some(None),
        };
        let labels = self.labels(&path("labels"), &draft.labels);
        let undo = match &draft.undo {
            Some(undo) => self.undo(&path("undo"), undo).map(Some),
            None => Some(None),
        };
        Some(Treatment {
            retry: retry?,
            timeout,
            queue: queue?,
            labels: labels?,
            undo: undo?,
        })
    }

    fn retry_or_once(&mut self, path: &str, draft: Option<&DraftRetry>) -> Option<Retry> {
        match draft {
            Some(retry) => self.retry(path, retry),
            None => Some(Retry::once()),
        }
    }

    fn undo(&mut self, path: &str, draft: &DraftUndo) -> Option<Undo> {
        let at = |key: &str| reader::field(path, key);
        let handler = self.name(&at("handler"), &draft.handler);
        let retry = self.retry_or_once(&at("retry"), draft.retry.as_ref());
        let timeout = self.positive(&at("timeout"), ProblemCode::InvalidTimeout, draft.timeout);
        Some(Undo {
            handler: handler?,
            retry: retry?,
            timeout,
        })
    }

    /// Options that contradict each other, and a mark on what is no failure route.
    fn conflicts(&mut self, i: usize, draft: &DraftStep, who: &str) {
        let irreversible = draft.irreversible == Some(true);
        let conflicts = [
            (
                irreversible && draft.undo.is_some(),
                "undo",
                "has an undo handler although it is irreversible",
            ),
            (
                draft.compensatable == Some(false) && draft.undo.is_some(),
                "undo",
                "has an undo handler although it is not compensatable",
            ),
            (
                irreversible && draft.compensatable == Some(true),
                "compensatable",
                "is both irreversible and compensatable",
            ),
        ];
        for (conflicting, key, what) in conflicts {
            if conflicting {
                let path = format!("steps[{i}].{key}");
                self.report(
                    &path,
                    ProblemCode::ConflictingOptions,
                    format!("{who} {what}"),
                );
            }
        }
        let sources = draft.input.sources("");
        let consumes = draft.when.iter().any(|guard| guard.label == label::FAILED)
            || sources.iter().any(|(_, source)| source.is_failure());
        if draft.mark.is_some() && !consumes {
            let message = format!("{who} is marked as a failure route but consumes no failure");
            let path = format!("steps[{i}].mark");
            self.report(&path, ProblemCode::OptionWithoutEffect, message);
        }
    }

    fn references(
        &mut self,
        path: &str,
        who: &str,
        own: usize,
        names: &[String],
    ) -> Option<BTreeSet<StepIndex>> {
        let mut found = Vec::new();
        for (n, name) in names.iter().enumerate() {
            let path = || reader::item(path, n);
            if self.steps.get(name.as_str()) == Some(&own) {
                self.self_need(&path(), who);
            }
            found.push(self.reference(path, who, name));
        }
        found.into_iter().collect()
    }

    fn groups(
        &mut self,
        path: &str,
        who: &str,
        own: usize,
        groups: &[Vec<String>],
    ) -> Option<BTreeSet<Vec<StepIndex>>> {
        let mut found = Vec::new();
        for (n, group) in groups.iter().enumerate() {
            let path = reader::item(path, n);
            if group.is_empty() {
                self.no_alternatives(&path, who);
            }
            let steps = self.references(&path, who, own, group);
            found.push(steps.map(|steps| steps.into_iter().collect()));
        }
        found.into_iter().collect()
    }

    fn own_output(&mut self, path: &str, who: &str, draft: &DraftStep) {
        for (path, source) in draft.input.sources(path) {
            if source.steps().contains(&draft.name.as_str()) {
                self.self_need(&path, who);
            }
        }
    }

    pub(super) fn self_need(&mut self, path: &str, who: &str) {
        self.report(
            path,
            ProblemCode::SelfNeed,
            format!("{who} waits for itself"),
        );
    }
}

fn sorted(mut steps: Vec<StepIndex>) -> Vec<StepIndex> {
    steps.sort_unstable();
    steps
}
