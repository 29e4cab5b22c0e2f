//! The store: a writer with its queue, and connections to read on.
//!
//! Invariant: whatever is written is written by the writer's task, or by [`SqliteStore::migrate`] under the same lock.

use std::collections::BTreeSet;
use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqlitePool, SqliteRow};
use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::id::Shards;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Operation, Reply};
use squid_mesh_core::payload::{Payload, PayloadDigest, PayloadRef};
use squid_mesh_core::run::Seq;
use squid_mesh_core::store::{Fetch, Fetched, Hint, Store, StoreError};
use squid_mesh_core::time::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::connect::Opener;
use crate::definitions::Definitions;
use crate::error::{corrupt, store_error};
use crate::hint::Hints;
use crate::ledger;
use crate::options::Options;
use crate::perform::check_shard;
use crate::rows::{self, Columns};
use crate::script::Script;
use crate::sql;
use crate::writer::{Job, QUEUE, Request, Shared, Turn, Writer};

/// A store in an SQLite file, or in memory.
#[derive(Debug)]
pub struct SqliteStore {
    requests: mpsc::Sender<Request>,
    writer: JoinHandle<()>,
    readers: SqlitePool,
    /// For transactions that handlers write in, one at a time.
    pub(crate) host: SqlitePool,
    pub(crate) shared: Arc<Shared>,
    opener: Opener,
    /// An in-memory database lives as long as it has a connection.
    anchor: Option<SqliteConnection>,
}

impl SqliteStore {
    /// Opens the database at `sqlite:PATH`, or one in memory with `sqlite::memory:`, which lives as long as this store.
    /// Must be called within a tokio runtime, and [`migrate`](SqliteStore::migrate) before anything is performed.
    ///
    /// Dropping the future opens nothing, but may leave an empty file behind.
    ///
    /// # Errors
    /// [`StoreError::Refused`] if the address is malformed, or the file cannot be opened or created;
    /// [`StoreError::Corrupt`] if it is no database; [`StoreError::Newer`] if a newer engine made the schema;
    /// [`StoreError::Conflict`] if another process holds it locked. Trying again is safe.
    pub async fn connect(url: &str, options: Options) -> Result<SqliteStore, StoreError> {
        let opener = Opener::of(url, &options)?;
        if options.create {
            opener.create().await?;
        }
        let open = async || opener.open().await.map_err(|error| opener.explain(&error));
        let mut connection = open().await?;
        let anchor = if opener.is_memory() {
            Some(open().await?)
        } else {
            None
        };
        ledger::format(&mut connection).await?;
        let (definitions, hints) = (Definitions::default(), Hints::default());
        let shared = Arc::new(Shared {
            definitions,
            hints,
            clock: Arc::clone(&options.clock),
        });
        let (requests, inbox) = mpsc::channel(QUEUE);
        let writer = Writer::new(opener.clone(), connection, Arc::clone(&shared));
        let writer = tokio::spawn(writer.run(inbox));
        let readers = opener.readers(options.readers);
        let host = opener.host();
        Ok(SqliteStore {
            requests,
            writer,
            readers,
            host,
            shared,
            opener,
            anchor,
        })
    }

    /// Creates or completes the schema. Does nothing if it is complete; safe while other processes migrate or work.
    ///
    /// Dropping the future rolls back what was not committed.
    ///
    /// # Errors
    /// [`StoreError::Newer`] if a newer engine made the schema, with nothing written; else any [`StoreError`]. Trying
    /// again is safe.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self
            .opener
            .open()
            .await
            .map_err(|error| self.opener.explain(&error))?;
        ledger::migrate(&mut connection, &*self.shared.clock).await?;
        sqlx::Connection::close(connection)
            .await
            .map_err(|error| store_error(&error))
    }

    /// Performs what is queued already, waits for a transaction that a handler writes in, and closes every connection. Dropping the store instead leaves operations whose
    /// futures were dropped in doubt, and harms nothing else.
    pub async fn close(mut self) {
        let (closed, _) = mpsc::channel(1);
        self.requests = closed;
        if let Err(error) = (&mut self.writer).await {
            tracing::error!(%error, "the writer ended early");
        }
        self.host.close().await;
        self.readers.close().await;
        self.anchor = None;
    }

    /// Whether the database is in memory: nobody can read it while somebody writes.
    pub fn is_in_memory(&self) -> bool {
        self.opener.is_memory()
    }

    async fn request(&self, request: Request) -> Result<(), StoreError> {
        self.requests.send(request).await.map_err(|_| ended())
    }

    /// Waits for the writer to let somebody else write.
    pub(crate) async fn turn(&self) -> Result<Turn, StoreError> {
        let (turn, mine) = oneshot::channel();
        self.request(Request::Turn(turn)).await?;
        mine.await.map_err(|_| ended())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// A connection that cannot write.
    pub(crate) async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.readers
            .acquire()
            .await
            .map_err(|error| store_error(&error))
    }

    /// Reads what one statement shows.
    pub(crate) async fn query(&self, script: Script) -> Result<Vec<SqliteRow>, StoreError> {
        let mut reader = self.reader().await?;
        script
            .rows(&mut reader)
            .await
            .map_err(|error| store_error(&error))
    }

    async fn fetch_definitions(
        &self,
        wanted: &BTreeSet<DefinitionKey>,
    ) -> Result<Vec<Arc<Definition>>, StoreError> {
        let (mut found, unknown) = self.shared.definitions.look_up(wanted);
        if !unknown.is_empty() {
            let keys = rows::definition_keys(&unknown);
            let rows = self.query(Script::of(sql::DEFINITIONS).with(keys)).await?;
            for row in &rows {
                found.push(self.shared.definitions.learn(row)?);
            }
        }
        found.sort_by(|a, b| a.key().cmp(b.key()));
        Ok(found)
    }

    /// Always asks: which version is the highest, only the database knows.
    async fn fetch_newest(
        &self,
        wanted: &BTreeSet<Name>,
    ) -> Result<Vec<Arc<Definition>>, StoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let script = Script::of(sql::NEWEST).with(rows::names(wanted));
        let rows = self.query(script).await?;
        let learnt = rows.iter().map(|row| self.shared.definitions.learn(row));
        let mut found = learnt.collect::<Result<Vec<_>, _>>()?;
        found.sort_by(|a, b| a.key().cmp(b.key()));
        Ok(found)
    }

    async fn fetch_payloads(
        &self,
        wanted: &BTreeSet<PayloadRef>,
    ) -> Result<Vec<(PayloadRef, Payload)>, StoreError> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let places: BTreeSet<_> = wanted
            .iter()
            .map(|reference| (reference.run, reference.seq.0))
            .collect();
        let keys = rows::numbered_keys(places);
        let rows = self.query(Script::of(sql::PAYLOADS).with(keys)).await?;
        let mut payloads = Vec::with_capacity(wanted.len());
        for row in &rows {
            let mut columns = Columns::of("journal", row);
            let (run, seq) = (columns.run_id()?, columns.seq()?);
            let Some(payload) = columns.blob_or_null()?.map(Payload::new) else {
                continue;
            };
            let at = |seq: Seq, digest| PayloadRef { run, seq, digest };
            let named =
                wanted.range(at(seq, PayloadDigest([0; 8]))..=at(seq, PayloadDigest([u8::MAX; 8])));
            for reference in named {
                if reference.digest != payload.digest() {
                    return Err(corrupt(format!(
                        "the payload of run {run} at {} is another",
                        seq.0
                    )));
                }
                payloads.push((*reference, payload.clone()));
            }
        }
        payloads.sort_by_key(|(reference, _)| *reference);
        Ok(payloads)
    }
}

fn ended() -> StoreError {
    StoreError::Unavailable("the writer has ended".to_owned())
}

impl Store for SqliteStore {
    fn shards(&self) -> Shards {
        Shards::ONE
    }

    async fn perform(&self, operation: Operation) -> Result<Reply, StoreError> {
        check_shard(&operation)?;
        let (answer, reply) = oneshot::channel();
        self.request(Request::Perform(Job { operation, answer }))
            .await?;
        reply.await.map_err(|_| ended())?
    }

    async fn fetch(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        let payloads = self.fetch_payloads(&wanted.payloads).await?;
        let definitions = self.fetch_definitions(&wanted.definitions).await?;
        let newest = self.fetch_newest(&wanted.newest).await?;
        let journal = match &wanted.journal {
            Some(part) => self.fetch_journal(part).await?,
            None => Vec::new(),
        };
        Ok(Fetched {
            payloads,
            definitions,
            newest,
            journal,
        })
    }

    async fn hint(&self) -> Hint {
        self.shared.hints.next().await
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.writer.abort();
    }
}
