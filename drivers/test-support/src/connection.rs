//! Connections for housekeeping.
//!
//! Invariant: they live on a thread and runtime of their own, so that callers may be sync or async.

use std::panic::resume_unwind;
use std::thread;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

/// Runs async work to its end on another thread, and waits for that.
///
/// Inside a runtime the thread must not start another one, hence the thread.
pub(crate) fn run<T, E>(work: impl AsyncFnOnce() -> Result<T, E> + Send) -> Result<T, E>
where
    T: Send,
    E: Send + From<std::io::Error>,
{
    let on_thread = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(work())
    };
    thread::scope(|scope| {
        let joined = scope.spawn(on_thread).join();
        joined.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Connects without logging statements.
pub(crate) async fn connect(url: &str) -> Result<PgConnection, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    options.disable_statement_logging().connect().await
}

/// Executes a statement that takes no parameters, such as `create database`. The names in it are
/// made by this crate from letters, digits and underscores.
pub(crate) async fn execute(
    connection: &mut PgConnection,
    statement: String,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await?;
    Ok(())
}

/// Says goodbye, so that the server need not find out.
pub(crate) async fn close(connection: PgConnection) {
    // The work is done: whether the farewell arrives does not matter.
    let _ = connection.close().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_runs_from_inside_a_runtime() {
        let result: Result<u32, std::io::Error> = run(async || {
            tokio::task::yield_now().await;
            Ok(7)
        });
        assert_eq!(result.expect("no error"), 7);
    }

    #[test]
    #[should_panic(expected = "in the work")]
    fn a_panic_in_the_work_reaches_the_caller() {
        let _: Result<(), std::io::Error> = run(async || panic!("in the work"));
    }
}
