//! The suite that every store must pass.
//!
//! [`Suite::run`] needs a function that makes an empty, migrated store, and nothing else: no runtime, no control over
//! the clock. What it does concurrently it does within one future, so connections compete as far as the store awaits.
//!
//! ```
//! use squid_mesh_core::id::Shards;
//! use squid_mesh_sim::conformance::Suite;
//! use squid_mesh_sim::store::MemoryStore;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let suite = Suite { scripts: 4, ..Suite::of(Shards::ONE) };
//! suite.run(async |shards| MemoryStore::new(shards)).await.unwrap();
//! # });
//! ```
//!
//! Invariant: a check compares a store with what the memory store does, or with what must hold whatever the
//! interleaving; it never depends on how a store does its work.

mod calendar;
pub(crate) mod cast;
mod concurrent;
pub mod deed;
pub mod differential;
mod doubled;
mod failure;
mod fetches;
mod firings;
mod listing;
mod observe;
mod pauses;
mod races;
#[cfg(test)]
mod reach;
mod schedule_pages;
pub(crate) mod schedules;
pub mod script;
mod session;
mod workflows;

use squid_mesh_core::id::Shards;
use squid_mesh_core::store::{Inspect, Store};

pub use failure::Failure;
pub use workflows::{contradiction, workflows};

/// How thoroughly to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// How many shards each store has.
    pub shards: Shards,
    /// How many scripts to generate. Each takes a store of its own.
    pub scripts: u32,
    /// How many actions a script has at most.
    pub actions: usize,
    /// From which to generate them: the same seed gives the same scripts.
    pub seed: u64,
}

/// One thing to check, each on a store of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Check {
    /// Scripts of operations have the replies and leave the rows that they do in the memory store.
    Scripts,
    /// Concurrent starts under one key are one run.
    OneRunPerKey,
    /// Concurrent claims share tasks out: each goes to one worker.
    OneClaimPerTask,
    /// Workers, clients and cancels at once: every run ends as its journal says, and every grant is accounted for.
    Races,
    /// An operation performed twice at once is done once and answered twice alike.
    Doubled,
    /// Payloads, definitions and journals read back as they were written, and nothing else does.
    Fetches,
    /// Pages of a listing show each run exactly once while others start.
    Pages,
    /// Filters and journal ranges show what they say.
    Filters,
    /// Of a paused queue nothing is claimed or handed off until it is resumed.
    Pauses,
    /// A lease that ends in a paused queue is recorded as a loss.
    PausedLosses,
    /// Operators who pause a queue at once, or repeat themselves, are told the truth.
    Operators,
    /// Whoever fires an occurrence, and however often, it is one run; schedules stay whole while they are changed.
    Firings,
    /// Pages and filters of schedules show what they say, by their keys compared as bytes, and each schedule its runs.
    SchedulePages,
}

impl Check {
    /// Every check.
    pub const ALL: [Check; 13] = [
        Check::Scripts,
        Check::OneRunPerKey,
        Check::OneClaimPerTask,
        Check::Races,
        Check::Doubled,
        Check::Fetches,
        Check::Pages,
        Check::Filters,
        Check::Pauses,
        Check::PausedLosses,
        Check::Operators,
        Check::Firings,
        Check::SchedulePages,
    ];
}

impl Suite {
    /// The default: enough to be sure, in some seconds on a store that takes a millisecond an operation.
    pub const fn of(shards: Shards) -> Suite {
        Suite {
            shards,
            scripts: 32,
            actions: 40,
            seed: 0,
        }
    }

    /// Makes every check. Each store that `create` makes is empty and migrated, with as many shards as it is told.
    ///
    /// Dropping the future leaves stores behind in the middle of something, and harms nothing else.
    ///
    /// # Errors
    /// The first failure.
    pub async fn run<S: Store + Inspect>(
        &self,
        create: impl AsyncFn(Shards) -> S,
    ) -> Result<(), Failure> {
        for check in Check::ALL {
            self.check(check, &create).await?;
        }
        Ok(())
    }

    /// Makes one check.
    ///
    /// # Errors
    /// The first failure.
    pub async fn check<S: Store + Inspect>(
        &self,
        check: Check,
        create: &impl AsyncFn(Shards) -> S,
    ) -> Result<(), Failure> {
        let outcome = match check {
            Check::Scripts => differential::generated(self, create).await,
            Check::OneRunPerKey => concurrent::one_run_per_key(&self.store(create).await?).await,
            Check::OneClaimPerTask => {
                concurrent::one_claim_per_task(&self.store(create).await?).await
            }
            Check::Races => races::check(&self.store(create).await?).await,
            Check::Doubled => doubled::check(&self.store(create).await?).await,
            Check::Fetches => fetches::check(&self.store(create).await?).await,
            Check::Pages => listing::pages(&self.store(create).await?).await,
            Check::Filters => listing::filters(&self.store(create).await?).await,
            Check::Pauses => pauses::holds_back(&self.store(create).await?).await,
            Check::PausedLosses => pauses::losses(&self.store(create).await?).await,
            Check::Operators => pauses::operators(&self.store(create).await?).await,
            Check::Firings => firings::check(&self.store(create).await?).await,
            Check::SchedulePages => schedule_pages::check(&self.store(create).await?).await,
        };
        outcome.map_err(|failure| Failure {
            check: Some(check),
            ..failure
        })
    }

    async fn store<S: Store>(&self, create: &impl AsyncFn(Shards) -> S) -> Result<S, Failure> {
        let store = create(self.shards).await;
        failure::same("the number of shards", &self.shards, &store.shards())?;
        Ok(store)
    }

    fn seed_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        bytes
    }
}
