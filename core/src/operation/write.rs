//! What an operation writes.
//!
//! Invariant: every update and delete carries its guard; a store asserts that it hit exactly one row, or rolls back.

use crate::id::RunId;
use crate::name::Name;
use crate::operation::{DefinitionRow, OperatorEntry, QueueWrite, RunRow, WorkerRow};
use crate::payload::Payload;
use crate::run::Seq;
use crate::schedule::{ScheduleId, ScheduleRow};
use crate::task::{Fence, TaskKey, TaskRow};
use crate::time::Timestamp;
use crate::transition::Transition;

use std::collections::BTreeSet;

/// Rows to write, each list sorted by key. A unique violation of an insert rolls the operation back as a conflict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Writes {
    /// Definitions to insert.
    pub definitions: Vec<DefinitionRow>,
    /// Runs to insert.
    pub runs_inserted: Vec<RunRow>,
    /// Runs to update.
    pub runs_updated: Vec<RunUpdate>,
    /// Journal rows to append.
    pub journal: Vec<JournalRow>,
    /// Tasks to insert.
    pub tasks_inserted: Vec<TaskRow>,
    /// Tasks to update.
    pub tasks_updated: Vec<TaskUpdate>,
    /// Tasks to delete, each guarded by its fence.
    pub tasks_deleted: Vec<(TaskKey, Fence)>,
    /// Schedules to insert.
    pub schedules_inserted: Vec<ScheduleRow>,
    /// Schedules to update.
    pub schedules_updated: Vec<ScheduleUpdate>,
    /// Schedules to delete, each guarded by its `seq`.
    pub schedules_deleted: Vec<(ScheduleId, Seq)>,
    /// The worker row to insert or update.
    pub worker: Option<WorkerRow>,
    /// The queue's row to insert or update.
    pub queue: Option<QueueWrite>,
    /// The row to append to the operator log.
    pub entry: Option<OperatorEntry>,
    /// Queues in which work became due that was not handed off, or may be claimed again: hints to send after the commit, at most one each.
    pub hints: BTreeSet<Name>,
}

impl Writes {
    /// Whether there is nothing to write: the transaction may end without a commit record.
    pub fn is_empty(&self) -> bool {
        self == &Writes {
            hints: self.hints.clone(),
            ..Writes::default()
        }
    }
}

/// A run row to update. Of the row, `seq`, `status`, `state` and `updated` change; the rest is as it was.
#[derive(Debug, Clone, PartialEq)]
pub struct RunUpdate {
    /// The row as it is to be.
    pub row: RunRow,
    /// The guard: its `seq` as it was read.
    pub was: Seq,
}

/// A schedule's row to update. Of the row, everything but `id`, `life`, `key` and `created` may change; what was declared does
/// only if `declared` says so.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleUpdate {
    /// The row as it is to be.
    pub row: ScheduleRow,
    /// The guard: its `seq` as it was read.
    pub was: Seq,
    /// Whether `version`, `workflow`, `trigger`, `plan` or `input` may differ from what was read. A firing changes none of them.
    pub declared: bool,
}

/// A task row to update.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskUpdate {
    /// The row as it is to be.
    pub row: TaskRow,
    /// The guard: its fence as it was read.
    pub was: Fence,
    /// Whether queue, priority, handler or due time differ from what was read: an index entry changes.
    pub indexed: bool,
}

/// A journal row to append.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalRow {
    /// The run.
    pub run: RunId,
    /// Position in its journal.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// The transition.
    pub transition: Transition,
    /// The payload that came with its event.
    pub payload: Option<Payload>,
}
