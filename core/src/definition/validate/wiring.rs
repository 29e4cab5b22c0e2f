//! How the steps of a draft wait for each other.
//!
//! Invariant: what the draft does not have, and a step itself, is left out: the checks of references report both.

use std::collections::BTreeMap;

use super::super::draft::{Draft, DraftOrigin, DraftStep};

/// What one step waits for, by position.
#[derive(Debug, Default)]
pub(super) struct Wires<'a> {
    /// Steps that must have succeeded.
    pub(super) needs: Vec<usize>,
    /// Steps that must have failed.
    pub(super) failures: Vec<usize>,
    /// Groups of which one must have succeeded.
    pub(super) either: Vec<Vec<usize>>,
    /// Steps that must be settled.
    pub(super) after: Vec<usize>,
    /// Steps with the label that they must have returned, or `failed`.
    pub(super) guards: Vec<(usize, &'a str)>,
}

impl<'a> Wires<'a> {
    /// Those of every step, in their order.
    pub(super) fn of(draft: &'a Draft, names: &BTreeMap<&str, usize>) -> Vec<Wires<'a>> {
        let steps = draft.steps.iter().enumerate();
        steps
            .map(|(own, step)| {
                let find = |name: &str| names.get(name).copied().filter(|i| *i != own);
                Wires::of_step(step, &find)
            })
            .collect()
    }

    fn of_step(step: &'a DraftStep, find: &dyn Fn(&str) -> Option<usize>) -> Wires<'a> {
        let all = |names: &[String]| -> Vec<usize> {
            names.iter().filter_map(|name| find(name)).collect()
        };
        let mut wires = Wires {
            needs: all(&step.needs),
            either: step.either.iter().map(|group| all(group)).collect(),
            after: all(&step.after),
            ..Wires::default()
        };
        for (_, source) in step.input.sources("") {
            match &source.origin {
                DraftOrigin::Output(name) => wires.needs.extend(find(name)),
                DraftOrigin::Failure(name) => wires.failures.extend(find(name)),
                DraftOrigin::Either(names) => wires.either.push(all(names)),
                DraftOrigin::Input | DraftOrigin::Constant(_) => {}
            }
        }
        for guard in &step.when {
            let target = find(&guard.step);
            wires
                .guards
                .extend(target.map(|target| (target, guard.label.as_str())));
        }
        wires
    }

    /// Every step that it waits for, in index order, without repeats.
    pub(super) fn waits_for(&self) -> Vec<usize> {
        let lists = self.needs.iter().chain(&self.failures).chain(&self.after);
        let mut all: Vec<usize> = lists
            .chain(self.either.iter().flatten())
            .copied()
            .chain(self.guards.iter().map(|(step, _)| *step))
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// The steps in an order in which each follows those it waits for; none if there is a cycle.
pub(super) fn order(edges: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut dependents = vec![Vec::new(); edges.len()];
    let mut left: Vec<usize> = edges.iter().map(Vec::len).collect();
    for (step, edges) in edges.iter().enumerate() {
        for earlier in edges {
            dependents[*earlier].push(step);
        }
    }
    let mut order: Vec<usize> = (0..edges.len()).filter(|step| left[*step] == 0).collect();
    let mut next = 0;
    while let Some(step) = order.get(next).copied() {
        next += 1;
        for dependent in &dependents[step] {
            left[*dependent] -= 1;
            if left[*dependent] == 0 {
                order.push(*dependent);
            }
        }
    }
    (order.len() == edges.len()).then_some(order)
}
