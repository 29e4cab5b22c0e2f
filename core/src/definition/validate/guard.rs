//! Guards, and what must be guarded.
//!
//! Invariant: a checked guard asks for a way that its step can go.

use std::collections::BTreeMap;

use super::super::contract::Contract;
use super::super::draft::{Draft, DraftKind, DraftOrigin, DraftStep};
use super::super::problem::ProblemCode;
use super::super::step::{Guard, LabelIndex, Way, label};
use super::super::{StepIndex, reader};
use super::{Checker, shown, too_many};
use crate::limits;

impl Checker<'_> {
    /// The guards of the step at position `i`, in a stable order, without repeats.
    pub(super) fn guards(&mut self, i: usize, draft: &DraftStep, who: &str) -> Option<Vec<Guard>> {
        let base = format!("steps[{i}].when");
        let count = draft.when.len();
        self.problems
            .extend(too_many(&base, "guards", count, limits::GUARDS));
        let mut guards = Vec::new();
        for (n, guard) in draft.when.iter().enumerate() {
            let path = match count {
                1 => base.clone(),
                _ => reader::item(&base, n),
            };
            let step_path = reader::field(&path, "step");
            let target = self.reference(|| step_path.clone(), who, &guard.step);
            if target.is_some_and(|target| target.at() == i) {
                self.self_need(&step_path, who);
                continue;
            }
            let label_path = reader::field(&path, "label");
            let guard = target.and_then(|target| {
                let way = self.way(&label_path, who, target, &guard.label)?;
                Some(Guard { step: target, way })
            });
            guards.push(guard);
        }
        let mut guards: Vec<Guard> = guards.into_iter().collect::<Option<_>>()?;
        guards.sort_by_key(|guard| (guard.step, guard.way.clone()));
        guards.dedup();
        Some(guards)
    }

    /// The way of a step that a label stands for.
    fn way(&mut self, path: &str, who: &str, target: StepIndex, label: &str) -> Option<Way> {
        let step = self.draft.steps.get(target.at())?;
        let ways = ways(step);
        let position = ways.iter().position(|way| *way == label);
        let found = match (label, position) {
            (label::FAILED, _) => self.can_fail(step).then_some(Way::Failed),
            (label::EXPIRED, Some(_)) if step.kind.is_gate_without_deadline() => None,
            (_, position) => position
                .and_then(|at| u16::try_from(at).ok())
                .map(|at| Way::Label(LabelIndex(at))),
        };
        if found.is_none() {
            let message = format!(
                "{who} is guarded by label {:?}, which step {:?} can never return",
                shown(label),
                shown(&step.name)
            );
            self.report(path, ProblemCode::LabelNeverReturned, message);
        }
        found
    }

    /// Whether a step can fail for good.
    pub(super) fn can_fail(&self, step: &DraftStep) -> bool {
        match &step.kind {
            DraftKind::Handler(_)
            | DraftKind::Until
            | DraftKind::Route { .. }
            | DraftKind::Child { .. }
            | DraftKind::Each { .. } => true,
            DraftKind::Wait(_) | DraftKind::Log { .. } => false,
            DraftKind::Pause { .. } | DraftKind::Approval { .. } | DraftKind::Signal { .. } => {
                let expires = !step.kind.is_gate_without_deadline();
                let sources = step.input.sources("");
                (expires && !self.wires(&step.name, label::EXPIRED))
                    || sources.iter().any(|(_, source)| !source.path.is_whole())
            }
        }
    }

    /// Whether a step is guarded by that label of that step.
    fn wires(&self, step: &str, label: &str) -> bool {
        self.wired.contains(&(step, label))
    }

    /// Both outcomes of an approval lead somewhere.
    pub(super) fn approvals(&mut self, draft: &Draft) {
        for (i, step) in draft.steps.iter().enumerate() {
            if !matches!(step.kind, DraftKind::Approval { .. }) {
                continue;
            }
            for outcome in [label::APPROVED, label::REJECTED] {
                if !self.wires(&step.name, outcome) {
                    let message = format!(
                        "step {:?} is an approval, but no step is guarded by its outcome {outcome:?}",
                        shown(&step.name)
                    );
                    let path = format!("steps[{i}].approval");
                    self.report(&path, ProblemCode::UnwiredOutcome, message);
                }
            }
        }
    }

    /// Signals of one name carry the same.
    pub(super) fn signals(&mut self, draft: &Draft) {
        let mut seen: BTreeMap<&str, (&str, Contract)> = BTreeMap::new();
        for (i, step) in draft.steps.iter().enumerate() {
            let DraftKind::Signal {
                signal, contract, ..
            } = &step.kind
            else {
                continue;
            };
            let contract = contract.clone().canonical();
            let (first, other) = seen
                .entry(signal)
                .or_insert_with(|| (&step.name, contract.clone()));
            if *other != contract {
                let message = format!(
                    "step {:?} waits for signal {:?} with another payload than step {:?}",
                    shown(&step.name),
                    shown(signal),
                    shown(first)
                );
                let path = format!("steps[{i}].signal.payload");
                self.report(&path, ProblemCode::ConflictingContracts, message);
            }
        }
    }

    /// A step does not wait for what excludes each other: that another one succeeded and failed, or went two ways.
    pub(super) fn exclusions(&mut self, i: usize, draft: &DraftStep, who: &str) {
        let (outputs, failures) = taken(draft);
        let guards = draft.when.iter();
        let guards = guards.map(|guard| (guard.step.as_str(), guard.label.as_str()));
        let failures = failures.into_iter().map(|step| (step, label::FAILED));
        let mut ways: BTreeMap<&str, &str> = BTreeMap::new();
        let mut excluded = BTreeMap::new();
        for (step, label) in guards.chain(failures) {
            let other = *ways.entry(step).or_insert(label);
            if other != label {
                excluded.insert(step, format!("goes both {other:?} and {label:?}"));
            }
        }
        for step in draft.needs.iter().map(String::as_str).chain(outputs) {
            if ways.get(step) == Some(&label::FAILED) {
                excluded.insert(step, "both succeeds and fails".to_owned());
            }
        }
        let key = if draft.when.is_empty() {
            draft.input_key()
        } else {
            "when"
        };
        for (step, what) in excluded {
            let step = shown(step);
            let message = format!("{who} never runs: it waits until step {step:?} {what}");
            self.report(
                &format!("steps[{i}].{key}"),
                ProblemCode::NeverRuns,
                message,
            );
        }
    }
}

/// The steps whose output and those whose failure a step takes.
fn taken(draft: &DraftStep) -> (Vec<&str>, Vec<&str>) {
    let (mut outputs, mut failures) = (Vec::new(), Vec::new());
    for (_, source) in draft.input.sources("") {
        match &source.origin {
            DraftOrigin::Output(step) => outputs.push(step.as_str()),
            DraftOrigin::Failure(step) => failures.push(step.as_str()),
            DraftOrigin::Either(_) | DraftOrigin::Input | DraftOrigin::Constant(_) => {}
        }
    }
    (outputs, failures)
}

impl DraftKind {
    fn is_gate_without_deadline(&self) -> bool {
        match self {
            DraftKind::Pause { deadline }
            | DraftKind::Approval { deadline }
            | DraftKind::Signal { deadline, .. } => deadline.is_none(),
            DraftKind::Handler(_)
            | DraftKind::Wait(_)
            | DraftKind::Until
            | DraftKind::Log { .. }
            | DraftKind::Route { .. }
            | DraftKind::Child { .. }
            | DraftKind::Each { .. } => false,
        }
    }
}

/// The labels that a step can return, in the order of [`Step::ways`](super::super::Step::ways).
fn ways(step: &DraftStep) -> Vec<&str> {
    match &step.kind {
        DraftKind::Handler(_) => step.labels.iter().map(String::as_str).collect(),
        DraftKind::Pause { .. } => vec![label::RESUMED, label::EXPIRED],
        DraftKind::Approval { .. } => vec![label::APPROVED, label::REJECTED, label::EXPIRED],
        DraftKind::Signal { .. } => vec![label::RECEIVED, label::EXPIRED],
        DraftKind::Route {
            conditions,
            fallback,
        } => {
            let mut ways: Vec<&str> = Vec::new();
            let labels = conditions.iter().map(|condition| &condition.label);
            for label in labels.chain(fallback) {
                if !ways.contains(&label.as_str()) {
                    ways.push(label);
                }
            }
            ways
        }
        DraftKind::Wait(_)
        | DraftKind::Until
        | DraftKind::Log { .. }
        | DraftKind::Child { .. }
        | DraftKind::Each { .. } => Vec::new(),
    }
}
