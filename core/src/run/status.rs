//! The status of a run: a pure function of the fold.
//!
//! Invariant: claims are no history, so no status depends on one; "a worker is on it" is an overlay of inspection.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Phase, Run, Seq, Stage};
use crate::change::Heading;

/// The status of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Started with a delay; nothing has happened since.
    Scheduled,
    /// Started; nothing has happened since.
    Pending,
    /// A step is ready, or is being executed.
    Running,
    /// No step is ready; at least one waits for its next attempt.
    Retrying,
    /// No step is ready or retrying; at least one waits for a time, a signal or its children.
    Waiting,
    /// Only a person can move it on, or the late report of an attempt whose outcome is unknown.
    Paused,
    /// Cancelled, with attempts still out.
    Cancelling,
    /// Failing, with attempts still out or undo steps to go; or cancelled, and taking effects back.
    Compensating,
    /// Ended with a result.
    Completed,
    /// Ended with a failure.
    Failed,
    /// Ended by a cancel.
    Cancelled,
}

impl Status {
    /// Every status, in the order of their numbers.
    pub const ALL: [Status; 11] = [
        Status::Scheduled,
        Status::Pending,
        Status::Running,
        Status::Retrying,
        Status::Waiting,
        Status::Paused,
        Status::Cancelling,
        Status::Compensating,
        Status::Completed,
        Status::Failed,
        Status::Cancelled,
    ];

    /// Whether a run of this status never changes again.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Status::Completed | Status::Failed | Status::Cancelled)
    }

    /// The number stores keep.
    pub const fn as_i16(self) -> i16 {
        self as i16
    }

    /// Takes a stored number back.
    pub fn from_i16(number: i16) -> Option<Status> {
        Status::ALL
            .into_iter()
            .find(|status| status.as_i16() == number)
    }

    /// The status as text, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Scheduled => "scheduled",
            Status::Pending => "pending",
            Status::Running => "running",
            Status::Retrying => "retrying",
            Status::Waiting => "waiting",
            Status::Paused => "paused",
            Status::Cancelling => "cancelling",
            Status::Compensating => "compensating",
            Status::Completed => "completed",
            Status::Failed => "failed",
            Status::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(text: &str) -> Result<Status, UnknownStatus> {
        Status::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or_else(|| UnknownStatus {
                text: text.chars().take(80).collect(),
            })
    }
}

/// A text that is no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no run status")]
pub struct UnknownStatus {
    text: String,
}

impl Run {
    /// Whether taking effects back has begun.
    pub(crate) fn is_undoing(&self) -> bool {
        self.steps.iter().any(|step| step.undo.is_some())
    }

    /// The run's status.
    pub fn status(&self) -> Status {
        match &self.phase {
            Phase::Ended(heading) => match heading {
                Heading::Completed => Status::Completed,
                Heading::Failed(_) => Status::Failed,
                Heading::Cancelled => Status::Cancelled,
            },
            Phase::Winding(Heading::Cancelled) if !self.is_undoing() => Status::Cancelling,
            Phase::Winding(_) => Status::Compensating,
            Phase::Open if self.seq == Seq::FIRST && self.origin.due.is_some() => Status::Scheduled,
            Phase::Open => match self.status_by_steps() {
                Status::Running if self.seq == Seq::FIRST => Status::Pending,
                status => status,
            },
        }
    }

    /// Of several open steps the most active one decides: ready, then retrying, then waiting, then paused.
    fn status_by_steps(&self) -> Status {
        let mut status = Status::Paused;
        for step in &self.steps {
            let own = match step.stage {
                Stage::Scheduled(armed) if armed.due <= self.at || step.tries.attempt() == 1 => {
                    return Status::Running;
                }
                Stage::Evaluating(_) | Stage::Spawning(_) | Stage::Collecting(_) => {
                    return Status::Running;
                }
                Stage::Scheduled(_) => Status::Retrying,
                Stage::Waiting(_)
                | Stage::Listening { .. }
                | Stage::Resting
                | Stage::Recalling(_) => Status::Waiting,
                Stage::Open { .. } | Stage::Held { .. } => Status::Paused,
                Stage::Blocked
                | Stage::Stopping(_)
                | Stage::Succeeded
                | Stage::Failed
                | Stage::Cancelled
                | Stage::Skipped => continue,
            };
            status = status.min(own);
        }
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_reads_back_from_its_text_and_number() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse::<Status>().unwrap(), status);
            assert_eq!(Status::from_i16(status.as_i16()), Some(status));
        }
        assert_eq!(
            "done".parse::<Status>().unwrap_err().to_string(),
            "\"done\" is no run status"
        );
    }
}
