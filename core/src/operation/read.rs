//! What an operation reads, and what a store found.
//!
//! Invariant: a store locks in the order queue, worker, schedules, runs, tasks, each sorted by key, one statement per table, and reads
//! its clock, and which queues are paused, after the last lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{HandlerSet, OperatorEntry, QueueRow};
use crate::definition::{Definition, DefinitionDigest, DefinitionKey};
use crate::id::{CommandId, Incarnation, Life, RunId, Shard};
use crate::mutant::Mutation;
use crate::name::Name;
use crate::run::{Seq, Status};
use crate::schedule::{ScheduleId, ScheduleRow};
use crate::sorted::SortedMap;
use crate::task::{TaskKey, TaskRow};
use crate::time::Timestamp;

/// What to read under locks, in one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSet {
    /// The shard of everything below.
    pub shard: Shard,
    /// The worker row to lock, before any run.
    pub worker: Option<Incarnation>,
    /// Definitions needed (immutable: cached, not locked). Those of the runs read below come with them.
    pub definitions: BTreeSet<DefinitionKey>,
    /// Schedules to lock, in id order, before any run. Absent ones are [`Found::Absent`].
    pub schedules: BTreeSet<ScheduleId>,
    /// Runs to lock, in id order. Absent ones are [`Found::Absent`].
    pub runs: BTreeSet<RunId>,
    /// Whether to wait for a run or schedule that is locked elsewhere (with a lock timeout); otherwise it is [`Found::Busy`].
    pub wait: bool,
    /// Tasks to lock, in key order. Where this set reads runs or schedules, a task lock is waited for, and a task of one that
    /// is busy is neither read nor locked; where it reads none, a locked task is skipped and [`Found::Busy`].
    pub tasks: BTreeSet<TaskKey>,
    /// Runs of which every task is to be locked; all are in `runs`, of this set or of the one before a `Need`.
    pub tasks_of: BTreeSet<RunId>,
    /// A due scan.
    pub scan: Option<Scan>,
    /// Queues of which to tell whether they are paused. Not locked: what was read before a pause landed may still land after
    /// it, but what was read later, maybe after waiting for a lock, knows of it.
    pub queues: BTreeSet<Name>,
    /// A queue's row to lock.
    pub queue: Option<Name>,
    /// A row of the operator log (never changed: not locked). Read after the locks of schedules and of the queue. A store
    /// whose statements do not see one instant looks once more, where it is found, for what was absent before: that may have
    /// been made together with the row meanwhile.
    pub entry: Option<CommandId>,
}

/// Due tasks to lock: of this shard, queue, priority and handler, due, of a format this engine reads, in (due, key) order,
/// skipping locked ones. Of a queue that is among `queues` and paused: only those that somebody owns, whose lease has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// What to scan.
    pub queues: Vec<QueueScan>,
    /// The newest task format to return.
    pub format: u16,
}

/// One queue of a due scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueScan {
    /// The queue.
    pub queue: Name,
    /// Handlers to look for: one index range for each priority and handler that the queue has.
    pub handlers: Arc<HandlerSet>,
    /// Most rows to return for each pair of priority and handler. Any legal subset is a legal answer.
    pub limit: u32,
}

/// What a store found, all of one instant as far as locks can make it so.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// The database's clock, read after the last lock.
    pub now: Timestamp,
    /// The worker row.
    pub worker: Option<WorkerRow>,
    /// Definitions by key, those that exist.
    pub definitions: SortedMap<DefinitionKey, Arc<Definition>>,
    /// Every schedule that was asked for.
    pub schedules: SortedMap<ScheduleId, Found<ScheduleRow>>,
    /// Every run that was asked for.
    pub runs: SortedMap<RunId, Found<RunRow>>,
    /// Every task that was asked for by key, and those of `tasks_of` that exist.
    pub tasks: SortedMap<TaskKey, Found<TaskRow>>,
    /// The runs whose tasks are all in `tasks`.
    pub tasks_of: BTreeSet<RunId>,
    /// Due tasks, locked.
    pub due: Vec<TaskRow>,
    /// The least due time after `now` among the ranges of the scan, owned tasks included, paused queues left out.
    pub next_due: Option<Timestamp>,
    /// Those of `queues` that are paused.
    pub paused: BTreeSet<Name>,
    /// The queue's row.
    pub queue: Option<QueueRow>,
    /// The row of the operator log.
    pub entry: Option<OperatorEntry>,
    /// The seeded bug to decide with, in a simulation that measures itself.
    pub mutation: Mutation,
}

/// One thing that was looked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<T> {
    /// There is none.
    Absent,
    /// Locked by another transaction.
    Busy,
    /// Here it is, locked or, where it is remembered, compared when it is written ([`super::Remembered`]).
    Row(T),
}

/// One row of `runs`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// The run.
    pub id: RunId,
    /// Its life.
    pub life: Life,
    /// What it runs.
    pub definition: DefinitionKey,
    /// Its last transition.
    pub seq: Seq,
    /// Its status, a copy of what the state says.
    pub status: Status,
    /// The snapshot.
    pub state: Vec<u8>,
    /// The run whose step started it.
    pub parent: Option<RunId>,
    /// The run it is a copy of.
    pub source: Option<RunId>,
    /// The schedule that started it.
    pub schedule: Option<ScheduleId>,
    /// Labels, for listing.
    pub labels: BTreeMap<String, String>,
    /// When it was started.
    pub created: Timestamp,
    /// Time of the last transition.
    pub updated: Timestamp,
}

impl RunRow {
    /// A row that is written with another state, if it is written.
    pub(super) fn without_state(&self) -> RunRow {
        RunRow {
            id: self.id,
            life: self.life,
            definition: self.definition.clone(),
            seq: self.seq,
            status: self.status,
            state: Vec::new(),
            parent: self.parent,
            source: self.source,
            schedule: self.schedule,
            labels: self.labels.clone(),
            created: self.created,
            updated: self.updated,
        }
    }
}

/// One row of `workers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRow {
    /// The process.
    pub incarnation: Incarnation,
    /// What the host calls it; a label.
    pub name: String,
    /// What it can execute.
    pub handlers: Arc<HandlerSet>,
    /// What it serves.
    pub queues: Vec<Name>,
    /// When it registered.
    pub started: Timestamp,
    /// When it was last seen, coarsely.
    pub seen: Timestamp,
    /// Number of its last claim that took something.
    pub claim: u64,
    /// The shard of that claim.
    pub claim_shard: Shard,
    /// What that claim took, with the fences it gave.
    pub claimed: Vec<(TaskKey, crate::task::Fence)>,
}

/// One row of `definitions`.
#[derive(Debug, Clone, PartialEq)]
pub struct DefinitionRow {
    /// Name and version.
    pub key: DefinitionKey,
    /// Digest over the canonical form.
    pub digest: DefinitionDigest,
    /// The canonical form.
    pub body: Arc<str>,
}
