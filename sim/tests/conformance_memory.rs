//! The memory store passes its own suite.

use squid_mesh_core::id::Shards;
use squid_mesh_sim::conformance::Suite;
use squid_mesh_sim::store::MemoryStore;

async fn passes(shards: u16) {
    let shards = Shards::new(shards).expect("one and eight are numbers of shards");
    let suite = Suite {
        scripts: 100,
        ..Suite::of(shards)
    };
    if let Err(failure) = suite.run(async |shards| MemoryStore::new(shards)).await {
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
