//! One step of a run, as the journal tells it.
//!
//! Invariant: a step holds a lane if and only if its stage, or that of its undo, is armed.

use serde::{Deserialize, Serialize};

use super::{Fan, Seq};
use crate::definition::LabelIndex;
use crate::event::Role;
use crate::payload::{OutputRef, PayloadDigest};
use crate::task::{Fence, Lane};
use crate::time::Timestamp;

/// A lane that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    /// The lane.
    pub lane: Lane,
    /// When it is due.
    pub due: Timestamp,
    /// The transition that scheduled it.
    pub seq: Seq,
}

/// One step as the journal tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StepState {
    /// Where it stands.
    pub stage: Stage,
    /// Its attempts.
    pub tries: Tries,
    /// The transition that ended it; 0 while none has.
    pub settled: Seq,
    /// Where its output or failure lives, where that is not its last report.
    pub place: Option<OutputRef>,
    /// The code it failed with.
    pub code: Option<String>,
    /// The label it returned.
    pub label: Option<LabelIndex>,
    /// Whether an attempt had its effect is not known, or was not when the step ended.
    pub doubtful: bool,
    /// Its children, of a step that has some.
    pub fan: Option<Box<Fan>>,
    /// How far taking its effect back has come.
    pub undo: Option<Box<UndoState>>,
}

/// Attempts of a step, or of its undo.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tries {
    /// Attempts that reported.
    pub executed: u32,
    /// Attempts that were lost.
    pub lost: u32,
    /// Attempts that the database undid.
    pub conflicts: u32,
    /// The last report.
    pub reported: Option<Reported>,
}

impl Tries {
    /// The attempt that is next, or under way.
    pub fn attempt(&self) -> u32 {
        self.executed + self.lost + self.conflicts + 1
    }
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Stage {
    /// Something it waits for is not there yet.
    #[default]
    Blocked,
    /// It has a task: to be claimed from its due time on, or claimed.
    Scheduled(Armed),
    /// The engine is to look at its input.
    Evaluating(Armed),
    /// A wait that was reached.
    Waiting(Armed),
    /// A gate that was reached, and waits for a person since that transition.
    Open {
        /// The transition that reached it.
        since: Seq,
        /// When it closes by itself.
        deadline: Option<Armed>,
    },
    /// A gate that was reached, and waits for a signal since that transition.
    Listening {
        /// The transition that reached it.
        since: Seq,
        /// When it closes by itself.
        deadline: Option<Armed>,
    },
    /// Whether an attempt had its effect is unknown.
    Held {
        /// The transition that found out.
        since: Seq,
        /// Claims of the same scheduling before this one can still report.
        fence: Fence,
    },
    /// Children are to be started.
    Spawning(Armed),
    /// Its children are out.
    Resting,
    /// The results of its children are to be put together.
    Collecting(Armed),
    /// Its children are to be told to cancel.
    Recalling(Armed),
    /// It was claimed when the run began to end, and was told to stop.
    Stopping(Armed),
    /// It ended with an output (none for a wait).
    Succeeded,
    /// It ended for good, with a failure.
    Failed,
    /// It was ended with the run.
    Cancelled,
    /// It was not reached: what it waits for went another way.
    Skipped,
}

impl Stage {
    /// Whether it has ended for good.
    pub fn is_settled(self) -> bool {
        match self {
            Stage::Succeeded | Stage::Failed | Stage::Cancelled | Stage::Skipped => true,
            Stage::Blocked
            | Stage::Scheduled(_)
            | Stage::Evaluating(_)
            | Stage::Waiting(_)
            | Stage::Open { .. }
            | Stage::Listening { .. }
            | Stage::Held { .. }
            | Stage::Spawning(_)
            | Stage::Resting
            | Stage::Collecting(_)
            | Stage::Recalling(_)
            | Stage::Stopping(_) => false,
        }
    }

    /// The lane it holds, if it does.
    pub fn armed(self) -> Option<Armed> {
        match self {
            Stage::Scheduled(armed)
            | Stage::Evaluating(armed)
            | Stage::Waiting(armed)
            | Stage::Spawning(armed)
            | Stage::Collecting(armed)
            | Stage::Recalling(armed)
            | Stage::Stopping(armed) => Some(armed),
            Stage::Open { deadline, .. } | Stage::Listening { deadline, .. } => deadline,
            Stage::Blocked
            | Stage::Held { .. }
            | Stage::Resting
            | Stage::Succeeded
            | Stage::Failed
            | Stage::Cancelled
            | Stage::Skipped => None,
        }
    }
}

/// How far taking a step's effect back has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoState {
    /// Where it stands.
    pub stage: UndoStage,
    /// Its attempts.
    pub tries: Tries,
}

/// Where the undo of a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UndoStage {
    /// It has a task.
    Scheduled(Armed),
    /// The effect was taken back.
    Done,
    /// It failed for good.
    Failed,
}

/// The last report of a step, or of its undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The claim under which it ran.
    pub fence: Fence,
    /// The journal row that recorded it; holds the output.
    pub seq: Seq,
    /// Tells the outcome from any other; of a success, the output's digest.
    pub digest: PayloadDigest,
}

impl StepState {
    /// Where the output lives, of a step that succeeded with one.
    pub fn output(&self) -> Option<OutputRef> {
        if self.stage != Stage::Succeeded {
            return None;
        }
        let reported = |reported: Reported| OutputRef::here(reported.seq, reported.digest);
        self.place.or(self.tries.reported.map(reported))
    }

    /// Where the failure lives, of a step that failed for good.
    pub fn failure(&self) -> Option<OutputRef> {
        self.place.filter(|_| self.stage == Stage::Failed)
    }

    /// The attempts in one role.
    pub fn tries(&self, role: Role) -> Option<&Tries> {
        match role {
            Role::Step => Some(&self.tries),
            Role::Undo => self.undo.as_ref().map(|undo| &undo.tries),
        }
    }

    /// The task of its undo, while that has one.
    pub fn undoing(&self) -> Option<Armed> {
        match self.undo.as_ref()?.stage {
            UndoStage::Scheduled(armed) => Some(armed),
            UndoStage::Done | UndoStage::Failed => None,
        }
    }

    /// Every lane it holds.
    pub fn armed(&self) -> impl Iterator<Item = Armed> {
        self.stage.armed().into_iter().chain(self.undoing())
    }

    /// Whether children of it are out.
    pub fn has_children_out(&self) -> bool {
        self.fan.as_ref().is_some_and(|fan| fan.active() > 0)
    }
}
