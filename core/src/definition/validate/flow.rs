//! Steps that a run may skip, and who would miss them.
//!
//! Invariant: in a checked draft, the guards of a step and the failures that it takes imply the guards of every step it needs.
//!
//! A step is skipped if its guard does not hold, if a failure that it takes did not happen, if a step that it needs was
//! skipped, or if one failed and another step consumed the failure. Alternatives are taken on their author's word: that one
//! of them succeeds in every case is not checked.

use std::collections::{BTreeMap, BTreeSet};

use super::super::draft::{Draft, DraftOrigin};
use super::super::problem::ProblemCode;
use super::super::step::label;
use super::wiring::{Wires, order};
use super::{Checker, shown};

impl Checker<'_> {
    /// Steps that need what a run may skip, and a result that takes it; nothing if the steps cannot be ordered, which is
    /// reported elsewhere.
    pub(super) fn flow(&mut self, draft: &Draft, wires: &[Wires<'_>]) {
        let edges: Vec<Vec<usize>> = wires.iter().map(Wires::waits_for).collect();
        let Some(order) = order(&edges) else {
            return;
        };
        self.skippable_needs(draft, wires, &order);
        self.result(draft, &doubtful(wires, &order));
    }

    fn skippable_needs(&mut self, draft: &Draft, wires: &[Wires<'_>], order: &[usize]) {
        let conditions = Conditions::new(wires, order);
        for (i, step) in draft.steps.iter().enumerate() {
            let mut needed = wires[i].needs.iter();
            if needed.all(|need| conditions.imply(i, *need)) {
                continue;
            }
            let mut seen = BTreeSet::new();
            for (path, need) in needs(draft, i) {
                let Some(index) = self.steps.get(need).copied() else {
                    continue;
                };
                if index == i || !seen.insert(index) || conditions.imply(i, index) {
                    continue;
                }
                let guards = wires[index].guards.iter();
                let guards = guards.map(|(on, label)| {
                    format!("{:?} of {:?}", shown(label), shown(&draft.steps[*on].name))
                });
                let guards: Vec<String> = guards.take(8).collect();
                let message = format!(
                    "step {:?} needs step {:?}, which is guarded by {} and skipped otherwise; give it the same guard or take \
                     the output through either",
                    shown(&step.name),
                    shown(need),
                    guards.join(", "),
                );
                self.report(&path, ProblemCode::SkippableNeed, message);
            }
        }
    }

    /// A result takes what every run has that completes.
    fn result(&mut self, draft: &Draft, doubtful: &[bool]) {
        for (path, source) in draft.result.sources("result") {
            let DraftOrigin::Output(step) = &source.origin else {
                continue;
            };
            if self.steps.get(step.as_str()).is_some_and(|i| doubtful[*i]) {
                let message = format!(
                    "the result takes the output of step {:?}, which a run may complete without; take it through either",
                    shown(step)
                );
                self.report(&path, ProblemCode::SkippableResult, message);
            }
        }
    }
}

/// The steps that a step needs, with the places where it says so.
fn needs(draft: &Draft, i: usize) -> Vec<(String, &str)> {
    let step = &draft.steps[i];
    let declared = step.needs.iter().enumerate();
    let declared = declared.map(|(n, need)| (format!("steps[{i}].needs[{n}]"), need.as_str()));
    let sources = step
        .input
        .sources(&format!("steps[{i}].{}", step.input_key()));
    let taken = sources
        .into_iter()
        .filter_map(|(path, source)| match &source.origin {
            DraftOrigin::Output(step) => Some((path, step.as_str())),
            DraftOrigin::Failure(_)
            | DraftOrigin::Either(_)
            | DraftOrigin::Input
            | DraftOrigin::Constant(_) => None,
        });
    declared.chain(taken).collect()
}

/// The steps whose failure leads somewhere.
fn consumed(wires: &[Wires<'_>]) -> Vec<bool> {
    let mut consumed = vec![false; wires.len()];
    for wires in wires {
        let guards = wires.guards.iter();
        let failed = guards.filter(|(_, label)| *label == label::FAILED);
        for step in failed.map(|(step, _)| step).chain(&wires.failures) {
            consumed[*step] = true;
        }
    }
    consumed
}

/// The steps whose output a completed run may lack: their failure leads somewhere, or they may be skipped.
fn doubtful(wires: &[Wires<'_>], order: &[usize]) -> Vec<bool> {
    let mut doubtful = consumed(wires);
    for step in order {
        let own = &wires[*step];
        doubtful[*step] |= !own.guards.is_empty()
            || !own.failures.is_empty()
            || own.needs.iter().any(|need| doubtful[*need]);
    }
    doubtful
}

/// What is known to have happened when a step runs.
struct Conditions {
    /// For each step its guards.
    asked: Vec<Set>,
    /// For each step its guards and the failures that it takes, with what they imply.
    known: Vec<Set>,
}

impl Conditions {
    fn new(wires: &[Wires<'_>], order: &[usize]) -> Conditions {
        let mut numbers = BTreeMap::new();
        for way in wires.iter().flat_map(ways) {
            let next = numbers.len();
            numbers.entry(way).or_insert(next);
        }
        let empty = || vec![Set::empty(numbers.len()); wires.len()];
        let (mut asked, mut known, mut all) = (empty(), empty(), empty());
        for step in order {
            let wires = &wires[*step];
            for guard in &wires.guards {
                asked[*step].add(numbers[guard]);
            }
            let mut holds = Set::empty(numbers.len());
            for (earlier, label) in ways(wires) {
                holds.add(numbers[&(earlier, label)]);
                holds.join(&all[earlier]);
            }
            known[*step] = holds.clone();
            for need in &wires.needs {
                holds.join(&all[*need]);
            }
            all[*step] = holds;
        }
        Conditions { asked, known }
    }

    /// Whether the guards of `need` hold whenever `step` runs, whatever its needs say.
    fn imply(&self, step: usize, need: usize) -> bool {
        self.known[step].has_all(&self.asked[need])
    }
}

/// The ways that other steps must have gone.
fn ways<'a>(wires: &Wires<'a>) -> Vec<(usize, &'a str)> {
    let failures = wires.failures.iter().map(|step| (*step, label::FAILED));
    wires.guards.iter().copied().chain(failures).collect()
}

/// A set of small numbers.
#[derive(Debug, Clone)]
struct Set(Vec<u64>);

impl Set {
    fn empty(numbers: usize) -> Set {
        Set(vec![0; numbers.div_ceil(64)])
    }

    fn add(&mut self, number: usize) {
        self.0[number / 64] |= 1 << (number % 64);
    }

    fn has_all(&self, other: &Set) -> bool {
        let words = self.0.iter().zip(&other.0);
        words.into_iter().all(|(own, other)| other & !own == 0)
    }

    fn join(&mut self, other: &Set) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own |= other;
        }
    }
}
