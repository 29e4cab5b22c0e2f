//! Calendars and instants from text.

use proptest::prelude::Strategy;
use proptest::sample::select;
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

/// Zones with whole, half and quarter hours, with changes at midnight, of half an hour and of a day, with few and with none.
pub(crate) const ZONES: [&str; 10] = [
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Africa/Cairo",
    "UTC",
    "America/St_Johns",
    "Asia/Tehran",
];

/// Expressions of five and six fields that fire at most every few minutes on average.
pub(crate) fn expression() -> impl Strategy<Value = String> {
    let some = |values: &'static [&'static str]| select(values.to_vec());
    let seconds = some(&["", "", "", "0 ", "30 ", "5,45 ", "*/20 "]);
    let minutes = some(&[
        "0", "0", "30", "15", "45", "59", "0,30", "5,20,35", "*/15", "10-20/5", "1/29", "*/30",
    ]);
    let hours = some(&[
        "*", "*/2", "*/3", "0", "1", "2", "3", "0-3", "1,2", "2,23", "0,2", "1-5/2", "12", "23",
        "0-23", "5/7",
    ]);
    let days = some(&[
        "*",
        "*",
        "*",
        "*/2",
        "1",
        "13",
        "25-31",
        "28,29,30,31",
        "1-7",
        "31",
        "8/9",
    ]);
    let months = some(&[
        "*",
        "*",
        "*",
        "3,4,9,10,11",
        "MAR-APR",
        "*/2",
        "OCT,NOV",
        "2",
        "12",
    ]);
    let weekdays = some(&[
        "*", "*", "*", "SUN", "0", "7", "6,7", "MON-FRI", "5-7", "*/3", "FRI",
    ]);
    (seconds, minutes, hours, days, months, weekdays)
        .prop_map(|(s, m, h, d, mo, w)| format!("{s}{m} {h} {d} {mo} {w}"))
}
