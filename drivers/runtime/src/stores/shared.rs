//! Any store behind one type, so that hosts name no type parameter.
//!
//! Invariant: adds spans to what the store does, and nothing else.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use squid_mesh_core::id::{RunId, Shards};
use squid_mesh_core::operation::{DefinitionRow, Operation, Reply, RunRow, WorkerRow};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::{
    Fetch, Fetched, Hint, Inspect, QueueRecord, RunFilter, RunRecord, ScheduleFilter,
    ScheduleRecord, Store, StoreError, StoredRow,
};
use squid_mesh_core::time::Timestamp;
use tracing::Instrument as _;

use crate::transaction::{Transactions, transactions_of};

/// Some store, shared by a runtime and its clients. Cheap to clone.
#[derive(Clone)]
pub struct SharedStore {
    store: Arc<dyn Erased>,
    transactions: Option<Arc<dyn Transactions>>,
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type Answered<'a, T> = Answer<'a, Result<T, StoreError>>;

impl SharedStore {
    /// Shares a store: one of this crate's, or any other that passes the conformance suite.
    ///
    /// Those of this crate bring their transactions, in which transactional steps and starts in a host's transaction are
    /// performed. Another one is given them by [`SharedStore::with_transactions`], or has none.
    pub fn new(store: impl Store + Inspect) -> SharedStore {
        let store = Arc::new(store);
        let any: Arc<dyn Any + Send + Sync> = store.clone();
        SharedStore {
            transactions: transactions_of(&any),
            store,
        }
    }

    /// Shares a store that has its transactions from elsewhere: one that wraps another, most likely.
    pub fn with_transactions(
        store: impl Store + Inspect,
        transactions: Arc<dyn Transactions>,
    ) -> SharedStore {
        SharedStore {
            store: Arc::new(store),
            transactions: Some(transactions),
        }
    }

    /// Its transactions that a host can share, if it has any.
    pub fn transactions(&self) -> Option<&Arc<dyn Transactions>> {
        self.transactions.as_ref()
    }
}

impl Store for SharedStore {
    fn shards(&self) -> Shards {
        self.store.shards()
    }

    async fn perform(&self, operation: Operation) -> Result<Reply, StoreError> {
        let span = tracing::debug_span!(
            "operation",
            kind = kind(&operation),
            shard = operation.shard().as_u16()
        );
        let performing = async {
            let result = self.store.perform(operation).await;
            if let Err(error) = &result {
                tracing::debug!(%error, "not performed");
            }
            result
        };
        performing.instrument(span).await
    }

    async fn fetch(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        let span = tracing::debug_span!("fetch", payloads = wanted.payloads.len());
        self.store.fetch(wanted).instrument(span).await
    }

    fn hint(&self) -> impl Future<Output = Hint> + Send {
        self.store.hint()
    }
}

impl Inspect for SharedStore {
    fn run(&self, id: RunId) -> impl Future<Output = Result<Option<RunRecord>, StoreError>> + Send {
        self.store.run(id)
    }

    fn journal(
        &self,
        id: RunId,
        from: Seq,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<StoredRow>, StoreError>> + Send {
        self.store.journal(id, from, limit)
    }

    fn list(
        &self,
        filter: &RunFilter,
        after: Option<(Timestamp, RunId)>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<RunRow>, StoreError>> + Send {
        self.store.list(filter.clone(), after, limit)
    }

    fn workers(&self) -> impl Future<Output = Result<Vec<WorkerRow>, StoreError>> + Send {
        self.store.workers()
    }

    fn definitions(&self) -> impl Future<Output = Result<Vec<DefinitionRow>, StoreError>> + Send {
        self.store.definitions()
    }

    fn queues(&self) -> impl Future<Output = Result<Vec<QueueRecord>, StoreError>> + Send {
        self.store.queues()
    }

    fn schedule(
        &self,
        id: ScheduleId,
    ) -> impl Future<Output = Result<Option<ScheduleRecord>, StoreError>> + Send {
        self.store.schedule(id)
    }

    fn schedules(
        &self,
        filter: &ScheduleFilter,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<ScheduleRow>, StoreError>> + Send {
        self.store
            .schedules(filter.clone(), after.map(str::to_owned), limit)
    }
}

impl fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedStore")
    }
}

fn kind(operation: &Operation) -> &'static str {
    match operation {
        Operation::Register(_) => "register",
        Operation::Submit(_) => "submit",
        Operation::Claim(_) => "claim",
        Operation::Lease(_) => "lease",
        Operation::Settle(_) => "settle",
        Operation::Queue(_) => "queue",
        Operation::Schedule(_) => "schedule",
    }
}

/// `Store` and `Inspect` with their futures boxed.
trait Erased: Send + Sync {
    fn shards(&self) -> Shards;
    fn perform(&self, operation: Operation) -> Answered<'_, Reply>;
    fn fetch(&self, wanted: Fetch) -> Answered<'_, Fetched>;
    fn hint(&self) -> Answer<'_, Hint>;
    fn run(&self, id: RunId) -> Answered<'_, Option<RunRecord>>;
    fn journal(&self, id: RunId, from: Seq, limit: u32) -> Answered<'_, Vec<StoredRow>>;
    fn list(
        &self,
        filter: RunFilter,
        after: Option<(Timestamp, RunId)>,
        limit: u32,
    ) -> Answered<'_, Vec<RunRow>>;
    fn workers(&self) -> Answered<'_, Vec<WorkerRow>>;
    fn definitions(&self) -> Answered<'_, Vec<DefinitionRow>>;
    fn queues(&self) -> Answered<'_, Vec<QueueRecord>>;
    fn schedule(&self, id: ScheduleId) -> Answered<'_, Option<ScheduleRecord>>;
    fn schedules(
        &self,
        filter: ScheduleFilter,
        after: Option<String>,
        limit: u32,
    ) -> Answered<'_, Vec<ScheduleRow>>;
}

impl<S: Store + Inspect> Erased for S {
    fn shards(&self) -> Shards {
        Store::shards(self)
    }

    fn perform(&self, operation: Operation) -> Answered<'_, Reply> {
        Box::pin(Store::perform(self, operation))
    }

    fn fetch(&self, wanted: Fetch) -> Answered<'_, Fetched> {
        Box::pin(Store::fetch(self, wanted))
    }

    fn hint(&self) -> Answer<'_, Hint> {
        Box::pin(Store::hint(self))
    }

    fn run(&self, id: RunId) -> Answered<'_, Option<RunRecord>> {
        Box::pin(Inspect::run(self, id))
    }

    fn journal(&self, id: RunId, from: Seq, limit: u32) -> Answered<'_, Vec<StoredRow>> {
        Box::pin(Inspect::journal(self, id, from, limit))
    }

    fn list(
        &self,
        filter: RunFilter,
        after: Option<(Timestamp, RunId)>,
        limit: u32,
    ) -> Answered<'_, Vec<RunRow>> {
        Box::pin(async move { Inspect::list(self, &filter, after, limit).await })
    }

    fn workers(&self) -> Answered<'_, Vec<WorkerRow>> {
        Box::pin(Inspect::workers(self))
    }

    fn definitions(&self) -> Answered<'_, Vec<DefinitionRow>> {
        Box::pin(Inspect::definitions(self))
    }

    fn queues(&self) -> Answered<'_, Vec<QueueRecord>> {
        Box::pin(Inspect::queues(self))
    }

    fn schedule(&self, id: ScheduleId) -> Answered<'_, Option<ScheduleRecord>> {
        Box::pin(Inspect::schedule(self, id))
    }

    fn schedules(
        &self,
        filter: ScheduleFilter,
        after: Option<String>,
        limit: u32,
    ) -> Answered<'_, Vec<ScheduleRow>> {
        Box::pin(async move { Inspect::schedules(self, &filter, after.as_deref(), limit).await })
    }
}
