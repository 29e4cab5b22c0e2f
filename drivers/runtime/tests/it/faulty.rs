//! A store that misbehaves on demand.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;

use squid_mesh::core::id::{RunId, Shards};
use squid_mesh::core::operation::{DefinitionRow, Operation, Reply, RunRow, WorkerRow};
use squid_mesh::core::run::Seq;
use squid_mesh::core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh::core::store::{
    Fetch, Fetched, Hint, Inspect, QueueRecord, RunFilter, RunRecord, ScheduleFilter,
    ScheduleRecord, Store, StoreError, StoredRow, TransactionError,
};
use squid_mesh::core::time::Timestamp;
use squid_mesh::{HostConnection, SharedStore, Transactions, Tx};

use tokio::sync::Semaphore;

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
    /// How often definitions or payloads were asked for.
    pub(crate) fetches: AtomicU32,
    /// No operation reaches the store.
    pub(crate) frozen: AtomicBool,
    /// So many transactions are committed without an answer.
    pub(crate) commits: AtomicU32,
    /// So many transactions are rolled back without an answer.
    pub(crate) rollbacks: AtomicU32,
    /// So many transactions lose against another one.
    pub(crate) conflicts: AtomicU32,
    /// Where transactions stop for good.
    pub(crate) stop: Mutex<Option<Stop>>,
    /// Transactions that have stopped.
    pub(crate) stopped: AtomicU32,
    /// Transactions that were settled before they would have stopped.
    pub(crate) settled: AtomicU32,
    /// Let through one by one before a transaction begins, once it is closed.
    pub(crate) gate: OnceLock<Semaphore>,
}

/// A point in the life of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It has begun, and nobody has written in it.
    Begun,
    /// Its handler has returned.
    Returned,
    /// It is being settled: its settlement was given so many turns.
    Settling(u32),
    /// It is committed, and nobody knows.
    Committed,
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
        SharedStore::with_transactions(self.clone(), Arc::new(self.clone()))
    }

    fn transactions(&self) -> &dyn Transactions {
        self.store.transactions().expect("it has some").as_ref()
    }

    /// Waits for ever at the point where transactions are to stop.
    async fn pass(&self, point: Stop) {
        if *self.faults.stop.lock().unwrap() == Some(point) {
            self.faults.stopped.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
    }

    /// Whether the answer to this operation is lost.
    fn loses_answer(&self, operation: &Operation) -> bool {
        let left = match operation {
            Operation::Submit(_) => &self.faults.submissions,
            Operation::Settle(_) => &self.faults.settles,
            Operation::Register(_)
            | Operation::Claim(_)
            | Operation::Lease(_)
            | Operation::Queue(_)
            | Operation::Schedule(_) => return false,
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
        if self.faults.frozen.load(Ordering::SeqCst) {
            return lost();
        }
        if matches!(operation, Operation::Lease(_)) && self.faults.renewals.load(Ordering::SeqCst) {
            return lost();
        }
        let loses_answer = self.loses_answer(&operation);
        let reply = self.store.perform(operation).await?;
        if loses_answer { lost() } else { Ok(reply) }
    }

    async fn fetch(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        self.faults.fetches.fetch_add(1, Ordering::SeqCst);
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
        self.faults.fetches.fetch_add(1, Ordering::SeqCst);
        self.store.definitions().await
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, StoreError> {
        self.store.queues().await
    }

    async fn schedule(&self, id: ScheduleId) -> Result<Option<ScheduleRecord>, StoreError> {
        self.store.schedule(id).await
    }

    async fn schedules(
        &self,
        filter: &ScheduleFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, StoreError> {
        self.store.schedules(filter, after, limit).await
    }
}

/// What a future gives within so many polls, if it does.
async fn turns_of<T>(future: &mut Answer<'_, T>, turns: u32) -> Option<T> {
    let mut taken = 0;
    poll_fn(|cx| {
        if taken == turns {
            return Poll::Ready(None);
        }
        taken += 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(given) => Poll::Ready(Some(given)),
            // The last turn is over as soon as it was taken: what comes then, comes to nobody.
            Poll::Pending if taken == turns => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Transactions for Faulty {
    fn is_exclusive(&self) -> bool {
        self.transactions().is_exclusive()
    }

    fn lets_others_read(&self) -> bool {
        self.transactions().lets_others_read()
    }

    fn begin(&self, patience: Option<Duration>) -> Answer<'_, Result<Tx, StoreError>> {
        Box::pin(async move {
            if let Some(gate) = self.faults.gate.get() {
                self.faults.stopped.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
            }
            let tx = self.transactions().begin(patience).await?;
            self.pass(Stop::Begun).await;
            Ok(tx)
        })
    }

    fn settle(&self, tx: Tx, operation: Operation) -> Answer<'_, Result<Reply, TransactionError>> {
        Box::pin(async move {
            self.pass(Stop::Returned).await;
            if takes_one(&self.faults.rollbacks) {
                self.transactions().rollback(tx).await;
                return Ok(lost()?);
            }
            if takes_one(&self.faults.conflicts) {
                self.transactions().rollback(tx).await;
                return Err(StoreError::Conflict.into());
            }
            let mut settling = self.transactions().settle(tx, operation);
            let stop = *self.faults.stop.lock().unwrap();
            if let Some(Stop::Settling(turns)) = stop {
                let within = turns_of(&mut settling, turns).await;
                let Some(settled) = within else {
                    self.pass(Stop::Settling(turns)).await;
                    unreachable!("it has stopped");
                };
                self.faults.settled.fetch_add(1, Ordering::SeqCst);
                return settled;
            }
            let reply = settling.await?;
            self.pass(Stop::Committed).await;
            if takes_one(&self.faults.commits) {
                return Ok(lost()?);
            }
            Ok(reply)
        })
    }

    fn commit(&self, tx: Tx) -> Answer<'_, Result<(), TransactionError>> {
        self.transactions().commit(tx)
    }

    fn rollback(&self, tx: Tx) -> Answer<'_, ()> {
        self.transactions().rollback(tx)
    }

    fn perform_in<'a>(
        &'a self,
        connection: HostConnection<'a>,
        operation: Operation,
    ) -> Answer<'a, Result<Reply, StoreError>> {
        self.transactions().perform_in(connection, operation)
    }
}
