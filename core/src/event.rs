//! Facts from outside, as they are written into a run's journal.
//!
//! Invariant: a durable format. Variants and fields are only ever appended as new variants; a released one never changes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::definition::{DefinitionDigest, DefinitionKey, LabelIndex, StepIndex};
use crate::id::{CommandId, Life, RunId};
use crate::limits;
use crate::name::Name;
use crate::payload::PayloadDigest;
use crate::task::Fence;
use crate::time::{Timestamp, micros_option};

pub mod code;
mod summary;

/// One fact from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The run was started. The row's payload is its input, defaults filled in.
    Started(Box<Started>),
    /// An attempt reported success. The row's payload is the output.
    Succeeded {
        /// The step.
        step: StepIndex,
        /// What was attempted.
        role: Role,
        /// The claim under which the attempt ran.
        fence: Fence,
        /// Digest of the output.
        output: PayloadDigest,
        /// The label that came with the output.
        label: Option<LabelIndex>,
    },
    /// An attempt reported failure. The row's payload is the failure as JSON, details included.
    Failed {
        /// The step.
        step: StepIndex,
        /// What was attempted.
        role: Role,
        /// The claim under which the attempt ran.
        fence: Fence,
        /// What the attempt said.
        failure: Failure,
        /// Digest of the row's payload.
        payload: PayloadDigest,
    },
    /// The lease of an attempt ended without a report. The row's payload is what its step fails with, should it.
    Lost {
        /// The step.
        step: StepIndex,
        /// What was attempted.
        role: Role,
        /// The claim that recorded the loss.
        fence: Fence,
        /// Whether the body may have begun, as far as that is recorded.
        begun: bool,
        /// Digest of the row's payload.
        payload: PayloadDigest,
    },
    /// The database undid what an attempt had done in its transaction, because of somebody else. The row's payload is
    /// what its step fails with, should it.
    Conflicted {
        /// The step.
        step: StepIndex,
        /// The claim under which the attempt ran.
        fence: Fence,
        /// Digest of the row's payload.
        payload: PayloadDigest,
    },
    /// The engine evaluated a step of its own.
    Evaluated {
        /// The step.
        step: StepIndex,
        /// What came of it.
        found: Found,
    },
    /// The time a wait was waiting for, or until which a gate was open, has come. A gate's row has what its step ends
    /// with as its payload.
    Due {
        /// The wait or gate.
        step: StepIndex,
        /// Digest of the row's payload, if it has one.
        payload: Option<PayloadDigest>,
    },
    /// The run's deadline has come. The row's payload is what the run fails with.
    DeadlineReached {
        /// Digest of the row's payload.
        payload: PayloadDigest,
    },
    /// Somebody asked to cancel the run.
    CancelRequested(Box<CancelRequested>),
    /// Somebody decided about a step. The row's payload is what its step ends with, if it does.
    Resolved(Box<Resolved>),
    /// A signal came. The row's payload is what it carries.
    Signalled(Box<Signalled>),
    /// Children of a step were started, in the same transaction.
    Spawned {
        /// The step.
        step: StepIndex,
        /// The first of them.
        from: u32,
        /// The one after the last of them.
        upto: u32,
        /// Digest of the row's payload, the child's id, of a child that goes its own way.
        payload: Option<PayloadDigest>,
    },
    /// Children of a step were told to cancel, in the same transaction.
    Recalled {
        /// The step.
        step: StepIndex,
        /// The one after the last of those that were told.
        upto: u32,
    },
    /// A child ended. The row's payload is its result or its failure as JSON.
    ChildEnded {
        /// The step that started it.
        step: StepIndex,
        /// Which of the step's children.
        child: u32,
        /// How.
        end: ChildEnd,
        /// Digest of the row's payload.
        payload: PayloadDigest,
    },
    /// The results of a step's children were put together. The row's payload is the array of them.
    Collected {
        /// The step.
        step: StepIndex,
        /// Digest of the row's payload.
        output: PayloadDigest,
    },
    /// A step's handler started another run, in the same transaction.
    Called {
        /// The step.
        step: StepIndex,
        /// The claim under which the attempt runs that started it.
        fence: Fence,
        /// The run.
        run: RunId,
        /// It goes its own way: its end is not reported back.
        detached: bool,
    },
}

/// What an attempt is of: a step has a handler, and may have another that takes its effect back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum Role {
    /// Of the step itself.
    #[default]
    Step,
    /// Of what takes its effect back.
    Undo,
}

/// What the engine found when it evaluated a step of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// A log line was written.
    Logged,
    /// The time of a delayed start has come: a gate opens.
    Reached,
    /// A route takes this label.
    Label(LabelIndex),
    /// A wait ends at this instant. The row's payload is what its step fails with, should that be too far away.
    Instant {
        /// When.
        until: Timestamp,
        /// Digest of the row's payload.
        payload: PayloadDigest,
    },
    /// That many children are to be started.
    Children {
        /// How many.
        count: u32,
    },
    /// The step fails. The row's payload is the failure as JSON.
    Failure {
        /// The failure.
        failure: Failure,
        /// Digest of the row's payload.
        payload: PayloadDigest,
    },
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChildEnd {
    /// With a result.
    Completed,
    /// With a failure.
    Failed,
    /// By a cancel.
    Cancelled,
}

/// How a run was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The command that started it; the same command again is the same run.
    pub command: CommandId,
    /// What it runs.
    pub definition: DefinitionKey,
    /// The digest of that definition.
    pub digest: DefinitionDigest,
    /// The trigger it was started by.
    pub trigger: Name,
    /// Digest of the stored input.
    pub input: PayloadDigest,
    /// Digest of the caller's input as canonical JSON, before defaults.
    pub raw_input: PayloadDigest,
    /// The idempotency key, if one was given.
    pub key: Option<String>,
    /// Labels for listing.
    pub labels: BTreeMap<String, String>,
    /// The queue of steps that name none, instead of the definition's.
    pub queue: Option<Name>,
    /// The priority of steps that name none, instead of the definition's.
    pub priority: Option<i16>,
    /// When the first steps are due, if the start was delayed.
    pub due: Option<Timestamp>,
    /// When the run must have ended.
    pub deadline: Option<Timestamp>,
    /// W3C trace context of the starter.
    pub trace: Option<String>,
    /// The run whose step started it.
    pub parent: Option<Parent>,
    /// The run it is a copy of.
    pub copy: Option<Copied>,
    /// Who asked for it.
    pub by: By,
}

/// The run whose step started another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run.
    pub run: RunId,
    /// Its life.
    pub life: Life,
    /// The step.
    pub step: StepIndex,
    /// Which of the step's children.
    pub child: u32,
    /// How many runs are above it.
    pub depth: u16,
    /// It goes its own way: its end is not reported back.
    pub detached: bool,
}

/// The run that another is a copy of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The run.
    pub run: RunId,
    /// What of it.
    pub kind: CopyKind,
}

/// What a copy takes over from its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyKind {
    /// The input only.
    Replay,
    /// The input and what does not depend on certain steps.
    Fork,
    /// The input and what does not depend on what failed.
    Resume,
}

/// Who asked for something, and what they said.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct By {
    /// Who.
    pub actor: Option<String>,
    /// Why.
    pub comment: Option<String>,
    /// Whatever else was given: the text of a JSON object.
    pub metadata: Option<String>,
}

/// A request to cancel a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequested {
    /// The command; the same command again gets the first answer.
    pub command: CommandId,
    /// Who asked.
    pub by: By,
    /// End at once, without waiting for running attempts.
    pub force: bool,
    /// Take back what was done, before ending.
    pub undo: bool,
}

/// A decision about a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The command; the same command again gets the first answer.
    pub command: CommandId,
    /// The step.
    pub step: StepIndex,
    /// What was decided.
    pub verdict: Resolution,
    /// Who decided.
    pub by: By,
    /// Digest of the row's payload, if it has one.
    pub payload: Option<PayloadDigest>,
}

/// What can be decided about a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resolution {
    /// A pause ends.
    Resume,
    /// An approval is given.
    Approve,
    /// An approval is refused.
    Reject,
    /// An attempt of unknown outcome succeeded. The row's payload is the output.
    Succeeded {
        /// The label that it returned.
        label: Option<LabelIndex>,
    },
    /// A step whose attempt has an unknown outcome is tried again.
    Retry,
    /// An attempt of unknown outcome failed for good.
    Fail {
        /// With this code.
        code: String,
    },
    /// What takes a step's effect back is not attempted any more.
    SkipUndo,
}

/// A signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signalled {
    /// The command; the same command again gets the first answer.
    pub command: CommandId,
    /// The signal's name.
    pub signal: Name,
    /// Who sent it.
    pub by: By,
    /// Digest of what it carries.
    pub payload: PayloadDigest,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable code, for programs.
    pub code: String,
    /// A message, for people; at most 8 KiB, a longer one is cut at a character, and says so at its end.
    pub message: String,
    /// Whether another attempt may be made.
    pub retryable: bool,
    /// Replaces the delay that the retry policy computes.
    #[serde(with = "micros_option")]
    pub retry_after: Option<Duration>,
    /// Digest of the details, where there are any.
    pub details: Option<PayloadDigest>,
}

impl Failure {
    /// Marks a message that was cut.
    pub const CUT: &'static str = "… (truncated)";

    /// A failure with code and message, both cut to their limits.
    pub fn new(code: &str, message: &str, retryable: bool) -> Failure {
        Failure {
            code: cut(code, limits::FAILURE_CODE_BYTES).to_owned(),
            message: Failure::bounded(message),
            retryable,
            retry_after: None,
            details: None,
        }
    }

    /// By what cannot be read: no other attempt could, and nothing was done.
    pub fn unreadable(what: &str) -> Failure {
        Failure::new(code::UNREADABLE, what, false)
    }

    /// Of an attempt that took longer than its step's timeout.
    pub fn timed_out() -> Failure {
        let message = "the attempt exceeded the timeout of its step";
        Failure::new(code::TIMEOUT, message, true)
    }

    /// The message cut to its limit at a character, and marked if it was cut.
    pub fn bounded(message: &str) -> String {
        if message.len() <= limits::FAILURE_MESSAGE_BYTES {
            return message.to_owned();
        }
        let kept = cut(message, limits::FAILURE_MESSAGE_BYTES - Failure::CUT.len());
        format!("{kept}{}", Failure::CUT)
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a21_2_a_long_message_is_cut_at_a_character_and_marked() {
        let failure = Failure::new("x", &"é".repeat(10 << 10), true);
        assert!(failure.message.len() <= limits::FAILURE_MESSAGE_BYTES);
        assert!(failure.message.len() > limits::FAILURE_MESSAGE_BYTES - 8);
        assert!(failure.message.ends_with(Failure::CUT));
        let exact = "a".repeat(limits::FAILURE_MESSAGE_BYTES);
        assert_eq!(Failure::new("x", &exact, true).message, exact);
    }
}
