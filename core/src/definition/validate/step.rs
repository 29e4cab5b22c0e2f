//! One step of a draft.
//!
//! Invariant: a checked step refers to steps of its definition only, never to itself, and each at most once.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::draft::{DraftBinding, DraftKind, DraftStep};
use super::super::problem::ProblemCode;
use super::super::retry::Retry;
use super::super::span::DraftSpan;
use super::super::{Source, Step, StepIndex, StepKind};
use super::Checker;
use crate::limits;

impl Checker<'_> {
    /// The step at position `i`; `None` only if there is a problem.
    pub(super) fn step(&mut self, i: usize, draft: &DraftStep) -> Option<Step> {
        let path = |key: &str| format!("steps[{i}].{key}");
        let who = format!("step {:?}", draft.name.chars().take(80).collect::<String>());
        let name = self.name(&path("name"), &draft.name);
        if self
            .steps
            .get(draft.name.as_str())
            .is_some_and(|first| *first != i)
        {
            let message = format!("{who} is declared more than once");
            self.report(&path("name"), ProblemCode::DuplicateStep, message);
        }
        self.texts(
            &format!("steps[{i}]"),
            draft.label.as_deref(),
            draft.description.as_deref(),
        );
        let kind = self.kind(i, draft);
        let needs = self.references(&path("needs"), &who, i, &draft.needs);
        let after = self.references(&path("after"), &who, i, &draft.after);
        let input = self.binding(&path("input"), &who, &draft.input);
        self.own_output(&path("input"), &who, draft);
        let retry = match &draft.retry {
            Some(retry) => self.retry(&path("retry"), retry),
            None => Some(Retry::once()),
        };
        let timeout = self.positive(&path("timeout"), ProblemCode::InvalidTimeout, draft.timeout);
        let queue = match &draft.queue {
            Some(queue) => self.name(&path("queue"), queue).map(Some),
            None => Some(None),
        };
        let (input, mut needs, mut after) = (input?, needs?, after?);
        needs.extend(
            input
                .sources()
                .into_iter()
                .filter_map(|source| match source {
                    Source::Output(step) => Some(*step),
                    Source::Input | Source::Constant(_) => None,
                }),
        );
        // A step that is needed is waited for anyway.
        after.retain(|step| !needs.contains(step));
        Some(Step {
            name: name?,
            label: draft.label.clone(),
            description: draft.description.clone(),
            kind: kind?,
            needs: needs.into_iter().collect(),
            after: after.into_iter().collect(),
            input,
            retry: retry?,
            timeout,
            queue: queue?,
            priority: draft.priority,
        })
    }

    fn kind(&mut self, i: usize, draft: &DraftStep) -> Option<StepKind> {
        match &draft.kind {
            DraftKind::Handler(handler) => {
                let handler = self.name(&format!("steps[{i}].handler"), handler)?;
                Some(StepKind::Handler { handler })
            }
            DraftKind::Wait(span) => {
                self.wait_options(i, draft);
                let duration = self.wait(&format!("steps[{i}].wait"), *span)?;
                Some(StepKind::Wait { duration })
            }
        }
    }

    fn wait(&mut self, path: &str, span: DraftSpan) -> Option<Duration> {
        if span < DraftSpan::ZERO || span > DraftSpan::from(limits::WAIT_MAX) {
            let message = format!("{span} is not between zero and ten years");
            self.report(path, ProblemCode::InvalidWait, message);
        }
        span.to_duration()
    }

    /// A wait makes no attempts, takes no input and is nobody's work.
    fn wait_options(&mut self, i: usize, draft: &DraftStep) {
        for (option, given) in [
            ("input", draft.input != DraftBinding::Nothing),
            ("retry", draft.retry.is_some()),
            ("timeout", draft.timeout.is_some()),
            ("queue", draft.queue.is_some()),
            ("priority", draft.priority.is_some()),
        ] {
            if given {
                let message = format!(
                    "step {:?} is a wait, on which {option} has no effect",
                    draft.name
                );
                self.report(
                    &format!("steps[{i}].{option}"),
                    ProblemCode::OptionWithoutEffect,
                    message,
                );
            }
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
            let path = format!("{path}[{n}]");
            if self.steps.get(name.as_str()) == Some(&own) {
                self.self_need(&path, who);
            }
            found.push(self.reference(&path, who, name));
        }
        found.into_iter().collect()
    }

    fn own_output(&mut self, path: &str, who: &str, draft: &DraftStep) {
        for (path, source) in draft.input.sources(path) {
            if source.step() == Some(draft.name.as_str()) {
                self.self_need(&path, who);
            }
        }
    }

    fn self_need(&mut self, path: &str, who: &str) {
        self.report(
            path,
            ProblemCode::SelfNeed,
            format!("{who} waits for itself"),
        );
    }
}
