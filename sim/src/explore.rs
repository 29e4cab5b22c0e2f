//! Exhaustive search: a small scope in which everything that can happen is tried.
//!
//! Invariant: a search that is complete has run every path of its scope, each once, however many threads it had.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use squid_mesh_core::mutant::Mutation;

use crate::choice::{Choices, Path, Walk};
use crate::clock::SimTime;
use crate::fault::Fault;
use crate::fault::intensity::Intensities;
use crate::fault::sometimes::Sometimes;
use crate::library;
use crate::settings::{Profile, Settings, Traffic};
use crate::trace::Trace;
use crate::violation::Violation;
use crate::world::{Outcome, World};

/// What can go wrong in a scope, of everything that is an occasion for it.
pub const FAULTS: [Fault; 11] = [
    Fault::LostRequest,
    Fault::LostReply,
    Fault::Conflict,
    Fault::InDoubtLands,
    Fault::InDoubtRollsBack,
    Fault::Doubled,
    Fault::SlowReply,
    Fault::PartialScan,
    Fault::CrashAtEffect,
    Fault::FreezeHolder,
    Fault::HandlerFails,
];

/// Failures that a search keeps; further ones are only counted.
const KEPT: usize = 5;

/// What to search.
#[derive(Debug, Clone)]
pub struct Search {
    /// Faults in one world at most.
    pub faults: u32,
    /// Workers, each of which can execute everything.
    pub workers: usize,
    /// Threads.
    pub threads: usize,
    /// When to stop even if paths are left.
    pub time: Option<Duration>,
    /// The seeded bug to run with.
    pub mutation: Mutation,
}

/// A path on which a promise was broken.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The path.
    pub path: Path,
    /// What was found.
    pub violation: Violation,
}

/// What a search came to.
#[derive(Debug, Default)]
pub struct Found {
    /// Worlds run.
    pub worlds: u64,
    /// Events of all of them.
    pub events: u64,
    /// Decisions of all of them.
    pub decisions: u64,
    /// Paths that were not run for want of time.
    pub left: u64,
    /// How many worlds failed.
    pub failed: u64,
    /// Some of those, by their paths.
    pub failures: Vec<Failure>,
    /// What was reached.
    pub sometimes: Sometimes,
    /// How long it took.
    pub wall: Duration,
}

impl Search {
    /// Two workers, one run of three steps, and so many faults.
    pub fn of(faults: u32) -> Search {
        Search {
            faults,
            workers: 2,
            threads: 2,
            time: None,
            mutation: Mutation::NONE,
        }
    }

    /// Runs one path of the scope.
    pub fn world(&self, path: Path, trace: Trace) -> World {
        let choices = Choices::walking(Walk::new(path, self.faults)).logged();
        World::with(self.settings(), choices, trace)
    }

    fn settings(&self) -> Settings {
        let calm = &mut Choices::replayed(&[]);
        let drawn = Settings::drawn(calm, Profile::PullRequest, self.mutation);
        let intensities = FAULTS
            .into_iter()
            .fold(Intensities::CALM, |all, fault| all.with(fault, 1));
        Settings {
            intensities,
            lease: Duration::from_millis(300),
            poll: Duration::from_secs(1),
            horizon: SimTime(2_000_000),
            runs: 1,
            nodes: vec![drawn.nodes[0].clone(); self.workers],
            workflows: vec![library::workflows()[0].clone()],
            traffic: Traffic::StartsOnly,
            ..drawn
        }
    }

    /// Runs every path. `progress` is called after each world with the number of worlds run and of paths known and left.
    pub fn run(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Found {
        let begun = Instant::now();
        let paths = Mutex::new(vec![Path::new()]);
        // Paths that are known and have not been run: nothing is left once there is none.
        let open = AtomicUsize::new(1);
        let total = Mutex::new(Found::default());
        std::thread::scope(|scope| {
            for _ in 0..self.threads.max(1) {
                scope.spawn(|| {
                    while open.load(Ordering::Acquire) > 0 {
                        let late = self.time.is_some_and(|time| begun.elapsed() > time);
                        let next = lock(&paths).pop().filter(|_| !late);
                        match next {
                            Some(path) => {
                                let branches = self.step(path, &total);
                                open.fetch_add(branches.len(), Ordering::AcqRel);
                                lock(&paths).extend(branches);
                                open.fetch_sub(1, Ordering::AcqRel);
                                progress(lock(&total).worlds, open.load(Ordering::Acquire) as u64);
                            }
                            None if late => return,
                            None => std::thread::yield_now(),
                        }
                    }
                });
            }
        });
        let mut found = total.into_inner().unwrap_or_else(PoisonError::into_inner);
        found
            .failures
            .sort_by(|one, other| one.path.cmp(&other.path));
        found.left = open.into_inner() as u64;
        found.wall = begun.elapsed();
        found
    }

    /// Runs a path, and says which leave it.
    fn step(&self, path: Path, total: &Mutex<Found>) -> Vec<Path> {
        let outcome = self.world(path.clone(), Trace::default()).run();
        lock(total).add(path, &outcome);
        outcome.branches
    }
}

impl Found {
    /// Whether every path was run.
    pub fn is_complete(&self) -> bool {
        self.left == 0
    }

    fn add(&mut self, path: Path, outcome: &Outcome) {
        self.worlds += 1;
        self.events += outcome.events;
        self.decisions += outcome.decisions;
        self.sometimes.add(&outcome.sometimes);
        if let Some(violation) = &outcome.violation {
            self.failed += 1;
            if self.failures.len() < KEPT {
                let violation = violation.clone();
                self.failures.push(Failure { path, violation });
            }
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_one_fault_can_do_to_a_run_of_three_steps_is_tried() {
        let one = Search::of(1).run(&|_, _| {});
        assert!(one.is_complete());
        assert_eq!(one.failed, 0, "{:#?}", one.failures);
        assert!(one.worlds > 200, "{} worlds", one.worlds);
        for fault in FAULTS {
            assert!(one.sometimes.total(fault) > 0, "{}", fault.name());
        }
        let threads = 1;
        let again = Search {
            threads,
            ..Search::of(1)
        }
        .run(&|_, _| {});
        assert_eq!((one.worlds, one.events), (again.worlds, again.events));
    }
}
