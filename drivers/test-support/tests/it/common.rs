//! What the tests of this crate have in common.

use std::thread;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// How long the operating system, the watchdog and Postgres may take together.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs async code in a test that is not async itself.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(work)
}

/// The first column of the first row, as text.
pub(crate) async fn query(url: &str, statement: &'static str) -> Result<String, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let row = sqlx::query(statement).fetch_one(&mut connection).await?;
    connection.close().await?;
    row.try_get(0)
}

/// Executes statements.
pub(crate) async fn execute(url: &str, statements: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))
        .execute(&mut connection)
        .await?;
    connection.close().await
}

/// Waits for what other processes do, and fails the test if they never do it.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what} did not happen");
        thread::sleep(Duration::from_millis(20));
    }
}
