//! Other ways to the same failure: what can only be made a little smaller may have a smaller sibling elsewhere.
//!
//! Invariant: what was found so far is given up only for something smaller.

use super::{Failure, Search};
use crate::choice::{Choices, Label, Place, Placed, Topic, mix, scope};
use crate::library;

/// The choice of a workflow that is none of the fixed shapes.
const GROWN: u64 = 999;
/// Failures of at most this size are read easily.
const EASY: u32 = 15;
/// Failures of more than this size are cut down slowly.
const BIG: u32 = 40;
/// So many batches of other ways are tried before a big failure is cut down.
const AT_FIRST: u64 = 3;
/// Of so many other ways the smallest is followed.
const BATCH: u64 = 64;
/// So many events a small world has at most.
const SHORT: u64 = 300;
/// How many batches are tried in vain from a failure that is read easily.
const FOR_GOOD_MEASURE: u64 = 2;
/// How many batches are tried in vain until it is given up.
const IN_VAIN: u64 = 300;

impl Search<'_> {
    /// Makes the failure as small as it can be made, then looks for others. Answers whether nothing was left to try.
    pub(super) fn run(&mut self) -> bool {
        let (mut batch, mut vain) = (0, 0);
        let mut done = false;
        loop {
            let easy = self.best.cost.size <= EASY;
            let enough = if easy { FOR_GOOD_MEASURE } else { IN_VAIN };
            if self.is_over() || done && vain >= enough {
                return done;
            }
            if self.look_elsewhere(batch) {
                (vain, done) = (0, false);
            }
            (batch, vain) = (batch + 1, vain + 1);
            // What is big is cut down slowly: it is worth more to look for something small.
            let big = self.best.cost.size > BIG && batch < AT_FIRST && vain > 0;
            if !done && !big {
                done = !self.minimise_once() && (easy || !self.move_in_pairs());
            }
        }
    }

    /// Looks for the failure in small worlds with everything else drawn anew. Answers whether that led to a smaller one.
    fn look_elsewhere(&mut self, batch: u64) -> bool {
        let seeds = batch * BATCH..(batch + 1) * BATCH;
        let mut found: Option<Failure> = None;
        for seed in seeds {
            if self.is_over() {
                break;
            }
            if let Some(failure) = self.elsewhere(seed)
                && found.as_ref().is_none_or(|found| failure.cost < found.cost)
            {
                found = Some(failure);
            }
        }
        let Some(failure) = found else { return false };
        let known = std::mem::replace(&mut self.best, failure);
        self.tried.clear();
        // What stays far bigger than what is known is not worth more.
        while self.minimise_once() && !self.is_over() && self.best.cost.size <= known.cost.size * 2
        {
        }
        let smaller = self.best.cost.size < known.cost.size;
        if !smaller {
            self.best = known;
        }
        self.tried.clear();
        smaller
    }

    fn elsewhere(&mut self, seed: u64) -> Option<Failure> {
        let word = |of: u64| mix(mix(of, seed), 0x5eed);
        let setup =
            |one: &&Placed| one.place.label.sets_up() || one.place.label == Label::Intensity;
        let kept = self.best.case.choices.iter().filter(setup);
        let mut kept: Vec<Placed> = kept.copied().collect();
        // The workflow that is known to fail, a fixed shape, or any other.
        let other = match word(1) % 4 {
            _ if !self.worlds.are_of_the_library() => None,
            0 => None,
            1 => Some((0, library::fixed_shapes() as u64)),
            _ => Some((GROWN, library::workflows().len() as u64)),
        };
        if let Some((grown, n)) = other {
            let workflow = scope(Topic::Workflow, &[0]);
            let about = [scope(Topic::Setup, &[]), workflow];
            kept.retain(|one| one.place.label != Label::Shape || !about.contains(&one.place.scope));
            kept.push(shape(workflow, 0, 1_000, grown));
            kept.push(shape(workflow, 1, n, word(2) % n));
        }
        // One or two of the planned starts.
        let planned = 1 + word(3) % 2;
        let dropped = (planned..64).map(|number| scope(Topic::Plan, &[number]));
        let dropped = dropped.collect();
        let choices = Choices::placed(&kept, &dropped).otherwise(word(4));
        let most = (self.best.cost.events * 3 / 2 + 60).min(SHORT);
        self.failure(choices, most)
    }
}

/// A choice about which workflow there is: first whether it is none of the fixed shapes, then which.
fn shape(scope: u64, nth: u32, n: u64, value: u64) -> Placed {
    let place = Place {
        label: Label::Shape,
        scope,
        visit: 0,
        nth,
    };
    Placed { place, n, value }
}
