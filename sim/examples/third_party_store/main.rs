//! A store of one's own, as small as one can be: rows in lists, one lock around them, every look a walk through all.
//!
//! What a store has to do is what its comments say; that it does it, the conformance suite says:
//! `cargo run -p squid-mesh-sim --example third_party_store`.

mod rows;

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use squid_mesh_core::id::{RunId, Shards};
use squid_mesh_core::operation::{
    Decision, DefinitionRow, Operation, Reply, RunRow, View, WorkerRow,
};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::{
    Fetch, Fetched, Hint, Inspect, JournalPart, QueueRecord, RunFilter, RunRecord, ScheduleFilter,
    ScheduleRecord, Store, StoreError, StoredRow,
};
use squid_mesh_core::task::TaskRow;
use squid_mesh_core::time::Timestamp;
use squid_mesh_sim::conformance::Suite;

use rows::{Rows, now};

/// The store. It never hints, which costs its workers latency and nothing else.
struct ListStore {
    shards: Shards,
    rows: Mutex<Rows>,
}

impl ListStore {
    fn new(shards: Shards) -> ListStore {
        ListStore {
            shards,
            rows: Mutex::default(),
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for ListStore {
    fn shards(&self) -> Shards {
        self.shards
    }

    async fn perform(&self, operation: Operation) -> Result<Reply, StoreError> {
        let mut rows = self.rows();
        let mut view = View::default();
        rows.read(&operation.reads(), self.shards, &mut view);
        let mut decision = operation.decide(&view);
        if let Decision::Need(more) = &decision {
            rows.read(more, self.shards, &mut view);
            decision = operation.decide(&view);
        }
        match decision {
            Decision::Done { writes, reply } => rows.write(writes).map(|()| reply),
            Decision::Need(_) => unreachable!("an operation asks for more at most once"),
        }
    }

    async fn fetch(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        let rows = self.rows();
        let mut fetched = Fetched::default();
        for reference in wanted.payloads {
            let row = rows
                .journal
                .iter()
                .find(|row| (row.run, row.seq) == (reference.run, reference.seq));
            match row.and_then(|row| row.payload.clone()) {
                None => {}
                Some(payload) if payload.digest() == reference.digest => {
                    fetched.payloads.push((reference, payload))
                }
                Some(_) => {
                    return Err(StoreError::Corrupt {
                        detail: format!("{reference:?} is another payload"),
                    });
                }
            }
        }
        for key in wanted.definitions {
            let stored = rows.definitions.iter().find(|(row, _)| row.key == key);
            fetched
                .definitions
                .extend(stored.map(|(_, definition)| Arc::clone(definition)));
        }
        for name in &wanted.newest {
            let versions = rows
                .definitions
                .iter()
                .filter(|(row, _)| row.key.name == *name);
            let newest = versions.max_by_key(|(row, _)| row.key.version);
            fetched
                .newest
                .extend(newest.map(|(_, definition)| Arc::clone(definition)));
        }
        if let Some(part) = &wanted.journal {
            fetched.journal = rows.part(part);
        }
        Ok(fetched)
    }

    async fn hint(&self) -> Hint {
        std::future::pending().await
    }
}

impl Inspect for ListStore {
    async fn run(&self, id: RunId) -> Result<Option<RunRecord>, StoreError> {
        let rows = self.rows();
        let mut tasks: Vec<TaskRow> = rows
            .tasks
            .iter()
            .filter(|row| row.key.run == id)
            .cloned()
            .collect();
        tasks.sort_by_key(|row| row.key);
        let row = rows.runs.iter().find(|row| row.id == id).cloned();
        Ok(row.map(|row| RunRecord {
            now: now(),
            row,
            paused: tasks
                .iter()
                .map(|task| &task.queue)
                .filter(|queue| rows.is_paused(queue))
                .cloned()
                .collect(),
            tasks,
        }))
    }

    async fn journal(
        &self,
        id: RunId,
        from: Seq,
        limit: u32,
    ) -> Result<Vec<StoredRow>, StoreError> {
        Ok(self.rows().part(&JournalPart {
            run: id,
            after: Seq(from.0.saturating_sub(1)),
            upto: Seq(u32::MAX),
            limit,
            bytes: u64::MAX,
        }))
    }

    async fn list(
        &self,
        filter: &RunFilter,
        after: Option<(Timestamp, RunId)>,
        limit: u32,
    ) -> Result<Vec<RunRow>, StoreError> {
        let mut runs = self.rows().runs.clone();
        runs.retain(|row| {
            after.is_none_or(|cursor| (row.created, row.id) < cursor)
                && filter
                    .workflow
                    .as_ref()
                    .is_none_or(|name| *name == row.definition.name)
                && (filter.statuses.is_empty() || filter.statuses.contains(&row.status))
                && filter
                    .labels
                    .iter()
                    .all(|(key, value)| row.labels.get(key) == Some(value))
                && filter.from.is_none_or(|from| row.created >= from)
                && filter.until.is_none_or(|until| row.created < until)
                && filter.parent.is_none_or(|run| row.parent == Some(run))
                && filter.source.is_none_or(|run| row.source == Some(run))
                && filter.schedule.is_none_or(|id| row.schedule == Some(id))
        });
        runs.sort_by_key(|row| Reverse((row.created, row.id)));
        runs.truncate(limit as usize);
        Ok(runs)
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        let mut workers = self.rows().workers.clone();
        workers.sort_by_key(|row| (row.started, row.incarnation));
        Ok(workers)
    }

    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
        let mut rows: Vec<DefinitionRow> = self
            .rows()
            .definitions
            .iter()
            .map(|(row, _)| row.clone())
            .collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(rows)
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, StoreError> {
        let rows = self.rows();
        let mut queues = Vec::new();
        for row in &rows.queues {
            let last = rows.entries.iter().find(|entry| entry.id == row.by);
            queues.push(QueueRecord {
                name: row.name.clone(),
                paused: row.paused,
                last: last
                    .expect("a queue's row is written with its entry")
                    .clone(),
            });
        }
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(queues)
    }

    async fn schedule(&self, id: ScheduleId) -> Result<Option<ScheduleRecord>, StoreError> {
        let rows = self.rows();
        let row = rows.schedules.iter().find(|row| row.id == id).cloned();
        let task = rows.tasks.iter().find(|row| row.key == id.task()).cloned();
        Ok(row.map(|row| ScheduleRecord {
            now: now(),
            row,
            task,
        }))
    }

    async fn schedules(
        &self,
        filter: &ScheduleFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, StoreError> {
        let mut schedules = self.rows().schedules.clone();
        schedules.retain(|row| {
            after.is_none_or(|key| row.key.as_str() > key)
                && filter
                    .workflow
                    .as_ref()
                    .is_none_or(|name| *name == row.workflow)
                && (filter.standings.is_empty() || filter.standings.contains(&row.standing))
        });
        schedules.sort_by(|a, b| a.key.cmp(&b.key));
        schedules.truncate(limit as usize);
        Ok(schedules)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for shards in [1, 8].into_iter().filter_map(Shards::new) {
        Suite::of(shards)
            .run(async |shards| ListStore::new(shards))
            .await?;
    }
    Ok(())
}

#[test]
fn a_store_of_rows_in_lists_passes_the_suite() {
    main().expect("the store conforms");
}
