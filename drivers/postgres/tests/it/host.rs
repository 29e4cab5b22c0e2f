//! Transactions that a host writes in.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection};
use squid_mesh_core::id::Shards;
use squid_mesh_core::operation::{GroupReply, Reply};
use squid_mesh_core::store::{HostTransactions as _, Store as _, StoreError, TransactionError};
use squid_mesh_postgres::{HostTransaction, PostgresStore};

use crate::room::{Room, claim, execute, register, start};

async fn write(tx: &mut HostTransaction, statement: &str) {
    execute(PostgresStore::connection(tx), statement).await;
}

async fn text(connection: &mut PgConnection, query: &str) -> String {
    let query = sqlx::query_scalar(AssertSqlSafe(query.to_owned()));
    query.fetch_one(connection).await.unwrap()
}

fn is_done(reply: &Reply) -> bool {
    matches!(reply, Reply::Submitted { groups, .. } if matches!(groups[..], [GroupReply::Done(_)]))
}

#[tokio::test]
async fn a_process_that_stands_still_keeps_its_locks_for_no_longer_than_its_patience() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    store.perform(register()).await.unwrap();
    let mut other = room.stranger().await;
    execute(&mut other, "create table host (value int unique)").await;
    let mut tx = store.begin(Some(Duration::from_millis(100))).await.unwrap();
    write(&mut tx, "insert into host values (1)").await;
    // Waits for the other row to be committed, or to be gone.
    execute(&mut other, "insert into host values (1)").await;
    let late = store.settle(tx, start(1, true)).await;
    assert!(
        matches!(
            late,
            Err(TransactionError::Store(StoreError::Unavailable(_)))
        ),
        "{late:?}"
    );
}

#[tokio::test]
async fn what_one_handler_leaves_in_its_session_the_next_does_not_find() {
    let room = Room::fresh();
    let options = room.options().host_transactions(1);
    let store = room.store_with(options).await;
    let look = "select current_setting('search_path') || ' ' || current_setting('lock_timeout') || ' ' || \
                current_user || ' ' || (to_regclass('left_over') is null)::text";
    let mut stranger = room.stranger().await;
    let fresh = text(&mut stranger, look).await;
    for _ in 0..2 {
        let mut tx = store.begin(None).await.unwrap();
        assert_eq!(text(PostgresStore::connection(&mut tx), look).await, fresh);
        let leave = "set search_path = pg_catalog; set lock_timeout = '7s'; set role pg_monitor; \
                     create temp table left_over (n int)";
        write(&mut tx, leave).await;
        store.commit(tx).await.unwrap();
    }
}

#[tokio::test]
async fn no_more_transactions_are_open_than_were_allowed() {
    let room = Room::fresh();
    let options = room
        .options()
        .host_transactions(1)
        .patience(Duration::from_millis(200));
    let store = room.store_with(options).await;
    let held = store.begin(None).await.unwrap();
    let refused = store.begin(None).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    store.perform(register()).await.unwrap();
    store.rollback(held).await;
    store.begin(None).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_cut_leaves_the_outcome_open_and_nothing_behind() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    store.perform(register()).await.unwrap();
    let mut tx = store.begin(None).await.unwrap();
    write(&mut tx, "create table host (value int)").await;
    let pid = text(
        PostgresStore::connection(&mut tx),
        "select pg_backend_pid()::text",
    )
    .await;
    let mut other = room.stranger().await;
    let cut = format!("select pg_terminate_backend({pid})");
    execute(&mut other, &cut).await;
    let cut = store.settle(tx, start(1, true)).await;
    assert!(
        matches!(
            cut,
            Err(TransactionError::Store(StoreError::Unavailable(_)))
        ),
        "{cut:?}"
    );
    assert_eq!(
        text(&mut other, "select (to_regclass('host') is null)::text").await,
        "true"
    );
    assert!(is_done(&store.perform(start(1, true)).await.unwrap()));
}

#[tokio::test]
async fn in_a_transaction_that_failed_nothing_is_performed() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    store.perform(register()).await.unwrap();
    let mut tx = store.begin(None).await.unwrap();
    let failed = sqlx::raw_sql("select 1 / 0").execute(PostgresStore::connection(&mut tx));
    failed.await.unwrap_err();
    let refused = store
        .perform_in(PostgresStore::connection(&mut tx), start(1, true))
        .await;
    assert!(
        matches!(refused, Err(StoreError::Refused(_))),
        "{refused:?}"
    );
    let aborted = store.settle(tx, start(1, true)).await;
    assert!(
        matches!(aborted, Err(TransactionError::Aborted(_))),
        "{aborted:?}"
    );
}

#[tokio::test]
async fn a_conflict_leaves_the_hosts_transaction_as_it_was() {
    let room = Room::fresh();
    let options = room.options().lock_patience(Duration::from_millis(20));
    let store = room.store_with(options).await;
    store.perform(register()).await.unwrap();
    let mut first = store.begin(None).await.unwrap();
    let mut second = store.begin(None).await.unwrap();
    write(&mut second, "create table host (value int)").await;
    let look = "select current_setting('search_path') || current_setting('enable_seqscan')";
    let before = text(PostgresStore::connection(&mut second), look).await;
    let reply = store
        .perform_in(PostgresStore::connection(&mut first), start(1, true))
        .await;
    assert!(is_done(&reply.unwrap()));
    let late = store
        .perform_in(PostgresStore::connection(&mut second), start(1, true))
        .await;
    assert!(matches!(late, Err(StoreError::Conflict)), "{late:?}");
    assert_eq!(
        text(PostgresStore::connection(&mut second), look).await,
        before
    );
    store.rollback(first).await;
    let reply = store.settle(second, start(1, true)).await.unwrap();
    assert!(is_done(&reply));
    let mut other = room.stranger().await;
    assert_eq!(
        text(&mut other, "select count(*)::text from host").await,
        "0"
    );
    let refused = store.begin(None).await.unwrap();
    let refused = store.settle(refused, claim(1, 1, 1)).await;
    assert!(
        matches!(
            refused,
            Err(TransactionError::Store(StoreError::Refused(_)))
        ),
        "{refused:?}"
    );
}
