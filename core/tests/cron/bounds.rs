//! The ends of time, and how much work a search is.

use proptest::prelude::*;
use squid_mesh_core::cron::{Calendar, Expression, Zone};
use squid_mesh_core::time::Timestamp;

use crate::common::{at, calendar};

#[test]
fn firings_begin_with_1970_and_end_with_9999() {
    for zone in ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
        let seconds = calendar("* * * * * *", zone);
        let (first, last) = (at("1970-01-01T00:00:00Z"), at("9999-12-31T23:59:59Z"));
        assert_eq!(seconds.next_after(Timestamp::MIN).unwrap().at, first);
        assert_eq!(
            seconds
                .next_after(at("1969-12-31T23:59:59.999999Z"))
                .unwrap()
                .at,
            first
        );
        assert_eq!(
            seconds.last_at_or_before(at("1969-12-31T23:59:59.999999Z")),
            None
        );
        assert_eq!(seconds.last_at_or_before(Timestamp::MIN), None);
        assert_eq!(seconds.last_at_or_before(first).unwrap().at, first);
        assert_eq!(seconds.last_at_or_before(Timestamp::MAX).unwrap().at, last);
        assert_eq!(seconds.next_after(last), None);
        assert_eq!(seconds.next_after(Timestamp::MAX), None);
    }
}

#[test]
fn a_firing_is_later_than_the_instant_it_follows_and_not_later_than_the_one_it_precedes() {
    let hourly = calendar("0 * * * *", "UTC");
    for (instant, next, last) in [
        (
            "2026-01-01T00:59:59.999999Z",
            "2026-01-01T01:00:00Z",
            "2026-01-01T00:00:00Z",
        ),
        (
            "2026-01-01T01:00:00Z",
            "2026-01-01T02:00:00Z",
            "2026-01-01T01:00:00Z",
        ),
        (
            "2026-01-01T01:00:00.000001Z",
            "2026-01-01T02:00:00Z",
            "2026-01-01T01:00:00Z",
        ),
    ] {
        assert_eq!(hourly.next_after(at(instant)).unwrap().at, at(next));
        assert_eq!(hourly.last_at_or_before(at(instant)).unwrap().at, at(last));
    }
}

#[test]
fn a_leap_day_is_found_over_the_years_that_have_none() {
    let leap = calendar("0 0 29 2 *", "UTC");
    for (after, next) in [
        ("1970-01-01T00:00:00Z", "1972-02-29T00:00:00Z"),
        ("2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"),
        ("2196-02-29T00:00:00Z", "2204-02-29T00:00:00Z"),
        ("2396-02-29T00:00:00Z", "2400-02-29T00:00:00Z"),
        ("9992-02-29T00:00:00Z", "9996-02-29T00:00:00Z"),
    ] {
        let firing = leap.next_after(at(after)).unwrap();
        assert_eq!(firing.at, at(next));
        let before = Timestamp::from_micros(firing.at.as_micros() - 1);
        assert_eq!(
            leap.last_at_or_before(before).map(|f| f.at),
            Some(at(after)).filter(|_| after != "1970-01-01T00:00:00Z")
        );
    }
    assert_eq!(leap.next_after(at("9996-02-29T00:00:00Z")), None);
}

#[test]
fn the_newest_of_a_year_of_seconds_are_found_from_its_end() {
    let seconds = calendar("* * * * * *", "Europe/Berlin");
    let newest = seconds.newest(3, at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00.5Z"));
    let found: Vec<String> = newest.iter().map(|f| f.at.to_string()).collect();
    assert_eq!(
        found,
        [
            "2026-12-31T23:59:58.000000Z",
            "2026-12-31T23:59:59.000000Z",
            "2027-01-01T00:00:00.000000Z"
        ]
    );
}

#[test]
fn the_newest_are_later_than_the_first_instant_and_fewer_if_there_are_not_as_many() {
    let daily = calendar("0 9 * * *", "UTC");
    let count = |n, after, until| daily.newest(n, at(after), at(until)).len();
    assert_eq!(count(9, "2026-01-01T09:00:00Z", "2026-01-03T09:00:00Z"), 2);
    assert_eq!(
        count(9, "2026-01-01T08:59:59.999999Z", "2026-01-03T09:00:00Z"),
        3
    );
    assert_eq!(count(2, "2026-01-01T08:00:00Z", "2026-01-03T09:00:00Z"), 2);
    assert_eq!(count(0, "2026-01-01T08:00:00Z", "2026-01-03T09:00:00Z"), 0);
    assert_eq!(count(9, "2026-01-03T09:00:00Z", "2026-01-03T09:00:00Z"), 0);
    assert_eq!(count(9, "2026-01-04T09:00:00Z", "2026-01-03T09:00:00Z"), 0);
    assert_eq!(
        daily
            .newest(u32::MAX, Timestamp::MIN, at("1970-01-02T12:00:00Z"))
            .len(),
        2
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_or_a_search_panic(
        text in "[*/,0-9a-zA-Z@?#LW\\- ä-]{0,24}|([*0-7]{1,2}([-/,][0-7A-Z]{1,3}){0,2} ){4,5}[0-7A-Z*]{1,3}",
        micros in any::<i64>(),
        zone in proptest::sample::select(vec!["UTC", "Europe/Berlin", "Pacific/Apia"]),
    ) {
        let Ok(expression) = Expression::parse(&text) else { return Ok(()) };
        let calendar = Calendar::new(expression, Zone::parse(zone).unwrap());
        let instant = Timestamp::from_micros(micros);
        if let Some(next) = calendar.next_after(instant) {
            prop_assert!(next.at > instant);
        }
        if let Some(last) = calendar.last_at_or_before(instant) {
            prop_assert!(last.at <= instant);
        }
    }
}
