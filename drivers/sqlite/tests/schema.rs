//! Opening and migrating: what is there already, what is missing, and what is no business of ours.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _, SqliteConnection};
use squid_mesh_core::store::StoreError;
use squid_mesh_sqlite::{Options, SqliteStore};
use squid_mesh_test_support::sqlite_url;

use common::Process;

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap()
}

/// Everything in the schema, and the ledger.
async fn dump(path: &Path) -> Vec<String> {
    let mut connection = raw(path).await;
    let sql = "SELECT type || name || coalesce(sql, '') FROM sqlite_schema \
               UNION ALL SELECT format || name || applied_at FROM squid_mesh_ledger ORDER BY 1";
    let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn connect(url: &str) -> Result<SqliteStore, StoreError> {
    SqliteStore::connect(url, Options::default()).await
}

#[tokio::test]
async fn a22_4_migrating_twice_changes_nothing() {
    let file = sqlite_url().unwrap();
    let store = connect(file.url()).await.unwrap();
    store.migrate().await.unwrap();
    let before = dump(file.path()).await;
    store.migrate().await.unwrap();
    connect(file.url()).await.unwrap().migrate().await.unwrap();
    assert_eq!(dump(file.path()).await, before);
    assert!(
        before.iter().any(|line| line.starts_with("10001_init")),
        "{before:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a22_4_stores_that_migrate_at_once_all_succeed() {
    for _ in 0..5 {
        let file = sqlite_url().unwrap();
        let migrate = |url: String| async move { connect(&url).await?.migrate().await };
        let all = [(); 4].map(|()| tokio::spawn(migrate(file.url().to_owned())));
        for one in all {
            one.await.unwrap().unwrap();
        }
        let ledger = dump(file.path())
            .await
            .into_iter()
            .filter(|line| line.starts_with('1'))
            .count();
        assert_eq!(ledger, 1);
    }
}

#[tokio::test]
async fn a22_5_a_schema_of_a_newer_engine_is_refused_with_both_formats_and_left_alone() {
    let file = sqlite_url().unwrap();
    let store = connect(file.url()).await.unwrap();
    store.migrate().await.unwrap();
    let newer =
        "INSERT INTO squid_mesh_ledger (format, name, applied_at) VALUES (7, '0007_later', 0)";
    sqlx::query(newer)
        .execute(&mut raw(file.path()).await)
        .await
        .unwrap();
    let before = dump(file.path()).await;
    let refused = connect(file.url()).await.unwrap_err();
    assert!(
        matches!(refused, StoreError::Newer { found: 7, known: 1 }),
        "{refused:?}"
    );
    assert_eq!(
        refused.to_string(),
        "the schema has format 7, this engine knows up to 1"
    );
    assert!(matches!(
        store.migrate().await,
        Err(StoreError::Newer { found: 7, known: 1 })
    ));
    assert_eq!(dump(file.path()).await, before);
}

#[tokio::test]
async fn a22_6_the_tables_of_the_host_are_left_alone() {
    let file = sqlite_url().unwrap();
    let mut host = raw(file.path()).await;
    let own = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL); \
               INSERT INTO _sqlx_migrations VALUES (1, 'orders'); \
               CREATE TABLE runs (id INTEGER PRIMARY KEY, note TEXT); INSERT INTO runs VALUES (1, 'mine');";
    sqlx::raw_sql(own).execute(&mut host).await.unwrap();
    connect(file.url()).await.unwrap().migrate().await.unwrap();
    let theirs = "SELECT group_concat(version || description) || (SELECT group_concat(id || note) FROM runs) \
                  FROM _sqlx_migrations";
    let text: String = sqlx::query_scalar(theirs)
        .fetch_one(&mut host)
        .await
        .unwrap();
    assert_eq!(text, "1orders1mine");
    let names =
        "SELECT count(*) FROM sqlite_schema WHERE name NOT LIKE '%squid\\_mesh\\_%' ESCAPE '\\'";
    let others: i64 = sqlx::query_scalar(names)
        .fetch_one(&mut host)
        .await
        .unwrap();
    assert_eq!(others, 3, "both tables, and the index of one");
}

#[tokio::test]
async fn a_missing_directory_and_file_are_made_unless_told_otherwise() {
    let file = sqlite_url().unwrap();
    let nested = file
        .path()
        .parent()
        .unwrap()
        .join("data/deep/squid mesh.db");
    let url = format!("sqlite:{}", nested.display());
    let refused = SqliteStore::connect(&url, Options::default().create(false))
        .await
        .unwrap_err();
    let text = refused.to_string();
    assert!(matches!(refused, StoreError::Refused(_)), "{refused:?}");
    assert!(
        text.contains("squid mesh.db") && text.contains("its directory does not exist"),
        "{text}"
    );
    connect(&url).await.unwrap().migrate().await.unwrap();
    assert!(nested.exists());
    SqliteStore::connect(&url, Options::default().create(false))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_is_named() {
    let file = sqlite_url().unwrap();
    std::fs::write(file.path(), b"a file, not a directory").unwrap();
    let refused = connect(&format!("{}/sub/test.db", file.url()))
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, StoreError::Refused(text) if text.contains("test.db/sub")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_database_is_corrupt() {
    let file = sqlite_url().unwrap();
    std::fs::write(
        file.path(),
        b"this is no database, it is a letter to the operator".repeat(40),
    )
    .unwrap();
    let corrupt = connect(file.url()).await.unwrap_err();
    let text = corrupt.to_string();
    assert!(matches!(corrupt, StoreError::Corrupt { .. }), "{corrupt:?}");
    assert!(
        text.contains("file is not a database") && text.contains("test.db"),
        "{text}"
    );
}

#[tokio::test]
async fn a_malformed_address_is_refused() {
    for url in [
        "postgres://localhost/x",
        "sqlite:",
        "sqlite://",
        "sqlite:x.db?mode=often",
    ] {
        let refused = connect(url).await.unwrap_err();
        assert!(
            matches!(&refused, StoreError::Refused(text) if text.contains(url)),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_read_only_database_refuses_to_write_and_can_be_looked_at() {
    let file = sqlite_url().unwrap();
    let writable = connect(file.url()).await.unwrap();
    writable.migrate().await.unwrap();
    let process = Process::new(1, 4);
    process.register(&writable).await.unwrap();
    process.start(&writable, [7]).await.unwrap();
    let store = connect(&format!("{}?mode=ro", file.url())).await.unwrap();
    store.migrate().await.unwrap();
    let refused = process.start(&store, [8]).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Refused(text) if text.contains("readonly")),
        "{refused:?}"
    );
    assert_eq!(common::tally(&store).await.into_values().sum::<usize>(), 1);
}

#[tokio::test]
async fn a_store_that_was_not_migrated_refuses_to_work() {
    let store = connect("sqlite::memory:").await.unwrap();
    let refused = Process::new(1, 4).register(&store).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Refused(text) if text.contains("no such table")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn stores_in_memory_are_strangers() {
    let (one, other) = (
        connect("sqlite::memory:").await.unwrap(),
        connect("sqlite::memory:").await.unwrap(),
    );
    for store in [&one, &other] {
        store.migrate().await.unwrap();
        Process::new(1, 4).register(store).await.unwrap();
    }
    Process::new(1, 4).start(&one, [7]).await.unwrap();
    assert_eq!(common::tally(&one).await.len(), 1);
    assert!(common::tally(&other).await.is_empty());
}
