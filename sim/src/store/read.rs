//! Reading what an operation asks for, under locks.
//!
//! Invariant: locks are met in the order worker, schedules, runs, tasks, and the clock and pauses are read after the last of them.

use std::collections::BTreeSet;

use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::id::{RunId, Shard};
use squid_mesh_core::mutant::Mutant;
use squid_mesh_core::operation::{Found, ReadSet, Scan, View};
use squid_mesh_core::schedule::ScheduleId;
use squid_mesh_core::task::{TaskKey, TaskRow};
use squid_mesh_core::time::Timestamp;

use super::Tables;
use super::edition::Edition;
use super::locks::{Lock, TransactionId};

/// Under which conditions an operation is performed: what a real store decides by itself, and a simulation draws.
#[non_exhaustive]
pub struct Conditions<'a> {
    /// What the store's clock says.
    pub now: Timestamp,
    /// When and on what the operation was first asked for, if it had to wait since.
    pub asked: Option<&'a Asked>,
    /// Which due rows a scan returns; all that are legal, if not given. Any subset is a legal answer.
    pub show: Option<&'a mut dyn FnMut(&TaskRow) -> bool>,
    /// The time zone database of the process that performs it.
    pub edition: Edition,
}

impl<'a> Conditions<'a> {
    /// At this time, for the first time, with every due row shown.
    pub fn at(now: Timestamp) -> Conditions<'a> {
        Conditions {
            now,
            asked: None,
            show: None,
            edition: Edition::Current,
        }
    }
}

/// An operation that has to wait until another has landed or was rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// Whom it waits for. To be performed again once that one is over; it may then wait for another.
    pub on: TransactionId,
    /// What to hand in again with [`Conditions::asked`].
    pub asked: Asked,
}

/// What an operation that waits saw when it was first asked for. Nothing depends on it but the seeded bugs of a store
/// that reads too early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    at: Timestamp,
    tasks: BTreeSet<TaskKey>,
    entry: bool,
}

/// Puts a view together.
pub(super) struct Reader<'t, 'c, 's> {
    tables: &'t Tables,
    conditions: &'c mut Conditions<'s>,
    shard: Shard,
    view: View,
}

impl<'t, 'c, 's> Reader<'t, 'c, 's> {
    pub(super) fn new(
        tables: &'t Tables,
        shard: Shard,
        conditions: &'c mut Conditions<'s>,
    ) -> Reader<'t, 'c, 's> {
        let view = View {
            mutation: tables.mutation,
            ..View::default()
        };
        Reader {
            tables,
            conditions,
            shard,
            view,
        }
    }

    pub(super) fn view(&self) -> &View {
        &self.view
    }

    /// Adds to the view what a set asks for, or says whom to wait for.
    pub(super) fn read(&mut self, set: &ReadSet) -> Result<(), Blocked> {
        self.read_worker(set)
            .and_then(|()| self.read_queue(set))
            .and_then(|()| self.read_schedules(set))
            .and_then(|()| self.read_runs(set))
            .map_err(|on| self.blocked(on, set))?;
        self.read_definitions(&set.definitions);
        self.read_tasks(set).map_err(|on| self.blocked(on, set))?;
        let paused = set
            .queues
            .iter()
            .filter(|queue| self.tables.is_paused(queue));
        self.view.paused = paused.cloned().collect();
        if let Some(scan) = &set.scan {
            self.scan(scan);
        }
        self.view.now = match self.conditions.asked {
            Some(asked) if self.tables.mutation.is(Mutant::ClockReadBeforeLocks) => asked.at,
            Some(_) | None => self.conditions.now,
        };
        Ok(())
    }

    fn read_worker(&mut self, set: &ReadSet) -> Result<(), TransactionId> {
        let Some(incarnation) = set.worker else {
            return Ok(());
        };
        self.free(&Lock::Worker(incarnation))?;
        self.view.worker = self.tables.worker(incarnation).cloned();
        Ok(())
    }

    fn read_queue(&mut self, set: &ReadSet) -> Result<(), TransactionId> {
        if let Some(name) = &set.queue
            && let Some(row) = self.tables.queue(name)
        {
            self.free(&Lock::Queue(name.clone()))?;
            self.view.queue = Some(row.clone());
        }
        let early = match self.conditions.asked {
            Some(asked) if self.tables.mutation.is(Mutant::EntryReadBeforeLocks) => Some(asked),
            Some(_) | None => None,
        };
        let entry = set.entry.and_then(|id| self.tables.entry(id));
        self.view.entry = entry
            .filter(|_| early.is_none_or(|asked| asked.entry))
            .cloned();
        Ok(())
    }

    fn read_schedules(&mut self, set: &ReadSet) -> Result<(), TransactionId> {
        for &id in &set.schedules {
            let here = id.shard(self.tables.shards) == self.shard;
            let found = match self.tables.schedule(id).filter(|_| here) {
                None => Found::Absent,
                Some(row) => match self.free(&Lock::Schedule(id)) {
                    Ok(()) => Found::Row(self.conditions.edition.read(row)),
                    Err(on) if set.wait => return Err(on),
                    Err(_) => Found::Busy,
                },
            };
            self.view.schedules.insert(id, found);
        }
        Ok(())
    }

    fn read_runs(&mut self, set: &ReadSet) -> Result<(), TransactionId> {
        for &id in &set.runs {
            let found = match self.run_here(id) {
                // A run whose insert is in doubt is seen by nobody: not locked, absent.
                None => Found::Absent,
                Some(row) => match self.free(&Lock::Run(id)) {
                    Ok(()) => Found::Row(row.clone()),
                    Err(on) if set.wait => return Err(on),
                    Err(_) => Found::Busy,
                },
            };
            if let Found::Row(row) = &found {
                self.read_definition(&row.definition);
            }
            self.view.runs.insert(id, found);
        }
        Ok(())
    }

    /// The row of a run, which is not found under another shard than its own.
    fn run_here(&self, id: RunId) -> Option<&'t super::RunRow> {
        if id.shard(self.tables.shards) == self.shard {
            self.tables.run(id)
        } else {
            None
        }
    }

    fn read_definitions(&mut self, keys: &BTreeSet<DefinitionKey>) {
        for key in keys {
            self.read_definition(key);
        }
    }

    fn read_definition(&mut self, key: &DefinitionKey) {
        if !self.view.definitions.contains_key(key)
            && let Some(definition) = self.tables.definition(key)
        {
            self.view
                .definitions
                .insert(key.clone(), definition.clone());
        }
    }

    fn read_tasks(&mut self, set: &ReadSet) -> Result<(), TransactionId> {
        // Only who holds runs or schedules may wait for tasks: who holds tasks alone never waits, so nobody waits in a circle.
        let waits = !self.view.runs.is_empty() || !self.view.schedules.is_empty();
        for key in &set.tasks {
            let found = match self.task_here(key) {
                _ if self.is_busy(key.run) => Found::Busy,
                None => Found::Absent,
                Some(row) => match self.free(&Lock::Task(*key)) {
                    Ok(()) => Found::Row(row.clone()),
                    Err(on) if waits => return Err(on),
                    Err(_) => Found::Busy,
                },
            };
            self.view.tasks.insert(*key, found);
        }
        for &run in &set.tasks_of {
            if self.is_busy(run) {
                continue;
            }
            let tables = self.tables;
            for row in tables
                .agenda
                .of(run)
                .filter(|row| self.shows(&row.key))
                .collect::<Vec<_>>()
            {
                self.free(&Lock::Task(row.key))?;
                self.view.tasks.insert(row.key, Found::Row(row.clone()));
            }
            self.view.tasks_of.insert(run);
        }
        Ok(())
    }

    fn is_busy(&self, run: RunId) -> bool {
        let schedule = ScheduleId::from_u128(run.as_u128());
        matches!(self.view.runs.get(&run), Some(Found::Busy))
            || matches!(self.view.schedules.get(&schedule), Some(Found::Busy))
    }

    fn task_here(&self, key: &TaskKey) -> Option<&'t TaskRow> {
        let here = key.run.shard(self.tables.shards) == self.shard && self.shows(key);
        if here { self.tables.task(key) } else { None }
    }

    /// Whether a statement sees this task. One that reads tasks together with the runs it waits for re-reads rows that
    /// changed meanwhile, and misses those that came.
    fn shows(&self, key: &TaskKey) -> bool {
        match self.conditions.asked {
            Some(asked) if self.tables.mutation.is(Mutant::TasksReadBeforeRunLock) => {
                asked.tasks.contains(key)
            }
            Some(_) | None => true,
        }
    }

    fn scan(&mut self, scan: &Scan) {
        let (locks, mutation) = (&self.tables.locks, self.tables.mutation);
        let show = &mut self.conditions.show;
        let mut visible = |row: &TaskRow| {
            locks.holder(&Lock::Task(row.key)).is_none()
                && show.as_mut().is_none_or(|show| show(row))
        };
        let due = self.tables.agenda.scan(
            self.shard,
            scan,
            self.conditions.now,
            mutation,
            &self.view.paused,
            &mut visible,
        );
        self.view.due = due.rows;
        self.view.next_due = due.next;
    }

    fn free(&self, lock: &Lock) -> Result<(), TransactionId> {
        match self.tables.locks.holder(lock) {
            None => Ok(()),
            Some(on) => Err(on),
        }
    }

    fn blocked(&self, on: TransactionId, set: &ReadSet) -> Blocked {
        let asked = self.conditions.asked.cloned().unwrap_or_else(|| {
            let early = self.tables.mutation.is(Mutant::TasksReadBeforeRunLock);
            let runs = set.runs.iter().filter(|_| early);
            let tasks = runs
                .flat_map(|run| self.tables.agenda.of(*run))
                .map(|row| row.key)
                .collect();
            Asked {
                at: self.conditions.now,
                tasks,
                entry: set.entry.is_some_and(|id| self.tables.entry(id).is_some()),
            }
        });
        Blocked { on, asked }
    }

    /// What to answer where the writes would insert a key that another transaction is about to insert.
    pub(super) fn blocked_by_insert(&self, on: TransactionId) -> Blocked {
        self.blocked(on, &ReadSet::default())
    }
}
