//! The agenda: one row for each thing somebody must do at some time.
//!
//! Invariant: everything in a row but its lease (owner, claims, marks, a later due time) follows from the fold of its run.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::change::Chore;
use crate::definition::{DefinitionKey, StepIndex};
use crate::event::{ChildEnd, Parent, Role};
use crate::id::{Incarnation, Life, RunId};
use crate::name::Name;
use crate::payload::OutputRef;
use crate::run::Seq;
use crate::schedule::{Occurrence, ScheduleId};
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

    /// The handler under which it is found while nobody holds it.
    pub fn own_handler(&self) -> &Name {
        match self.kind {
            TaskKind::Step | TaskKind::Undo => &self.brief.handler,
            TaskKind::Stopping
            | TaskKind::Wait
            | TaskKind::Deadline
            | TaskKind::Evaluate
            | TaskKind::Spawn
            | TaskKind::Collect
            | TaskKind::Recall
            | TaskKind::Delivery
            | TaskKind::Firing => &self.handler,
        }
    }

    /// What a claim on this row is there to do.
    pub fn item(&self) -> Item {
        match self.kind {
            TaskKind::Step | TaskKind::Stopping | TaskKind::Undo if self.expired => Item::Loss,
            TaskKind::Step | TaskKind::Stopping | TaskKind::Undo => Item::Attempt,
            TaskKind::Wait => Item::Wait,
            TaskKind::Deadline => Item::Deadline,
            TaskKind::Evaluate => Item::Chore(Chore::Evaluate),
            TaskKind::Spawn => Item::Chore(Chore::Spawn),
            TaskKind::Collect => Item::Chore(Chore::Collect),
            TaskKind::Recall => Item::Chore(Chore::Recall),
            TaskKind::Delivery => Item::Delivery,
            TaskKind::Firing => Item::Firing,
        }
    }

    /// What its attempt is of.
    pub fn role(&self) -> Role {
        match self.kind {
            TaskKind::Undo => Role::Undo,
            TaskKind::Step
            | TaskKind::Stopping
            | TaskKind::Wait
            | TaskKind::Deadline
            | TaskKind::Evaluate
            | TaskKind::Spawn
            | TaskKind::Collect
            | TaskKind::Recall
            | TaskKind::Delivery
            | TaskKind::Firing => Role::Step,
        }
    }
}

/// What a row stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskKind {
    /// An attempt of a handler step.
    Step,
    /// The end of a wait, or of a gate.
    Wait,
    /// The run's deadline.
    Deadline,
    /// A claimed step that was told to stop; due when its lease ends.
    Stopping,
    /// An attempt at taking a step's effect back.
    Undo,
    /// A step of the engine's own whose input is to be looked at.
    Evaluate,
    /// Children to start.
    Spawn,
    /// Results of children to put together.
    Collect,
    /// Children to tell that they are cancelled.
    Recall,
    /// The end of a run, to be reported to its parent or its schedule. The fold cannot tell whether that has been done.
    Delivery,
    /// The next occurrence of a schedule.
    Firing,
}

impl TaskKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [TaskKind; 11] = [
        TaskKind::Step,
        TaskKind::Wait,
        TaskKind::Deadline,
        TaskKind::Stopping,
        TaskKind::Undo,
        TaskKind::Evaluate,
        TaskKind::Spawn,
        TaskKind::Collect,
        TaskKind::Recall,
        TaskKind::Delivery,
        TaskKind::Firing,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// Execute a handler.
    Attempt,
    /// Record that the attempt before was lost.
    Loss,
    /// End a wait, or close a gate.
    Wait,
    /// Let the run's deadline pass.
    Deadline,
    /// Do something of the engine's own about a step.
    Chore(Chore),
    /// Report the run's end to its parent or its schedule.
    Delivery,
    /// Start what a schedule is due to start.
    Firing,
}

/// Handlers under which engine items are found.
pub mod engine {
    /// The end of a wait.
    pub const WAIT: &str = "$wait";
    /// A run's deadline.
    pub const DEADLINE: &str = "$deadline";
    /// A claimed step that was told to stop.
    pub const ENDING: &str = "$ending";
    /// Something of the engine's own about a step.
    pub const CHORE: &str = "$chore";
    /// The end of a run, for its parent or its schedule.
    pub const DELIVERY: &str = "$delivery";
    /// The next occurrence of a schedule.
    pub const FIRING: &str = "$firing";
    /// All of them: every worker serves these.
    pub const ALL: [&str; 6] = [CHORE, DEADLINE, DELIVERY, ENDING, FIRING, WAIT];
}

/// What an attempt needs to know beyond its row, so that claiming never reads a run. What two steps of one run are likely
/// to have in common is at the end, as in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// For each source of the step's input binding, in order: where its bytes live. `None` for a constant, and for the
    /// output of a wait, which is null.
    pub sources: Vec<Option<OutputRef>>,
    /// What else an engine item needs to know.
    pub work: Work,
    /// How long one attempt may take.
    #[serde(with = "micros_option")]
    pub timeout: Option<Duration>,
    /// The step's handler, whatever the row is found under; of an engine item, the row's own.
    pub handler: Name,
    /// The definition the run is pinned to.
    pub definition: DefinitionKey,
    /// W3C trace context of the run's starter.
    pub trace: Option<String>,
    /// The occurrence of a schedule that the run is of.
    pub occurrence: Option<Box<Occurrence>>,
}

/// What an engine item needs to know beyond its sources.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Work {
    /// Nothing.
    #[default]
    Plain,
    /// The children to start.
    Spawn {
        /// The first of them.
        from: u32,
        /// How many runs are above them.
        depth: u16,
    },
    /// The children whose results are put together.
    Collect {
        /// How many there are.
        count: u32,
        /// The journal row after which they arrived.
        after: Seq,
        /// The journal row by which they all had.
        upto: Seq,
    },
    /// The children to tell that they are cancelled.
    Recall {
        /// The first of them.
        from: u32,
        /// The one after the last of them.
        upto: u32,
    },
    /// The end to report.
    Deliver {
        /// To whom.
        parent: Parent,
        /// How the run ended.
        end: ChildEnd,
        /// The code it failed with.
        code: Option<String>,
    },
    /// The children, started by a handler, to tell that they are cancelled.
    RecallCalled {
        /// The number of the first of them.
        from: u32,
        /// All of them.
        runs: Vec<RunId>,
    },
    /// The trigger by which a schedule starts its next run; the workflow is in the brief's definition.
    Fire {
        /// The trigger.
        trigger: Name,
    },
    /// The schedule that waits for the end of the run.
    Release {
        /// Which.
        schedule: ScheduleId,
    },
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

/// A row for tests.
#[cfg(test)]
pub(crate) mod sample {
    use super::*;

    /// The first step of a run of `order`, free and due when time begins.
    pub(crate) fn first_step(run: RunId, queue: &str) -> TaskRow {
        TaskRow {
            key: TaskKey { run, lane: Lane(0) },
            life: Life(1),
            kind: TaskKind::Step,
            step: StepIndex(0),
            queue: Name::stored(queue),
            priority: 0,
            handler: Name::stored("work"),
            due_at: Timestamp::from_micros(0),
            attempt: 1,
            fence: Fence {
                seq: Seq(1),
                claims: 0,
            },
            owner: None,
            begun: false,
            expired: false,
            hand_offs: 0,
            format: TASK_FORMAT,
            renew_until: None,
            brief: Brief {
                definition: DefinitionKey {
                    name: Name::stored("order"),
                    version: 1,
                },
                handler: Name::stored("work"),
                timeout: None,
                sources: Vec::new(),
                trace: None,
                occurrence: None,
                work: Work::Plain,
            },
        }
    }
}
