//! A host with a table of its own, beside the engine's.
//!
//! Invariant: what it says of rows and outcomes is one look at the database, from outside of any transaction of a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use squid_mesh::sqlite::sqlx::{self, AssertSqlSafe, Row as _};
use squid_mesh::{Client, Retry, StepContext, StepError, StepSpec, Tx, Workflow, step_tx_with};

/// Makes the table.
pub(crate) async fn make_table(client: &Client) {
    let mut tx = client.begin().await.unwrap();
    execute(&mut tx, "create table host_rows (value bigint)")
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// Executes statements that both kinds of databases know.
pub(crate) async fn execute(tx: &mut Tx, statements: &str) -> Result<(), sqlx::Error> {
    let statements = sqlx::raw_sql(AssertSqlSafe(statements.to_owned()));
    match tx.postgres() {
        Ok(connection) => statements.execute(connection).await.map(drop),
        Err(_) => statements.execute(tx.sqlite().unwrap()).await.map(drop),
    }
}

/// Adds a row.
pub(crate) async fn insert(tx: &mut Tx, value: i64) -> Result<(), sqlx::Error> {
    execute(
        tx,
        &format!("insert into host_rows (value) values ({value})"),
    )
    .await
}

/// Rows of the host, and successes of steps in journals: what is not a start and has a payload that is no object, as those
/// of failures and conflicts are, but a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) rows: i64,
    pub(crate) successes: i64,
}

/// What somebody outside sees, in one statement.
pub(crate) async fn look(client: &Client) -> Seen {
    let mut tx = client.begin().await.unwrap();
    let query = |journal: &str, hex: &str| {
        format!(
            "select (select count(*) from host_rows), \
             (select count(*) from {journal} where seq > 1 and payload is not null and {hex} not like '7b%')"
        )
    };
    let seen = match tx.postgres() {
        Ok(connection) => {
            let row = sqlx::query(AssertSqlSafe(query(
                "squid_mesh.journal",
                "encode(payload, 'hex')",
            )))
            .fetch_one(connection);
            let row = row.await.unwrap();
            Seen {
                rows: row.get(0),
                successes: row.get(1),
            }
        }
        Err(_) => {
            let row = sqlx::query(AssertSqlSafe(query(
                "squid_mesh_journal",
                "lower(hex(payload))",
            )))
            .fetch_one(tx.sqlite().unwrap());
            let row = row.await.unwrap();
            Seen {
                rows: row.get(0),
                successes: row.get(1),
            }
        }
    };
    tx.rollback().await;
    seen
}

/// What the handler of [`booking`] shares with its test.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// Bodies that have written their row.
    pub(crate) written: AtomicU32,
}

/// What the first attempt of a booking does once it has written its row; later ones succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    Succeeds,
    Fails,
    FailsForGood,
    Panics,
    Hangs,
}

/// Longer than any test needs, and less than a third of the default lease.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(9);

async fn book(
    (desk, first): (Arc<Desk>, First),
    cx: StepContext,
    tx: &mut Tx,
    value: i64,
) -> Result<i64, StepError> {
    insert(tx, value).await?;
    desk.written.fetch_add(1, Ordering::SeqCst);
    let refused = StepError::retryable("refused", "not yet");
    match first {
        _ if cx.attempt() > 1 => Ok(value),
        First::Succeeds => Ok(value),
        First::Fails => Err(refused),
        First::FailsForGood => Err(StepError::permanent("refused", "never")),
        First::Panics => panic!("as the test wants it"),
        First::Hangs => std::future::pending().await,
    }
}

/// The handler of a booking, to be completed.
pub(crate) fn booker(desk: &Arc<Desk>, first: First) -> StepSpec<i64, i64> {
    step_tx_with((desk.clone(), first), book).timeout(TIMEOUT)
}

/// A workflow of one transactional step that adds a row, tried three times.
pub(crate) fn booking(desk: &Arc<Desk>, first: First) -> Workflow<i64, i64> {
    of("booking", booker(desk, first).retry(Retry::immediate(3)))
}

/// A workflow of this step.
pub(crate) fn of(name: &str, spec: StepSpec<i64, i64>) -> Workflow<i64, i64> {
    let (mut wf, value) = Workflow::builder::<i64>(name, 1);
    let booked = wf.step("book", value, spec);
    wf.finish(booked).unwrap()
}

/// Ends every lease there is, as if its time had passed.
pub(crate) async fn end_leases(client: &Client) {
    let mut tx = client.begin().await.unwrap();
    let tasks = if tx.postgres().is_ok() {
        "squid_mesh.tasks"
    } else {
        "squid_mesh_tasks"
    };
    let statement = format!("update {tasks} set due_at = 1 where owner is not null");
    execute(&mut tx, &statement).await.unwrap();
    tx.commit().await.unwrap();
}
