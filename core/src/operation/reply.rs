//! What operations answer once their commit is known.
//!
//! Invariant: a refusal is data in its own slot and writes nothing; neighbours in the same batch are not affected.

use std::time::Duration;

use super::{QueueReply, Rejection, ScheduleReply};
use crate::definition::DefinitionKey;
use crate::id::{CommandId, RunId};
use crate::name::Name;
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
    /// To `Queue`.
    Queue(Result<QueueReply, Rejection>),
    /// To `Schedule`.
    Schedule(Result<ScheduleReply, Rejection>),
}

impl Reply {
    /// Whether everything that was asked for was done: no slot was refused, and none met a lock.
    pub fn is_done(&self) -> bool {
        match self {
            Reply::Registered(conflicts) => conflicts.is_empty(),
            Reply::Submitted { groups, .. } => groups
                .iter()
                .all(|group| matches!(group, GroupReply::Done(_))),
            Reply::Claimed(_) => true,
            Reply::Leased(held) => held
                .iter()
                .all(|held| matches!(held, HeldReply::Held { .. } | HeldReply::HandedBack)),
            Reply::Settled { slots, .. } => slots.iter().all(|slot| *slot == SlotReply::Accepted),
            Reply::Queue(reply) => reply.is_ok(),
            Reply::Schedule(reply) => reply.is_ok(),
        }
    }
}

/// What a claim took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Claimed {
    /// The database's clock: a claimed task's lease lasts `due_at - now` from when the request was sent.
    pub now: Timestamp,
    /// Taken under lease, in the order in which to begin.
    pub tasks: Vec<TaskRow>,
    /// Whether more was due than was taken, paused queues aside.
    pub more: bool,
    /// Per queue of the claim with something due left: the priority of the most urgent.
    pub left: Vec<(Name, i16)>,
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
    /// To a decision about a step, or a signal.
    Obeyed(CommandReply),
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
    /// The run's status as of this answer: `cancelling` while attempts or children are still out, `compensating` while effects
    /// are taken back, else `cancelled`.
    pub status: Status,
}

/// The answer to a decision about a step, or to a signal: the first one's, however often the command is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandReply {
    /// The run.
    pub run: RunId,
    /// The journal row that recorded the command.
    pub seq: Seq,
    /// When it did.
    pub at: Timestamp,
    /// The run's status as of this answer.
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
