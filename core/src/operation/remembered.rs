//! Rows as a process left them, so that what it goes on with need not be read and locked again.
//!
//! A decision on remembered rows is the decision on the stored ones if those are the same versions when they are written.
//! What tells the versions of a row apart is the store's: it says so when it has written, is told again when it is to write
//! on the strength of what is remembered, and writes nothing if one row is another version. A row that is not written is not
//! compared, so every row that was looked at has to be written ([`Memory::is_written`]).
//!
//! Invariant: a row is remembered as an operation of this process wrote it, after its commit was acknowledged.

use std::collections::BTreeMap;
use std::mem;

use super::{Found, ReadSet, RunRow, View, Writes};
use crate::id::RunId;
use crate::sorted::SortedMap;
use crate::task::{TaskKey, TaskRow};

/// About what a run takes beside its snapshot, and what a task does.
const ROW_BYTES: usize = 512;

/// Rows of runs that are under way.
#[derive(Debug)]
pub struct Remembered<V> {
    young: BTreeMap<RunId, Rows<V>>,
    /// What was remembered before the last time that `young` was full.
    old: BTreeMap<RunId, Rows<V>>,
    /// Bytes of rows that were written since, whatever became of them.
    bytes: usize,
    most: usize,
}

/// What an operation asked for, as it is remembered.
#[derive(Debug, PartialEq)]
pub struct Memory<V> {
    /// The rows, without clock, pauses and definitions.
    pub view: View,
    /// Which version each run's row was.
    pub runs: SortedMap<RunId, V>,
    /// Which version each task's row was.
    pub tasks: SortedMap<TaskKey, V>,
}

#[derive(Debug)]
struct Rows<V> {
    run: Option<(RunRow, V)>,
    tasks: Vec<(TaskRow, V)>,
}

impl<V> Rows<V> {
    fn none() -> Rows<V> {
        Rows {
            run: None,
            tasks: Vec::new(),
        }
    }

    fn task(&mut self, key: TaskKey) -> Option<(TaskRow, V)> {
        let at = self.tasks.iter().position(|(task, _)| task.key == key)?;
        Some(self.tasks.swap_remove(at))
    }
}

impl<V> Memory<V> {
    /// Whether every row that a decision looked at is written, and so compared.
    pub fn is_written(&self, writes: &Writes) -> bool {
        let run = |id: &RunId| {
            let found = writes
                .runs_updated
                .binary_search_by_key(id, |update| update.row.id);
            found.is_ok()
        };
        let task = |key: &TaskKey| {
            let updated = writes
                .tasks_updated
                .binary_search_by_key(key, |update| update.row.key);
            let deleted = writes
                .tasks_deleted
                .binary_search_by_key(key, |(key, _)| *key);
            updated.is_ok() || deleted.is_ok()
        };
        self.runs.keys().all(run) && self.tasks.keys().all(task)
    }
}

impl<V: Copy> Remembered<V> {
    /// Remembers nothing, and never more than about that many bytes: what was not written for long is forgotten first.
    pub fn new(bytes: usize) -> Remembered<V> {
        Remembered {
            young: BTreeMap::new(),
            old: BTreeMap::new(),
            bytes: 0,
            most: bytes / 2,
        }
    }

    /// What an operation asks for, if all of it is remembered: its runs and its tasks. What is given is forgotten here until it
    /// is written again.
    pub fn take(&mut self, reads: &ReadSet) -> Option<Memory<V>> {
        let plain = reads.worker.is_none()
            && reads.schedules.is_empty()
            && reads.tasks_of.is_empty()
            && reads.scan.is_none()
            && reads.queue.is_none()
            && reads.entry.is_none();
        if !plain || reads.runs.is_empty() || !self.has(reads) {
            return None;
        }
        let mut memory = Memory {
            view: View::default(),
            runs: SortedMap::default(),
            tasks: SortedMap::default(),
        };
        for id in &reads.runs {
            let (row, version) = self.rows(*id)?.run.take()?;
            memory.view.runs.insert(*id, Found::Row(row));
            memory.runs.insert(*id, version);
        }
        for key in &reads.tasks {
            let (row, version) = self.rows(key.run)?.task(*key)?;
            memory.view.tasks.insert(*key, Found::Row(row));
            memory.tasks.insert(*key, version);
        }
        Some(memory)
    }

    fn has(&self, reads: &ReadSet) -> bool {
        let rows = |id: &RunId| self.young.get(id).or_else(|| self.old.get(id));
        let run = |id: &RunId| rows(id).is_some_and(|rows| rows.run.is_some());
        let task = |key: &TaskKey| {
            rows(&key.run).is_some_and(|rows| rows.tasks.iter().any(|(task, _)| task.key == *key))
        };
        reads.runs.iter().all(run) && reads.tasks.iter().all(task)
    }

    fn rows(&mut self, id: RunId) -> Option<&mut Rows<V>> {
        match self.young.get_mut(&id) {
            Some(rows) => Some(rows),
            None => self.old.get_mut(&id),
        }
    }

    /// Remembers what was written, once that is committed, and which version of all these rows it is: `None` if nobody can tell,
    /// so that they are forgotten.
    pub fn learn(&mut self, writes: Writes, version: Option<V>) {
        let moved = writes.runs_updated.into_iter().map(|update| update.row);
        for row in writes.runs_inserted.into_iter().chain(moved) {
            let (id, bytes) = (row.id, ROW_BYTES + row.state.len());
            match version.filter(|_| !row.status.is_terminal() && bytes <= self.most) {
                Some(version) => self.fresh(id, bytes).run = Some((row, version)),
                None => {
                    self.young.remove(&id);
                    self.old.remove(&id);
                }
            }
        }
        for (key, _) in writes.tasks_deleted {
            if let Some(rows) = self.rows(key.run) {
                rows.task(key);
            }
        }
        let moved = writes.tasks_updated.into_iter().map(|update| update.row);
        for row in writes.tasks_inserted.into_iter().chain(moved) {
            if let Some(rows) = self.rows(row.key.run) {
                rows.task(row.key);
                rows.tasks.extend(version.map(|version| (row, version)));
                self.bytes += ROW_BYTES;
            }
        }
    }

    /// Forgets everything: nobody knows what became of the store.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.bytes = 0;
    }

    fn fresh(&mut self, id: RunId, bytes: usize) -> &mut Rows<V> {
        if self.bytes + bytes > self.most {
            self.old = mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += bytes;
        let before = self.old.remove(&id);
        self.young
            .entry(id)
            .or_insert_with(|| before.unwrap_or_else(Rows::none))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::DefinitionKey;
    use crate::id::Life;
    use crate::name::Name;
    use crate::operation::{RunUpdate, TaskUpdate};
    use crate::run::{Seq, Status};
    use crate::task::Lane;
    use crate::task::sample::first_step;
    use crate::time::Timestamp;
    use std::collections::{BTreeMap, BTreeSet};

    fn run(id: u128) -> RunRow {
        RunRow {
            id: RunId::from_u128(id),
            life: Life(1),
            definition: DefinitionKey {
                name: Name::stored("order"),
                version: 1,
            },
            seq: Seq(1),
            status: Status::Running,
            state: vec![1, 2, 3],
            parent: None,
            source: None,
            schedule: None,
            labels: BTreeMap::new(),
            created: Timestamp::from_micros(1),
            updated: Timestamp::from_micros(1),
        }
    }

    fn task(run: u128, lane: u16) -> TaskRow {
        let mut row = first_step(RunId::from_u128(run), "default");
        row.key.lane = Lane(lane);
        row
    }

    fn started(id: u128) -> Writes {
        Writes {
            runs_inserted: vec![run(id)],
            tasks_inserted: vec![task(id, 0), task(id, 1)],
            ..Writes::default()
        }
    }

    fn reads(run: u128, lanes: impl IntoIterator<Item = u16>) -> ReadSet {
        let run = RunId::from_u128(run);
        ReadSet {
            runs: BTreeSet::from([run]),
            tasks: lanes
                .into_iter()
                .map(|lane| TaskKey {
                    run,
                    lane: Lane(lane),
                })
                .collect(),
            ..ReadSet::default()
        }
    }

    fn moved(id: u128, status: Status) -> Writes {
        let row = RunRow {
            seq: Seq(2),
            status,
            ..run(id)
        };
        Writes {
            runs_updated: vec![RunUpdate { row, was: Seq(1) }],
            tasks_deleted: vec![(task(id, 0).key, task(id, 0).fence)],
            ..Writes::default()
        }
    }

    #[test]
    fn what_was_written_is_given_once_and_again_when_it_is_written_again() {
        let mut remembered = Remembered::<u32>::new(1 << 20);
        remembered.learn(started(7), Some(1));
        let memory = remembered.take(&reads(7, [0])).unwrap();
        let (id, key) = (RunId::from_u128(7), task(7, 0).key);
        assert_eq!(memory.view.runs[&id], Found::Row(run(7)));
        assert_eq!(memory.view.tasks[&key], Found::Row(task(7, 0)));
        assert_eq!((memory.runs[&id], memory.tasks[&key]), (1, 1));
        assert_eq!(remembered.take(&reads(7, [1])), None, "it was given");
        remembered.learn(moved(7, Status::Running), Some(2));
        assert_eq!(remembered.take(&reads(7, [0])), None, "it is gone");
        let memory = remembered.take(&reads(7, [1])).unwrap();
        let Found::Row(row) = &memory.view.runs[&id] else {
            panic!("it is remembered")
        };
        assert_eq!(row.seq, Seq(2));
        let versions = (memory.runs[&id], memory.tasks[&task(7, 1).key]);
        assert_eq!(versions, (2, 1), "each row has its own");
    }

    #[test]
    fn what_has_ended_or_was_cleared_or_is_not_all_there_is_not_given() {
        let mut remembered = Remembered::<u32>::new(1 << 20);
        remembered.learn(started(7), Some(1));
        remembered.learn(started(8), Some(1));
        let both = ReadSet {
            runs: [7, 9].map(RunId::from_u128).into(),
            ..ReadSet::default()
        };
        assert_eq!(remembered.take(&both), None);
        let further = ReadSet {
            tasks_of: BTreeSet::from([RunId::from_u128(7)]),
            ..reads(7, [0])
        };
        assert_eq!(remembered.take(&further), None);
        remembered.learn(moved(7, Status::Completed), Some(2));
        assert_eq!(remembered.take(&reads(7, [1])), None);
        assert_ne!(remembered.take(&reads(8, [1])), None, "it is another's");
        remembered.learn(started(8), None);
        assert_eq!(remembered.take(&reads(8, [1])), None, "of no known version");
        remembered.learn(started(8), Some(1));
        remembered.clear();
        assert_eq!(remembered.take(&reads(8, [1])), None);
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for_and_what_is_written_stays() {
        let mut remembered = Remembered::<u32>::new(20 * ROW_BYTES);
        for id in 1..=100 {
            remembered.learn(started(id), Some(1));
            let again = Writes {
                tasks_deleted: Vec::new(),
                ..moved(1, Status::Running)
            };
            remembered.learn(again, Some(2));
            assert!(remembered.young.len() + remembered.old.len() <= 20);
        }
        assert_eq!(remembered.take(&reads(50, [0])), None);
        assert_ne!(remembered.take(&reads(1, [0])), None);
        let wide = Writes {
            tasks_inserted: (0..20).map(|lane| task(200, lane)).collect(),
            ..started(200)
        };
        remembered.learn(wide, Some(1));
        remembered.learn(started(201), Some(1));
        remembered.learn(started(202), Some(1));
        assert!(remembered.young.len() <= 2, "tasks take room too");
        let large = RunRow {
            state: vec![0; 20 * ROW_BYTES],
            ..run(7)
        };
        let started = Writes {
            runs_inserted: vec![large],
            ..Writes::default()
        };
        remembered.learn(started, Some(1));
        assert_eq!(remembered.take(&reads(7, [])), None);
    }

    #[test]
    fn a_row_that_is_looked_at_and_not_written_is_told() {
        let mut remembered = Remembered::<u32>::new(1 << 20);
        remembered.learn(started(7), Some(1));
        let memory = remembered.take(&reads(7, [0, 1])).unwrap();
        let row = task(7, 1);
        let update = TaskUpdate {
            was: row.fence,
            row,
            indexed: false,
        };
        let mut writes = moved(7, Status::Running);
        assert!(!memory.is_written(&writes));
        writes.tasks_updated.push(update);
        assert!(memory.is_written(&writes));
        writes.runs_updated.clear();
        assert!(!memory.is_written(&writes));
    }
}
