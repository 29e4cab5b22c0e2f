//! One database transaction as data: what it reads, a pure decision, what it writes.
//!
//! Invariant: performing an operation again gives the same reply and writes nothing twice, so an unknown commit is
//! always answered by performing again.

mod advance;
mod batch;
mod claim;
mod hand_over;
mod lease;
mod occurrence;
mod operator;
mod outcome;
mod poison;
mod queue;
mod read;
mod register;
mod rejection;
mod remembered;
mod reply;
mod schedule;
mod schedules;
mod settle;
mod submit;
mod words;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub use claim::Claim;
pub use lease::{Held, Leases};
pub use operator::{OperatorAction, OperatorEntry};
pub(crate) use outcome::failure_digest;
pub use outcome::{Finding, Outcome, Report, Spawn};
pub use queue::{QueueAction, QueueCommand, QueueReply, QueueRow, QueueWrite};
pub use read::{DefinitionRow, Found, QueueScan, ReadSet, RunRow, Scan, View, WorkerRow};
pub use register::{Register, Registration};
pub use rejection::{Rejection, Waiting, Wants};
pub use remembered::{Memory, Remembered};
pub use reply::{
    CancelReply, Claimed, CommandReply, DefinitionConflict, Ended, EntryReply, GroupReply,
    HeldReply, Reply, SlotReply, StartReply,
};
pub use schedule::{Declaration, ScheduleAction, ScheduleCommand, ScheduleReply};
pub use settle::Settle;
pub use submit::{
    Call, Cancel, Copy, Entry, Group, Resolve, Ruling, Signal, Start, StartDelay, Submit,
};
pub use write::{JournalRow, RunUpdate, ScheduleUpdate, TaskUpdate, Writes};

use crate::id::{Incarnation, Shard};
use crate::name::Name;

/// One database transaction. All or nothing, except that slots of a batch are independent of each other.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Declares definitions and the process that serves them.
    Register(Register),
    /// Starts and commands, in groups that are atomic inside and independent of each other.
    Submit(Submit),
    /// Takes due tasks under lease.
    Claim(Claim),
    /// Renews leases, marks bodies as begun, hands leases back.
    Lease(Leases),
    /// Reports how claimed tasks ended.
    Settle(Settle),
    /// Pauses or resumes a queue.
    Queue(QueueCommand),
    /// Creates, changes, pauses, resumes, deletes or fires a schedule.
    Schedule(Box<ScheduleCommand>),
}

/// What a decision answers.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "made once an operation and taken apart at once"
)]
pub enum Decision {
    /// Write this, commit, and reply.
    Done {
        /// What to write.
        writes: Writes,
        /// What to answer once the commit is known.
        reply: Reply,
    },
    /// Read this too, under locks, read the clock again, and decide again. At most once an operation.
    Need(ReadSet),
}

impl Operation {
    /// The shard whose rows this operation reads and writes. [`Operation::Register`] and
    /// [`Operation::Queue`] touch reference tables only.
    pub fn shard(&self) -> Shard {
        match self {
            Operation::Register(_) => Shard::default(),
            Operation::Submit(submit) => submit.shard,
            Operation::Claim(claim) => claim.shard,
            Operation::Lease(leases) => leases.shard,
            Operation::Settle(settle) => settle.shard,
            Operation::Queue(command) => command.shard(),
            Operation::Schedule(command) => command.shard,
        }
    }

    /// What to read, and lock, before deciding.
    pub fn reads(&self) -> ReadSet {
        match self {
            Operation::Register(register) => register.reads(),
            Operation::Submit(submit) => submit.reads(),
            Operation::Claim(claim) => claim.reads(),
            Operation::Lease(leases) => leases.reads(),
            Operation::Settle(settle) => settle.reads(),
            Operation::Queue(command) => command.reads(),
            Operation::Schedule(command) => command.reads(),
        }
    }

    /// Decides on what was read. Pure: the same view gives the same decision.
    ///
    /// # Panics
    /// If the view lacks something that [`Operation::reads`] or a `Need` before asked for: a broken store.
    pub fn decide(&self, view: &View) -> Decision {
        match self {
            Operation::Register(register) => register.decide(view),
            Operation::Submit(submit) => submit.decide(view),
            Operation::Claim(claim) => claim.decide(view),
            Operation::Lease(leases) => leases.decide(view),
            Operation::Settle(settle) => settle.decide(view),
            Operation::Queue(command) => command.decide(view),
            Operation::Schedule(command) => command.decide(view),
        }
    }
}

/// Handlers that a binary has, by name.
pub type HandlerSet = BTreeSet<Name>;

/// Free slots that a worker offers to an operation. They stay reserved until the operation is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Who offers.
    pub worker: Incarnation,
    /// What it can execute.
    pub handlers: Arc<HandlerSet>,
    /// Free slots per queue.
    pub queues: Vec<QueueDemand>,
    /// Free slots for engine items.
    pub engine: u32,
    /// How long a lease to take.
    pub lease: Duration,
}

/// Free slots of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDemand {
    /// The queue.
    pub queue: Name,
    /// How many tasks may be taken.
    pub slots: u32,
    /// A hand-off must be at least this urgent: the priority of what was due and not taken at the last claim.
    pub floor: Option<i16>,
}
