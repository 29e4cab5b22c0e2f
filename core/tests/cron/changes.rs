//! The changes of the clocks of zones, found by looking at their offsets day by day.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;
use squid_mesh_core::cron::Zone;

/// In seconds.
pub(crate) const DAY: i64 = 24 * 3_600;

/// A change of a clock: an instant in seconds, and the offsets before and from it in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    pub(crate) at: i64,
    pub(crate) before: i64,
    pub(crate) after: i64,
}

/// The changes of a zone's clock in a span of time that is given in seconds.
pub(crate) fn changes(zone: Zone, from: i64, until: i64) -> Vec<Change> {
    let tz = tz(zone);
    let mut changes: Vec<Change> = Vec::new();
    let mut at = from;
    let mut before = offset(tz, at);
    while at < until {
        let after = offset(tz, at + DAY);
        if before != after {
            changes.push(change_between(tz, at, at + DAY));
        }
        (at, before) = (at + DAY, after);
    }
    changes
}

fn change_between(tz: Tz, mut before: i64, mut after: i64) -> Change {
    let offsets = (offset(tz, before), offset(tz, after));
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if offset(tz, middle) == offsets.0 {
            before = middle;
        } else {
            after = middle;
        }
    }
    Change {
        at: after,
        before: offsets.0,
        after: offsets.1,
    }
}

pub(crate) fn tz(zone: Zone) -> Tz {
    zone.name().parse().unwrap()
}

pub(crate) fn offset(tz: Tz, at: i64) -> i64 {
    let utc = DateTime::from_timestamp(at, 0).unwrap().naive_utc();
    i64::from(tz.offset_from_utc_datetime(&utc).fix().local_minus_utc())
}
