//! Campaigns: many seeds over several threads, summed up deterministically.
//!
//! Invariant: the summary of a range of seeds does not depend on how many threads ran it, nor in which order.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use squid_mesh_core::mutant::Mutation;

use crate::choice::{Choices, mix};
use crate::fault::sometimes::Sometimes;
use crate::settings::Profile;
use crate::trace::Trace;
use crate::violation::{Promise, Violation};
use crate::world::{Outcome, World};

/// Failures that a summary keeps; further ones are only counted.
const FAILURES_KEPT: usize = 10;

/// What to run.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// How big the worlds are.
    pub profile: Profile,
    /// Threads.
    pub threads: usize,
    /// When to stop even if seeds are left.
    pub time: Option<Duration>,
    /// Of how many seeds one is run twice, to compare the traces; 0 for none.
    pub twice_one_in: u64,
    /// The seeded bug to run with.
    pub mutation: Mutation,
    /// Whether the first failure ends it.
    pub stop_at_failure: bool,
}

impl Campaign {
    /// A campaign over these seeds, as pull requests have it.
    pub fn over(from: u64, seeds: u64) -> Campaign {
        Campaign {
            from,
            seeds,
            profile: Profile::PullRequest,
            threads: 2,
            time: None,
            twice_one_in: 16,
            mutation: Mutation::NONE,
            stop_at_failure: false,
        }
    }

    /// Runs it. `progress` is called from time to time with the number of seeds done.
    pub fn run(&self, progress: &(dyn Fn(u64) + Sync)) -> Summary {
        let begun = Instant::now();
        let next = AtomicU64::new(self.from);
        let stop = AtomicBool::new(false);
        let total = Mutex::new(Summary::default());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| self.work(begun, &next, &stop, &total, progress));
            }
        });
        let mut summary = total
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        summary.failures.sort_by_key(|failure| failure.seed);
        summary.failures.truncate(FAILURES_KEPT);
        summary.wall = begun.elapsed();
        summary
    }

    fn work(
        &self,
        begun: Instant,
        next: &AtomicU64,
        stop: &AtomicBool,
        total: &Mutex<Summary>,
        progress: &(dyn Fn(u64) + Sync),
    ) {
        const BATCH: u64 = 16;
        let end = self.from.saturating_add(self.seeds);
        loop {
            let first = next.fetch_add(BATCH, Ordering::Relaxed);
            let late = self.time.is_some_and(|time| begun.elapsed() > time);
            if first >= end || late || stop.load(Ordering::Relaxed) {
                return;
            }
            let mut summary = Summary::default();
            for seed in first..(first + BATCH).min(end) {
                summary.add_seed(seed, self.profile, self.seed(seed));
                if self.stop_at_failure && summary.failed > 0 {
                    stop.store(true, Ordering::Relaxed);
                    break;
                }
            }
            let done = {
                let mut total = total
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                total.add(summary);
                total.seeds
            };
            progress(done);
        }
    }

    /// Runs one seed, some of them twice.
    fn seed(&self, seed: u64) -> Outcome {
        let mut outcome = run_seed(seed, self.profile, self.mutation);
        let sampled = self.twice_one_in > 0 && seed.is_multiple_of(self.twice_one_in);
        if sampled && outcome.violation.is_none() {
            let again = run_seed(seed, self.profile, self.mutation);
            if again.hash != outcome.hash {
                outcome.violation = Some(Violation {
                    promise: Promise::Deterministic,
                    detail: first_difference(seed, self.profile, self.mutation),
                    at: outcome.simulated,
                    event: outcome.events,
                });
            }
        }
        outcome
    }
}

/// Runs one seed without a story. A panic in it is a violation like any other.
pub fn run_seed(seed: u64, profile: Profile, mutation: Mutation) -> Outcome {
    World::new(Choices::seeded(seed), profile, mutation, Trace::default()).run()
}

/// Runs one seed, or the choices of one, and tells its story.
pub fn tell(choices: Choices, profile: Profile, mutation: Mutation, events: u64) -> Outcome {
    World::new(choices, profile, mutation, Trace::told()).run_for(events)
}

/// Which choice of two runs of one seed is the first that differs.
fn first_difference(seed: u64, profile: Profile, mutation: Mutation) -> String {
    let run = || {
        World::new(
            Choices::seeded(seed).logged(),
            profile,
            mutation,
            Trace::default(),
        )
        .run()
    };
    let (first, second) = (run(), run());
    let differs = first.log.iter().zip(&second.log).position(|(a, b)| a != b);
    match differs {
        Some(index) => {
            format!(
                "choice {index} was {:?}, and then {:?}",
                first.log[index], second.log[index]
            )
        }
        None => format!(
            "the choices are the same, the traces are not ({} and {})",
            first.hash, second.hash
        ),
    }
}

/// What a campaign came to.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Seeds run.
    pub seeds: u64,
    /// Events of all of them, those of second runs aside.
    pub events: u64,
    /// Simulated time of all of them, in microseconds.
    pub simulated: u64,
    /// How long it took.
    pub wall: Duration,
    /// How many failed.
    pub failed: u64,
    /// The first of those.
    pub failures: Vec<SeedFailure>,
    /// What was reached.
    pub sometimes: Sometimes,
    /// Tells this campaign from any other.
    pub hash: u64,
    /// Per seed: nodes, runs, faults fired, in that order.
    pub mix: Vec<[u32; 3]>,
}

/// A seed that failed.
#[derive(Debug, Clone, Serialize)]
pub struct SeedFailure {
    /// The seed.
    pub seed: u64,
    /// The promise that was broken.
    pub promise: String,
    /// By what.
    pub detail: String,
    /// After how many events.
    pub event: u64,
    /// One line that repeats it.
    pub reproduce: String,
}

impl Summary {
    fn add_seed(&mut self, seed: u64, profile: Profile, outcome: Outcome) {
        self.seeds += 1;
        self.events += outcome.events;
        self.simulated += outcome.simulated.0;
        self.hash = self.hash.wrapping_add(mix(mix(0, seed), outcome.hash));
        self.sometimes.add(&outcome.sometimes);
        let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        self.mix.push([
            count(outcome.nodes as u64),
            count(outcome.runs as u64),
            count(outcome.sometimes.faults()),
        ]);
        if let Some(violation) = outcome.violation {
            self.failed += 1;
            self.failures.push(SeedFailure {
                seed,
                promise: violation.promise.text().to_owned(),
                detail: violation.detail,
                event: violation.event,
                reproduce: format!(
                    "squid-mesh-sim replay --seed {seed} --profile {} --trace",
                    profile.name()
                ),
            });
        }
    }

    fn add(&mut self, other: Summary) {
        self.seeds += other.seeds;
        self.events += other.events;
        self.simulated += other.simulated;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.sort_by_key(|failure| failure.seed);
        self.failures.truncate(FAILURES_KEPT * 2);
        self.sometimes.add(&other.sometimes);
        self.hash = self.hash.wrapping_add(other.hash);
        self.mix.extend(other.mix);
    }

    /// The median number of nodes, runs and faults fired of a seed.
    pub fn medians(&self) -> [u32; 3] {
        [0, 1, 2].map(|column| {
            let mut values: Vec<u32> = self.mix.iter().map(|row| row[column]).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied().unwrap_or(0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_does_not_depend_on_the_number_of_threads() {
        let one = Campaign {
            threads: 1,
            ..Campaign::over(0, 64)
        }
        .run(&|_| {});
        let three = Campaign {
            threads: 3,
            ..Campaign::over(0, 64)
        }
        .run(&|_| {});
        assert_eq!(
            (one.hash, one.events, one.simulated),
            (three.hash, three.events, three.simulated)
        );
    }
}
