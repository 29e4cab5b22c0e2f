//! The memory store as a `Store`: for tests of hosts, and as the reference other stores are compared with.
//!
//! Invariant: no operation waits for another: each is performed at one instant, under one lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use squid_mesh_core::id::{RunId, Shards};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{DefinitionRow, Operation, Reply, RunRow, WorkerRow};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::{
    Fetch, Fetched, Hint, Inspect, QueueRecord, RunFilter, RunRecord, ScheduleFilter,
    ScheduleRecord, Store, StoreError, StoredRow,
};
use squid_mesh_core::time::Timestamp;
use tokio::sync::Notify;

use super::{Conditions, Tables};

/// A store in memory. Clones share their tables; each clone hears every hint once, so give each worker its own.
///
/// ```
/// use squid_mesh_core::id::Shards;
/// use squid_mesh_core::store::{Inspect, RunFilter};
/// use squid_mesh_sim::store::MemoryStore;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStore::new(Shards::ONE);
/// assert!(store.list(&RunFilter::default(), None, 10).await.unwrap().is_empty());
/// # });
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    shared: Arc<Shared>,
    /// The last hint that this clone has heard.
    heard: AtomicU64,
}

struct Shared {
    shards: Shards,
    clock: Box<dyn Fn() -> Timestamp + Send + Sync>,
    state: Mutex<State>,
    woken: Notify,
}

struct State {
    tables: Tables,
    hints: u64,
    /// The last hint for each queue.
    queues: BTreeMap<Name, u64>,
}

impl MemoryStore {
    /// An empty store by the system's clock.
    pub fn new(shards: Shards) -> MemoryStore {
        MemoryStore::with_clock(shards, system_time)
    }

    /// An empty store by another clock, which is read once an operation.
    pub fn with_clock(
        shards: Shards,
        clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ) -> MemoryStore {
        let state = State {
            tables: Tables::new(shards),
            hints: 0,
            queues: BTreeMap::new(),
        };
        let shared = Shared {
            shards,
            clock: Box::new(clock),
            state: Mutex::new(state),
            woken: Notify::new(),
        };
        MemoryStore {
            shared: Arc::new(shared),
            heard: AtomicU64::new(0),
        }
    }

    /// Looks at, or tampers with, the tables. No operation is performed meanwhile.
    pub fn with_tables<T>(&self, look: impl FnOnce(&mut Tables) -> T) -> T {
        look(&mut self.state().tables)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Decisions are made before anything is written, so tables that a panic leaves behind are whole.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn look<T>(&self, look: impl FnOnce(&Tables) -> T) -> Result<T, StoreError> {
        Ok(look(&self.state().tables))
    }

    /// What was hinted at since this clone last heard something.
    fn hear(&self) -> Option<Hint> {
        let state = self.state();
        let heard = self.heard.swap(state.hints, Ordering::Relaxed);
        let mut queues = state
            .queues
            .iter()
            .filter(|(_, hint)| **hint > heard)
            .map(|(queue, _)| queue);
        match (queues.next(), queues.next()) {
            (None, _) => None,
            (Some(queue), None) => Some(Hint {
                queue: Some(queue.clone()),
            }),
            (Some(_), Some(_)) => Some(Hint { queue: None }),
        }
    }
}

impl Clone for MemoryStore {
    fn clone(&self) -> MemoryStore {
        let heard = AtomicU64::new(self.heard.load(Ordering::Relaxed));
        MemoryStore {
            shared: Arc::clone(&self.shared),
            heard,
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}

impl Store for MemoryStore {
    fn shards(&self) -> Shards {
        self.shared.shards
    }

    async fn perform(&self, operation: Operation) -> Result<Reply, StoreError> {
        let mut state = self.state();
        let now = (self.shared.clock)();
        // Nothing is ever in doubt here, so nothing is ever waited for.
        let landed = state
            .tables
            .perform(&operation, Conditions::at(now))?
            .done();
        if !landed.hints.is_empty() {
            state.hints += 1;
            let number = state.hints;
            state
                .queues
                .extend(landed.hints.into_iter().map(|queue| (queue, number)));
            drop(state);
            self.shared.woken.notify_waiters();
        }
        Ok(landed.reply)
    }

    async fn fetch(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        self.state().tables.fetch(&wanted)
    }

    async fn hint(&self) -> Hint {
        loop {
            // Made before looking, so that what is hinted at in between wakes it.
            let woken = self.shared.woken.notified();
            if let Some(hint) = self.hear() {
                return hint;
            }
            woken.await;
        }
    }
}

impl Inspect for MemoryStore {
    async fn run(&self, id: RunId) -> Result<Option<RunRecord>, StoreError> {
        let now = (self.shared.clock)();
        self.look(|tables| tables.record(id, now))
    }

    async fn journal(
        &self,
        id: RunId,
        from: Seq,
        limit: u32,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.look(|tables| {
            let rows = tables.stored(id, from);
            rows.take(limit as usize).collect()
        })
    }

    async fn list(
        &self,
        filter: &RunFilter,
        after: Option<(Timestamp, RunId)>,
        limit: u32,
    ) -> Result<Vec<RunRow>, StoreError> {
        self.look(|tables| {
            tables
                .list(filter, after, limit)
                .into_iter()
                .cloned()
                .collect()
        })
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        self.look(|tables| tables.workers().into_iter().cloned().collect())
    }

    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
        self.look(|tables| tables.definitions().cloned().collect())
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, StoreError> {
        self.look(|tables| tables.queues().collect())
    }

    async fn schedule(&self, id: ScheduleId) -> Result<Option<ScheduleRecord>, StoreError> {
        let now = (self.shared.clock)();
        self.look(|tables| {
            Some(ScheduleRecord {
                now,
                row: tables.schedule(id)?.clone(),
                task: tables.task(&id.task()).cloned(),
            })
        })
    }

    async fn schedules(
        &self,
        filter: &ScheduleFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, StoreError> {
        self.look(|tables| {
            let rows = tables.list_schedules(filter, after, limit);
            rows.into_iter().cloned().collect()
        })
    }
}

fn system_time() -> Timestamp {
    // A clock before 1970 is a broken one; time zero keeps everything due.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
