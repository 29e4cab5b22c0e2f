//! The reasons there are for a run to be where it is.
//!
//! Invariant: a closed list, each with one stable name; of several the more active one is the run's.

use std::fmt;

use serde::Serialize;

/// Why a run is where it is. The more active one wins where several steps differ: see [`Reason::precedence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// What is to be done next is put off: a delayed start is still to come.
    Scheduled,
    /// Something is ready, and some worker will claim it.
    ReadyUnclaimed,
    /// A step is ready, and no worker that was seen has its handler.
    NoWorkerForHandler,
    /// A step is ready, and its queue is paused.
    QueuePaused,
    /// A step is ready, and a limit holds it back. Reserved: there are no limits.
    LimitReached,
    /// A worker holds a step, or what the engine does about one, under lease.
    Running,
    /// A lease has ended; some worker will record the loss.
    LeaseExpired,
    /// A step waits for its next attempt.
    RetryBackoff,
    /// A wait has not ended yet.
    Timer,
    /// Somebody has to approve or reject.
    Approval,
    /// Somebody has to resume it.
    Pause,
    /// A signal has to come.
    Signal,
    /// Children are out.
    Child,
    /// Whether an attempt had its effect is unknown; somebody has to say.
    UnknownOutcome,
    /// Cancelled, with attempts or children still out.
    Cancelling,
    /// Ending, with attempts or children still out, or effects to be taken back.
    Compensating,
    /// It cannot be read: corrupt, or written by a newer engine.
    Unreadable,
    /// Ended with a result.
    Completed,
    /// Ended with a failure.
    Failed,
    /// Ended by a cancel.
    Cancelled,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 20] = [
        Reason::Scheduled,
        Reason::ReadyUnclaimed,
        Reason::NoWorkerForHandler,
        Reason::QueuePaused,
        Reason::LimitReached,
        Reason::Running,
        Reason::LeaseExpired,
        Reason::RetryBackoff,
        Reason::Timer,
        Reason::Approval,
        Reason::Pause,
        Reason::Signal,
        Reason::Child,
        Reason::UnknownOutcome,
        Reason::Cancelling,
        Reason::Compensating,
        Reason::Unreadable,
        Reason::Completed,
        Reason::Failed,
        Reason::Cancelled,
    ];

    /// How active it is: of several the least number is the run's reason. What ends a run comes before what is ready, then
    /// what is tried again, then what waits for a time, a signal or a child, then what waits for a person.
    pub const fn precedence(self) -> u8 {
        match self {
            Reason::Completed | Reason::Failed | Reason::Cancelled => 0,
            Reason::Cancelling => 1,
            Reason::Compensating => 2,
            Reason::Running => 3,
            Reason::LeaseExpired => 4,
            Reason::ReadyUnclaimed => 5,
            Reason::QueuePaused => 6,
            Reason::LimitReached => 7,
            Reason::NoWorkerForHandler => 8,
            Reason::Scheduled => 9,
            Reason::RetryBackoff => 10,
            Reason::Timer => 11,
            Reason::Signal => 12,
            Reason::Child => 13,
            Reason::UnknownOutcome => 14,
            Reason::Approval => 15,
            Reason::Pause => 16,
            Reason::Unreadable => 17,
        }
    }

    /// The reason as text, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Scheduled => "scheduled",
            Reason::ReadyUnclaimed => "ready_unclaimed",
            Reason::NoWorkerForHandler => "no_worker_for_handler",
            Reason::QueuePaused => "queue_paused",
            Reason::LimitReached => "limit_reached",
            Reason::Running => "running",
            Reason::LeaseExpired => "lease_expired",
            Reason::RetryBackoff => "retry_backoff",
            Reason::Timer => "timer",
            Reason::Approval => "approval",
            Reason::Pause => "pause",
            Reason::Signal => "signal",
            Reason::Child => "child",
            Reason::UnknownOutcome => "unknown_outcome",
            Reason::Cancelling => "cancelling",
            Reason::Compensating => "compensating",
            Reason::Unreadable => "unreadable",
            Reason::Completed => "completed",
            Reason::Failed => "failed",
            Reason::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_reads_the_same_as_text_and_in_json() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
        }
    }
}
