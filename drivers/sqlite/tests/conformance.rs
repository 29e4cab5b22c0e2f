//! The suite that every store must pass, on a file and in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Mutex;

use squid_mesh_core::id::Shards;
use squid_mesh_sim::conformance::Suite;
use squid_mesh_sqlite::{Options, SqliteStore};
use squid_mesh_test_support::{SqliteFile, sqlite_url};

async fn opened(url: &str) -> SqliteStore {
    let store = SqliteStore::connect(url, Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    store
}

#[tokio::test]
async fn a_store_in_memory_conforms() {
    let suite = Suite::of(Shards::ONE);
    suite
        .run(async |_| opened("sqlite::memory:").await)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_store_in_a_file_conforms() {
    let files: Mutex<Vec<SqliteFile>> = Mutex::default();
    let create = async |_| {
        let file = sqlite_url().unwrap();
        let store = opened(file.url()).await;
        files.lock().unwrap().push(file);
        store
    };
    let suite = Suite {
        scripts: 8,
        ..Suite::of(Shards::ONE)
    };
    suite.run(create).await.unwrap();
}
