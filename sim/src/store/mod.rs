//! The store in memory: the tables every store has, in ordered maps, with the locks of operations in doubt.
//!
//! [`Tables`] is the store without IO, clock or threads: a simulation hands time in and decides when what was decided
//! lands. [`MemoryStore`] makes a `Store` of it for tests.
//!
//! Invariant: an operation lands wholly at one instant or not at all, and what it has decided on cannot change before.

mod agenda;
mod edition;
mod locks;
mod look;
mod memory;
mod read;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::id::{CommandId, Incarnation, RunId, Shards};
use squid_mesh_core::mutant::Mutation;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Decision, JournalRow, Operation, OperatorEntry, QueueRow, Reply, RunRow, View, WorkerRow,
    Writes,
};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::StoreError;
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::transition::DecodeError;

pub use edition::Edition;
pub use locks::TransactionId;
pub use memory::MemoryStore;
pub use read::{Asked, Blocked, Conditions};
pub use write::Touched;

use agenda::Agenda;
use locks::{Lock, Locks};
use read::Reader;
use write::StoredDefinition;

/// Every row of a store.
#[derive(Debug, Clone)]
pub struct Tables {
    shards: Shards,
    mutation: Mutation,
    definitions: BTreeMap<DefinitionKey, StoredDefinition>,
    runs: BTreeMap<RunId, RunRow>,
    journal: BTreeMap<(RunId, Seq), JournalRow>,
    spoilt: BTreeMap<(RunId, Seq), Spoilt>,
    agenda: Agenda,
    workers: BTreeMap<Incarnation, WorkerRow>,
    queues: BTreeMap<Name, QueueRow>,
    schedules: BTreeMap<ScheduleId, ScheduleRow>,
    entries: BTreeMap<CommandId, OperatorEntry>,
    locks: Locks,
}

/// What of a journal row cannot be read any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoilt {
    /// What it says, for this reason. Its payload is there.
    Event(DecodeError),
    /// Its payload is another than was written.
    Payload,
}

/// How far an operation came.
#[derive(Debug)]
#[must_use]
pub enum Progress<T> {
    /// As far as it was asked to.
    Done(T),
    /// It waits for a lock, holding none. To be tried again.
    Blocked(Blocked),
}

impl<T> Progress<T> {
    /// What was done.
    ///
    /// # Panics
    /// If it waits: somebody is in doubt, and holds what it needs.
    #[track_caller]
    pub fn done(self) -> T {
        match self {
            Progress::Done(done) => done,
            Progress::Blocked(blocked) => panic!("the operation waits for {:?}", blocked.on),
        }
    }
}

/// An operation that has landed.
#[derive(Debug, Clone, PartialEq)]
pub struct Landed {
    /// What to answer.
    pub reply: Reply,
    /// What the clock said when it was decided.
    pub at: Timestamp,
    /// What it wrote.
    pub touched: Touched,
    /// The edition of the time zone database by which it was decided.
    pub edition: Edition,
    /// Queues in which work became due.
    pub hints: BTreeSet<Name>,
}

/// An operation that was decided and has neither landed nor been rolled back. It holds its locks until one of
/// [`Tables::commit`] and [`Tables::rollback`].
#[derive(Debug)]
#[must_use]
pub struct InDoubt {
    id: TransactionId,
    decided: Decided,
}

impl InDoubt {
    /// Names it.
    pub fn id(&self) -> TransactionId {
        self.id
    }
}

/// What an operation has decided.
#[derive(Debug)]
struct Decided {
    at: Timestamp,
    edition: Edition,
    reply: Reply,
    writes: Writes,
    definitions: Vec<StoredDefinition>,
    locks: Vec<Lock>,
}

impl Tables {
    /// Empty tables of a schema with that many shards.
    pub fn new(shards: Shards) -> Tables {
        Tables {
            shards,
            mutation: Mutation::NONE,
            definitions: BTreeMap::new(),
            runs: BTreeMap::new(),
            journal: BTreeMap::new(),
            spoilt: BTreeMap::new(),
            agenda: Agenda::new(shards),
            workers: BTreeMap::new(),
            queues: BTreeMap::new(),
            schedules: BTreeMap::new(),
            entries: BTreeMap::new(),
            locks: Locks::default(),
        }
    }

    /// The same with a seeded bug, in the store or in what it decides with.
    #[must_use]
    pub fn with_mutation(mut self, mutation: Mutation) -> Tables {
        self.mutation = mutation;
        self
    }

    /// Performs an operation at one instant.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] if a guard does not hold or a key exists; it may be performed again then.
    /// [`StoreError::Refused`] if it starts a run that is of another shard than the operation says, and
    /// [`StoreError::Corrupt`] if it inserts an unreadable definition. Nothing was written in each case.
    pub fn perform(
        &mut self,
        operation: &Operation,
        conditions: Conditions<'_>,
    ) -> Result<Progress<Landed>, StoreError> {
        Ok(match self.decide(operation, conditions, false)? {
            Progress::Done(decided) => Progress::Done(self.land(decided)),
            Progress::Blocked(blocked) => Progress::Blocked(blocked),
        })
    }

    /// Reads and decides, and keeps the locks: the first half of an operation whose commit is in doubt.
    ///
    /// # Errors
    /// As [`Tables::perform`].
    pub fn begin(
        &mut self,
        operation: &Operation,
        conditions: Conditions<'_>,
    ) -> Result<Progress<InDoubt>, StoreError> {
        Ok(match self.decide(operation, conditions, true)? {
            Progress::Done(decided) => {
                let id = self.locks.take(&decided.locks);
                Progress::Done(InDoubt { id, decided })
            }
            Progress::Blocked(blocked) => Progress::Blocked(blocked),
        })
    }

    /// Lets it land. Cannot fail: its guards held when it was decided, and its locks have kept them.
    ///
    /// # Panics
    /// If these tables have never known it, or lost it with a failover: see [`Tables::backup`].
    pub fn commit(&mut self, in_doubt: InDoubt) -> Landed {
        let held = self.locks.release(in_doubt.id);
        assert_eq!(
            held,
            in_doubt.decided.locks.len(),
            "only who still holds all its locks may land"
        );
        self.land(in_doubt.decided)
    }

    /// Forgets what it has decided.
    pub fn rollback(&mut self, in_doubt: InDoubt) {
        self.locks.release(in_doubt.id);
    }

    /// What a replica holds that takes over at this instant: everything that has landed, and nobody in doubt.
    #[must_use]
    pub fn backup(&self) -> Tables {
        Tables {
            locks: Locks::default(),
            ..self.clone()
        }
    }

    /// A copy of what concerns one run: its row, its tasks, its definition, and the queues; nobody is in doubt. To try on it
    /// what an operation would do.
    #[must_use]
    pub fn excerpt(&self, run: RunId) -> Tables {
        let mut excerpt = Tables::new(self.shards).with_mutation(self.mutation);
        excerpt.queues = self.queues.clone();
        for row in self.agenda.of(run) {
            excerpt.agenda.put(row.clone());
        }
        if let Some(row) = self.runs.get(&run) {
            let definition = self.definitions.get_key_value(&row.definition);
            let definition = definition.map(|(key, stored)| (key.clone(), stored.clone()));
            excerpt.definitions.extend(definition);
            excerpt.runs.insert(run, row.clone());
        }
        excerpt
    }

    fn decide(
        &self,
        operation: &Operation,
        mut conditions: Conditions<'_>,
        in_doubt: bool,
    ) -> Result<Progress<Decided>, StoreError> {
        let edition = conditions.edition;
        let understood = edition.understood(operation);
        let operation = understood.as_ref();
        let mut reader = Reader::new(self, operation.shard(), &mut conditions);
        let (mut writes, reply) = match reader
            .read(&operation.reads())
            .map(|()| operation.decide(reader.view()))
        {
            Err(blocked) => return Ok(Progress::Blocked(blocked)),
            Ok(Decision::Done { writes, reply }) => (writes, reply),
            Ok(Decision::Need(more)) => {
                match reader.read(&more).map(|()| operation.decide(reader.view())) {
                    Err(blocked) => return Ok(Progress::Blocked(blocked)),
                    Ok(Decision::Done { writes, reply }) => (writes, reply),
                    Ok(Decision::Need(again)) => {
                        unreachable!("{operation:?} asks a second time, for {again:?}")
                    }
                }
            }
        };
        edition.write(&mut writes);
        if let Some(on) = self.locks.holder_of_inserted(&writes) {
            return Ok(Progress::Blocked(reader.blocked_by_insert(on)));
        }
        self.check_shard(operation.shard(), &writes)?;
        if !self.guards_hold(&writes) {
            return Err(StoreError::Conflict);
        }
        let definitions = Tables::read_bodies(operation, &writes)?;
        let locks = if in_doubt {
            locks_of(reader.view(), &writes)
        } else {
            Vec::new()
        };
        Ok(Progress::Done(Decided {
            at: reader.view().now,
            edition,
            reply,
            writes,
            definitions,
            locks,
        }))
    }

    fn land(&mut self, decided: Decided) -> Landed {
        let Decided {
            at,
            edition,
            reply,
            mut writes,
            definitions,
            locks: _,
        } = decided;
        let touched = Touched::by(&writes);
        let hints = std::mem::take(&mut writes.hints);
        self.apply(writes, definitions);
        Landed {
            reply,
            at,
            touched,
            edition,
            hints,
        }
    }
}

/// What an operation locks: the rows it has read and the keys it inserts.
fn locks_of(view: &View, writes: &Writes) -> Vec<Lock> {
    let mut locks = locks::rows_of(view);
    for lock in locks::changed(writes) {
        assert!(
            locks.contains(&lock),
            "{lock:?} is written and was not read under lock"
        );
    }
    locks.extend(locks::inserted(writes));
    locks.sort_unstable();
    locks.dedup();
    locks
}

#[cfg(test)]
mod tests;
