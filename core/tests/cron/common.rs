//! Calendars and instants from text.

use squid_mesh_core::cron::{Calendar, Expression, Zone};
use squid_mesh_core::time::Timestamp;

pub(crate) fn calendar(expression: &str, zone: &str) -> Calendar {
    Calendar::new(
        Expression::parse(expression).unwrap(),
        Zone::parse(zone).unwrap(),
    )
}

/// An instant from RFC 3339 text.
pub(crate) fn at(text: &str) -> Timestamp {
    serde_json::from_value(text.into()).unwrap()
}

/// The firings in a span of time that begins after its first instant, without their fraction of a second.
pub(crate) fn firings(calendar: &Calendar, after: &str, until: &str) -> Vec<String> {
    let (mut after, until) = (at(after), at(until));
    let mut found = Vec::new();
    while let Some(firing) = calendar.next_after(after).filter(|f| f.at <= until) {
        after = firing.at;
        found.push(firing.at.to_string().replace(".000000Z", "Z"));
    }
    found
}
