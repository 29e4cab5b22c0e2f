//! What a schedule does with wall-clock times that a change of the clocks leaves out or repeats.
//!
//! Invariant: the words are stable; schedules are stored with them.

use std::fmt;

use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};

use super::expression::Expression;

/// What becomes of a time that the clocks jump over, like 02:30 when they go from 02:00 to 03:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapPolicy {
    /// It does not fire that day.
    Skip,
    /// It fires at the first instant after the gap; all times of one gap are one firing.
    FireAfter,
}

/// What becomes of a time that the clocks pass twice, like 02:30 when they go back from 03:00 to 02:00.
///
/// This is about hours of the clock; what happens when a run is still active at its schedule's next firing is another matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RepeatedHourPolicy {
    /// It fires when the clocks pass it for the first time.
    First,
    /// It fires when the clocks pass it for the second time.
    Second,
    /// It fires both times.
    Every,
}

impl GapPolicy {
    /// Every policy.
    pub const ALL: [GapPolicy; 2] = [GapPolicy::Skip, GapPolicy::FireAfter];

    /// What an expression gets that asks for nothing else (`S9.3`): one that is sub-daily skips, any other fires after the gap.
    pub fn default_for(expression: &Expression) -> GapPolicy {
        if expression.is_sub_daily() {
            GapPolicy::Skip
        } else {
            GapPolicy::FireAfter
        }
    }

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            GapPolicy::Skip => "skip",
            GapPolicy::FireAfter => "fire_after",
        }
    }
}

impl RepeatedHourPolicy {
    /// Every policy.
    pub const ALL: [RepeatedHourPolicy; 3] = [
        RepeatedHourPolicy::First,
        RepeatedHourPolicy::Second,
        RepeatedHourPolicy::Every,
    ];

    /// What an expression gets that asks for nothing else (`S9.3`): one that is sub-daily fires every time, any other the first
    /// time.
    pub fn default_for(expression: &Expression) -> RepeatedHourPolicy {
        if expression.is_sub_daily() {
            RepeatedHourPolicy::Every
        } else {
            RepeatedHourPolicy::First
        }
    }

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            RepeatedHourPolicy::First => "first",
            RepeatedHourPolicy::Second => "second",
            RepeatedHourPolicy::Every => "every",
        }
    }

    pub(super) fn fires_first(self) -> bool {
        self != RepeatedHourPolicy::Second
    }

    pub(super) fn fires_second(self) -> bool {
        self != RepeatedHourPolicy::First
    }
}

impl fmt::Display for GapPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RepeatedHourPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A policy that had a say in a firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppliedPolicy {
    /// [`GapPolicy::FireAfter`]: the clocks jumped over a time that the expression names.
    FiredAfterGap {
        /// The first such time.
        scheduled: NaiveDateTime,
    },
    /// The firing's wall-clock time is one that the clocks pass twice.
    RepeatedHour {
        /// What the calendar does then.
        policy: RepeatedHourPolicy,
        /// When this firing is.
        pass: Pass,
    },
}

/// Which time the clocks pass a wall-clock time that they pass twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Before they go back.
    First,
    /// After they went back.
    Second,
}

impl AppliedPolicy {
    /// The stable word: `gap_fire_after`, `repeated_hour_first`, `repeated_hour_second` or `repeated_hour_every`.
    pub const fn as_str(self) -> &'static str {
        match self {
            AppliedPolicy::FiredAfterGap { .. } => "gap_fire_after",
            AppliedPolicy::RepeatedHour { policy, .. } => match policy {
                RepeatedHourPolicy::First => "repeated_hour_first",
                RepeatedHourPolicy::Second => "repeated_hour_second",
                RepeatedHourPolicy::Every => "repeated_hour_every",
            },
        }
    }
}
