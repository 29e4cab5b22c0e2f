//! Facts from outside, as they are written into a run's journal.
//!
//! Invariant: a durable format. Variants and fields are only ever appended as new variants; a released one never changes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::definition::{DefinitionDigest, DefinitionKey, StepIndex};
use crate::id::CommandId;
use crate::limits;
use crate::name::Name;
use crate::payload::PayloadDigest;
use crate::task::Fence;
use crate::time::{Timestamp, micros_option};

/// One fact from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The run was started. The row's payload is its input, defaults filled in.
    Started(Box<Started>),
    /// An attempt reported success. The row's payload is the output.
    Succeeded {
        /// The step.
        step: StepIndex,
        /// The claim under which the attempt ran.
        fence: Fence,
        /// Digest of the output.
        output: PayloadDigest,
    },
    /// An attempt reported failure. The row's payload, if any, is the failure's details.
    Failed {
        /// The step.
        step: StepIndex,
        /// The claim under which the attempt ran.
        fence: Fence,
        /// What the attempt said.
        failure: Failure,
    },
    /// The lease of an attempt ended without a report.
    Lost {
        /// The step.
        step: StepIndex,
        /// The claim that recorded the loss.
        fence: Fence,
    },
    /// The time a wait was waiting for has come.
    Due {
        /// The wait.
        step: StepIndex,
    },
    /// The run's deadline has come.
    DeadlineReached,
    /// Somebody asked to cancel the run.
    CancelRequested(Box<CancelRequested>),
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
}

/// A request to cancel a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRequested {
    /// The command; the same command again gets the first answer.
    pub command: CommandId,
    /// Who asked.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// End at once, without waiting for running attempts.
    pub force: bool,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable code, for programs.
    pub code: String,
    /// A message, for people; at most 8 KiB, a longer one is cut at a character and ends in an ellipsis.
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

/// Codes of failures that the engine itself records.
pub mod code {
    /// The handler panicked; retryable.
    pub const PANIC: &str = "panic";
    /// The attempt exceeded its step's timeout; retryable.
    pub const TIMEOUT: &str = "timeout";
    /// The input does not decode into the handler's type; not retryable.
    pub const INVALID_INPUT: &str = "invalid_input";
    /// The output cannot be stored; not retryable.
    pub const INVALID_OUTPUT: &str = "invalid_output";
    /// The output is above the payload limit; not retryable.
    pub const PAYLOAD_TOO_LARGE: &str = "payload_too_large";
    /// More attempts were lost than the step allows.
    pub const LOST: &str = "lost";
    /// What the attempt needs (its definition, a payload) is missing from the store or cannot be read; not retryable.
    pub const UNREADABLE: &str = "unreadable";
    /// The run's deadline came before its end.
    pub const DEADLINE_EXCEEDED: &str = "deadline_exceeded";
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
