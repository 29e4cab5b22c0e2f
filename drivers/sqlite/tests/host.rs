//! Transactions that a host writes in.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;

use sqlx::Row as _;
use squid_mesh_core::id::Shard;
use squid_mesh_core::operation::{Claim, Offer, Operation};
use squid_mesh_core::store::{HostTransactions as _, StoreError, TransactionError};
use squid_mesh_sqlite::{HostTransaction, Options, SqliteStore};

use common::Process;

async fn setting() -> (Arc<SqliteStore>, Process) {
    let store = SqliteStore::connect("sqlite::memory:", Options::default())
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let process = Process::new(1, 8);
    process.register(&store).await.unwrap();
    (Arc::new(store), process)
}

async fn execute(tx: &mut HostTransaction, sql: &'static str) {
    let executing = sqlx::query(sql).execute(SqliteStore::connection(tx));
    executing.await.unwrap();
}

async fn rows(store: &SqliteStore) -> i64 {
    let mut tx = store.begin(None).await.unwrap();
    let counting =
        sqlx::query("SELECT count(*) FROM host").fetch_one(SqliteStore::connection(&mut tx));
    let rows = counting.await.unwrap().get(0);
    store.rollback(tx).await;
    rows
}

/// Lets everything that was spawned go on until it waits.
async fn let_others_run() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_queued_up_during_a_turn_is_performed_before_the_next_one() {
    let (store, process) = setting().await;
    let first = store.begin(None).await.unwrap();
    let (waiting, starting) = (store.clone(), store.clone());
    let second = tokio::spawn(async move { waiting.begin(None).await });
    let started = tokio::spawn(async move { process.start(&starting, [1]).await });
    let_others_run().await;
    assert!(!second.is_finished() && !started.is_finished());
    store.commit(first).await.unwrap();
    let held = second.await.unwrap().unwrap();
    // It has its turn, and the start was not held up by it.
    started.await.unwrap().unwrap();
    store.rollback(held).await;
}

#[tokio::test]
async fn a_transaction_that_is_dropped_is_rolled_back_and_its_turn_is_over() {
    let (store, process) = setting().await;
    let mut tx = store.begin(None).await.unwrap();
    execute(&mut tx, "CREATE TABLE host (value INTEGER)").await;
    store.commit(tx).await.unwrap();
    let mut tx = store.begin(None).await.unwrap();
    execute(&mut tx, "INSERT INTO host VALUES (1)").await;
    drop(tx);
    process.start(&store, [1]).await.unwrap();
    assert_eq!(rows(&store).await, 0);
}

#[tokio::test]
async fn whoever_stops_waiting_for_a_turn_holds_nobody_up() {
    let (store, process) = setting().await;
    let first = store.begin(None).await.unwrap();
    let waiting = store.clone();
    let second = tokio::spawn(async move { waiting.begin(None).await });
    let_others_run().await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    store.rollback(first).await;
    process.start(&store, [1]).await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_was_ended_is_told_from_one_that_stands() {
    let (store, _) = setting().await;
    let mut tx = store.begin(None).await.unwrap();
    execute(&mut tx, "CREATE TABLE host (value INTEGER)").await;
    execute(&mut tx, "COMMIT").await;
    execute(&mut tx, "BEGIN IMMEDIATE").await;
    execute(&mut tx, "INSERT INTO host VALUES (1)").await;
    assert!(matches!(
        store.commit(tx).await,
        Err(TransactionError::Ended)
    ));
    assert_eq!(
        rows(&store).await,
        0,
        "what was begun after it is rolled back"
    );
}

#[tokio::test]
async fn leases_are_no_business_of_a_hosts_transaction() {
    let (store, process) = setting().await;
    let offer = Offer {
        worker: process.incarnation,
        handlers: Arc::default(),
        queues: Vec::new(),
        engine: 1,
        lease: std::time::Duration::from_secs(1),
    };
    let claim = || {
        Operation::Claim(Claim {
            shard: Shard::default(),
            number: 1,
            offer: offer.clone(),
        })
    };
    let mut tx = store.begin(None).await.unwrap();
    let refused = store
        .perform_in(SqliteStore::connection(&mut tx), claim())
        .await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
    let refused = store.settle(tx, claim()).await;
    assert!(
        matches!(
            refused,
            Err(TransactionError::Store(StoreError::Refused(_)))
        ),
        "{refused:?}"
    );
}
