//! What one world came to.
//!
//! Invariant: equal choices give equal outcomes, hash and all.

use crate::choice::{Choice, Choices, Path, mix};
use crate::clock::SimTime;
use crate::fault::intensity::Portfolio;
use crate::fault::sometimes::Sometimes;
use crate::ghost::Ghost;
use crate::settings::Settings;
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
    pub story: Vec<String>,
    /// The choices, if they were logged.
    pub log: Vec<Choice>,
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
        let scope = choices.scope();
        Outcome {
            events: trace.events(),
            simulated,
            hash,
            sometimes,
            story: trace.story().to_vec(),
            log: choices.log().unwrap_or_default().to_vec(),
            choices: choices.drawn(),
            decisions: scope.map_or(0, |scope| scope.taken().len() as u64),
            branches: scope.map_or_else(Vec::new, |scope| scope.branches().collect()),
            portfolio: settings.intensities.portfolio(),
            nodes: settings.nodes.len(),
            runs: ghost.runs.len(),
            violation,
        }
    }
}
