//! What a decision changes in a run: the only vocabulary that the fold understands.
//!
//! Invariant: a durable format, like `event`. A journal row holds every change decided because of its event, so folding
//! a journal never decides anything again.

use serde::{Deserialize, Serialize};

use crate::definition::{LabelIndex, StepIndex};
use crate::event::{Role, code};
use crate::id::{CommandId, RunId};
use crate::name::Name;
use crate::payload::{OutputRef, PayloadDigest};
use crate::run::Seq;
use crate::schedule::Occurrence;
use crate::task::{Fence, Lane};
use crate::time::Timestamp;

/// One change of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// An attempt may be claimed from `due` on. Takes the lane.
    Schedule {
        /// The step.
        step: StepIndex,
        /// What is to be attempted.
        role: Role,
        /// Where its task lives.
        lane: Lane,
        /// When it may be claimed.
        due: Timestamp,
    },
    /// The engine is to do something of its own about a step from `due` on. Takes the lane.
    Engage {
        /// The step.
        step: StepIndex,
        /// What.
        chore: Chore,
        /// Where its task lives.
        lane: Lane,
        /// When.
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
    /// A gate was reached and is open.
    Open {
        /// The gate.
        step: StepIndex,
        /// Who can end it.
        gate: Gate,
        /// Where the task lives that closes it, and when it does. Takes the lane.
        deadline: Option<(Lane, Timestamp)>,
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
        /// What was attempted.
        role: Role,
        /// The claim under which the attempt ran.
        fence: Fence,
        /// Tells this outcome from any other.
        digest: PayloadDigest,
    },
    /// An attempt was lost.
    Lose {
        /// The step.
        step: StepIndex,
        /// What was attempted.
        role: Role,
    },
    /// An attempt's transaction met a conflict.
    Conflict {
        /// The step.
        step: StepIndex,
        /// The claim under which the attempt ran.
        fence: Fence,
        /// Tells a conflict from any other outcome.
        digest: PayloadDigest,
    },
    /// Whether an attempt had its effect is unknown; the step waits for somebody to say. Frees its lane.
    Hold {
        /// The step.
        step: StepIndex,
        /// Claims of this scheduling before this one can still report what came of them.
        fence: Fence,
    },
    /// A claimed step is told to stop; it keeps its lane until it has reported or its lease has ended.
    Stop {
        /// The step.
        step: StepIndex,
    },
    /// A step returned a label.
    Label {
        /// The step.
        step: StepIndex,
        /// The label.
        label: LabelIndex,
    },
    /// Where a step's output lives, where that is not its last report.
    Place {
        /// The step.
        step: StepIndex,
        /// Where.
        place: OutputRef,
    },
    /// A step has ended for good. Frees its lane, if it has one.
    Settle {
        /// The step.
        step: StepIndex,
        /// How.
        end: StepEnd,
    },
    /// A step has failed for good. Frees its lane, if it has one.
    Fail {
        /// The step.
        step: StepIndex,
        /// The failure's code.
        code: String,
        /// Where the failure lives.
        place: OutputRef,
    },
    /// A step is to have that many children.
    Fan {
        /// The step.
        step: StepIndex,
        /// How many.
        count: u32,
    },
    /// A step's children up to here exist.
    Spawn {
        /// The step.
        step: StepIndex,
        /// The one after the last.
        upto: u32,
    },
    /// A step's children are out, and nothing is to be done about them for now. Frees its lane.
    Rest {
        /// The step.
        step: StepIndex,
    },
    /// A step's children up to here were told to cancel.
    Recall {
        /// The step.
        step: StepIndex,
        /// The one after the last.
        upto: u32,
    },
    /// A child has ended.
    Arrive {
        /// The step.
        step: StepIndex,
        /// Which.
        child: u32,
    },
    /// What a step with children fails with, once they have ended.
    Spoil {
        /// The step.
        step: StepIndex,
        /// Its code.
        code: String,
        /// Where the failure lives.
        place: OutputRef,
    },
    /// A signal came that no step waits for yet.
    Keep {
        /// Its name.
        signal: Name,
        /// Digest of what it carries.
        payload: PayloadDigest,
    },
    /// A kept signal has found its step.
    Take {
        /// The journal row that brought it.
        seq: Seq,
    },
    /// A command has had its effect; the same one again has none.
    Obey {
        /// The command.
        command: CommandId,
    },
    /// What a step did has been taken back, or will not be.
    Undone {
        /// The step.
        step: StepIndex,
        /// Whether it was.
        done: bool,
    },
    /// A copy takes over how a step of its source ended.
    Inherit {
        /// The step.
        step: StepIndex,
        /// The code it failed with; it succeeded if there is none.
        code: Option<String>,
        /// The label it returned.
        label: Option<LabelIndex>,
        /// Where its output or failure lives.
        place: Option<OutputRef>,
    },
    /// The run begins to end: nothing further is scheduled but what takes effects back or tells children.
    Wind {
        /// What it is heading for.
        heading: Heading,
    },
    /// The run has ended.
    Finish,
    /// The end of the run is to be reported to its parent, or to its schedule. Takes the lane.
    Deliver {
        /// Where the task lives.
        lane: Lane,
        /// From when on.
        due: Timestamp,
    },
    /// A step has one more child, which exists: the next number is its.
    Adopt {
        /// The step.
        step: StepIndex,
        /// The child.
        run: RunId,
    },
    /// The run is of an occurrence of a schedule.
    Belong {
        /// Which.
        occurrence: Box<Occurrence>,
    },
}

/// Who can end a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gate {
    /// A person, by a decision.
    Person,
    /// Whoever sends the signal.
    Signal,
}

/// What the engine does about a step by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chore {
    /// Looks at its input: a route, a wait until an instant, a log line, how many children. Or opens a gate that a delayed
    /// start made due later.
    Evaluate,
    /// Starts children.
    Spawn,
    /// Puts the results of its children together.
    Collect,
    /// Tells its children to cancel.
    Recall,
}

/// How a step ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepEnd {
    /// With an output (none for a wait).
    Succeeded,
    /// Without one of its own: the run was ending.
    Cancelled,
    /// Without having been reached: what it waits for went another way.
    Skipped,
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
    DeadlineExceeded {
        /// Where the failure lives.
        place: OutputRef,
    },
    /// Every step has ended, and none of those that the result could be taken from succeeded.
    NoResult,
}

impl Cause {
    /// The stable code of the failure.
    pub fn code(&self) -> &str {
        match self {
            Cause::Step { code, .. } => code,
            Cause::DeadlineExceeded { .. } => code::DEADLINE_EXCEEDED,
            Cause::NoResult => code::NO_RESULT,
        }
    }
}
