//! Databases of the shared cluster.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::common::{block_on, execute, query};
use sqlx::{Connection, PgConnection};
use squid_mesh_test_support::{DatabaseError, TestCluster, TestDatabase};

fn cluster() -> TestCluster {
    TestCluster::shared().expect("a cluster")
}

fn exists(name: &str) -> bool {
    let url = cluster().url("postgres");
    let count = block_on(async {
        let mut connection = PgConnection::connect(&url).await?;
        let row = sqlx::query("select from pg_database where datname = $1")
            .bind(name)
            .fetch_optional(&mut connection)
            .await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(row)
    });
    count.expect("the catalogue").is_some()
}

#[test]
fn a_database_is_created_and_reachable_both_ways() {
    let database = TestDatabase::fresh();
    for url in [database.url().to_owned(), database.tcp_url()] {
        let name = block_on(query(&url, "select current_database()::text")).expect("reachable");
        assert_eq!(name, database.name());
    }
}

#[tokio::test]
async fn a_database_can_be_created_and_dropped_inside_a_runtime() {
    let database = TestDatabase::fresh();
    let one = query(database.url(), "select '1'").await;
    assert_eq!(one.expect("reachable"), "1");
}

#[test]
fn dropping_the_guard_drops_the_database_under_open_connections() {
    let database = TestDatabase::fresh();
    let name = database.name().to_owned();
    assert!(exists(&name));
    block_on(async {
        let open = PgConnection::connect(database.url()).await;
        assert!(open.is_ok());
        drop(database);
    });
    assert!(!exists(&name));
}

#[test]
fn two_databases_do_not_see_each_others_tables() {
    let (first, second) = (TestDatabase::fresh(), TestDatabase::fresh());
    let table = "create table same_name (id bigint)";
    assert!(block_on(execute(first.url(), table)).is_ok());
    assert!(block_on(execute(second.url(), table)).is_ok());
}

#[test]
fn a_template_is_prepared_once_and_copied_for_each() {
    let prepared = AtomicU32::new(0);
    let key = format!("once_{}", std::process::id());
    let make = || {
        let prepare = async |url: String| {
            prepared.fetch_add(1, Ordering::Relaxed);
            Ok(execute(
                &url,
                "create table orders (id text); insert into orders values ('a1')",
            )
            .await?)
        };
        let database = cluster().database_from(&key, prepare).expect("a database");
        let id = block_on(query(database.url(), "select id from orders"));
        assert_eq!(id.expect("the table"), "a1");
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(make);
        }
    });
    assert_eq!(prepared.load(Ordering::Relaxed), 1);
}

#[test]
fn a_template_whose_preparation_failed_is_prepared_again() {
    let key = format!("again_{}", std::process::id());
    let failed = cluster().database_from(&key, async |url| {
        execute(&url, "create table half (id text)").await?;
        Err("not finished".into())
    });
    let error = failed.expect_err("the preparation failed");
    assert!(matches!(error, DatabaseError::Prepare { .. }), "{error}");

    let made = cluster().database_from(&key, async |url| {
        Ok(execute(&url, "create table half (id text)").await?)
    });
    assert!(made.is_ok(), "{made:?}");
}

#[test]
#[should_panic(expected = "template key")]
fn a_template_key_that_is_no_identifier_is_refused() {
    let _ = cluster().database_from("Orders v1", async |_| Ok(()));
}
