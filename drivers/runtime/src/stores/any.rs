//! The stores of this crate, by URL.
//!
//! Invariant: a URL names exactly one kind of store, and no error shows a password.

#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(
        unused_variables,
        unreachable_code,
        reason = "a build without stores has no store to hand them to"
    )
)]

use squid_mesh_core::id::{RunId, Shards};
use squid_mesh_core::operation::{DefinitionRow, Operation, Reply, RunRow, WorkerRow};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::{
    Fetch, Fetched, Hint, Inspect, QueueRecord, RunFilter, RunRecord, ScheduleFilter,
    ScheduleRecord, Store, StoreError, StoredRow,
};
use squid_mesh_core::time::Timestamp;
#[cfg(feature = "postgres")]
use squid_mesh_postgres::PostgresStore;
#[cfg(feature = "sqlite")]
use squid_mesh_sqlite::SqliteStore;

/// One of the stores that this crate was built with.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use squid_mesh::{AnyStore, Client};
///
/// let store = AnyStore::connect("sqlite::memory:").await?;
/// store.migrate().await?;
/// let client = Client::connect(store).await?;
/// # Ok::<(), squid_mesh::ConnectError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[cfg_attr(
    all(feature = "sqlite", feature = "postgres"),
    expect(
        clippy::large_enum_variant,
        reason = "a process has one or two, and moves them once"
    )
)]
pub enum AnyStore {
    /// A file, or memory.
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteStore),
    /// A Postgres database.
    #[cfg(feature = "postgres")]
    Postgres(PostgresStore),
}

/// A store could not be opened or brought up to date. Trying again is safe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No store has URLs of this form.
    #[error(
        "no store of this build has {scheme:?} URLs: expected sqlite:PATH, sqlite::memory: or postgres://..."
    )]
    UnknownScheme {
        /// What the URL begins with.
        scheme: String,
    },
    /// The store cannot be reached, or does not let itself be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Calls a method of whichever store it is.
macro_rules! delegate {
    ($self:ident, $store:ident => $call:expr) => {
        // By place, so that it is exhaustive in a build without stores too.
        match *$self {
            #[cfg(feature = "sqlite")]
            AnyStore::Sqlite(ref $store) => $call,
            #[cfg(feature = "postgres")]
            AnyStore::Postgres(ref $store) => $call,
        }
    };
}

impl AnyStore {
    /// Connects to `sqlite:PATH` (made if it is missing), `sqlite::memory:` (a database of its own, gone with the store) or
    /// `postgres://...`. Options of a store are set by opening that store itself.
    ///
    /// # Errors
    /// If no store has such URLs, or the store cannot be reached.
    pub async fn connect(url: &str) -> Result<AnyStore, ConnectError> {
        AnyStore::open(url, true).await
    }

    /// Connects; `create` says whether a missing SQLite file is made.
    pub(crate) async fn open(url: &str, create: bool) -> Result<AnyStore, ConnectError> {
        #[cfg(not(feature = "sqlite"))]
        let _ = create;
        let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
        match scheme {
            #[cfg(feature = "sqlite")]
            "sqlite" => {
                let options = squid_mesh_sqlite::Options::default().create(create);
                Ok(AnyStore::Sqlite(SqliteStore::connect(url, options).await?))
            }
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                let options = squid_mesh_postgres::Options::default();
                Ok(AnyStore::Postgres(
                    PostgresStore::connect(url, options).await?,
                ))
            }
            _ => Err(ConnectError::UnknownScheme {
                scheme: scheme.chars().take(20).collect(),
            }),
        }
    }

    /// Brings the schema up to date: makes it if it is missing, and does nothing if it is current. Safe to call from
    /// several processes at once.
    ///
    /// # Errors
    /// If the store does not answer, or its schema is of a newer engine. Trying again is safe.
    pub async fn migrate(&self) -> Result<(), ConnectError> {
        let migrated: Result<(), StoreError> = delegate!(self, store => store.migrate().await);
        Ok(migrated?)
    }
}

impl AnyStore {
    /// Its transactions, whichever store it is.
    pub(crate) fn erased(&self) -> &dyn crate::transaction::Transactions {
        delegate!(self, store => store)
    }
}

impl Store for AnyStore {
    fn shards(&self) -> Shards {
        delegate!(self, store => store.shards())
    }

    async fn perform(&self, operation: Operation) -> Result<Reply, StoreError> {
        delegate!(self, store => store.perform(operation).await)
    }

    async fn fetch(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        delegate!(self, store => store.fetch(wanted).await)
    }

    async fn hint(&self) -> Hint {
        delegate!(self, store => store.hint().await)
    }
}

impl Inspect for AnyStore {
    async fn run(&self, id: RunId) -> Result<Option<RunRecord>, StoreError> {
        delegate!(self, store => store.run(id).await)
    }

    async fn journal(
        &self,
        id: RunId,
        from: Seq,
        limit: u32,
    ) -> Result<Vec<StoredRow>, StoreError> {
        delegate!(self, store => store.journal(id, from, limit).await)
    }

    async fn list(
        &self,
        filter: &RunFilter,
        after: Option<(Timestamp, RunId)>,
        limit: u32,
    ) -> Result<Vec<RunRow>, StoreError> {
        delegate!(self, store => store.list(filter, after, limit).await)
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        delegate!(self, store => store.workers().await)
    }

    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
        delegate!(self, store => store.definitions().await)
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, StoreError> {
        delegate!(self, store => store.queues().await)
    }

    async fn schedule(&self, id: ScheduleId) -> Result<Option<ScheduleRecord>, StoreError> {
        delegate!(self, store => store.schedule(id).await)
    }

    async fn schedules(
        &self,
        filter: &ScheduleFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, StoreError> {
        delegate!(self, store => store.schedules(filter, after, limit).await)
    }
}
