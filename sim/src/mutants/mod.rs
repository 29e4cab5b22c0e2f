//! Measuring the simulator: seeded bugs, and how many seeds it takes until an oracle fails.
//!
//! Invariant: a mutant counts as killed only if every repetition finds it; what finds it is any oracle, not a chosen one.

use std::time::Duration;

use serde::Serialize;
use squid_mesh_core::mutant::{Mutant, Mutation};

use crate::campaign::run_seed;
use crate::settings::Profile;

pub mod ablation;
#[cfg(test)]
mod vocabulary;

/// How hard to try.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Seeds tried at most in one repetition.
    pub seeds: u64,
    /// How often the search begins anew, from other seeds.
    pub repetitions: u64,
}

impl Default for Effort {
    fn default() -> Effort {
        Effort {
            seeds: 20_000,
            repetitions: 5,
        }
    }
}

/// What became of one mutant.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Which.
    pub mutant: String,
    /// Whether every repetition found it.
    pub killed: bool,
    /// Seeds needed, in the middle of the repetitions.
    pub median_seeds: u64,
    /// Seeds needed by nine of ten.
    pub p90_seeds: u64,
    /// Time spent.
    pub cpu_seconds: f64,
    /// The promises that were broken.
    pub killed_by: Vec<String>,
}

/// Searches for seeds on which an oracle notices a mutant. Distances between the repetitions' first seeds are such that
/// they never meet.
pub fn hunt(mutant: Mutant, effort: Effort) -> Row {
    let begun = std::time::Instant::now();
    let mut needed = Vec::new();
    let mut killed_by: Vec<String> = Vec::new();
    for repetition in 0..effort.repetitions {
        let first = repetition * 1_000_000;
        match search(mutant, first, effort.seeds) {
            Some((seeds, promise)) => {
                needed.push(seeds);
                if !killed_by.contains(&promise) {
                    killed_by.push(promise);
                }
            }
            None => break,
        }
    }
    let killed = needed.len() as u64 == effort.repetitions;
    needed.sort_unstable();
    let at = |tenths: usize| {
        needed
            .get(needed.len() * tenths / 10)
            .copied()
            .unwrap_or(effort.seeds)
    };
    Row {
        mutant: format!("{mutant:?}"),
        killed,
        median_seeds: at(5),
        p90_seeds: at(9),
        cpu_seconds: seconds(begun.elapsed()),
        killed_by,
    }
}

fn search(mutant: Mutant, first: u64, seeds: u64) -> Option<(u64, String)> {
    (0..seeds).find_map(|index| {
        let outcome = run_seed(first + index, profile_of(mutant), Mutation::of(mutant));
        outcome
            .violation
            .map(|violation| (index + 1, violation.promise.text().to_owned()))
    })
}

/// The worlds in which a mutant can be noticed: as long as nothing that was committed is lost, a fence is given once.
pub(crate) fn profile_of(mutant: Mutant) -> Profile {
    match mutant {
        Mutant::SettleIgnoresOwner => Profile::Loss,
        _ => Profile::PullRequest,
    }
}

fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seeded_bug_is_found_and_named() {
        let row = hunt(
            Mutant::JoinForgotten,
            Effort {
                seeds: 200,
                repetitions: 2,
            },
        );
        assert!(row.killed, "{row:?}");
        assert!(!row.killed_by.is_empty());
    }
}
