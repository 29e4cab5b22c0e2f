//! From a draft to a definition.
//!
//! Invariant: every problem of a draft is reported at once, in an order that depends on the draft alone.

mod binding;
mod contract;
mod cycle;
mod flow;
mod guard;
mod handlers;
mod json;
mod kind;
mod retry;
mod step;
#[cfg(test)]
mod tests;
mod trigger;
mod wiring;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::contract::nul_paths;
use super::draft::Draft;
use super::problem::{Problem, ProblemCode, Problems};
use super::reader;
use super::span::DraftSpan;
use super::{
    Binding, Definition, DefinitionDigest, DefinitionKey, Step, StepIndex, Trigger, graph,
};
use crate::limits;
use crate::name::{DEFAULT_QUEUE, Name};
use wiring::Wires;

/// Deepest nesting of a constant or a default. JSON readers stop at 128 levels, the definition around it included.
const NESTING: usize = 64;

impl Definition {
    /// Makes a definition of a draft.
    ///
    /// # Errors
    /// Says everything that is wrong with the draft; the same draft always gives the same problems in the same order.
    pub fn validate(draft: Draft) -> Result<Definition, Problems> {
        let mut checker = Checker::new(&draft);
        let parts = checker.check(&draft);
        Problems::none_of(checker.problems)?;
        let parts = parts.expect("a part is missing only if a problem says why");
        let definition = parts.into_definition(draft);
        definition.checked_size()
    }

    /// Refuses what a store could not hold.
    fn checked_size(self) -> Result<Definition, Problems> {
        let problems = too_many(
            "",
            "bytes of the whole definition",
            self.body().len(),
            limits::PAYLOAD_BYTES_MAX,
        );
        Problems::none_of(problems.into_iter().collect())?;
        Ok(self)
    }
}

impl TryFrom<Draft> for Definition {
    type Error = Problems;

    fn try_from(draft: Draft) -> Result<Definition, Problems> {
        Definition::validate(draft)
    }
}

/// Collects the problems of one draft.
struct Checker<'a> {
    draft: &'a Draft,
    problems: Vec<Problem>,
    /// The first step of each name.
    steps: BTreeMap<&'a str, usize>,
    /// Steps and labels that some other step is guarded by.
    wired: BTreeSet<(&'a str, &'a str)>,
}

/// What a draft was turned into.
struct Parts {
    key: DefinitionKey,
    triggers: Vec<Trigger>,
    steps: Vec<Step>,
    result: Binding,
    queue: Name,
    deadline: Option<Duration>,
}

impl Parts {
    fn into_definition(self, draft: Draft) -> Definition {
        let mut definition = Definition {
            key: self.key,
            label: draft.label,
            description: draft.description,
            triggers: self.triggers,
            dependents: graph::dependents(&self.steps),
            consumers: graph::consumers(&self.steps),
            steps: self.steps,
            result: self.result,
            queue: self.queue,
            priority: draft.priority.unwrap_or(0),
            deadline: self.deadline,
            digest: DefinitionDigest::UNKNOWN,
            body: "".into(),
        };
        definition.digest = DefinitionDigest::of(&definition);
        definition.body = definition.write_body();
        definition
    }
}

impl<'a> Checker<'a> {
    fn new(draft: &'a Draft) -> Checker<'a> {
        let mut steps = BTreeMap::new();
        for (i, step) in draft.steps.iter().enumerate() {
            steps.entry(step.name.as_str()).or_insert(i);
        }
        let guards = draft.steps.iter().flat_map(|step| &step.when);
        Checker {
            draft,
            problems: Vec::new(),
            steps,
            wired: guards
                .map(|guard| (guard.step.as_str(), guard.label.as_str()))
                .collect(),
        }
    }

    fn report(&mut self, path: &str, code: ProblemCode, message: impl Into<String>) {
        self.problems.push(Problem::new(path, code, message));
    }

    /// The whole draft; `None` only if there is a problem.
    fn check(&mut self, draft: &Draft) -> Option<Parts> {
        let name = self.name("name", &draft.name);
        self.texts("", draft.label.as_deref(), draft.description.as_deref());
        self.contract("input", &draft.input);
        let triggers = self.triggers(draft);
        let steps = self.graph(draft);
        let result = self.binding("result", "the result", &draft.result);
        self.result_failures(&draft.result);
        let queue = match &draft.queue {
            Some(queue) => self.name("queue", queue),
            None => Some(Name::fixed(DEFAULT_QUEUE)),
        };
        let deadline = self.positive("deadline", ProblemCode::InvalidDeadline, draft.deadline);
        Some(Parts {
            key: DefinitionKey {
                name: name?,
                version: draft.version,
            },
            triggers: triggers?,
            steps: steps?,
            result: result?,
            queue: queue?,
            deadline,
        })
    }

    /// The steps, each and as a whole.
    fn graph(&mut self, draft: &Draft) -> Option<Vec<Step>> {
        if draft.steps.is_empty() {
            self.report(
                "steps",
                ProblemCode::NoSteps,
                "a definition has at least one step",
            );
        }
        let excess = too_many("steps", "steps", draft.steps.len(), limits::STEPS);
        let within = excess.is_none();
        self.problems.extend(excess);
        let steps: Vec<Option<Step>> = draft
            .steps
            .iter()
            .enumerate()
            .map(|(i, s)| self.step(i, s))
            .collect();
        self.approvals(draft);
        self.signals(draft);
        if within {
            let wires = Wires::of(draft, &self.steps);
            self.cycles(draft, &wires);
            self.flow(draft, &wires);
        }
        steps.into_iter().collect()
    }

    fn name(&mut self, path: &str, text: &str) -> Option<Name> {
        let name = Name::new(text);
        if let Err(error) = &name {
            self.report(path, ProblemCode::MalformedName, error.to_string());
        }
        name.ok()
    }

    fn texts(&mut self, path: &str, label: Option<&str>, description: Option<&str>) {
        for (key, text, most) in [
            ("label", label, limits::LABEL_BYTES),
            ("description", description, limits::COMMENT_BYTES),
        ] {
            let Some(text) = text else {
                continue;
            };
            let path = reader::field(path, key);
            self.problems.extend(too_many(
                &path,
                &format!("bytes of a {key}"),
                text.len(),
                most,
            ));
            self.nul(&path, &Value::from(text));
        }
    }

    /// A JSON value that becomes part of the definition.
    fn json(&mut self, path: &str, value: &Value) {
        self.problems
            .extend(too_many(path, "levels of nesting", depth(value), NESTING));
        self.nul(path, value);
    }

    fn nul(&mut self, path: &str, value: &Value) {
        for path in nul_paths(path, value) {
            let message = "a NUL character, which not every store can hold";
            self.report(&path, ProblemCode::NulCharacter, message);
        }
    }

    /// The step of this name; the path is asked for only if there is none.
    fn reference(
        &mut self,
        path: impl FnOnce() -> String,
        who: &str,
        name: &str,
    ) -> Option<StepIndex> {
        let Some(i) = self.steps.get(name) else {
            let shown = shown(name);
            let message = format!("{who} names step {shown:?}, which the definition does not have");
            self.report(&path(), ProblemCode::UnknownStep, message);
            return None;
        };
        u16::try_from(*i).ok().map(StepIndex)
    }

    /// A span that must be positive and at most ten years.
    fn positive(
        &mut self,
        path: &str,
        code: ProblemCode,
        span: Option<DraftSpan>,
    ) -> Option<Duration> {
        let span = span?;
        if span <= DraftSpan::ZERO || span > DraftSpan::from(limits::SPAN_MAX) {
            let message = format!("{span} is not above zero and at most ten years");
            self.report(path, code, message);
        }
        span.to_duration()
    }
}

/// As much of an author's text as a message needs.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The problem of a number above its limit.
fn too_many(path: &str, what: &str, found: usize, limit: usize) -> Option<Problem> {
    let message = || format!("{found} {what}, above the limit of {limit}");
    (found > limit).then(|| Problem::new(path, ProblemCode::LimitExceeded, message()))
}

/// How many arrays and objects are around the innermost value.
fn depth(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
    }
}
