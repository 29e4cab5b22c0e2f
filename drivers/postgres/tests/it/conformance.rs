//! The suite that every store must pass, with one shard and with eight.

use crate::room::Room;
use squid_mesh_core::id::Shards;
use squid_mesh_sim::conformance::Suite;

async fn conforms(shards: Shards) {
    let room = Room::fresh();
    let suite = Suite {
        scripts: 8,
        ..Suite::of(shards)
    };
    suite
        .run(async |shards| room.store(shards).await)
        .await
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[tokio::test]
async fn a_store_with_one_shard_conforms() {
    conforms(Shards::ONE).await;
}

#[tokio::test]
async fn a_store_with_eight_shards_conforms() {
    conforms(Shards::new(8).unwrap()).await;
}
