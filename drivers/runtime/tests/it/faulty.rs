//! A store that misbehaves on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use squid_mesh::SharedStore;
use squid_mesh::core::id::{RunId, Shards};
use squid_mesh::core::operation::{DefinitionRow, Operation, Reply, RunRow, WorkerRow};
use squid_mesh::core::run::Seq;
use squid_mesh::core::store::{
    Fetch, Fetched, Hint, Inspect, RunFilter, RunRecord, Store, StoreError, StoredRow,
};
use squid_mesh::core::time::Timestamp;

use crate::harness::Place;

/// What goes wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Hints never arrive.
    pub(crate) hints: AtomicBool,
    /// Renewals do not reach the store.
    pub(crate) renewals: AtomicBool,
    /// So many submissions are committed without an answer.
    pub(crate) submissions: AtomicU32,
    /// So many settles are committed without an answer.
    pub(crate) settles: AtomicU32,
    /// So many looks at a run are not answered.
    pub(crate) looks: AtomicU32,
}

/// A store with faults.
#[derive(Clone)]
pub(crate) struct Faulty {
    store: SharedStore,
    pub(crate) faults: Arc<Faults>,
}

impl Faulty {
    pub(crate) async fn new(place: &Place) -> Faulty {
        Faulty {
            store: place.store().await,
            faults: Arc::default(),
        }
    }

    pub(crate) fn shared(&self) -> SharedStore {
        SharedStore::new(self.clone())
    }

    /// Whether the answer to this operation is lost.
    fn loses_answer(&self, operation: &Operation) -> bool {
        let left = match operation {
            Operation::Submit(_) => &self.faults.submissions,
            Operation::Settle(_) => &self.faults.settles,
            Operation::Register(_) | Operation::Claim(_) | Operation::Lease(_) => return false,
        };
        takes_one(left)
    }
}

/// Whether there was one left to take.
fn takes_one(left: &AtomicU32) -> bool {
    let taken = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        left.checked_sub(1)
    });
    taken.is_ok()
}

fn lost<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("the connection was cut".to_owned()))
}

impl Store for Faulty {
    fn shards(&self) -> Shards {
        self.store.shards()
    }

    async fn perform(&self, operation: Operation) -> Result<Reply, StoreError> {
        if matches!(operation, Operation::Lease(_)) && self.faults.renewals.load(Ordering::SeqCst) {
            return lost();
        }
        let loses_answer = self.loses_answer(&operation);
        let reply = self.store.perform(operation).await?;
        if loses_answer { lost() } else { Ok(reply) }
    }

    async fn fetch(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        self.store.fetch(wanted).await
    }

    async fn hint(&self) -> Hint {
        if self.faults.hints.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        self.store.hint().await
    }
}

impl Inspect for Faulty {
    async fn run(&self, id: RunId) -> Result<Option<RunRecord>, StoreError> {
        if takes_one(&self.faults.looks) {
            return lost();
        }
        self.store.run(id).await
    }

    async fn journal(
        &self,
        id: RunId,
        from: Seq,
        limit: u32,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.store.journal(id, from, limit).await
    }

    async fn list(
        &self,
        filter: &RunFilter,
        after: Option<(Timestamp, RunId)>,
        limit: u32,
    ) -> Result<Vec<RunRow>, StoreError> {
        self.store.list(filter, after, limit).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        self.store.workers().await
    }

    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
        self.store.definitions().await
    }
}
