//! What one world came to.
//!
//! Invariant: equal choices give equal outcomes, hash and all.

use std::collections::BTreeSet;

use crate::choice::{Choice, Choices, Path, Placed, mix};
use crate::clock::SimTime;
use crate::fault::intensity::Portfolio;
use crate::fault::sometimes::Sometimes;
use crate::ghost::Ghost;
use crate::settings::Settings;
use crate::story::{Cast, Scene};
use crate::trace::Trace;
use crate::violation::Violation;

/// What one world came to.
#[derive(Debug)]
pub struct Outcome {
    /// Events: heap items that called the engine or the store.
    pub events: u64,
    /// Simulated time while a run was open.
    pub simulated: SimTime,
    /// Tells this world from any other.
    pub hash: u64,
    /// What was reached.
    pub sometimes: Sometimes,
    /// The story, if one was told.
    pub story: Vec<Scene>,
    /// Who plays in the story, if one was told.
    pub cast: Cast,
    /// The choices, if they were logged.
    pub log: Vec<Choice>,
    /// The choices that were not zero, by place, if they are told apart.
    pub taken: Vec<Placed>,
    /// What could be dropped, if choices are told apart.
    pub droppable: Vec<u64>,
    /// What was dropped.
    pub left_out: BTreeSet<u64>,
    /// Operations that wrote something.
    pub operations: u32,
    /// Faults that fired.
    pub faults: u32,
    /// How many choices were made.
    pub choices: u64,
    /// In a small scope: how many decisions there were.
    pub decisions: u64,
    /// In a small scope: the paths that leave this one.
    pub branches: Vec<Path>,
    /// The mix of faults.
    pub portfolio: Portfolio,
    /// How many nodes there were.
    pub nodes: usize,
    /// How many runs were started.
    pub runs: usize,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
}

impl Outcome {
    pub(super) fn new(
        simulated: SimTime,
        trace: Trace,
        choices: Choices,
        sometimes: Sometimes,
        ghost: &Ghost,
        settings: &Settings,
        violation: Option<Violation>,
    ) -> Outcome {
        let mut hash = mix(mix(trace.hash(), choices.digest()), simulated.0);
        for (id, run) in &ghost.runs {
            let words = id.to_bytes();
            for word in words.chunks_exact(8) {
                hash = mix(
                    hash,
                    u64::from_le_bytes(word.try_into().expect("eight bytes")),
                );
            }
            hash = mix(
                hash,
                u64::from(run.seq.0) << 8 | run.ended.map_or(0, |ended| ended as u64 + 1),
            );
        }
        let walk = choices.walk();
        let (operations, faults) = trace.counts();
        let (events, story) = (trace.events(), trace.into_story());
        Outcome {
            taken: choices.taken().to_vec(),
            left_out: choices.left_out(),
            droppable: choices.droppable().to_vec(),
            operations,
            faults,
            events,
            simulated,
            hash,
            sometimes,
            cast: if story.is_empty() {
                Cast::default()
            } else {
                Cast::of(&story, ghost)
            },
            story,
            log: choices.log().unwrap_or_default().to_vec(),
            choices: choices.drawn(),
            decisions: walk.map_or(0, |walk| walk.taken().len() as u64),
            branches: walk.map_or_else(Vec::new, |walk| walk.branches().collect()),
            portfolio: settings.intensities.portfolio(),
            nodes: settings.nodes.len(),
            runs: ghost.runs.len(),
            violation,
        }
    }
}
