//! What the clock on the wall of a zone shows, and when.
//!
//! Invariant: a zone's clock runs between its changes, and those are further apart than any of them moves it, so a
//! wall-clock time comes never, once or twice.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz, TzOffset};

use super::zone::Zone;
use crate::time::Timestamp;

/// How often a wall-clock time comes.
pub(super) enum Reading {
    Once(DateTime<Utc>),
    Twice {
        first: DateTime<Utc>,
        second: DateTime<Utc>,
    },
    Never(Gap),
}

/// Wall-clock times that the clock jumps over.
pub(super) struct Gap {
    /// The first of them.
    pub(super) begin: NaiveDateTime,
    /// What the clock shows instead: the first that is not among them.
    pub(super) end: NaiveDateTime,
    /// When it jumps.
    pub(super) jump: DateTime<Utc>,
}

/// Wall-clock times that the clock passes twice.
pub(super) struct Repeat {
    /// The first of them.
    pub(super) begin: NaiveDateTime,
    /// The first after them.
    pub(super) end: NaiveDateTime,
    /// When it goes back to `begin`.
    pub(super) turn: DateTime<Utc>,
}

impl Repeat {
    /// When the clock passes one of its times for the first time.
    pub(super) fn first(&self, wall: NaiveDateTime) -> DateTime<Utc> {
        self.turn - (self.end - wall)
    }

    /// When the clock passes one of its times for the second time.
    pub(super) fn second(&self, wall: NaiveDateTime) -> DateTime<Utc> {
        self.turn + (wall - self.begin)
    }
}

impl Zone {
    /// The day that it is at an instant, like `2027-03-28`; `None` for an instant beyond all calendars.
    pub fn day(self, at: Timestamp) -> Option<String> {
        let utc = DateTime::from_timestamp_micros(at.as_micros())?;
        let offset = self.offset(utc);
        let local = utc.naive_utc().checked_add_signed(offset)?;
        Some(local.format("%Y-%m-%d").to_string())
    }

    /// What its clock shows.
    pub(super) fn wall(self, at: DateTime<Utc>) -> NaiveDateTime {
        at.naive_utc() + self.offset(at)
    }

    /// When its clock shows it.
    pub(super) fn reading(self, wall: NaiveDateTime) -> Reading {
        match self.tz().offset_from_local_datetime(&wall) {
            MappedLocalTime::Single(offset) => Reading::Once(utc(wall, &offset)),
            MappedLocalTime::Ambiguous(before, after) => Reading::Twice {
                first: utc(wall, &before),
                second: utc(wall, &after),
            },
            MappedLocalTime::None => Reading::Never(self.gap_around(wall)),
        }
    }

    /// The gap that ends at an instant.
    pub(super) fn gap_before(self, at: DateTime<Utc>) -> Option<Gap> {
        let begin = at.naive_utc() + self.offset(at - TimeDelta::seconds(1));
        let end = self.wall(at);
        (begin < end).then_some(Gap {
            begin,
            end,
            jump: at,
        })
    }

    /// The repeated times to which what the clock shows at an instant belongs.
    pub(super) fn repeat_around(self, at: DateTime<Utc>) -> Option<Repeat> {
        let Reading::Twice { first, second } = self.reading(self.wall(at)) else {
            return None;
        };
        let turn = self.change_between(first, second);
        let begin = self.wall(turn);
        Some(Repeat {
            begin,
            end: begin + (second - first),
            turn,
        })
    }

    fn offset(self, at: DateTime<Utc>) -> TimeDelta {
        delta(&self.tz().offset_from_utc_datetime(&at.naive_utc()))
    }

    fn gap_around(self, wall: NaiveDateTime) -> Gap {
        let tz: Tz = self.tz();
        let (begin, before) = GapInfo::new(&wall, &tz)
            .and_then(|gap| gap.begin)
            .expect("a wall-clock time that never comes is in a gap, and before a gap the zone has an offset");
        let jump = utc(begin, &before);
        Gap {
            begin,
            end: self.wall(jump),
            jump,
        }
    }

    /// The first instant with the later one's offset; there is one change between the two.
    fn change_between(self, earlier: DateTime<Utc>, later: DateTime<Utc>) -> DateTime<Utc> {
        let offset = self.offset(later);
        let (mut before, mut after) = (earlier.timestamp(), later.timestamp());
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            let at = DateTime::from_timestamp(middle, 0).unwrap_or(later);
            if self.offset(at) == offset {
                after = middle;
            } else {
                before = middle;
            }
        }
        DateTime::from_timestamp(after, 0).unwrap_or(later)
    }
}

fn utc(wall: NaiveDateTime, offset: &TzOffset) -> DateTime<Utc> {
    (wall - delta(offset)).and_utc()
}

fn delta(offset: &TzOffset) -> TimeDelta {
    TimeDelta::seconds(i64::from(offset.fix().local_minus_utc()))
}
