//! The workflows that simulations run: fixed shapes first, then a pool of random ones.
//!
//! Invariant: the library is the same in every process; what a seed draws is an index into it.

mod grown;
mod language;
mod random;
mod shapes;

use std::sync::{Arc, OnceLock};

use squid_mesh_core::definition::{Definition, Draft};

use crate::choice::Choices;

/// Handlers that steps name. Every node has the first; some nodes lack some of the others.
pub const HANDLERS: [&str; 5] = ["alpha", "beta", "gamma", "delta", "omega"];
/// Queues that steps name.
pub const QUEUES: [&str; 2] = ["default", "bulk"];

const RANDOM: u64 = 250;
const GROWN: u64 = 750;

/// The workflow that handlers start, in a world that has it.
pub const CALLED: &str = "leaf";

/// How often in a thousand times an attempt of a workflow starts runs.
pub fn calls(workflow: &str) -> u32 {
    if workflow == language::CALLER {
        700
    } else {
        30
    }
}

/// Every workflow, the simplest first.
pub fn workflows() -> &'static [Arc<Definition>] {
    static WORKFLOWS: OnceLock<Vec<Arc<Definition>>> = OnceLock::new();
    WORKFLOWS.get_or_init(|| {
        let valid = |draft: Draft| {
            Arc::new(Definition::validate(draft).expect("the library's drafts are valid"))
        };
        let fixed = shapes::fixed().into_iter().chain(language::fixed());
        let random = (0..RANDOM).map(|index| random::random(index, &mut Choices::seeded(index)));
        let grown = (0..GROWN).map(|index| grown::grown(index, &mut Choices::seeded(index)));
        let plain: Vec<Arc<Definition>> = fixed.chain(random).map(valid).collect();
        plain.into_iter().chain(grown.map(Arc::new)).collect()
    })
}

/// These workflows with those that they start as children, and so on.
pub fn with_children(mut picked: Vec<Arc<Definition>>) -> Vec<Arc<Definition>> {
    let mut next = 0;
    while let Some(definition) = picked.get(next).cloned() {
        for name in definition.workflows() {
            let known = picked.iter().any(|other| other.name() == name);
            let found = workflows().iter().find(|other| other.name() == name);
            picked.extend(found.filter(|_| !known).cloned());
        }
        next += 1;
    }
    picked
}

/// How many of them have a fixed shape.
pub fn fixed_shapes() -> usize {
    workflows().len() - usize::try_from(RANDOM + GROWN).expect("a small number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workflow_of_the_library_is_valid_and_has_a_name_of_its_own() {
        let mut names: Vec<&str> = workflows()
            .iter()
            .map(|definition| definition.name().as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), workflows().len());
        assert_eq!(fixed_shapes(), 22);
    }

    #[test]
    fn the_library_is_varied() {
        let steps: Vec<usize> = workflows()
            .iter()
            .map(|definition| definition.steps().len())
            .collect();
        assert!((1..=6).all(|count| steps.contains(&count)));
        let with = |holds: &dyn Fn(&Definition) -> bool| {
            workflows().iter().filter(|one| holds(one)).count()
        };
        assert!(with(&|one| one.deadline().is_some()) > 20);
        assert!(with(&|one| one.steps().iter().any(|step| step.timeout.is_some())) > 50);
        assert!(with(&|one| one.steps().iter().any(|step| !step.after.is_empty())) > 50);
        assert!(with(&|one| one.steps().iter().any(|step| step.needs.len() > 1)) > 20);
    }
}
