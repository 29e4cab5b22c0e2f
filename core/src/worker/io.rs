//! What goes into a worker and what comes out of it.
//!
//! Invariant: plain data without behaviour: a driver and a simulator exchange exactly these with the machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::SettledInPlace;
use crate::definition::{Definition, DefinitionKey, LogLevel, StepIndex};
use crate::event::{Failure, Role};
use crate::id::{Incarnation, RunId, Shards};
use crate::mutant::Mutation;
use crate::name::Name;
use crate::operation::{Ended, Group, GroupReply, HandlerSet, Operation, Reply};
use crate::payload::Payload;
use crate::store::{Fetch, Fetched, Hint, StoreError};
use crate::task::{TaskKey, TaskRow, Token};

/// How a worker is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// This start of this process; random, never configured.
    pub incarnation: Incarnation,
    /// What the host calls it.
    pub name: String,
    /// What it can execute.
    pub handlers: Arc<HandlerSet>,
    /// What children run that steps name without a version: the highest that this process declared, by name. Of others it
    /// is the highest that is stored.
    pub workflows: Arc<BTreeMap<Name, Arc<Definition>>>,
    /// What it serves.
    pub queues: Vec<QueueConfig>,
    /// How many shards the store has.
    pub shards: Shards,
    /// How long it leases tasks.
    pub lease: Duration,
    /// How long it sleeps at most.
    pub poll: Duration,
    /// How long a drain lets handlers finish.
    pub grace: Duration,
    /// Largest output, in bytes.
    pub payload_limit: usize,
    /// How many settles may be in flight at once.
    pub settles: usize,
    /// The seeded bug to run with, in a simulation that measures itself.
    pub mutation: Mutation,
}

/// One queue that a worker serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueConfig {
    /// The queue.
    pub name: Name,
    /// Concurrent attempts.
    pub slots: u32,
}

/// Names one operation or fetch in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Something that happened.
#[derive(Debug)]
pub enum Input {
    /// An operation was answered, or was not.
    Performed {
        /// Which.
        ticket: Ticket,
        /// The answer.
        result: Result<Reply, StoreError>,
    },
    /// A fetch was answered, or was not.
    Fetched {
        /// Which.
        ticket: Ticket,
        /// The answer.
        result: Result<Fetched, StoreError>,
    },
    /// A handler's future ended.
    Finished {
        /// The attempt.
        attempt: AttemptId,
        /// What it returned.
        result: Result<Returned, AttemptFailure>,
    },
    /// The outcome of a transactional attempt was settled by the driver, in the transaction of its host's writes.
    SettledInPlace(Box<SettledInPlace>),
    /// A transactional attempt was rolled back because of others, or whether it was committed is not known.
    Conflicted {
        /// The attempt.
        attempt: AttemptId,
    },
    /// A client of this process wants a group submitted.
    Submit {
        /// Comes back with the answer.
        request: u64,
        /// The group; all its runs are of one shard.
        group: Group,
    },
    /// Work may be due.
    Hint(Hint),
    /// Stop claiming; let handlers finish until the grace ends; then hand back and end.
    Drain,
}

/// What an attempt that succeeded returned.
#[derive(Debug, Clone, PartialEq)]
pub struct Returned {
    /// The output.
    pub output: Payload,
    /// The label that came with it; one that the step does not declare fails it.
    pub label: Option<String>,
}

impl From<Payload> for Returned {
    fn from(output: Payload) -> Returned {
        Returned {
            output,
            label: None,
        }
    }
}

/// What a failed attempt reports.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptFailure {
    /// The failure.
    pub failure: Failure,
    /// Its details as JSON.
    pub details: Option<Payload>,
}

/// Names one execution: a task under one claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId {
    /// The task.
    pub key: TaskKey,
    /// Its lease.
    pub token: Token,
}

/// Something to do. The driver does it and reports back by an [`Input`], where one is named.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Perform the operation; answer with [`Input::Performed`].
    Perform {
        /// Names it.
        ticket: Ticket,
        /// What to perform.
        operation: Operation,
    },
    /// Read immutable things; answer with [`Input::Fetched`].
    Fetch {
        /// Names it.
        ticket: Ticket,
        /// What to read.
        wanted: Fetch,
    },
    /// Execute a handler; answer with [`Input::Finished`]. If it is transactional, a success is answered with
    /// [`Input::SettledInPlace`] once it is settled, or with [`Input::Conflicted`].
    Execute(Box<Execution>),
    /// Fire the attempt's cancellation token. It may still finish and report.
    Stop {
        /// The attempt.
        attempt: AttemptId,
        /// Why.
        reason: StopReason,
    },
    /// Drop the attempt's future; what it would return no longer matters.
    Abort {
        /// The attempt.
        attempt: AttemptId,
    },
    /// A submitted group was answered, or could not be.
    Answer {
        /// From [`Input::Submit`].
        request: u64,
        /// The answer.
        result: Result<GroupReply, SubmitError>,
    },
    /// Write a line to the host's log.
    Log(Box<LogLine>),
    /// A run ended by an operation of this worker: whoever waits for it here may look.
    Ended(Ended),
    /// A drain is complete: nothing is in flight and nothing will follow.
    Stopped,
}

/// A line that a step of a run wants in the host's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The run.
    pub run: RunId,
    /// What it runs.
    pub definition: DefinitionKey,
    /// The step.
    pub step: Name,
    /// How loud.
    pub level: LogLevel,
    /// The line.
    pub message: String,
}

/// One attempt to execute.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// Names it.
    pub attempt: AttemptId,
    /// The task as it was claimed.
    pub task: TaskRow,
    /// The handler to run.
    pub handler: Name,
    /// The step's name.
    pub step: Name,
    /// Its input, bound.
    pub input: Payload,
    /// How long its body may take. The worker aborts it then by itself; a transactional one is aborted by the driver, which
    /// knows when it had its transaction.
    pub timeout: Option<Duration>,
    /// Whether its step shares the transaction that settles it.
    pub transactional: bool,
}

impl Execution {
    /// The run.
    pub fn run(&self) -> RunId {
        self.attempt.key.run
    }

    /// The step's position.
    pub fn index(&self) -> StepIndex {
        self.task.step
    }

    /// What is attempted: the step, or what takes its effect back.
    pub fn role(&self) -> Role {
        self.task.role()
    }

    /// The same for every attempt of the step, and for no other step: run id and step name. Taking its effect back has a
    /// key of its own.
    pub fn idempotency_key(&self) -> String {
        match self.role() {
            Role::Step => format!("{}:{}", self.run(), self.step),
            Role::Undo => format!("{}:{}:undo", self.run(), self.step),
        }
    }
}

/// Why an attempt's cancellation token fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The run is ending.
    RunEnding,
    /// The lease is about to end and could not be renewed.
    LeaseEnding,
    /// The lease is somebody else's.
    LeaseLost,
    /// The process is shutting down and its grace is over.
    Shutdown,
}

/// Why a submitted group was not answered by the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The store refuses or cannot be read; nothing was written.
    #[error("{0}")]
    Refused(String),
    /// As much as may wait is waiting for the store already; nothing was written, and trying again later is safe.
    #[error("{waiting} groups are waiting for the store already")]
    Overloaded {
        /// How many groups are waiting.
        waiting: usize,
    },
    /// The worker stopped before the outcome was known. Submitting the same group again is harmless.
    #[error("the worker stopped before the outcome was known")]
    Stopped,
}

/// What a deadline is for: makes idle wake-ups explainable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A task falls due.
    TaskDue,
    /// The poll interval ends.
    Poll,
    /// Leases are to be renewed.
    Renewal,
    /// A lease is about to end.
    LeaseEnd,
    /// A step's timeout.
    Timeout,
    /// An operation is tried again.
    Backoff,
    /// The grace of a drain ends.
    Grace,
}
