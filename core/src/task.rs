//! The agenda: one row for each thing somebody must do at some time.
//!
//! Invariant: everything in a row but its lease (owner, claims, marks, a later due time) follows from the fold of its run.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::definition::{DefinitionKey, StepIndex};
use crate::id::{Incarnation, Life, RunId};
use crate::name::Name;
use crate::payload::OutputRef;
use crate::run::Seq;
use crate::time::{Timestamp, micros_option};

/// Position of a task among the tasks of its run: the lowest free one, so that a chain re-uses its row.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Lane(pub u16);

impl Lane {
    /// As an index into a slice of lanes.
    pub const fn at(self) -> usize {
        self.0 as usize
    }
}

/// Names one agenda row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskKey {
    /// The run.
    pub run: RunId,
    /// The lane.
    pub lane: Lane,
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.run, self.lane.0)
    }
}

/// Which claim of which scheduling. Strictly grows over the life of a step, and never restarts when a row is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// The transition that scheduled the task.
    pub seq: Seq,
    /// Claims since then.
    pub claims: u32,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.seq.0, self.claims)
    }
}

/// Proof of a lease: whoever shows it holds the task, if the row still says the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Token {
    /// The run's life.
    pub life: Life,
    /// The claim.
    pub fence: Fence,
    /// The process that claimed.
    pub owner: Incarnation,
}

/// One agenda row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// Its key.
    pub key: TaskKey,
    /// The run's life.
    pub life: Life,
    /// What is to be done.
    pub kind: TaskKind,
    /// The step it concerns (of no meaning for a deadline).
    pub step: StepIndex,
    /// The queue it is found under. An owned row may keep the queue, handler and due time it had when it was claimed.
    pub queue: Name,
    /// Lower is more urgent.
    pub priority: i16,
    /// The handler it is found under; an engine item has one that begins with `$`.
    pub handler: Name,
    /// When somebody may act on it; of a claimed row, the end of the lease.
    pub due_at: Timestamp,
    /// Which attempt the next or current execution is, from 1.
    pub attempt: u32,
    /// The claim.
    pub fence: Fence,
    /// Who holds it.
    pub owner: Option<Incarnation>,
    /// The body may have begun: set before it does, for steps that must not be repeated blindly.
    pub begun: bool,
    /// Its lease ended under an owner: the claim on it is there to record the loss.
    pub expired: bool,
    /// How many hand-offs led here without a turn in the queue.
    pub hand_offs: u32,
    /// A worker claims only formats that it reads.
    pub format: u16,
    /// Renewals do not reach beyond it.
    pub renew_until: Option<Timestamp>,
    /// What an attempt needs to know.
    pub brief: Brief,
}

/// The task format that this engine writes and reads.
pub const TASK_FORMAT: u16 = 1;

impl TaskRow {
    /// The token of the current owner, if there is one.
    pub fn token(&self) -> Option<Token> {
        self.owner.map(|owner| Token {
            life: self.life,
            fence: self.fence,
            owner,
        })
    }

    /// Whether `token` is the current lease of this row.
    pub fn is_held_by(&self, token: &Token) -> bool {
        self.token().as_ref() == Some(token)
    }

    /// What a claim on this row is there to do.
    pub fn item(&self) -> Item {
        match self.kind {
            TaskKind::Step | TaskKind::Stopping if self.expired => Item::Loss,
            TaskKind::Step | TaskKind::Stopping => Item::Attempt,
            TaskKind::Wait => Item::Wait,
            TaskKind::Deadline => Item::Deadline,
        }
    }
}

/// What a row stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskKind {
    /// An attempt of a handler step.
    Step,
    /// The end of a wait.
    Wait,
    /// The run's deadline.
    Deadline,
    /// A claimed step that was told to stop; due when its lease ends.
    Stopping,
}

impl TaskKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [TaskKind; 4] = [
        TaskKind::Step,
        TaskKind::Wait,
        TaskKind::Deadline,
        TaskKind::Stopping,
    ];

    /// The number stores keep.
    pub const fn as_i16(self) -> i16 {
        self as i16
    }

    /// Takes a stored number back.
    pub fn from_i16(number: i16) -> Option<TaskKind> {
        TaskKind::ALL
            .into_iter()
            .find(|kind| kind.as_i16() == number)
    }
}

/// What a claim is there to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Item {
    /// Execute the step's handler.
    Attempt,
    /// Record that the attempt before was lost.
    Loss,
    /// End a wait.
    Wait,
    /// Let the run's deadline pass.
    Deadline,
}

/// Handlers under which engine items are found.
pub mod engine {
    /// The end of a wait.
    pub const WAIT: &str = "$wait";
    /// A run's deadline.
    pub const DEADLINE: &str = "$deadline";
    /// A claimed step that was told to stop.
    pub const ENDING: &str = "$ending";
    /// All of them: every worker serves these.
    pub const ALL: [&str; 3] = [DEADLINE, ENDING, WAIT];
}

/// What an attempt needs to know beyond its row, so that claiming never reads a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// The definition the run is pinned to.
    pub definition: DefinitionKey,
    /// The step's handler, whatever the row is found under; of an engine item, the row's own.
    pub handler: Name,
    /// How long one attempt may take.
    #[serde(with = "micros_option")]
    pub timeout: Option<Duration>,
    /// For each source of the step's input binding, in order: where its bytes live. `None` for a constant, and for the
    /// output of a wait, which is null.
    pub sources: Vec<Option<OutputRef>>,
    /// W3C trace context of the run's starter.
    pub trace: Option<String>,
}

impl Brief {
    /// The bytes stores keep.
    pub fn encode(&self) -> Vec<u8> {
        crate::transition::encode(1, self)
    }

    /// Takes the stored bytes back.
    ///
    /// # Errors
    /// If they are of a newer format, or nothing an engine wrote.
    pub fn decode(bytes: &[u8]) -> Result<Brief, crate::transition::DecodeError> {
        crate::transition::decode(1, bytes)
    }
}
