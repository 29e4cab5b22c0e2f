//! Refusals: what was asked for does not fit, and nothing was written.
//!
//! Invariant: each has a stable code, listed in `docs/ERRORS.md`.

use serde::{Deserialize, Serialize};

use crate::definition::DefinitionKey;
use crate::id::RunId;
use crate::name::Name;
use crate::run::Status;
use crate::time::Timestamp;

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
    /// The run is ending already: it takes no decision, no signal and, unless it was cancelled, no cancel.
    #[error("run {run} is {status}, and takes this no more")]
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
    /// The run was cancelled before, with another word on taking back what it did.
    #[error("run {run} was cancelled before, {} what it did", if *undo { "taking back" } else { "leaving" })]
    OtherCancel {
        /// The run.
        run: RunId,
        /// What the first cancel said.
        undo: bool,
    },
    /// Nothing in the run waits for that.
    #[error("run {run} does not wait for that; {}", waiting(.waits))]
    NotWaiting {
        /// The run.
        run: RunId,
        /// What it does wait for.
        waits: Vec<Waiting>,
    },
    /// Several steps wait for that: say which.
    #[error("run {run} waits at several steps, name one: {}", waiting(.waits))]
    AmbiguousGate {
        /// The run.
        run: RunId,
        /// The steps.
        waits: Vec<Waiting>,
    },
    /// The definition has no step of this name.
    #[error("run {run} has no step {step:?}")]
    UnknownStep {
        /// The run.
        run: RunId,
        /// The name asked for.
        step: String,
    },
    /// Somebody is at work on the step.
    #[error("a worker holds step {step:?} of run {run}")]
    Held {
        /// The run.
        run: RunId,
        /// The step.
        step: Name,
    },
    /// There is no schedule that is called so.
    #[error("there is no schedule {schedule:?}")]
    UnknownSchedule {
        /// What was asked for.
        schedule: String,
    },
    /// There is a schedule that is called so, with another content.
    #[error("there is a schedule {schedule:?} already, with another plan, target or input")]
    ScheduleExists {
        /// What it is called.
        schedule: String,
    },
    /// The schedule is declared by its workflow: another version of that changes or retires it.
    #[error("schedule {schedule:?} is declared by its workflow; change it there, or pause it")]
    DeclaredSchedule {
        /// What it is called.
        schedule: String,
    },
    /// The schedule cannot start a run as it is.
    #[error("schedule {schedule:?} cannot start a run: {problem}")]
    UnfitSchedule {
        /// What it is called.
        schedule: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The schedule's row cannot be read: corrupt, or written by a newer engine.
    #[error("schedule {schedule:?} cannot be read: {detail}")]
    UnreadableSchedule {
        /// What it is called.
        schedule: String,
        /// What is wrong.
        detail: String,
    },
    /// The instant is not an occurrence of the schedule.
    #[error("{at} is no occurrence of schedule {schedule:?}")]
    NoOccurrence {
        /// What it is called.
        schedule: String,
        /// The instant.
        at: Timestamp,
    },
    /// The occurrence has not come yet, by the database's clock.
    #[error("occurrence {occurrence} of schedule {schedule:?} is not due at {now}")]
    OccurrenceNotDue {
        /// What it is called.
        schedule: String,
        /// The occurrence.
        occurrence: Timestamp,
        /// The database's clock.
        now: Timestamp,
    },
    /// A decision lacks something, or has something malformed.
    #[error("{what} is {problem}")]
    InvalidCommand {
        /// Which part.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No step of the run's definition waits for a signal of this name.
    #[error("no step of run {run} waits for signal {signal:?}")]
    UnknownSignal {
        /// The run.
        run: RunId,
        /// The signal.
        signal: Name,
    },
    /// As many signals as may be kept are waiting for their steps already.
    #[error("run {run} keeps {limit} signals that no step has waited for yet")]
    SignalBufferFull {
        /// The run.
        run: RunId,
        /// How many may be kept.
        limit: u32,
    },
    /// Only a run that has ended can be copied.
    #[error("run {run} is {status}, and only a run that has ended can be copied")]
    NotFinished {
        /// The run.
        run: RunId,
        /// Its status.
        status: Status,
    },
    /// A copy would repeat what must not be repeated unasked.
    #[error("a copy of run {run} would repeat {}", steps.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(", "))]
    UnsafeReplay {
        /// The run.
        run: RunId,
        /// Steps that are irreversible or not compensatable and succeeded, or whose outcome is unknown.
        steps: Vec<Name>,
    },
    /// A copy of another run than its command says, or with another input.
    #[error("the copy does not fit run {run}: {detail}")]
    InvalidCopy {
        /// The source.
        run: RunId,
        /// What does not fit.
        detail: String,
    },
    /// The queue is the engine's own, and is never paused.
    #[error("queue {queue} is the engine's own and cannot be paused")]
    ReservedQueue {
        /// The queue.
        queue: Name,
    },
    /// An entry addresses a run of another shard than its operation.
    #[error("run {run} is in another shard than its batch")]
    CrossShardBatch {
        /// The run.
        run: RunId,
    },
}

macro_rules! codes {
    ($($rejection:ident = $text:literal,)*) => {
        impl Rejection {
            /// Every stable code.
            pub const CODES: &[&str] = &[$($text,)*];

            /// The stable code.
            pub fn code(&self) -> &'static str {
                match self {
                    $(Rejection::$rejection { .. } => $text,)*
                }
            }
        }
    };
}

codes! {
    UnknownWorkflow = "unknown_workflow",
    UnknownRun = "unknown_run",
    KeyConflict = "key_conflict",
    Finished = "finished",
    Winding = "winding",
    Stale = "stale",
    OtherOutcome = "other_outcome",
    NotDue = "not_due",
    Unreadable = "unreadable",
    LimitExceeded = "limit_exceeded",
    OtherCancel = "other_cancel",
    NotWaiting = "not_waiting",
    AmbiguousGate = "ambiguous_gate",
    UnknownStep = "unknown_step",
    Held = "held",
    InvalidCommand = "invalid_command",
    UnknownSignal = "unknown_signal",
    SignalBufferFull = "signal_buffer_full",
    NotFinished = "not_finished",
    UnsafeReplay = "unsafe_replay",
    InvalidCopy = "invalid_copy",
    ReservedQueue = "reserved_queue",
    CrossShardBatch = "cross_shard_batch",
    UnknownSchedule = "unknown_schedule",
    ScheduleExists = "schedule_exists",
    DeclaredSchedule = "declared_schedule",
    UnfitSchedule = "unfit_schedule",
    UnreadableSchedule = "unreadable_schedule",
    NoOccurrence = "no_occurrence",
    OccurrenceNotDue = "occurrence_not_due",
}

/// A step that waits for somebody outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The step.
    pub step: Name,
    /// For what.
    pub wants: Wants,
}

/// What a step can wait for from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wants {
    /// Somebody to resume the run.
    Resume,
    /// Somebody to approve or reject.
    Approval,
    /// A signal.
    Signal,
    /// Somebody to say what came of an attempt.
    Outcome,
    /// Its undo to be done, or skipped.
    Undo,
}

impl Wants {
    /// As text, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Wants::Resume => "resume",
            Wants::Approval => "approval",
            Wants::Signal => "signal",
            Wants::Outcome => "outcome",
            Wants::Undo => "undo",
        }
    }
}

fn waiting(waits: &[Waiting]) -> String {
    if waits.is_empty() {
        return "it waits for nobody".to_owned();
    }
    let one = |waiting: &Waiting| {
        format!(
            "step {:?} waits for {}",
            waiting.step,
            waiting.wants.as_str()
        )
    };
    waits.iter().map(one).collect::<Vec<_>>().join(", ")
}
