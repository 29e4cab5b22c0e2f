//! Row locks of operations that were decided and have neither landed nor been rolled back.
//!
//! Invariant: a row, or the key of a row about to be inserted, is held by at most one transaction.

use std::collections::BTreeMap;

use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::id::{CommandId, Incarnation, RunId};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Found, View, Writes};
use squid_mesh_core::schedule::ScheduleId;
use squid_mesh_core::task::TaskKey;

/// Names one operation that holds locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(u64);

/// One thing that can be locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lock {
    Worker(Incarnation),
    Schedule(ScheduleId),
    Run(RunId),
    Task(TaskKey),
    Definition(DefinitionKey),
    Queue(Name),
    Entry(CommandId),
}

/// Every lock that is held.
#[derive(Debug, Clone, Default)]
pub(super) struct Locks {
    holders: BTreeMap<Lock, TransactionId>,
    transactions: u64,
}

impl Locks {
    pub(super) fn holder(&self, lock: &Lock) -> Option<TransactionId> {
        if self.holders.is_empty() {
            None
        } else {
            self.holders.get(lock).copied()
        }
    }

    /// Takes locks that nobody holds, for a transaction that begins with it.
    pub(super) fn take(&mut self, locks: &[Lock]) -> TransactionId {
        self.transactions += 1;
        let id = TransactionId(self.transactions);
        for lock in locks {
            let before = self.holders.insert(lock.clone(), id);
            assert!(before.is_none(), "{lock:?} is held by {before:?}");
        }
        id
    }

    /// Lets go of whatever a transaction holds, and says how many locks that were.
    pub(super) fn release(&mut self, id: TransactionId) -> usize {
        let before = self.holders.len();
        self.holders.retain(|_, holder| *holder != id);
        before - self.holders.len()
    }

    /// Who holds the key of a row that these writes insert: the insert would wait for it.
    pub(super) fn holder_of_inserted(&self, writes: &Writes) -> Option<TransactionId> {
        if self.holders.is_empty() {
            None
        } else {
            inserted(writes).find_map(|lock| self.holder(&lock))
        }
    }
}

/// The rows that a view read under lock.
pub(super) fn rows_of(view: &View) -> Vec<Lock> {
    let worker = view.worker.iter().map(|row| Lock::Worker(row.incarnation));
    let runs = view
        .runs
        .iter()
        .filter(|(_, found)| matches!(found, Found::Row(_)))
        .map(|(id, _)| Lock::Run(*id));
    let tasks = view
        .tasks
        .iter()
        .filter(|(_, found)| matches!(found, Found::Row(_)))
        .map(|(key, _)| Lock::Task(*key));
    let schedules = view
        .schedules
        .iter()
        .filter(|(_, found)| matches!(found, Found::Row(_)))
        .map(|(id, _)| Lock::Schedule(*id));
    let due = view.due.iter().map(|row| Lock::Task(row.key));
    let queue = view.queue.iter().map(|row| Lock::Queue(row.name.clone()));
    let rows = worker.chain(runs).chain(tasks).chain(due);
    rows.chain(queue).chain(schedules).collect()
}

/// The keys that these writes make known to everybody. A worker row is locked where it exists already.
pub(super) fn inserted(writes: &Writes) -> impl Iterator<Item = Lock> {
    let definitions = writes
        .definitions
        .iter()
        .map(|row| Lock::Definition(row.key.clone()));
    let runs = writes.runs_inserted.iter().map(|row| Lock::Run(row.id));
    let tasks = writes.tasks_inserted.iter().map(|row| Lock::Task(row.key));
    let worker = writes
        .worker
        .iter()
        .map(|row| Lock::Worker(row.incarnation));
    let queue = writes.queue.iter().filter(|write| write.is_new);
    let queue = queue.map(|write| Lock::Queue(write.row.name.clone()));
    let entry = writes.entry.iter().map(|entry| Lock::Entry(entry.id));
    let schedules = writes.schedules_inserted.iter();
    let schedules = schedules.map(|row| Lock::Schedule(row.id));
    let rows = definitions.chain(runs).chain(tasks).chain(worker);
    rows.chain(queue).chain(entry).chain(schedules)
}

/// The existing rows that these writes change.
pub(super) fn changed(writes: &Writes) -> impl Iterator<Item = Lock> {
    let runs = writes
        .runs_updated
        .iter()
        .map(|update| Lock::Run(update.row.id));
    let updated = writes
        .tasks_updated
        .iter()
        .map(|update| Lock::Task(update.row.key));
    let deleted = writes.tasks_deleted.iter().map(|(key, _)| Lock::Task(*key));
    let queue = writes.queue.iter().filter(|write| !write.is_new);
    let queue = queue.map(|write| Lock::Queue(write.row.name.clone()));
    let schedules = writes.schedules_updated.iter();
    let schedules = schedules.map(|update| Lock::Schedule(update.row.id));
    let gone = writes.schedules_deleted.iter();
    let gone = gone.map(|(id, _)| Lock::Schedule(*id));
    let rows = runs.chain(updated).chain(deleted).chain(queue);
    rows.chain(schedules).chain(gone)
}
