//! Making the schema, and refusing what is not ours.

use crate::room::{Room, execute, register, start};
use sqlx::PgConnection;
use squid_mesh_core::id::Shards;
use squid_mesh_core::store::{Inspect as _, Store as _, StoreError};
use squid_mesh_postgres::{Options, PostgresStore};

/// Everything that `pg_class` and our ledger say of a schema.
async fn described(connection: &mut PgConnection, schema: &str) -> Vec<String> {
    let query = "select relname || ' ' || relkind::text || ' ' || coalesce(pg_get_indexdef(oid), '') || ' ' || relfilenode \
        from pg_class where relnamespace = to_regnamespace($1) order by 1";
    sqlx::query_scalar(query)
        .bind(schema)
        .fetch_all(connection)
        .await
        .unwrap()
}

#[tokio::test]
async fn a22_4_migrating_twice_changes_nothing() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    let mut stranger = room.stranger().await;
    let before = described(&mut stranger, "mesh_0").await;
    let applied = "select number || ' ' || applied_at from mesh_0.migrations";
    let applied_before: Vec<String> = sqlx::query_scalar(applied)
        .fetch_all(&mut stranger)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let again = PostgresStore::connect(room.url(), Options::default().schema("mesh_0"))
        .await
        .unwrap();
    again.migrate().await.unwrap();
    assert_eq!(described(&mut stranger, "mesh_0").await, before);
    let applied_after: Vec<String> = sqlx::query_scalar(applied)
        .fetch_all(&mut stranger)
        .await
        .unwrap();
    assert_eq!((applied_before.len(), applied_after), (1, applied_before));
}

#[tokio::test]
async fn a22_4_two_processes_that_migrate_at_once_both_succeed() {
    let room = Room::fresh();
    for _ in 0..4 {
        let options = room.options();
        let one = PostgresStore::connect(room.url(), options.clone())
            .await
            .unwrap();
        let other = PostgresStore::connect(room.url(), options).await.unwrap();
        let (first, second) = tokio::join!(one.migrate(), other.migrate());
        assert_eq!(
            (first.is_ok(), second.is_ok()),
            (true, true),
            "{first:?} {second:?}"
        );
    }
}

#[tokio::test]
async fn a22_5_a_schema_of_a_newer_format_is_refused_and_not_written_to() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    let mut stranger = room.stranger().await;
    execute(&mut stranger, "update mesh_0.meta set format = 7").await;
    let connected = PostgresStore::connect(room.url(), Options::default().schema("mesh_0")).await;
    let error = connected.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the schema has format 7, this engine knows up to 1"
    );
    assert!(matches!(error, StoreError::Newer { found: 7, known: 1 }));
    let before = described(&mut stranger, "mesh_0").await;
    assert!(matches!(
        store.migrate().await,
        Err(StoreError::Newer { found: 7, known: 1 })
    ));
    assert_eq!(described(&mut stranger, "mesh_0").await, before);
}

#[tokio::test]
async fn a22_6_the_hosts_own_tables_and_its_sqlx_ledger_are_untouched() {
    let room = Room::fresh();
    let mut host = room.stranger().await;
    execute(
        &mut host,
        "create table _sqlx_migrations (version bigint primary key, note text); \
         insert into _sqlx_migrations values (20260101, 'the host was here'); \
         create table runs (id int); create table meta (id int); create table migrations (id int)",
    )
    .await;
    let before = described(&mut host, "public").await;
    let store = room.store(Shards::ONE).await;
    store.perform(register()).await.unwrap();
    store.perform(start(1, true)).await.unwrap();
    assert_eq!(described(&mut host, "public").await, before);
    let rows: Vec<(i64, String)> = sqlx::query_as("select * from _sqlx_migrations")
        .fetch_all(&mut host)
        .await
        .unwrap();
    assert_eq!(rows, [(20_260_101, "the host was here".to_owned())]);
    let ours: Vec<String> = described(&mut host, "mesh_0").await;
    assert!(
        ours.iter().all(|relation| !relation.contains("sqlx")),
        "{ours:?}"
    );
}

#[tokio::test]
async fn the_number_of_shards_is_fixed_when_the_schema_is_made() {
    let room = Room::fresh();
    let eight = Shards::new(8).unwrap();
    let options = Options::default().schema("mesh");
    let store = room.store_with(options.clone().shards(eight)).await;
    assert_eq!(store.shards(), eight);
    let taken_as_it_is = PostgresStore::connect(room.url(), options.clone())
        .await
        .unwrap();
    assert_eq!(taken_as_it_is.shards(), eight);
    let error = PostgresStore::connect(room.url(), options.shards(Shards::ONE))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the store refuses: the schema has 8 shards, not 1: their number is fixed when it is made"
    );
}

#[tokio::test]
async fn a_store_that_was_connected_before_the_schema_was_made_takes_it_as_it_is() {
    let room = Room::fresh();
    let options = room.options();
    let early = PostgresStore::connect(room.url(), options.clone())
        .await
        .unwrap();
    let error = early.perform(register()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the store refuses: schema mesh_0 was not migrated"
    );
    let eight = Shards::new(8).unwrap();
    room.store_with(options.shards(eight)).await;
    assert!(early.workers().await.unwrap().is_empty());
    assert_eq!(early.shards(), eight);
    early.perform(register()).await.unwrap();
}
