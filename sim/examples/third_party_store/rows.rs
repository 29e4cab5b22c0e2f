//! The rows, what is read of them, and what is written.
//!
//! Invariant: what is written is written wholly, and only if every guard holds.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::id::{RunId, Shard, Shards};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    DefinitionRow, Found, JournalRow, OperatorEntry, QueueRow, ReadSet, RunRow, Scan, View,
    WorkerRow, Writes,
};
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::{JournalPart, StoreError, StoredRow};
use squid_mesh_core::task::{TaskKey, TaskRow};
use squid_mesh_core::time::Timestamp;

/// Every table.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) definitions: Vec<(DefinitionRow, Arc<Definition>)>,
    pub(crate) runs: Vec<RunRow>,
    pub(crate) journal: Vec<JournalRow>,
    pub(crate) tasks: Vec<TaskRow>,
    pub(crate) workers: Vec<WorkerRow>,
    pub(crate) queues: Vec<QueueRow>,
    pub(crate) entries: Vec<OperatorEntry>,
    pub(crate) schedules: Vec<ScheduleRow>,
}

impl Rows {
    /// Adds what a read set asks for to a view. Behind the one lock no row is ever busy, and nothing is waited for.
    pub(crate) fn read(&self, set: &ReadSet, shards: Shards, view: &mut View) {
        if let Some(incarnation) = set.worker {
            view.worker = self
                .workers
                .iter()
                .find(|row| row.incarnation == incarnation)
                .cloned();
        }
        for id in &set.schedules {
            let row = self
                .schedules
                .iter()
                .find(|row| row.id == *id && id.shard(shards) == set.shard);
            view.schedules
                .insert(*id, row.cloned().map_or(Found::Absent, Found::Row));
        }
        for id in &set.runs {
            let row = self
                .runs
                .iter()
                .find(|row| row.id == *id && id.shard(shards) == set.shard);
            view.runs
                .insert(*id, row.cloned().map_or(Found::Absent, Found::Row));
        }
        // The definitions of the runs that were read come with them.
        let of_runs = self
            .runs
            .iter()
            .filter(|row| set.runs.contains(&row.id))
            .map(|row| &row.definition);
        for key in set.definitions.iter().chain(of_runs) {
            let stored = self.definitions.iter().find(|(row, _)| row.key == *key);
            view.definitions
                .extend(stored.map(|(row, definition)| (row.key.clone(), Arc::clone(definition))));
        }
        for key in &set.tasks {
            let row = self.tasks.iter().find(|row| row.key == *key);
            view.tasks
                .insert(*key, row.cloned().map_or(Found::Absent, Found::Row));
        }
        let all = self
            .tasks
            .iter()
            .filter(|row| set.tasks_of.contains(&row.key.run));
        view.tasks
            .extend(all.map(|row| (row.key, Found::Row(row.clone()))));
        view.tasks_of.extend(&set.tasks_of);
        let queue = |name| self.queues.iter().find(|row| Some(&row.name) == name);
        view.queue = queue(set.queue.as_ref()).cloned();
        let entry = |row: &&OperatorEntry| Some(row.id) == set.entry;
        view.entry = self.entries.iter().find(entry).cloned();
        view.paused = set
            .queues
            .iter()
            .filter(|name| self.is_paused(name))
            .cloned()
            .collect();
        view.now = now();
        if let Some(scan) = &set.scan {
            self.scan(scan, set.shard, shards, view);
        }
    }

    pub(crate) fn is_paused(&self, name: &Name) -> bool {
        self.queues
            .iter()
            .any(|row| row.name == *name && row.paused)
    }

    /// Due rows of each queue, priority and handler, by (due time, key), up to the limit; and when the next falls due. Of a
    /// paused queue only what somebody owns, and nothing that is still to come.
    fn scan(&self, scan: &Scan, shard: Shard, shards: Shards, view: &mut View) {
        let mut rows: Vec<&TaskRow> = self.tasks.iter().collect();
        rows.retain(|row| row.key.run.shard(shards) == shard && row.format <= scan.format);
        rows.sort_by_key(|row| (row.priority, &row.handler, row.due_at, row.key));
        for queue in &scan.queues {
            let here =
                |row: &&&TaskRow| row.queue == queue.queue && queue.handlers.contains(&row.handler);
            let paused = view.paused.contains(&queue.queue);
            let mut taken = None;
            for row in rows.iter().filter(here) {
                if paused && (row.owner.is_none() || row.due_at > view.now) {
                    continue;
                }
                let range = (row.priority, &row.handler);
                let count = taken
                    .filter(|(last, _)| *last == range)
                    .map_or(0, |(_, count)| count);
                if row.due_at > view.now {
                    view.next_due = Some(
                        view.next_due
                            .map_or(row.due_at, |next: Timestamp| next.min(row.due_at)),
                    );
                } else if count < queue.limit {
                    view.due.push((*row).clone());
                    taken = Some((range, count + 1));
                }
            }
        }
    }

    /// Rows of one run, which are appended in order, so they are found in order.
    pub(crate) fn part(&self, part: &JournalPart) -> Vec<StoredRow> {
        let rows = self
            .journal
            .iter()
            .filter(|row| row.run == part.run && row.seq > part.after && row.seq <= part.upto);
        let mut bytes = 0;
        rows.take(part.limit as usize)
            .take_while(|row| {
                let is_wanted = bytes < part.bytes;
                let payload = row.payload.as_ref();
                bytes += payload.map_or(0, |payload| payload.bytes().len() as u64);
                is_wanted
            })
            .map(|row| StoredRow {
                seq: row.seq,
                row: Ok(row.clone()),
            })
            .collect()
    }

    /// Every guard and every key first; nothing is written unless all hold.
    pub(crate) fn write(&mut self, writes: Writes) -> Result<(), StoreError> {
        if !self.guards_hold(&writes) {
            return Err(StoreError::Conflict);
        }
        let read = |row: DefinitionRow| match Definition::from_body(&row.body) {
            Ok(definition) => Ok((row, Arc::new(definition))),
            Err(problems) => Err(StoreError::Corrupt {
                detail: problems.to_string(),
            }),
        };
        let definitions = writes.definitions.into_iter().map(read);
        let definitions = definitions.collect::<Result<Vec<_>, StoreError>>()?;
        self.definitions.extend(definitions);

        let updated: BTreeSet<RunId> = writes.runs_updated.iter().map(|u| u.row.id).collect();
        self.runs.retain(|row| !updated.contains(&row.id));
        self.runs
            .extend(writes.runs_updated.into_iter().map(|update| update.row));
        self.runs.extend(writes.runs_inserted);
        self.journal.extend(writes.journal);

        let mut gone: BTreeSet<TaskKey> = writes.tasks_deleted.into_iter().map(|d| d.0).collect();
        gone.extend(writes.tasks_updated.iter().map(|update| update.row.key));
        self.tasks.retain(|row| !gone.contains(&row.key));
        self.tasks
            .extend(writes.tasks_updated.into_iter().map(|update| update.row));
        self.tasks.extend(writes.tasks_inserted);

        let seen = writes.worker.as_ref().map(|row| row.incarnation);
        self.workers.retain(|row| Some(row.incarnation) != seen);
        self.workers.extend(writes.worker);

        let set = writes.queue.map(|write| write.row);
        self.queues
            .retain(|row| set.as_ref().is_none_or(|set| set.name != row.name));
        self.queues.extend(set);
        self.entries.extend(writes.entry);

        let mut gone: BTreeSet<ScheduleId> =
            writes.schedules_deleted.into_iter().map(|d| d.0).collect();
        gone.extend(writes.schedules_updated.iter().map(|u| u.row.id));
        self.schedules.retain(|row| !gone.contains(&row.id));
        self.schedules.extend(
            writes
                .schedules_updated
                .into_iter()
                .map(|update| update.row),
        );
        self.schedules.extend(writes.schedules_inserted);
        Ok(())
    }

    /// Whether every row is as it was read, and no key that is inserted is taken.
    fn guards_hold(&self, writes: &Writes) -> bool {
        let definition =
            |key: &DefinitionKey| self.definitions.iter().any(|(row, _)| row.key == *key);
        let seq = |id| self.runs.iter().find(|row| row.id == id).map(|row| row.seq);
        let fence = |key| {
            self.tasks
                .iter()
                .find(|row| row.key == key)
                .map(|row| row.fence)
        };
        let event = |run, seq| {
            self.journal
                .iter()
                .any(|row| (row.run, row.seq) == (run, seq))
        };
        let schedule = |id| {
            let row = self.schedules.iter().find(|row| row.id == id);
            row.map(|row| row.seq)
        };
        let Writes {
            runs_inserted,
            runs_updated,
            tasks_inserted,
            tasks_updated,
            ..
        } = writes;
        writes.definitions.iter().all(|new| !definition(&new.key))
            && runs_inserted.iter().all(|new| seq(new.id).is_none())
            && runs_updated
                .iter()
                .all(|update| seq(update.row.id) == Some(update.was))
            && writes.journal.iter().all(|new| !event(new.run, new.seq))
            && tasks_inserted.iter().all(|new| fence(new.key).is_none())
            && tasks_updated
                .iter()
                .all(|update| fence(update.row.key) == Some(update.was))
            && writes
                .tasks_deleted
                .iter()
                .all(|(key, was)| fence(*key) == Some(*was))
            && writes.queue.iter().all(|write| {
                let there = self.queues.iter().any(|row| row.name == write.row.name);
                there != write.is_new
            })
            && writes
                .entry
                .iter()
                .all(|new| self.entries.iter().all(|row| row.id != new.id))
            && writes
                .schedules_inserted
                .iter()
                .all(|new| schedule(new.id).is_none())
            && writes
                .schedules_updated
                .iter()
                .all(|update| schedule(update.row.id) == Some(update.was))
            && writes
                .schedules_deleted
                .iter()
                .all(|(id, was)| schedule(*id) == Some(*was))
    }
}

/// The time of this machine: a store has one clock, whoever asks.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
