//! Writing what an operation decided: every guard first, then every row.
//!
//! Invariant: an operation whose guards do not all hold writes nothing.

use std::sync::Arc;

use squid_mesh_core::definition::Definition;
use squid_mesh_core::id::{RunId, Shard};
use squid_mesh_core::mutant::Mutant;
use squid_mesh_core::operation::{DefinitionRow, Operation, QueueWrite, ScheduleUpdate, Writes};
use squid_mesh_core::schedule::ScheduleId;
use squid_mesh_core::store::StoreError;
use squid_mesh_core::task::TaskKey;

use super::{RunRow, Tables, agenda};

/// A definition as it is kept: the row, and what its body says.
#[derive(Debug, Clone)]
pub(super) struct StoredDefinition {
    pub(super) row: DefinitionRow,
    pub(super) definition: Arc<Definition>,
}

impl StoredDefinition {
    /// Reads a row's body, or takes what the operation that inserts it has read already.
    fn of(row: &DefinitionRow, operation: &Operation) -> Result<StoredDefinition, StoreError> {
        let declared = match operation {
            Operation::Register(register) => register.definitions.as_slice(),
            Operation::Submit(_)
            | Operation::Claim(_)
            | Operation::Lease(_)
            | Operation::Settle(_)
            | Operation::Queue(_)
            | Operation::Schedule(_) => &[],
        };
        let definition = match declared
            .iter()
            .find(|d| d.key() == &row.key && d.digest() == row.digest)
        {
            Some(definition) => Arc::clone(definition),
            None => Arc::new(Definition::from_body(&row.body).map_err(|problems| {
                StoreError::Corrupt {
                    detail: format!("the body of definition {}: {problems}", row.key),
                }
            })?),
        };
        Ok(StoredDefinition {
            row: row.clone(),
            definition,
        })
    }
}

/// What an operation has touched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Runs inserted or updated, in id order.
    pub runs: Vec<RunId>,
    /// Tasks inserted, updated or deleted.
    pub tasks: Vec<TaskKey>,
    /// Schedules inserted, updated or deleted.
    pub schedules: Vec<ScheduleId>,
}

impl Touched {
    pub(super) fn by(writes: &Writes) -> Touched {
        let runs = writes.runs_inserted.iter().map(|row| row.id);
        let mut runs: Vec<RunId> = runs
            .chain(writes.runs_updated.iter().map(|update| update.row.id))
            .collect();
        runs.sort_unstable();
        let tasks = writes.tasks_inserted.iter().map(|row| row.key);
        let updated = writes.tasks_updated.iter().map(|update| update.row.key);
        let deleted = writes.tasks_deleted.iter().map(|(key, _)| *key);
        let schedules = writes.schedules_inserted.iter().map(|row| row.id);
        let written = writes.schedules_updated.iter().map(|update| update.row.id);
        let gone = writes.schedules_deleted.iter().map(|(id, _)| *id);
        Touched {
            runs,
            schedules: schedules.chain(written).chain(gone).collect(),
            tasks: tasks.chain(updated).chain(deleted).collect(),
        }
    }

    /// Whether no run, no task and no schedule was written.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.tasks.is_empty() && self.schedules.is_empty()
    }
}

impl Tables {
    /// The definitions that these writes insert, read.
    pub(super) fn read_bodies(
        operation: &Operation,
        writes: &Writes,
    ) -> Result<Vec<StoredDefinition>, StoreError> {
        writes
            .definitions
            .iter()
            .map(|row| StoredDefinition::of(row, operation))
            .collect()
    }

    /// Refuses to put a run where nobody would look for it.
    pub(super) fn check_shard(&self, shard: Shard, writes: &Writes) -> Result<(), StoreError> {
        match writes
            .runs_inserted
            .iter()
            .find(|row| row.id.shard(self.shards) != shard)
        {
            None => Ok(()),
            Some(row) => Err(StoreError::Refused(format!(
                "run {} is not of shard {}",
                row.id,
                shard.as_u16()
            ))),
        }
    }

    /// Whether every guard holds and no key that is inserted exists.
    pub(super) fn guards_hold(&self, writes: &Writes) -> bool {
        let free = |key: &TaskKey| {
            self.task(key).is_none() || writes.tasks_deleted.iter().any(|(gone, _)| gone == key)
        };
        writes
            .definitions
            .iter()
            .all(|row| !self.definitions.contains_key(&row.key))
            && writes
                .runs_inserted
                .iter()
                .all(|row| self.run(row.id).is_none())
            && writes.runs_updated.iter().all(|update| {
                self.run(update.row.id)
                    .is_some_and(|row| row.seq == update.was)
            })
            && writes
                .journal
                .iter()
                .all(|row| !self.journal.contains_key(&(row.run, row.seq)))
            && writes.tasks_inserted.iter().all(|row| free(&row.key))
            && writes.tasks_updated.iter().all(|update| {
                self.task(&update.row.key)
                    .is_some_and(|row| row.fence == update.was)
            })
            && writes
                .tasks_deleted
                .iter()
                .all(|(key, was)| self.task(key).is_some_and(|row| row.fence == *was))
            && writes
                .queue
                .iter()
                .all(|write| self.queue(&write.row.name).is_none() == write.is_new)
            && writes
                .entry
                .iter()
                .all(|entry| self.entry(entry.id).is_none())
            && self.guards_of_schedules_hold(writes)
    }

    fn guards_of_schedules_hold(&self, writes: &Writes) -> bool {
        let is_at = |id, was| self.schedule(id).is_some_and(|row| row.seq == was);
        let mut inserted = writes.schedules_inserted.iter();
        let mut updated = writes.schedules_updated.iter();
        let mut deleted = writes.schedules_deleted.iter();
        inserted.all(|row| self.schedule(row.id).is_none())
            && updated.all(|update| is_at(update.row.id, update.was))
            && deleted.all(|(id, was)| is_at(*id, *was))
    }

    /// Writes rows whose guards hold.
    pub(super) fn apply(&mut self, writes: Writes, definitions: Vec<StoredDefinition>) {
        let torn = self.torn_run(&writes);
        for stored in definitions {
            self.definitions.insert(stored.row.key.clone(), stored);
        }
        for row in writes.runs_inserted {
            self.runs.insert(row.id, row);
        }
        for update in writes.runs_updated {
            let row = self
                .runs
                .get_mut(&update.row.id)
                .expect("a guard that holds has found the run");
            let RunRow {
                seq,
                status,
                state,
                updated,
                ..
            } = update.row;
            (row.seq, row.status, row.state, row.updated) = (seq, status, state, updated);
        }
        for row in writes
            .journal
            .into_iter()
            .filter(|row| Some(row.run) != torn)
        {
            self.journal.insert((row.run, row.seq), row);
        }
        for (key, _) in writes.tasks_deleted {
            self.agenda.remove(&key);
        }
        for update in writes.tasks_updated {
            let same_entry = self
                .task(&update.row.key)
                .is_some_and(|row| agenda::entry(row) == agenda::entry(&update.row));
            assert!(
                update.indexed || same_entry,
                "the update of task {} moves its index entry and does not say so",
                update.row.key
            );
            self.agenda.put(update.row);
        }
        for row in writes.tasks_inserted {
            self.agenda.put(row);
        }
        if let Some(row) = writes.worker {
            self.workers.insert(row.incarnation, row);
        }
        if let Some(QueueWrite { row, .. }) = writes.queue {
            self.queues.insert(row.name.clone(), row);
        }
        if let Some(entry) = writes.entry {
            self.entries.insert(entry.id, entry);
        }
        for (id, _) in writes.schedules_deleted {
            self.schedules.remove(&id);
        }
        for update in writes.schedules_updated {
            self.update_schedule(update);
        }
        for row in writes.schedules_inserted {
            self.schedules.insert(row.id, row);
        }
    }

    /// What was declared changes only where the update says so: a store need not write it.
    fn update_schedule(&mut self, update: ScheduleUpdate) {
        let row = self
            .schedules
            .get_mut(&update.row.id)
            .expect("a guard that holds has found the schedule");
        let ScheduleUpdate {
            row: new, declared, ..
        } = update;
        if declared {
            row.version = new.version;
            row.workflow = new.workflow;
            row.trigger = new.trigger;
            row.plan = new.plan;
            row.input = new.input;
        }
        row.seq = new.seq;
        row.standing = new.standing;
        row.state = new.state;
        row.updated = new.updated;
    }

    /// The run whose journal row a torn write leaves out.
    fn torn_run(&self, writes: &Writes) -> Option<RunId> {
        if !self.mutation.is(Mutant::TornWrite) {
            return None;
        }
        match writes.journal.as_slice() {
            [first, .., last] if first.run != last.run => Some(last.run),
            _ => None,
        }
    }
}
