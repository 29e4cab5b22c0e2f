//! Databases that live as long as a test.
//!
//! Invariant: a name is never used twice on a server.

use std::error::Error;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::{PgConnection, Row};

use crate::address::MAINTENANCE;
use crate::cluster::TestCluster;
use crate::connection::{close, connect, execute, run};
use crate::error::{ClusterError, with_causes};
use crate::template::{make_template, template_name};

/// The error type of closures that fill databases.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// What the names of all test databases begin with.
const PREFIX: &str = "squid_mesh_test_";

/// The age from which a database counts as left behind by a killed test. Sessions longer than this
/// keep their databases as long as they are connected to them.
const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// How long dropping a database may take; a server that hangs must not hang the test.
const DROP_PATIENCE: Duration = Duration::from_secs(30);

/// Counts the databases this process has created.
static CREATED: AtomicU32 = AtomicU32::new(0);

/// A database could not be created or filled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// There is no server.
    #[error(transparent)]
    Cluster(#[from] ClusterError),

    /// The server could not be reached, or refused.
    #[error("cannot create a test database")]
    Sql(#[from] sqlx::Error),

    /// The thread that creates databases could not start its runtime.
    #[error("cannot start a runtime")]
    Runtime(#[from] std::io::Error),

    /// The caller's closure failed.
    #[error("cannot prepare the template database {key:?}")]
    Prepare {
        /// The template's key.
        key: String,
        /// The closure's error.
        source: BoxError,
    },
}

/// A database of one test, dropped, with everything connected to it, when this is dropped.
///
/// Dropping is best effort: a server that is gone takes its databases with it.
#[derive(Debug)]
pub struct TestDatabase {
    cluster: TestCluster,
    name: String,
    url: String,
}

impl TestDatabase {
    /// An empty database on the shared cluster, for tests that have nothing to say about errors.
    ///
    /// # Panics
    ///
    /// If there is no server or it refuses, with the whole chain of causes.
    #[must_use]
    pub fn fresh() -> Self {
        let created = TestCluster::shared()
            .map_err(DatabaseError::from)
            .and_then(|cluster| cluster.database());
        created.unwrap_or_else(|error| panic!("no test database: {}", with_causes(&error)))
    }

    /// Creates an empty database.
    pub(crate) fn create(cluster: TestCluster) -> Result<Self, DatabaseError> {
        Self::copy_of(cluster, "template0")
    }

    /// Creates a copy of the database that `prepare` fills.
    pub(crate) fn create_from(
        cluster: TestCluster,
        key: &str,
        prepare: impl AsyncFnOnce(String) -> Result<(), BoxError> + Send,
    ) -> Result<Self, DatabaseError> {
        let template = template_name(key);
        run(async || make_template(&cluster, key, prepare).await)?;
        Self::copy_of(cluster, &template)
    }

    /// The database's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address, through the server's Unix socket where it has one.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address through TCP.
    #[must_use]
    pub fn tcp_url(&self) -> String {
        self.cluster.tcp_url(&self.name)
    }

    fn copy_of(cluster: TestCluster, template: &str) -> Result<Self, DatabaseError> {
        let name = unique_name();
        let statement = format!("create database {name} template {template}");
        run::<(), DatabaseError>(async || {
            let mut connection = connect(&cluster.url(MAINTENANCE)).await?;
            drop_stale_databases(&mut connection).await?;
            execute(&mut connection, statement).await?;
            close(connection).await;
            Ok(())
        })?;
        let url = cluster.url(&name);
        Ok(Self { cluster, name, url })
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let statement = format!("drop database if exists {} with (force)", self.name);
        let maintenance = self.cluster.url(MAINTENANCE);
        let dropping = async || {
            let mut connection = connect(&maintenance).await?;
            execute(&mut connection, statement).await?;
            close(connection).await;
            Ok(())
        };
        // A failure leaves the database to the end of its server or to `drop_stale_databases`.
        let _ = run::<(), DatabaseError>(async || {
            tokio::time::timeout(DROP_PATIENCE, dropping())
                .await
                .unwrap_or(Ok(()))
        });
    }
}

/// A name that tells when it was given, and that no other process gives.
fn unique_name() -> String {
    let now = unix_seconds();
    let process = std::process::id();
    let count = CREATED.fetch_add(1, Ordering::Relaxed);
    // Processes on other machines may use the same external server.
    let random = RandomState::new().hash_one(count);
    format!("{PREFIX}{now}_{process}_{count}_{random:x}")
}

/// When a database was created, if its name is one that was given here.
fn created_at(name: &str) -> Option<u64> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let rest = name
        .strip_prefix(PREFIX)
        .filter(|rest| rest.chars().all(valid))?;
    rest.split('_').next()?.parse().ok()
}

fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Drops what killed tests left on a server that lives longer than they.
async fn drop_stale_databases(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let rows =
        sqlx::query("select datname::text from pg_database where starts_with(datname::text, $1)")
            .bind(PREFIX)
            .fetch_all(&mut *connection)
            .await?;
    let now = unix_seconds();
    for row in rows {
        let name: String = row.try_get(0)?;
        if created_at(&name).is_some_and(|then| now.saturating_sub(then) > STALE.as_secs()) {
            // Refused when it is in use, or when somebody else was faster.
            let _ = execute(connection, format!("drop database {name}")).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_tell_their_time_and_are_not_cut() {
        let (first, second) = (unique_name(), unique_name());
        assert_ne!(first, second);
        assert!(first.len() <= 63, "{first}");
        let age = created_at(&first).map(|then| unix_seconds() - then);
        assert!(age.is_some_and(|age| age < 60), "{first}");
    }

    #[test]
    fn names_of_others_have_no_time() {
        for name in [
            "postgres",
            "squid_mesh_test_",
            "squid_mesh_test_x_1",
            "squid_mesh_test_1_; drop database b",
        ] {
            assert_eq!(created_at(name), None, "{name}");
        }
    }
}
