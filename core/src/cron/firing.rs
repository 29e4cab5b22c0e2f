//! One firing of a calendar.
//!
//! Invariant: what a firing says follows from its instant, whichever search found it.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::Calendar;
use super::clock::Reading;
use super::policy::{AppliedPolicy, GapPolicy, Pass};
use crate::time::Timestamp;

/// One firing of a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Firing {
    /// The instant, a whole second.
    pub at: Timestamp,
    /// What the clock of the calendar's zone shows then.
    pub local: NaiveDateTime,
    /// The policy that had a say in it, if the clocks change around it.
    pub policy: Option<AppliedPolicy>,
}

impl Firing {
    /// How far the zone's clock is ahead of UTC at this firing, in whole seconds; behind it if negative.
    pub fn offset(&self) -> TimeDelta {
        let utc = self.at.as_micros().div_euclid(1_000_000);
        TimeDelta::seconds(self.local.and_utc().timestamp() - utc)
    }

    pub(super) fn of(calendar: &Calendar, at: DateTime<Utc>) -> Firing {
        Firing {
            at: Timestamp::from_micros(at.timestamp_micros()),
            local: calendar.zone.wall(at),
            policy: fired_after_gap(calendar, at).or_else(|| repeated(calendar, at)),
        }
    }
}

fn fired_after_gap(calendar: &Calendar, at: DateTime<Utc>) -> Option<AppliedPolicy> {
    if calendar.gap != GapPolicy::FireAfter {
        return None;
    }
    let gap = calendar.zone.gap_before(at)?;
    let matcher = calendar.expression.matcher();
    let scheduled = matcher.first_from(gap.begin)?;
    (scheduled < gap.end).then_some(AppliedPolicy::FiredAfterGap { scheduled })
}

fn repeated(calendar: &Calendar, at: DateTime<Utc>) -> Option<AppliedPolicy> {
    match calendar.zone.reading(calendar.zone.wall(at)) {
        Reading::Twice { first, .. } => Some(AppliedPolicy::RepeatedHour {
            policy: calendar.repeated_hour,
            pass: if at == first {
                Pass::First
            } else {
                Pass::Second
            },
        }),
        Reading::Once(_) | Reading::Never(_) => None,
    }
}
