//! What a decision changes in a run: the only vocabulary that the fold understands.
//!
//! Invariant: a durable format, like `event`. A journal row holds every change decided because of its event, so folding
//! a journal never decides anything again.

use serde::{Deserialize, Serialize};

use crate::definition::StepIndex;
use crate::payload::PayloadDigest;
use crate::task::{Fence, Lane};
use crate::time::Timestamp;

/// One change of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A handler step may be claimed from `due` on. Takes the lane.
    Schedule {
        /// The step.
        step: StepIndex,
        /// Where its task lives.
        lane: Lane,
        /// When it may be claimed.
        due: Timestamp,
    },
    /// A wait was reached and ends at `due`. Takes the lane.
    Await {
        /// The wait.
        step: StepIndex,
        /// Where its task lives.
        lane: Lane,
        /// When it ends.
        due: Timestamp,
    },
    /// The run's deadline has a task. Takes the lane.
    ArmDeadline {
        /// Where the task lives.
        lane: Lane,
        /// When the run must have ended.
        due: Timestamp,
    },
    /// The run's deadline no longer matters. Frees its lane.
    DisarmDeadline,
    /// An attempt was executed and reported this.
    Report {
        /// The step.
        step: StepIndex,
        /// The claim under which the attempt ran.
        fence: Fence,
        /// Tells this outcome from any other.
        digest: PayloadDigest,
    },
    /// An attempt was lost.
    Lose {
        /// The step.
        step: StepIndex,
    },
    /// A claimed step is told to stop; it keeps its lane until it has reported or its lease has ended.
    Stop {
        /// The step.
        step: StepIndex,
    },
    /// A step has ended for good. Frees its lane, if it has one.
    Settle {
        /// The step.
        step: StepIndex,
        /// How.
        end: StepEnd,
    },
    /// The run begins to end: nothing further is scheduled.
    Wind {
        /// What it is heading for.
        heading: Heading,
    },
    /// The run has ended.
    Finish,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepEnd {
    /// With an output (none for a wait).
    Succeeded,
    /// For good, with a failure.
    Failed,
    /// Without one of its own: the run was ending.
    Cancelled,
}

/// What a winding run is heading for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Heading {
    /// `completed`.
    Completed,
    /// `failed`.
    Failed(Cause),
    /// `cancelled`.
    Cancelled,
}

/// Why a run fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A step failed for good with this code.
    Step {
        /// The step.
        step: StepIndex,
        /// The failure's code; its message is in the journal.
        code: String,
    },
    /// The run's deadline came.
    DeadlineExceeded,
}
