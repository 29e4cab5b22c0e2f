//! A Postgres server for tests.
//!
//! Invariant: as long as a value of this type exists, no watchdog stops its server.

use std::sync::Arc;

use crate::address::Address;
use crate::database::{BoxError, DatabaseError, TestDatabase};
use crate::directory::Lease;
use crate::error::ClusterError;
use crate::private::PrivateCluster;
use crate::settings::Settings;
use crate::shared;

/// A Postgres server on which tests create databases of their own.
///
/// Cheap to clone; every clone keeps the server in use.
///
/// ```
/// use squid_mesh_test_support::TestCluster;
///
/// let cluster = TestCluster::shared()?;
/// let (first, second) = (cluster.database()?, cluster.database()?);
/// assert_ne!(first.name(), second.name());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TestCluster {
    address: Address,
    _lease: Option<Arc<Lease>>,
}

impl TestCluster {
    /// The cluster that all test processes of this user share, made and started if it is not there.
    ///
    /// It does not flush to the disk. Tests must leave the server itself alone: a test that stops or
    /// reconfigures it needs [`private`](Self::private).
    ///
    /// # Errors
    ///
    /// When there is no Postgres and none may or can be installed, or when it does not start.
    pub fn shared() -> Result<Self, ClusterError> {
        shared::join()
    }

    /// A cluster of this process alone, stopped and deleted when the guard is dropped.
    ///
    /// # Errors
    ///
    /// When there is no Postgres and none may or can be installed, or when it does not start with
    /// these settings.
    pub fn private(settings: Settings) -> Result<PrivateCluster, ClusterError> {
        PrivateCluster::start_new(settings)
    }

    /// Joins an address with the right to use it.
    pub(crate) fn new(address: Address, lease: Option<Lease>) -> Self {
        Self {
            address,
            _lease: lease.map(Arc::new),
        }
    }

    /// The address of a database on this server, which need not exist, for the superuser.
    ///
    /// Goes through the server's Unix socket, except for `TEST_DATABASE_URL`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.address.url(database)
    }

    /// The same through TCP on 127.0.0.1, for what cannot use a socket or has to sit in between.
    #[must_use]
    pub fn tcp_url(&self, database: &str) -> String {
        self.address.tcp_url(database)
    }

    /// Creates an empty database, which is dropped with its guard.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or refuses. Safe to retry.
    pub fn database(&self) -> Result<TestDatabase, DatabaseError> {
        TestDatabase::create(self.clone())
    }

    /// Creates a database as a copy of one that `prepare` has filled, for instance by migrations.
    ///
    /// `prepare` gets the address of an empty database. It runs once per server and `key`, on a
    /// runtime of its own, however many tests and processes ask at the same time, and has to close
    /// its connections. The key has to change with whatever `prepare` does: name the version of the
    /// schema in it.
    ///
    /// ```
    /// use sqlx::{Connection, PgConnection};
    /// use squid_mesh_test_support::TestCluster;
    ///
    /// let database = TestCluster::shared()?.database_from("example_v1", async |url| {
    ///     let mut connection = PgConnection::connect(&url).await?;
    ///     sqlx::query("create table orders (id bigint)").execute(&mut connection).await?;
    ///     Ok(connection.close().await?)
    /// })?;
    /// assert!(database.url().contains(database.name()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or refuses, or when `prepare` fails. Safe to retry.
    ///
    /// # Panics
    ///
    /// If the key is not made of 1 to 32 lowercase letters, digits and underscores.
    pub fn database_from(
        &self,
        key: &str,
        prepare: impl AsyncFnOnce(String) -> Result<(), BoxError> + Send,
    ) -> Result<TestDatabase, DatabaseError> {
        TestDatabase::create_from(self.clone(), key, prepare)
    }
}
