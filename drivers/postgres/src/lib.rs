//! The Postgres store of Squid Mesh.
//!
//! Everything lives in one schema beside the host's own tables. [`PostgresStore::connect`] looks at it,
//! [`PostgresStore::migrate`] makes it or brings it up to date.
//!
//! ```no_run
//! use squid_mesh_postgres::{Options, PostgresStore};
//!
//! # async fn example() -> Result<(), squid_mesh_core::store::StoreError> {
//! let store = PostgresStore::connect("postgres://app@localhost/app", Options::default()).await?;
//! store.migrate().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it needs
//!
//! Postgres (it is tested with 15), and connections that are its own from begin to end: a pooler between them and the server
//! has to pool sessions, not transactions. Migrating needs the right to create tables in the schema, and to create the schema if it
//! is not there; working needs `select`, `insert`, `update` and `delete` only.
//!
//! Invariant: an operation is one READ COMMITTED transaction that locks in the order workers, runs, tasks, and reads the
//! server's clock after the last lock, or writes rows that it remembers if they are still the versions that it wrote.

mod connect;
mod definitions;
mod error;
mod hint;
mod host;
mod inspect;
mod ledger;
mod memory;
mod options;
mod perform;
mod read;
mod rows;
mod sql;
mod write;

#[cfg(test)]
mod plans;
#[cfg(test)]
mod round_trips;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

pub use host::HostTransaction;
pub use options::Options;
/// The driver underneath. A connection of the host that an operation is performed in is of this version of it.
pub use sqlx;

use squid_mesh_core::id::{RunId, Shards};
use squid_mesh_core::operation::{DefinitionRow, Operation, Reply, RunRow, WorkerRow};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::{
    Fetch, Fetched, Hint, Inspect, JournalPart, QueueRecord, RunFilter, RunRecord, ScheduleFilter,
    ScheduleRecord, Store, StoreError, StoredRow,
};
use squid_mesh_core::time::Timestamp;
use tokio::time::timeout;

use connect::{Connections, Lent};
use error::store_error;
use hint::Hints;
use host::HostPool;
use memory::Known;

/// A store in a Postgres schema. Clones share their connections; each clone hears every hint once, so give each worker its
/// own.
pub struct PostgresStore {
    shared: Arc<Shared>,
    /// The last hint that this clone has heard.
    heard: AtomicU64,
}

struct Shared {
    connections: Arc<Connections>,
    known: Known,
    hints: Hints,
    options: Options,
    /// Transactions that handlers write in.
    host: HostPool,
    /// As the schema says, once it was seen.
    shards: OnceLock<Shards>,
}

impl PostgresStore {
    /// Connects, and looks at the schema if it is there already. `url` is `postgres://user:password@host:port/database`,
    /// with the usual parameters of libpq. Cancellation-safe.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is no answer, [`StoreError::Refused`] if the address or the options are wrong,
    /// the server does not let us in, or the schema has another number of shards; [`StoreError::Newer`] if the schema is of a
    /// newer engine. Nothing is written, so trying again is safe.
    pub async fn connect(url: &str, options: Options) -> Result<PostgresStore, StoreError> {
        let connect = options.connect_options(url)?;
        let connections = Arc::new(Connections::new(
            connect,
            options.connections,
            options.patience,
        ));
        let hints = Hints::new(Arc::clone(&connections), &options.schema);
        let host = HostPool::new(options.host_options(url)?, &options);
        let shared = Shared {
            connections,
            host,
            known: Known::default(),
            hints,
            options,
            shards: OnceLock::new(),
        };
        let store = PostgresStore {
            shared: Arc::new(shared),
            heard: AtomicU64::new(0),
        };
        let mut lent = store.shared.connections.lend().await?;
        if let Some(shards) = ledger::look(&mut lent).await? {
            store.shared.accept(shards)?;
        }
        lent.give_back();
        Ok(store)
    }

    /// Makes the schema, or brings it up to date. Done twice it changes nothing; several processes may do it at once.
    /// Cancellation-safe: what is not finished is rolled back.
    ///
    /// # Errors
    /// As [`PostgresStore::connect`], and [`StoreError::Refused`] without the right to make tables, or
    /// [`StoreError::Conflict`] if another process migrates for too long. All or nothing was done; trying again is safe.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut lent = self.shared.connections.lend().await?;
        let wanted = self.shared.options.shards.unwrap_or(Shards::ONE);
        // A transaction that failed ends with its connection.
        let shards = ledger::migrate(&mut lent, wanted).await?;
        lent.give_back();
        self.shared.accept(shards)
    }

    /// Sends the hints that are waiting to be sent, waits for operations under way, and closes every connection. All
    /// clones are closed with it: what is asked of them afterwards is answered `Unavailable`.
    pub async fn close(&self) {
        self.shared.hints.flush().await;
        self.shared.host.close().await;
        self.shared.connections.close().await;
    }
}

impl Shared {
    /// Takes the number of shards that the schema has, if it is what the options ask for.
    fn accept(&self, found: Shards) -> Result<(), StoreError> {
        if let Some(wanted) = self.options.shards
            && wanted != found
        {
            return Err(StoreError::Refused(format!(
                "the schema has {} shards, not {}: their number is fixed when it is made",
                found.count(),
                wanted.count()
            )));
        }
        self.shards.get_or_init(|| found);
        Ok(())
    }

    /// Whether the schema has the shard that an operation is about.
    async fn check_shard(&self, operation: &Operation) -> Result<(), StoreError> {
        let shards = match self.shards.get() {
            Some(shards) => *shards,
            None => self.look(async |_, shards| Ok(shards)).await?,
        };
        let shard = operation.shard().as_u16();
        if shard < shards.count() {
            return Ok(());
        }
        Err(StoreError::Refused(format!(
            "there is no shard {shard} among {}",
            shards.count()
        )))
    }

    /// A connection to a schema that was seen.
    async fn lend(&self) -> Result<(Lent<'_>, Shards), StoreError> {
        let mut lent = self.connections.lend().await?;
        if let Some(shards) = self.shards.get() {
            return Ok((lent, *shards));
        }
        match ledger::look(&mut lent).await? {
            Some(shards) => self.accept(shards).map(|()| (lent, shards)),
            None => Err(StoreError::Refused(format!(
                "schema {} was not migrated",
                self.options.schema
            ))),
        }
    }

    /// Looks at something on a connection that is given back if that went well.
    async fn look<T>(
        &self,
        look: impl AsyncFnOnce(&mut Lent<'_>, Shards) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let looking = async {
            let (mut lent, shards) = self.lend().await?;
            let seen = look(&mut lent, shards).await?;
            lent.give_back();
            Ok(seen)
        };
        let patience = self.options.patience;
        let late = |_| {
            Err(StoreError::Unavailable(format!(
                "no answer within {patience:?}"
            )))
        };
        timeout(patience, looking).await.unwrap_or_else(late)
    }
}

impl Clone for PostgresStore {
    fn clone(&self) -> PostgresStore {
        let heard = AtomicU64::new(self.heard.load(Ordering::Relaxed));
        PostgresStore {
            shared: Arc::clone(&self.shared),
            heard,
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("connections", &self.shared.connections)
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl Store for PostgresStore {
    fn shards(&self) -> Shards {
        let wanted = self.shared.options.shards.unwrap_or(Shards::ONE);
        self.shared.shards.get().copied().unwrap_or(wanted)
    }

    async fn perform(&self, operation: Operation) -> Result<Reply, StoreError> {
        let shared = &self.shared;
        shared.check_shard(&operation).await?;
        let performed = perform::perform(&shared.connections, &shared.known, &operation).await?;
        shared.hints.send(performed.hints);
        Ok(performed.reply)
    }

    async fn fetch(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        let definitions = &self.shared.known.definitions;
        if let Some(fetched) = inspect::fetch_kept(definitions, &wanted) {
            return Ok(fetched);
        }
        self.shared
            .look(async |lent, shards| inspect::fetch(lent, shards, definitions, &wanted).await)
            .await
    }

    async fn hint(&self) -> Hint {
        self.shared.hints.hear(&self.heard).await
    }
}

impl Inspect for PostgresStore {
    async fn run(&self, id: RunId) -> Result<Option<RunRecord>, StoreError> {
        let look = async |lent: &mut Lent<'_>, shards| {
            inspect::run(lent, shards, id)
                .await
                .map_err(|e| store_error(&e))
        };
        self.shared.look(look).await
    }

    async fn journal(
        &self,
        id: RunId,
        from: Seq,
        limit: u32,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let part = JournalPart {
            run: id,
            after: Seq(from.0.saturating_sub(1)),
            upto: Seq(u32::MAX),
            limit,
            bytes: u64::MAX,
        };
        let look = async |lent: &mut Lent<'_>, shards| {
            inspect::journal(lent, shards, part)
                .await
                .map_err(|e| store_error(&e))
        };
        self.shared.look(look).await
    }

    async fn list(
        &self,
        filter: &RunFilter,
        after: Option<(Timestamp, RunId)>,
        limit: u32,
    ) -> Result<Vec<RunRow>, StoreError> {
        let look = async |lent: &mut Lent<'_>, shards| {
            inspect::list(lent, shards, filter, after, limit)
                .await
                .map_err(|e| store_error(&e))
        };
        self.shared.look(look).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        let look = async |lent: &mut Lent<'_>, _| {
            inspect::workers(lent).await.map_err(|e| store_error(&e))
        };
        self.shared.look(look).await
    }

    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
        let look = async |lent: &mut Lent<'_>, _| {
            inspect::definitions(lent)
                .await
                .map_err(|e| store_error(&e))
        };
        self.shared.look(look).await
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, StoreError> {
        let look =
            async |lent: &mut Lent<'_>, _| inspect::queues(lent).await.map_err(|e| store_error(&e));
        self.shared.look(look).await
    }

    async fn schedule(&self, id: ScheduleId) -> Result<Option<ScheduleRecord>, StoreError> {
        let look = async |lent: &mut Lent<'_>, shards| {
            inspect::schedule(lent, shards, id)
                .await
                .map_err(|e| store_error(&e))
        };
        self.shared.look(look).await
    }

    async fn schedules(
        &self,
        filter: &ScheduleFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, StoreError> {
        let look = async |lent: &mut Lent<'_>, _| {
            inspect::schedules(lent, filter, after, limit)
                .await
                .map_err(|e| store_error(&e))
        };
        self.shared.look(look).await
    }
}
