//! How the steps of a definition hang together.
//!
//! Invariant: everything here follows from the steps alone, and lists of steps are in declaration order.

use std::collections::BTreeSet;

use super::step::{Way, label};
use super::{Definition, Step, StepIndex};

impl Definition {
    /// The steps that wait for the step at `index`, in whatever way, in declaration order.
    pub fn dependents(&self, index: StepIndex) -> &[StepIndex] {
        &self.dependents[index.at()]
    }

    /// The steps that take the failure of the step at `index` or are guarded by it, in declaration order. If there is one, a
    /// failure of that step does not fail the run.
    pub fn consumers(&self, index: StepIndex) -> &[StepIndex] {
        &self.consumers[index.at()]
    }

    /// These steps and all that wait for them, directly or through others, in whatever way.
    pub fn downstream(&self, steps: &BTreeSet<StepIndex>) -> BTreeSet<StepIndex> {
        let mut found = steps.clone();
        let mut open: Vec<StepIndex> = steps.iter().copied().collect();
        while let Some(step) = open.pop() {
            for dependent in self.dependents(step) {
                if found.insert(*dependent) {
                    open.push(*dependent);
                }
            }
        }
        found
    }

    /// Whether a step is guarded by the expiry of the gate at `index`; if not, the gate fails when its deadline comes.
    pub fn wires_expiry(&self, index: StepIndex) -> bool {
        let Some(expired) = self.step(index).way(label::EXPIRED) else {
            return false;
        };
        let dependents = self.dependents(index).iter();
        let guards = dependents.flat_map(|step| &self.step(*step).guards);
        let mut ways = guards.filter(|guard| guard.step == index);
        self.step(index).kind.is_gate() && ways.any(|guard| guard.way == Way::Label(expired))
    }
}

/// For each step those that wait for it.
pub(super) fn dependents(steps: &[Step]) -> Vec<Vec<StepIndex>> {
    inverse(steps, Step::waits_for)
}

/// For each step those that its failure leads to.
pub(super) fn consumers(steps: &[Step]) -> Vec<Vec<StepIndex>> {
    inverse(steps, |step| {
        let guards = step.guards.iter();
        let failed = guards.filter(|guard| guard.way == Way::Failed);
        let failed = failed.map(|guard| guard.step);
        let mut all: Vec<StepIndex> = failed.chain(step.failures.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    })
}

fn inverse(steps: &[Step], of: impl Fn(&Step) -> Vec<StepIndex>) -> Vec<Vec<StepIndex>> {
    let mut inverse = vec![Vec::new(); steps.len()];
    for (i, step) in (0..).map(StepIndex).zip(steps) {
        for earlier in of(step) {
            inverse[earlier.at()].push(i);
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::definition::{Draft, DraftBinding, DraftSource, Origin, StepKind, samples};

    fn named(definition: &Definition, steps: impl IntoIterator<Item = StepIndex>) -> Vec<String> {
        let steps = steps.into_iter();
        steps
            .map(|step| definition.step(step).name.to_string())
            .collect()
    }

    #[test]
    fn what_a_failure_leads_to_and_what_lies_downstream() {
        let order = samples::changed(|_| {});
        let at = |name: &str| order.index_of(name).unwrap();
        let consumers = order.consumers(at("parcels")).iter().copied();
        assert_eq!(named(&order, consumers), ["apologise", "close"]);
        assert_eq!(order.consumers(at("charge")), []);
        let downstream = |names: &[&str]| {
            let steps: BTreeSet<StepIndex> = names.iter().map(|name| at(name)).collect();
            named(&order, order.downstream(&steps))
        };
        assert_eq!(downstream(&["settle"]), ["settle", "ship"]);
        assert_eq!(downstream(&["ship", "size"]), ["ship", "size", "invoice"]);
        assert_eq!(
            downstream(&["review"]),
            [
                "review",
                "park",
                "paid",
                "invoice",
                "refund",
                "apologise",
                "close"
            ]
        );
        assert_eq!(downstream(&[]), Vec::<String>::new());
        assert_eq!(
            downstream(&["charge", "reserve", "size", "parcels"]).len(),
            15
        );
    }

    #[test]
    fn gates_whose_expiry_leads_somewhere_and_workflows_are_known() {
        let order = samples::changed(|_| {});
        let wired = order.indexes().filter(|step| order.wires_expiry(*step));
        assert_eq!(named(&order, wired), ["review"]);
        // A label of that name on a route is no expiry.
        let order = samples::changed(|draft| {
            draft["steps"][9]["route"][0]["label"] = "expired".into();
            draft["steps"][10]["when"][1]["label"] = "expired".into();
        });
        assert!(!order.wires_expiry(order.index_of("size").unwrap()));
        let workflows: Vec<&str> = order
            .workflows()
            .into_iter()
            .map(|name| name.as_str())
            .collect();
        assert_eq!(workflows, ["invoice", "parcel"]);
        let handlers: Vec<&str> = order
            .handlers()
            .into_iter()
            .map(|name| name.as_str())
            .collect();
        assert_eq!(
            handlers,
            [
                "apologise",
                "charge_card",
                "close",
                "refund",
                "release_stock",
                "reserve_stock",
                "ship"
            ]
        );
    }

    /// How a step of an imagined run ended.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum End {
        Succeeded(Option<usize>),
        Failed,
        Skipped,
    }

    /// One course that a run may take, by the rules of skipping; none if it fails.
    fn course(definition: &Definition, picks: &[Index]) -> Option<Vec<End>> {
        let mut ends: Vec<Option<End>> = vec![None; definition.steps().len()];
        while ends.contains(&None) {
            let open = definition.indexes().find(|step| {
                let mut waits = definition.step(*step).waits_for().into_iter();
                ends[step.at()].is_none() && waits.all(|other| ends[other.at()].is_some())
            });
            let index = open.expect("a definition has no cycle");
            let end = end_of(definition, index, &ends, picks[index.at()]);
            if end == End::Failed && definition.consumers(index).is_empty() {
                return None;
            }
            ends[index.at()] = Some(end);
        }
        ends.into_iter().collect()
    }

    fn end_of(definition: &Definition, index: StepIndex, ends: &[Option<End>], pick: Index) -> End {
        let step = definition.step(index);
        let end = |other: &StepIndex| ends[other.at()].unwrap();
        let succeeded = |other: &StepIndex| matches!(end(other), End::Succeeded(_));
        let holds = step.guards.iter().all(|guard| match guard.way {
            Way::Failed => end(&guard.step) == End::Failed,
            Way::Label(label) => end(&guard.step) == End::Succeeded(Some(label.0.into())),
        });
        let runs = holds
            && step.needs.iter().all(succeeded)
            && step.failures.iter().all(|other| end(other) == End::Failed)
            && step.either.iter().all(|group| group.iter().any(succeeded));
        if !runs {
            return End::Skipped;
        }
        let labels = step.ways().len();
        let can_fail = !matches!(step.kind, StepKind::Wait { .. } | StepKind::Log { .. });
        let choices = labels + 1 + usize::from(can_fail);
        match pick.index(choices) {
            choice if choice < labels => End::Succeeded(Some(choice)),
            choice if choice == labels => End::Succeeded(None),
            _ => End::Failed,
        }
    }

    proptest! {
        #[test]
        fn a_run_completes_with_what_its_result_takes_and_with_whatever_it_might_take(
            draft in samples::any_draft(), picks in prop::collection::vec(any::<Index>(), 32)
        ) {
            let definition = Definition::validate(draft.clone()).unwrap();
            if let Some(ends) = course(&definition, &picks) {
                let succeeded = |step: &StepIndex| matches!(ends[step.at()], End::Succeeded(_));
                // That one of several alternatives succeeds is their author's word.
                let mut groups = definition.steps().iter().flat_map(|step| &step.either);
                let kept = groups.all(|group| group.iter().any(succeeded));
                for source in definition.result().sources() {
                    if let Origin::Output(step) = &source.origin {
                        prop_assert!(!kept || succeeded(step));
                    }
                }
                for index in definition.indexes().filter(|step| kept && !succeeded(step)) {
                    let name = definition.step(index).name.as_str();
                    let result = DraftBinding::Whole(DraftSource::output(name));
                    let taking = Draft { result, ..draft.clone() };
                    prop_assert!(Definition::validate(taking).is_err(), "{name}");
                }
            }
        }
    }
}
