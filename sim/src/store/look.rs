//! Looking at the tables, outside any operation.
//!
//! Invariant: looking changes nothing and meets no lock: it sees what has landed.

use std::sync::Arc;

use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::id::{CommandId, Incarnation, RunId, Shards};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{DefinitionRow, JournalRow, OperatorEntry, QueueRow, WorkerRow};
use squid_mesh_core::payload::{Payload, PayloadRef};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::{
    Fetch, Fetched, JournalPart, QueueRecord, RunFilter, RunRecord, ScheduleFilter, StoreError,
    StoredRow,
};
use squid_mesh_core::task::{TaskKey, TaskRow};
use squid_mesh_core::time::Timestamp;

use super::{RunRow, Spoilt, Tables};

impl Tables {
    /// How many shards the schema has.
    pub fn shards(&self) -> Shards {
        self.shards
    }

    /// The row of a run.
    pub fn run(&self, id: RunId) -> Option<&RunRow> {
        self.runs.get(&id)
    }

    /// Every run, in id order.
    pub fn runs(&self) -> impl Iterator<Item = &RunRow> {
        self.runs.values()
    }

    /// A run's journal from `from` on, in order, as it was written: whatever has become of a row since.
    pub fn journal(&self, run: RunId, from: Seq) -> impl DoubleEndedIterator<Item = &JournalRow> {
        self.journal
            .range((run, from)..=(run, Seq(u32::MAX)))
            .map(|(_, row)| row)
    }

    /// The same as whoever reads the journal gets them: with those that cannot be read.
    pub fn stored(&self, run: RunId, from: Seq) -> impl Iterator<Item = StoredRow> {
        self.journal(run, from).map(move |row| StoredRow {
            seq: row.seq,
            row: match self.spoilt.get(&(run, row.seq)) {
                Some(Spoilt::Event(error)) => Err(*error),
                Some(Spoilt::Payload) | None => Ok(row.clone()),
            },
        })
    }

    /// One task.
    pub fn task(&self, key: &TaskKey) -> Option<&TaskRow> {
        self.agenda.row(key)
    }

    /// Every task, in key order.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskRow> {
        self.agenda.rows()
    }

    /// The tasks of one run, in lane order.
    pub fn tasks_of(&self, run: RunId) -> impl Iterator<Item = &TaskRow> {
        self.agenda.of(run)
    }

    /// One worker.
    pub fn worker(&self, incarnation: Incarnation) -> Option<&WorkerRow> {
        self.workers.get(&incarnation)
    }

    /// Every worker, oldest first.
    pub fn workers(&self) -> Vec<&WorkerRow> {
        let mut workers: Vec<&WorkerRow> = self.workers.values().collect();
        workers.sort_by_key(|row| (row.started, row.incarnation));
        workers
    }

    /// A run as it stands, with the clock at `now`.
    pub fn record(&self, id: RunId, now: Timestamp) -> Option<RunRecord> {
        let row = self.run(id)?.clone();
        let tasks: Vec<TaskRow> = self.tasks_of(id).cloned().collect();
        let queues = tasks.iter().map(|task| &task.queue);
        Some(RunRecord {
            now,
            row,
            paused: queues
                .filter(|queue| self.is_paused(queue))
                .cloned()
                .collect(),
            tasks,
        })
    }

    /// Whether a queue is paused.
    pub fn is_paused(&self, queue: &Name) -> bool {
        self.queue(queue).is_some_and(|row| row.paused)
    }

    /// The row of a queue.
    pub fn queue(&self, name: &Name) -> Option<&QueueRow> {
        self.queues.get(name)
    }

    /// A row of the operator log.
    pub fn entry(&self, id: CommandId) -> Option<&OperatorEntry> {
        self.entries.get(&id)
    }

    /// Every queue that has a row, by name.
    pub fn queues(&self) -> impl Iterator<Item = QueueRecord> {
        self.queues.values().map(|row| QueueRecord {
            name: row.name.clone(),
            paused: row.paused,
            last: self.entries[&row.by].clone(),
        })
    }

    /// The row of a schedule.
    pub fn schedule(&self, id: ScheduleId) -> Option<&ScheduleRow> {
        self.schedules.get(&id)
    }

    /// Every schedule, in id order.
    pub fn schedules(&self) -> impl Iterator<Item = &ScheduleRow> {
        self.schedules.values()
    }

    /// Schedules that match, by their keys, at most `limit`, after the one called `after`.
    pub fn list_schedules(
        &self,
        filter: &ScheduleFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Vec<&ScheduleRow> {
        let fits = |row: &&ScheduleRow| {
            let workflow = filter.workflow.as_ref();
            let standings = &filter.standings;
            workflow.is_none_or(|name| *name == row.workflow)
                && (standings.is_empty() || standings.contains(&row.standing))
                && after.is_none_or(|after| row.key.as_str() > after)
        };
        let mut rows: Vec<&ScheduleRow> = self.schedules().filter(fits).collect();
        rows.sort_by(|one, other| one.key.cmp(&other.key));
        rows.truncate(limit as usize);
        rows
    }

    /// One definition.
    pub fn definition(&self, key: &DefinitionKey) -> Option<&Arc<Definition>> {
        self.definitions.get(key).map(|stored| &stored.definition)
    }

    /// Every definition, in key order.
    pub fn definitions(&self) -> impl Iterator<Item = &DefinitionRow> {
        self.definitions.values().map(|stored| &stored.row)
    }

    /// Runs that match, newest start first (ties by id, descending), at most `limit`, after the cursor.
    pub fn list(
        &self,
        filter: &RunFilter,
        after: Option<(Timestamp, RunId)>,
        limit: u32,
    ) -> Vec<&RunRow> {
        let follows = |row: &&RunRow| after.is_none_or(|cursor| (row.created, row.id) < cursor);
        let mut rows: Vec<&RunRow> = self
            .runs()
            .filter(follows)
            .filter(|row| matches(filter, row))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.created, row.id)));
        rows.truncate(limit as usize);
        rows
    }

    /// Immutable things; what does not exist is missing.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if a payload is not what its reference says.
    pub fn fetch(&self, wanted: &Fetch) -> Result<Fetched, StoreError> {
        let mut payloads = Vec::new();
        for reference in &wanted.payloads {
            payloads.extend(
                self.payload(reference)?
                    .map(|payload| (*reference, payload.clone())),
            );
        }
        let definitions = wanted
            .definitions
            .iter()
            .filter_map(|key| self.definition(key).cloned())
            .collect();
        Ok(Fetched {
            payloads,
            definitions,
            newest: wanted
                .newest
                .iter()
                .filter_map(|name| self.newest(name).cloned())
                .collect(),
            journal: wanted
                .journal
                .map_or_else(Vec::new, |part| self.part(&part)),
        })
    }

    /// The definition of a workflow's highest version.
    pub(crate) fn newest(&self, name: &Name) -> Option<&Arc<Definition>> {
        let key = |version| DefinitionKey {
            name: name.clone(),
            version,
        };
        let mut versions = self.definitions.range(key(0)..=key(u32::MAX));
        versions.next_back().map(|(_, stored)| &stored.definition)
    }

    fn part(&self, part: &JournalPart) -> Vec<StoredRow> {
        let rows = self.journal(part.run, part.after.next());
        let mut bytes = 0_u64;
        rows.take_while(|row| row.seq <= part.upto)
            .take(part.limit as usize)
            .take_while(|row| {
                let is_wanted = bytes < part.bytes;
                let payload = row.payload.as_ref();
                bytes += payload.map_or(0, |payload| payload.bytes().len() as u64);
                is_wanted
            })
            .flat_map(|row| self.stored(part.run, row.seq).next())
            .collect()
    }

    fn payload(&self, reference: &PayloadRef) -> Result<Option<&Payload>, StoreError> {
        let place = (reference.run, reference.seq);
        let row = self.journal.get(&place);
        let payload = row.and_then(|row| row.payload.as_ref());
        let spoilt = self.spoilt.get(&place) == Some(&Spoilt::Payload);
        match payload.filter(|payload| spoilt || payload.digest() != reference.digest) {
            None => Ok(payload),
            Some(_) => Err(StoreError::Corrupt {
                detail: format!(
                    "the payload of run {} at {} is another",
                    reference.run, reference.seq.0
                ),
            }),
        }
    }

    /// Writes over a run's snapshot, as a fault of the machine would.
    ///
    /// # Panics
    /// If there is no such run.
    pub fn damage(&mut self, run: RunId, state: Vec<u8>) {
        self.runs
            .get_mut(&run)
            .expect("only a run that exists can be damaged")
            .state = state;
    }

    /// Writes over a journal row, or over its payload, as a fault of the machine would.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn spoil(&mut self, run: RunId, seq: Seq, what: Spoilt) {
        let place = (run, seq);
        assert!(
            self.journal.contains_key(&place),
            "only a row that exists can be spoilt"
        );
        self.spoilt.insert(place, what);
    }
}

fn matches(filter: &RunFilter, row: &RunRow) -> bool {
    let labelled = |(key, value): &(String, String)| row.labels.get(key) == Some(value);
    filter
        .workflow
        .as_ref()
        .is_none_or(|name| *name == row.definition.name)
        && (filter.statuses.is_empty() || filter.statuses.contains(&row.status))
        && filter.labels.iter().all(labelled)
        && filter.from.is_none_or(|from| row.created >= from)
        && filter.until.is_none_or(|until| row.created < until)
        && filter.parent.is_none_or(|run| row.parent == Some(run))
        && filter.source.is_none_or(|run| row.source == Some(run))
        && filter.schedule.is_none_or(|id| row.schedule == Some(id))
}
