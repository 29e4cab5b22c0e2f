//! What operations answer once their commit is known.
//!
//! Invariant: a refusal is data in its own slot and writes nothing; neighbours in the same batch are not affected.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::definition::DefinitionKey;
use crate::id::{CommandId, RunId};
use crate::run::{Seq, Status};
use crate::task::TaskRow;
use crate::time::Timestamp;

/// The answer to an operation, slot by slot in the order of the request.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To `Register`: what stands in the way, nothing if it was done.
    Registered(Vec<DefinitionConflict>),
    /// To `Submit`.
    Submitted {
        /// The database's clock: a handed task's lease lasts `due_at - now` from when the request was sent.
        now: Timestamp,
        /// One answer a group.
        groups: Vec<GroupReply>,
        /// Tasks of the started runs that the submitter holds under lease.
        handed: Vec<TaskRow>,
        /// How long until the next of the tasks just scheduled falls due that the submitter could take.
        next_due: Option<Duration>,
    },
    /// To `Claim`.
    Claimed(Claimed),
    /// To `Lease`: one answer for each renewal, then each begun mark, then each hand-back.
    Leased(Vec<HeldReply>),
    /// To `Settle`.
    Settled {
        /// The database's clock: a handed task's lease lasts `due_at - now` from when the request was sent.
        now: Timestamp,
        /// One answer a report.
        slots: Vec<SlotReply>,
        /// Tasks that became ready and that the reporter holds under lease.
        handed: Vec<TaskRow>,
        /// Runs that ended by this operation.
        ended: Vec<Ended>,
        /// How long until the next of the tasks just scheduled falls due that the reporter could take.
        next_due: Option<Duration>,
    },
}

/// What a claim took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claimed {
    /// The database's clock: a claimed task's lease lasts `due_at - now` from when the request was sent.
    pub now: Timestamp,
    /// Taken under lease, in the order in which to begin.
    pub tasks: Vec<TaskRow>,
    /// Whether more was due than was taken.
    pub more: bool,
    /// Per queue of the claim with something due left: the priority of the most urgent.
    pub left: Vec<(crate::name::Name, i16)>,
    /// How long until the next task falls due that this worker could take.
    pub next_due: Option<Duration>,
}

/// A definition that is stored with other content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("definition {key} is stored with another content: {}", differences.join(", "))]
pub struct DefinitionConflict {
    /// Name and version.
    pub key: DefinitionKey,
    /// What differs.
    pub differences: Vec<String>,
}

/// The answer to a group: every entry was done, or none.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupReply {
    /// All done.
    Done(Vec<EntryReply>),
    /// Nothing done, because of the entry at `index`.
    Refused {
        /// Which entry.
        index: usize,
        /// Why.
        rejection: Rejection,
    },
    /// Nothing done: a run is locked elsewhere. To be submitted again, alone and waiting.
    Busy,
}

/// The answer to one entry.
#[derive(Debug, Clone, PartialEq)]
pub enum EntryReply {
    /// To a start.
    Started(StartReply),
    /// To a cancel.
    Cancelled(CancelReply),
}

/// The answer to a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartReply {
    /// The run.
    pub run: RunId,
    /// Whether another command had started it before, under the same idempotency key.
    pub existing: bool,
}

/// The answer to a cancel: the first one's, however often it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CancelReply {
    /// The run.
    pub run: RunId,
    /// The journal row that recorded the cancel.
    pub seq: Seq,
    /// When it did.
    pub at: Timestamp,
    /// The command that came first.
    pub command: CommandId,
    /// The run's status as of this answer: `cancelling` while attempts are still out, else `cancelled`.
    pub status: Status,
}

/// The answer for one lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldReply {
    /// Done. `lease` is what was granted from the time of the request on; `stop` tells the handler to end.
    Held {
        /// How long the lease lasts from when the request was sent.
        lease: Duration,
        /// The run is ending: stop the attempt.
        stop: bool,
    },
    /// Handed back: somebody may claim it at once.
    HandedBack,
    /// The token is no longer that of the row.
    Lost,
    /// The row is locked elsewhere; ask again at once.
    Busy,
}

/// The answer to one report.
#[derive(Debug, Clone, PartialEq)]
pub enum SlotReply {
    /// Recorded, by this operation or, word for word, by an earlier one.
    Accepted,
    /// The run is locked elsewhere: report again, alone and waiting.
    Busy,
    /// Not recorded, and will not be.
    Rejected(Rejection),
}

/// A run that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// The run.
    pub run: RunId,
    /// How.
    pub status: Status,
}

/// A refusal: nothing was written. Each has a stable code, listed in `docs/ERRORS.md`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rejection {
    /// No definition is stored under this name and version.
    #[error("workflow {definition} is not known")]
    UnknownWorkflow {
        /// Name and version asked for.
        definition: DefinitionKey,
    },
    /// No run has this id.
    #[error("run {run} does not exist")]
    UnknownRun {
        /// The id asked for.
        run: RunId,
    },
    /// The idempotency key was used with another input.
    #[error("the idempotency key of run {run} was used with another input")]
    KeyConflict {
        /// The run that the key started.
        run: RunId,
    },
    /// The run has ended otherwise.
    #[error("run {run} has ended as {status}")]
    Finished {
        /// The run.
        run: RunId,
        /// How it ended.
        status: Status,
    },
    /// The run is failing already, and is being wound up.
    #[error("run {run} is {status} and cannot be cancelled")]
    Winding {
        /// The run.
        run: RunId,
        /// Its status.
        status: Status,
    },
    /// The lease has passed to somebody else, or its loss was recorded.
    #[error("the lease on {run} step {step} is no longer this one")]
    Stale {
        /// The run.
        run: RunId,
        /// Position of the step.
        step: u16,
    },
    /// The same attempt was reported before, with another outcome.
    #[error("run {run} step {step} was reported with another outcome before")]
    OtherOutcome {
        /// The run.
        run: RunId,
        /// Position of the step.
        step: u16,
    },
    /// The item is not due (the database's clock went back); it stays on the agenda.
    #[error("an item of run {run} is due at {due} only")]
    NotDue {
        /// The run.
        run: RunId,
        /// When it is due.
        due: Timestamp,
    },
    /// The run cannot be read: corrupt, or written by a newer engine. It is halted.
    #[error("run {run} cannot be read: {detail}")]
    Unreadable {
        /// The run.
        run: RunId,
        /// What is wrong.
        detail: String,
    },
    /// A bound of the engine was exceeded.
    #[error("{what} is {found}, above the limit of {limit}")]
    LimitExceeded {
        /// What is bounded.
        what: String,
        /// The bound.
        limit: u64,
        /// What was asked for.
        found: u64,
    },
    /// An entry addresses a run of another shard than its operation.
    #[error("run {run} is in another shard than its batch")]
    CrossShardBatch {
        /// The run.
        run: RunId,
    },
}

impl Rejection {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Rejection::UnknownWorkflow { .. } => "unknown_workflow",
            Rejection::UnknownRun { .. } => "unknown_run",
            Rejection::KeyConflict { .. } => "key_conflict",
            Rejection::Finished { .. } => "finished",
            Rejection::Winding { .. } => "winding",
            Rejection::Stale { .. } => "stale",
            Rejection::OtherOutcome { .. } => "other_outcome",
            Rejection::NotDue { .. } => "not_due",
            Rejection::Unreadable { .. } => "unreadable",
            Rejection::LimitExceeded { .. } => "limit_exceeded",
            Rejection::CrossShardBatch { .. } => "cross_shard_batch",
        }
    }
}
