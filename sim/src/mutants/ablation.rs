//! What each promise is there for: the seeded bugs that nobody would notice without it.
//!
//! A world ends with the first promise that it breaks, so a bug counts as noticed without a promise only on seeds on which
//! another one was broken first. A bug that is said to survive might still be noticed later in such a world: the table errs
//! on the side of the promises.
//!
//! Invariant: a bug that is listed was found by its promise and, on as many seeds, by no other.

use std::collections::BTreeMap;

use squid_mesh_core::mutant::{Mutant, Mutation};

use super::{Effort, Row};
use crate::campaign::run_seed;
use crate::choice::Choices;
use crate::settings::Profile;
use crate::trace::Trace;
use crate::violation::Promise;
use crate::world::World;

/// The promise without which a mutant survives, if its hunt and as many seeds more find it by that alone.
pub fn only_by(mutant: Mutant, row: &Row, effort: Effort) -> Option<String> {
    let [promise] = row.killed_by.as_slice() else {
        return None;
    };
    let another = |seed: u64| {
        let outcome = run_seed(seed, Profile::PullRequest, Mutation::of(mutant));
        let violation = outcome.violation;
        violation.is_some_and(|violation| violation.promise.text() != promise)
    };
    (!(0..effort.seeds).any(another)).then(|| promise.clone())
}

/// How many seeds it takes until a promise is broken by a mutant if nobody but its oracle is asked.
pub fn alone(mutant: Mutant, promise: Promise, seeds: u64) -> Option<u64> {
    let notices = |seed: &u64| {
        let (choices, mutation) = (Choices::seeded(*seed), Mutation::of(mutant));
        let world = World::new(choices, Profile::PullRequest, mutation, Trace::default());
        let violation = world.asking_only(promise).run().violation;
        violation.is_some_and(|violation| violation.promise == promise)
    };
    (0..seeds).find(notices).map(|seed| seed + 1)
}

/// Which mutants survive without each promise, by the promise.
pub fn table(survivors: &[(String, Option<String>)]) -> BTreeMap<String, Vec<String>> {
    let mut table: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (mutant, promise) in survivors {
        if let Some(promise) = promise {
            table
                .entry(promise.clone())
                .or_default()
                .push(mutant.clone());
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants::hunt;

    #[test]
    fn a_bug_that_one_promise_notices_survives_without_it() {
        let effort = Effort {
            seeds: 20,
            repetitions: 2,
        };
        let row = hunt(Mutant::LeaseEndsEarly, effort);
        assert!(row.killed, "{row:?}");
        let survives = only_by(Mutant::LeaseEndsEarly, &row, effort);
        assert_eq!(survives.as_ref(), row.killed_by.first());
    }

    #[test]
    fn a_bug_that_another_promise_notices_too_does_not_survive() {
        let effort = Effort {
            seeds: 20,
            repetitions: 1,
        };
        let row = hunt(Mutant::JoinForgotten, effort);
        let by = |promises: &[&str]| Row {
            killed_by: promises.iter().map(|name| (*name).to_owned()).collect(),
            ..row.clone()
        };
        let survives = |row| only_by(Mutant::JoinForgotten, &row, effort);
        assert_eq!(survives(by(&["one", "another"])), None);
        assert_eq!(survives(by(&["one that is not what notices it"])), None);
    }

    #[test]
    fn the_table_is_by_promise() {
        let table = table(&[
            ("A".to_owned(), Some("p".to_owned())),
            ("B".to_owned(), None),
            ("C".to_owned(), Some("p".to_owned())),
        ]);
        assert_eq!(table["p"], ["A", "C"]);
        assert_eq!(table.len(), 1);
    }
}
