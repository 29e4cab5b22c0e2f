//! The store of one call to `execute_next`: it lets the worker have one task, and ends it when that is settled.
//!
//! Invariant: a claim's number is never used twice, and what a claim took beyond one task is handed back at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use squid_mesh_core::id::{Shard, Shards};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Claim, Claimed, Held, HeldReply, Leases, Offer, Operation, Outcome, QueueDemand, Rejection,
    Reply, Settle, SlotReply,
};
use squid_mesh_core::store::{Fetch, Fetched, Hint, Store, StoreError, TransactionError};
use squid_mesh_core::task::TaskRow;
use tokio::sync::mpsc;

use super::driver::Message;
use crate::client::Patience;
use crate::stores::SharedStore;
use crate::transaction::{Answer, HostConnection, Transactions, Tx};

/// One place that work may come from.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) shard: Shard,
    pub(super) queue: Name,
}

/// The store of one call: the first claim takes one task at most, later ones nothing, and nothing is handed off.
#[derive(Clone)]
pub(super) struct OneTask(pub(super) Arc<Errand>);

/// One call.
pub(super) struct Errand {
    pub(super) store: SharedStore,
    pub(super) messages: mpsc::Sender<Message>,
    /// Where to look, in this order.
    pub(super) sources: Vec<Source>,
    pub(super) claims: Arc<AtomicU64>,
    pub(super) progress: Mutex<Progress>,
}

/// How far a call is.
#[derive(Default)]
pub(super) struct Progress {
    claimed: bool,
    pub(super) task: Option<TaskRow>,
    /// How far the source of the task was from the first.
    pub(super) source: usize,
    pub(super) outcome: Option<Outcome>,
    pub(super) rejection: Option<Rejection>,
    pub(super) error: Option<StoreError>,
}

impl Errand {
    pub(super) fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is nothing further to do for the worker: it ends as soon as nothing is in flight.
    fn end(&self) {
        // A full channel holds such a message already, for there is no other kind here; a closed one has no worker.
        let _ = self.messages.try_send(Message::Drain);
    }

    async fn claim(&self, wanted: Claim) -> Result<Reply, StoreError> {
        if std::mem::replace(&mut self.progress().claimed, true) {
            return Ok(Reply::Claimed(Claimed::default()));
        }
        for (at, source) in self.sources.iter().enumerate() {
            match self.claim_from(source, &wanted.offer).await {
                Ok(claimed) if claimed.tasks.is_empty() => {}
                Ok(claimed) => {
                    let mut progress = self.progress();
                    (progress.task, progress.source) = (claimed.tasks.first().cloned(), at);
                    return Ok(Reply::Claimed(claimed));
                }
                Err(error) => {
                    self.progress().error = Some(error);
                    break;
                }
            }
        }
        self.end();
        Ok(Reply::Claimed(Claimed::default()))
    }

    /// Takes one task at most. A claim has a slot for an attempt and one for an engine item, since a lost attempt is found
    /// in its queue too; of two tasks the second is handed back before anything is done with the first.
    async fn claim_from(&self, source: &Source, all: &Offer) -> Result<Claimed, StoreError> {
        let number = self.claims.fetch_add(1, Ordering::Relaxed) + 1;
        let demand = QueueDemand {
            queue: source.queue.clone(),
            slots: 1,
            floor: None,
        };
        let offer = Offer {
            queues: vec![demand],
            engine: 1,
            ..all.clone()
        };
        let shard = source.shard;
        let claim = Operation::Claim(Claim {
            shard,
            number,
            offer,
        });
        let reply = Patience::default().perform(&self.store, claim).await?;
        let Reply::Claimed(mut claimed) = reply else {
            unreachable!("a claim is answered by {reply:?}")
        };
        if claimed.tasks.len() > 1 {
            let held = |task: TaskRow| {
                task.token().map(|token| Held {
                    key: task.key,
                    token,
                })
            };
            let hand_back: Vec<Held> = claimed.tasks.drain(1..).filter_map(held).collect();
            let lease = all.lease;
            let leases = Leases {
                shard,
                lease,
                renew: Vec::new(),
                begun: Vec::new(),
                hand_back,
            };
            Patience::default()
                .perform(&self.store, Operation::Lease(leases))
                .await?;
        }
        Ok(claimed)
    }

    /// A lease that is handed back or lost is never settled: nothing else would end the call.
    async fn lease(&self, leases: Leases) -> Result<Reply, StoreError> {
        let back = !leases.hand_back.is_empty();
        let reply = self.store.perform(Operation::Lease(leases)).await?;
        let lost = matches!(&reply, Reply::Leased(replies) if replies.contains(&HeldReply::Lost));
        if back {
            self.progress().task = None;
        }
        if back || lost {
            self.end();
        }
        Ok(reply)
    }

    async fn settle(&self, settle: Settle) -> Result<Reply, StoreError> {
        let outcome = outcome_of(&settle);
        let offer = Offer {
            queues: Vec::new(),
            engine: 0,
            ..settle.offer
        };
        let reply = self
            .store
            .perform(Operation::Settle(Settle { offer, ..settle }))
            .await?;
        if self.is_settled(outcome, &reply) {
            self.end();
        }
        Ok(reply)
    }

    /// Takes note of how a settle was answered; whether that was final.
    fn is_settled(&self, outcome: Option<Outcome>, reply: &Reply) -> bool {
        if let Reply::Settled { slots, .. } = reply {
            let rejection = match slots.first() {
                Some(SlotReply::Busy) => return false,
                Some(SlotReply::Rejected(rejection)) => Some(rejection.clone()),
                Some(SlotReply::Accepted) | None => None,
            };
            let mut progress = self.progress();
            (progress.outcome, progress.rejection) = (outcome, rejection);
        }
        true
    }
}

fn outcome_of(settle: &Settle) -> Option<Outcome> {
    settle.reports.first().map(|report| report.outcome.clone())
}

/// The transactions of one call: it ends when one of them is settled.
pub(super) struct OneTransaction {
    store: Arc<dyn Transactions>,
    errand: Arc<Errand>,
}

impl OneTransaction {
    pub(super) fn of(store: Arc<dyn Transactions>, errand: Arc<Errand>) -> Arc<dyn Transactions> {
        Arc::new(OneTransaction { store, errand })
    }
}

impl Transactions for OneTransaction {
    fn is_exclusive(&self) -> bool {
        self.store.is_exclusive()
    }

    fn begin(&self, patience: Option<Duration>) -> Answer<'_, Result<Tx, StoreError>> {
        self.store.begin(patience)
    }

    fn settle(&self, tx: Tx, operation: Operation) -> Answer<'_, Result<Reply, TransactionError>> {
        Box::pin(async move {
            let outcome = match &operation {
                Operation::Settle(settle) => outcome_of(settle),
                Operation::Register(_)
                | Operation::Submit(_)
                | Operation::Claim(_)
                | Operation::Lease(_)
                | Operation::Queue(_)
                | Operation::Schedule(_) => None,
            };
            let reply = self.store.settle(tx, operation).await?;
            if self.errand.is_settled(outcome, &reply) {
                self.errand.end();
            }
            Ok(reply)
        })
    }

    fn commit(&self, tx: Tx) -> Answer<'_, Result<(), TransactionError>> {
        self.store.commit(tx)
    }

    fn rollback(&self, tx: Tx) -> Answer<'_, ()> {
        self.store.rollback(tx)
    }

    fn perform_in<'a>(
        &'a self,
        connection: HostConnection<'a>,
        operation: Operation,
    ) -> Answer<'a, Result<Reply, StoreError>> {
        self.store.perform_in(connection, operation)
    }
}

impl Store for OneTask {
    fn shards(&self) -> Shards {
        self.0.store.shards()
    }

    async fn perform(&self, operation: Operation) -> Result<Reply, StoreError> {
        match operation {
            Operation::Claim(claim) => self.0.claim(claim).await,
            Operation::Settle(settle) => self.0.settle(settle).await,
            Operation::Lease(leases) => self.0.lease(leases).await,
            Operation::Submit(_)
            | Operation::Register(_)
            | Operation::Queue(_)
            | Operation::Schedule(_) => self.0.store.perform(operation).await,
        }
    }

    async fn fetch(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        self.0.store.fetch(wanted).await
    }

    async fn hint(&self) -> Hint {
        std::future::pending().await
    }
}
