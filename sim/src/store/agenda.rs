//! Task rows and the index over them that a due scan walks.
//!
//! Invariant: each row has exactly one entry in the index, made of the row's own queue, priority, handler and due time.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use squid_mesh_core::id::{RunId, Shard, Shards};
use squid_mesh_core::mutant::{Mutant, Mutation};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{QueueScan, Scan};
use squid_mesh_core::task::{Lane, TaskKey, TaskRow};
use squid_mesh_core::time::Timestamp;

/// The `tasks` table.
#[derive(Debug, Clone)]
pub(super) struct Agenda {
    shards: Shards,
    rows: BTreeMap<TaskKey, Box<TaskRow>>,
    index: BTreeMap<(Shard, Name), Ranges>,
}

/// The index ranges of one queue, by priority and handler.
type Ranges = BTreeMap<(i16, Name), BTreeSet<(Timestamp, TaskKey)>>;

/// What a due scan found.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Due rows; in (due time, key) order within each pair of priority and handler.
    pub(super) rows: Vec<TaskRow>,
    /// The least due time of the scanned ranges that is still to come.
    pub(super) next: Option<Timestamp>,
}

impl Agenda {
    pub(super) fn new(shards: Shards) -> Agenda {
        Agenda {
            shards,
            rows: BTreeMap::new(),
            index: BTreeMap::new(),
        }
    }

    pub(super) fn row(&self, key: &TaskKey) -> Option<&TaskRow> {
        self.rows.get(key).map(AsRef::as_ref)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &TaskRow> {
        self.rows.values().map(AsRef::as_ref)
    }

    /// The tasks of one run, in lane order.
    pub(super) fn of(&self, run: RunId) -> impl Iterator<Item = &TaskRow> {
        let lane = |number| TaskKey {
            run,
            lane: Lane(number),
        };
        self.rows
            .range(lane(0)..=lane(u16::MAX))
            .map(|(_, row)| row.as_ref())
    }

    /// Writes a row over whatever had its key.
    pub(super) fn put(&mut self, row: TaskRow) {
        if let Some(old) = self.rows.get_mut(&row.key) {
            if entry(old) == entry(&row) {
                **old = row;
                return;
            }
            self.remove(&row.key);
        }
        let queue = (row.key.run.shard(self.shards), row.queue.clone());
        let range = (row.priority, row.handler.clone());
        self.index
            .entry(queue)
            .or_default()
            .entry(range)
            .or_default()
            .insert((row.due_at, row.key));
        self.rows.insert(row.key, Box::new(row));
    }

    pub(super) fn remove(&mut self, key: &TaskKey) {
        let Some(row) = self.rows.remove(key) else {
            return;
        };
        let TaskRow { queue, handler, .. } = *row;
        let queue = (key.run.shard(self.shards), queue);
        let range = (row.priority, handler);
        let ranges = self
            .index
            .get_mut(&queue)
            .expect("each row has an index entry");
        let entries = ranges.get_mut(&range).expect("each row has an index entry");
        entries.remove(&(row.due_at, *key));
        // An empty range is no pair that the queue has: scans pass over pairs, not over history.
        if entries.is_empty() {
            ranges.remove(&range);
            if ranges.is_empty() {
                self.index.remove(&queue);
            }
        }
    }

    /// Walks the ranges of a scan, one after another. `visible` says which due rows to return. Of a paused queue, only rows
    /// that somebody owns are, and nothing of it is waited for.
    pub(super) fn scan(
        &self,
        shard: Shard,
        scan: &Scan,
        now: Timestamp,
        mutation: Mutation,
        paused: &BTreeSet<Name>,
        visible: &mut dyn FnMut(&TaskRow) -> bool,
    ) -> Due {
        let mut due = Due::default();
        for queue in &scan.queues {
            let is_paused =
                paused.contains(&queue.queue) && !mutation.is(Mutant::ClaimIgnoresPause);
            let mut visible = |row: &TaskRow| (row.owner.is_some() || !is_paused) && visible(row);
            let next = due.next;
            let Some(ranges) = self.index.get(&(shard, queue.queue.clone())) else {
                continue;
            };
            for ((_, handler), entries) in ranges {
                if queue.handlers.contains(handler) || mutation.is(Mutant::ClaimIgnoresHandlers) {
                    self.scan_range(entries, queue, scan.format, now, &mut visible, &mut due);
                }
            }
            if is_paused {
                due.next = next;
            }
        }
        due
    }

    fn scan_range(
        &self,
        entries: &BTreeSet<(Timestamp, TaskKey)>,
        queue: &QueueScan,
        format: u16,
        now: Timestamp,
        visible: &mut dyn FnMut(&TaskRow) -> bool,
        due: &mut Due,
    ) {
        let last_due = (
            now,
            TaskKey {
                run: RunId::from_u128(u128::MAX),
                lane: Lane(u16::MAX),
            },
        );
        let row = |(_, key): &(Timestamp, TaskKey)| self.rows[key].as_ref();
        let readable = |row: &&TaskRow| row.format <= format;
        let found = entries
            .range(..=last_due)
            .map(row)
            .filter(readable)
            .filter(|row| visible(row));
        due.rows.extend(found.take(queue.limit as usize).cloned());
        let mut later = entries
            .range((Bound::Excluded(last_due), Bound::Unbounded))
            .map(row)
            .filter(readable);
        if let Some(row) = later.next() {
            due.next = Some(due.next.map_or(row.due_at, |next| next.min(row.due_at)));
        }
    }
}

/// The columns that the index is made of.
pub(super) fn entry(row: &TaskRow) -> (&Name, i16, &Name, Timestamp) {
    (&row.queue, row.priority, &row.handler, row.due_at)
}
