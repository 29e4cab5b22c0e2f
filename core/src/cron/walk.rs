//! The search for the firing before and the firing after an instant.
//!
//! A wall-clock time fires when the clock first reaches it, and that moment never comes earlier for a later time; only the second
//! passes of repeated times stand outside that order, and they fill the hour they are in. So a search looks at the repeated times
//! around its start, if it starts within some, and then at one wall-clock time after another.
//!
//! Invariant: both searches see the same set of instants.

use chrono::{DateTime, TimeDelta, Utc};

use super::Calendar;
use super::clock::Reading;
use super::policy::{GapPolicy, RepeatedHourPolicy};
use crate::time::Timestamp;

const SECOND: TimeDelta = TimeDelta::seconds(1);
/// The first instant of all firings, 1970-01-01T00:00:00Z.
const FIRST: DateTime<Utc> = DateTime::UNIX_EPOCH;
/// 9999-12-31T23:59:59Z.
const LAST_SECONDS: i64 = 253_402_300_799;

/// The whole second at or before an instant; one before all firings for what is earlier, the last one for what is later.
pub(super) fn floor(at: Timestamp) -> DateTime<Utc> {
    let seconds = at.as_micros().div_euclid(1_000_000);
    DateTime::from_timestamp(seconds.clamp(-1, LAST_SECONDS), 0).unwrap_or(FIRST)
}

/// The first firing after a whole second.
pub(super) fn next_after(calendar: &Calendar, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let found = search_forward(calendar, after)?;
    (found.timestamp() <= LAST_SECONDS).then_some(found)
}

/// The last firing at or before a whole second.
pub(super) fn last_until(calendar: &Calendar, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let found = search_back(calendar, until)?;
    (found >= FIRST).then_some(found)
}

fn search_forward(calendar: &Calendar, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (zone, matcher) = (calendar.zone, calendar.expression.matcher());
    let mut from = zone.wall(after) + SECOND;
    if let Some(repeat) = zone.repeat_around(after) {
        let within = |from| matcher.first_from(from).filter(|wall| *wall < repeat.end);
        let turned = after >= repeat.turn;
        if !turned
            && calendar.repeated_hour.fires_first()
            && let Some(wall) = within(from)
        {
            return Some(repeat.first(wall));
        }
        if calendar.repeated_hour.fires_second()
            && let Some(wall) = within(if turned { from } else { repeat.begin })
        {
            return Some(repeat.second(wall));
        }
        from = repeat.end;
    }
    loop {
        let wall = matcher.first_from(from)?;
        match zone.reading(wall) {
            Reading::Once(at) => return Some(at),
            Reading::Twice { first, second } => {
                return Some(match calendar.repeated_hour {
                    RepeatedHourPolicy::First | RepeatedHourPolicy::Every => first,
                    RepeatedHourPolicy::Second => second,
                });
            }
            Reading::Never(gap) => match calendar.gap {
                GapPolicy::FireAfter => return Some(gap.jump),
                GapPolicy::Skip => from = gap.end,
            },
        }
    }
}

fn search_back(calendar: &Calendar, until: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let (zone, matcher) = (calendar.zone, calendar.expression.matcher());
    let mut to = zone.wall(until);
    if let Some(repeat) = zone.repeat_around(until) {
        let within = |to| matcher.last_until(to).filter(|wall| *wall >= repeat.begin);
        let turned = until >= repeat.turn;
        if turned
            && calendar.repeated_hour.fires_second()
            && let Some(wall) = within(to)
        {
            return Some(repeat.second(wall));
        }
        if calendar.repeated_hour.fires_first()
            && let Some(wall) = within(if turned { repeat.end - SECOND } else { to })
        {
            return Some(repeat.first(wall));
        }
        to = repeat.begin - SECOND;
    }
    loop {
        let wall = matcher.last_until(to)?;
        match zone.reading(wall) {
            Reading::Once(at) => return Some(at),
            Reading::Twice { first, second } => {
                return Some(match calendar.repeated_hour {
                    RepeatedHourPolicy::First => first,
                    RepeatedHourPolicy::Second | RepeatedHourPolicy::Every => second,
                });
            }
            Reading::Never(gap) => match calendar.gap {
                GapPolicy::FireAfter => return Some(gap.jump),
                GapPolicy::Skip => to = gap.begin - SECOND,
            },
        }
    }
}
