//! Settles of runs whose rows a store remembers, while somebody else changes them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use squid_mesh_core::id::{RunId, Shard, Shards};
use squid_mesh_core::operation::{
    DefinitionRow, Operation, Reply, RunRow, Settle, SlotReply, WorkerRow,
};
use squid_mesh_core::run::{Seq, Status};
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::{
    Fetch, Fetched, Hint, Inspect, QueueRecord, RunFilter, RunRecord, ScheduleFilter,
    ScheduleRecord, Store, StoreError, StoredRow,
};
use squid_mesh_core::task::TaskRow;
use squid_mesh_core::time::Timestamp;
use squid_mesh_postgres::PostgresStore;
use squid_mesh_sim::conformance::Suite;

use crate::room::{Room, cancel, claim, execute, register, run_id, start, succeeded};

/// Two stores of one schema that take turns: whatever one remembers, the other has mostly changed.
struct Turns {
    stores: [PostgresStore; 2],
    turn: AtomicUsize,
}

impl Turns {
    async fn new(room: &Room, shards: Shards) -> Turns {
        let options = room.options().shards(shards).connections(4);
        Turns {
            stores: [
                room.store_with(options.clone()).await,
                room.store_with(options).await,
            ],
            turn: AtomicUsize::new(0),
        }
    }
}

impl Store for Turns {
    fn shards(&self) -> Shards {
        self.stores[0].shards()
    }

    async fn perform(&self, operation: Operation) -> Result<Reply, StoreError> {
        // Two in a row, so that one or the other remembers what it wrote last.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) / 2;
        self.stores[turn % 2].perform(operation).await
    }

    async fn fetch(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        self.stores[0].fetch(wanted).await
    }

    async fn hint(&self) -> Hint {
        self.stores[0].hint().await
    }
}

impl Inspect for Turns {
    async fn run(&self, id: RunId) -> Result<Option<RunRecord>, StoreError> {
        self.stores[0].run(id).await
    }

    async fn journal(
        &self,
        id: RunId,
        from: Seq,
        limit: u32,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.stores[0].journal(id, from, limit).await
    }

    async fn list(
        &self,
        filter: &RunFilter,
        after: Option<(Timestamp, RunId)>,
        limit: u32,
    ) -> Result<Vec<RunRow>, StoreError> {
        self.stores[0].list(filter, after, limit).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        self.stores[0].workers().await
    }

    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
        self.stores[0].definitions().await
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, StoreError> {
        self.stores[0].queues().await
    }

    async fn schedule(&self, id: ScheduleId) -> Result<Option<ScheduleRecord>, StoreError> {
        self.stores[0].schedule(id).await
    }

    async fn schedules(
        &self,
        filter: &ScheduleFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, StoreError> {
        self.stores[0].schedules(filter, after, limit).await
    }
}

#[tokio::test]
async fn two_stores_that_take_turns_conform() {
    let room = Room::fresh();
    let suite = Suite {
        scripts: 8,
        ..Suite::of(Shards::ONE)
    };
    suite
        .run(async |shards| Turns::new(&room, shards).await)
        .await
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// A store in which so many runs were started and their first steps claimed, and another one of the same schema.
async fn claimed(room: &Room, runs: u32) -> (PostgresStore, PostgresStore, Vec<TaskRow>) {
    let options = room.options().connections(4);
    let store = room.store_with(options.clone()).await;
    let other = room.store_with(options).await;
    store.perform(register()).await.unwrap();
    for number in 1..=runs {
        store.perform(start(number, true)).await.unwrap();
    }
    let Reply::Claimed(claimed) = store.perform(claim(1, 1, 8)).await.unwrap() else {
        panic!("no claim reply")
    };
    assert_eq!(claimed.tasks.len(), usize::try_from(runs).unwrap());
    (store, other, claimed.tasks)
}

async fn settle(store: &PostgresStore, tasks: &[TaskRow]) -> (Vec<SlotReply>, Vec<TaskRow>) {
    let Operation::Claim(claim) = claim(1, 1, 8) else {
        unreachable!("a claim is a claim")
    };
    let settle = Settle {
        shard: Shard::default(),
        reports: tasks.iter().map(succeeded).collect(),
        offer: claim.offer,
        wait: false,
    };
    let reply = store.perform(Operation::Settle(settle)).await.unwrap();
    let Reply::Settled { slots, handed, .. } = reply else {
        panic!("{reply:?}")
    };
    (slots, handed)
}

#[tokio::test]
async fn a_cancel_by_somebody_else_is_seen_by_a_settle_from_memory() {
    let room = Room::fresh();
    let (store, other, tasks) = claimed(&room, 1).await;
    other.perform(cancel(1, true)).await.unwrap();
    let (slots, handed) = settle(&store, &tasks).await;
    assert_eq!((slots, handed), (vec![SlotReply::Accepted], Vec::new()));
    let record = store.run(run_id(1)).await.unwrap().unwrap();
    assert_eq!(record.row.status, Status::Cancelled);
}

#[tokio::test]
async fn a_run_that_somebody_else_has_locked_is_busy_and_the_others_do_not_wait_for_it() {
    let room = Room::fresh();
    let (store, _other, tasks) = claimed(&room, 3).await;
    let mut stranger = room.stranger().await;
    let mut lock = stranger.begin().await.unwrap();
    let second = run_id(2);
    let locked = format!("select 1 from mesh_0.runs where id = '{second}' for update");
    execute(&mut lock, &locked).await;
    let begun = Instant::now();
    let (slots, handed) = settle(&store, &tasks).await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(
        (slots, handed.len()),
        (
            vec![SlotReply::Accepted, SlotReply::Busy, SlotReply::Accepted],
            2
        )
    );
    lock.rollback().await.unwrap();
    let (slots, _) = settle(&store, &tasks[1..2]).await;
    assert_eq!(slots, [SlotReply::Accepted]);
}
