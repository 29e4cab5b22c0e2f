//! One slot that cannot be decided spoils no other.
//!
//! Invariant: a panic in slot i leaves every other slot decided as if slot i had not been there.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::mutant::{Mutant, Mutation};

/// Decides `count` slots over a state that they share. A slot that panics gets what `poisoned` says, and all others are
/// decided again on a fresh state.
pub(super) fn guarded<S, T>(
    fresh: impl Fn() -> S,
    count: usize,
    mutation: Mutation,
    decide: impl Fn(&mut S, usize) -> T,
    poisoned: impl Fn(usize) -> T,
) -> (S, Vec<T>) {
    let mut poison: BTreeSet<usize> = BTreeSet::new();
    loop {
        let current = Cell::new(0);
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let mut state = fresh();
            let slots = (0..count).map(|index| {
                current.set(index);
                if poison.contains(&index) {
                    poisoned(index)
                } else {
                    decide(&mut state, index)
                }
            });
            let slots = slots.collect();
            (state, slots)
        }));
        match attempt {
            Ok(done) => return done,
            Err(_) if mutation.is(Mutant::PoisonSpreads) => poison.extend(0..count),
            Err(_) => {
                let culprit = current.get();
                assert!(
                    poison.insert(culprit),
                    "a poisoned slot is not decided again"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panicking_slot_leaves_its_neighbours_decided() {
        let (sum, slots) = guarded(
            || 0,
            4,
            Mutation::NONE,
            |sum: &mut usize, index| {
                *sum += index;
                assert!(index != 2, "slot 2 is poison");
                Some(*sum)
            },
            |_| None,
        );
        assert_eq!((sum, slots), (4, vec![Some(0), Some(1), None, Some(4)]));
    }
}
