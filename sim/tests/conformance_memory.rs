//! The memory store passes its own suite.

use std::sync::atomic::{AtomicI64, Ordering};

use squid_mesh_core::id::Shards;
use squid_mesh_core::time::Timestamp;
use squid_mesh_sim::conformance::Suite;
use squid_mesh_sim::store::MemoryStore;

/// When the store's clock begins, and by how much it moves on each time that somebody looks at it, in microseconds.
const BEGIN: i64 = 1_750_000_000_000_000;
const TICK: i64 = 1_000;

/// A store by a clock of its own, so that what the suite waits for comes at once.
fn store(shards: Shards) -> MemoryStore {
    let clock = AtomicI64::new(BEGIN);
    let tick = move || Timestamp::from_micros(clock.fetch_add(TICK, Ordering::Relaxed));
    MemoryStore::with_clock(shards, tick)
}

async fn passes(shards: u16) {
    let shards = Shards::new(shards).expect("one and eight are numbers of shards");
    let suite = Suite {
        scripts: 100,
        ..Suite::of(shards)
    };
    if let Err(failure) = suite.run(async |shards| store(shards)).await {
        panic!("{failure}");
    }
}

#[tokio::test]
async fn the_memory_store_passes_with_one_shard() {
    passes(1).await;
}

#[tokio::test]
async fn the_memory_store_passes_with_eight_shards() {
    passes(8).await;
}
