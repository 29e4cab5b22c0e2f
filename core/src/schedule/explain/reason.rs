//! The reasons there are for a schedule to fire, or not to.
//!
//! Invariant: a closed list, each with one stable name.

use std::fmt;

use serde::Serialize;

/// Why a schedule fires when it does, or does not fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ScheduleReason {
    /// Its next occurrence is still to come.
    Scheduled,
    /// It starts later: no occurrence before that counts.
    NotStarted,
    /// A worker has its firing in hand.
    Firing,
    /// Its time has come, and nobody has begun to fire it.
    FiringLate,
    /// An occurrence waits for the end of the run before.
    WaitingForPrevious,
    /// A scheduler of the host's own fires it.
    External,
    /// Somebody paused it.
    Paused,
    /// A newer version of its workflow does not declare it any more.
    Retired,
    /// It has no further occurrence.
    Ended,
    /// It has no occurrence at all.
    NeverFires,
    /// No definition of its workflow is known.
    UnknownWorkflow,
    /// Its workflow has no trigger of that name.
    UnknownTrigger,
    /// Its workflow does not take its input.
    InvalidInput,
    /// It cannot be read: corrupt, or written by a newer engine.
    Unreadable,
}

impl ScheduleReason {
    /// Every reason.
    pub const ALL: [ScheduleReason; 14] = [
        ScheduleReason::Scheduled,
        ScheduleReason::NotStarted,
        ScheduleReason::Firing,
        ScheduleReason::FiringLate,
        ScheduleReason::WaitingForPrevious,
        ScheduleReason::External,
        ScheduleReason::Paused,
        ScheduleReason::Retired,
        ScheduleReason::Ended,
        ScheduleReason::NeverFires,
        ScheduleReason::UnknownWorkflow,
        ScheduleReason::UnknownTrigger,
        ScheduleReason::InvalidInput,
        ScheduleReason::Unreadable,
    ];

    /// The reason as text, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            ScheduleReason::Scheduled => "scheduled",
            ScheduleReason::NotStarted => "not_started",
            ScheduleReason::Firing => "firing",
            ScheduleReason::FiringLate => "firing_late",
            ScheduleReason::WaitingForPrevious => "waiting_for_previous",
            ScheduleReason::External => "external",
            ScheduleReason::Paused => "paused",
            ScheduleReason::Retired => "retired",
            ScheduleReason::Ended => "ended",
            ScheduleReason::NeverFires => "never_fires",
            ScheduleReason::UnknownWorkflow => "unknown_workflow",
            ScheduleReason::UnknownTrigger => "unknown_trigger",
            ScheduleReason::InvalidInput => "invalid_input",
            ScheduleReason::Unreadable => "unreadable",
        }
    }

    /// The reason of this name.
    pub(super) fn named(name: &str) -> Option<ScheduleReason> {
        ScheduleReason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == name)
    }
}

impl fmt::Display for ScheduleReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_reads_the_same_as_text_and_in_json() {
        for reason in ScheduleReason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.as_str());
            assert_eq!(ScheduleReason::named(reason.as_str()), Some(reason));
        }
    }
}
