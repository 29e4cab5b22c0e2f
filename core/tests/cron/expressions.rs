//! What expressions mean, in UTC.

use squid_mesh_core::cron::{Calendar, Expression};
use squid_mesh_core::time::Timestamp;

use crate::common::{at, calendar};

/// The first firings of 2026, whose first day is a Thursday.
fn first(expression: &str, count: usize) -> Vec<String> {
    let calendar = calendar(expression, "UTC");
    let mut after = at("2025-12-31T23:59:59Z");
    std::iter::from_fn(|| {
        let firing = calendar.next_after(after)?;
        after = firing.at;
        Some(firing.local.format("%m-%d %H:%M:%S").to_string())
    })
    .take(count)
    .collect()
}

#[test]
fn five_fields_fire_at_second_zero_and_six_name_the_second() {
    assert_eq!(first("5 9 * * *", 2), ["01-01 09:05:00", "01-02 09:05:00"]);
    assert_eq!(
        first("10,30 5 9 * * *", 3),
        ["01-01 09:05:10", "01-01 09:05:30", "01-02 09:05:10"]
    );
}

#[test]
fn steps_go_over_everything_a_range_or_from_a_value_on() {
    for (expression, expected) in [
        (
            "*/25 8 * * *",
            ["01-01 08:00:00", "01-01 08:25:00", "01-01 08:50:00"],
        ),
        (
            "10-30/15 8 * * *",
            ["01-01 08:10:00", "01-01 08:25:00", "01-02 08:10:00"],
        ),
        (
            "31/20 8 * * *",
            ["01-01 08:31:00", "01-01 08:51:00", "01-02 08:31:00"],
        ),
        (
            "0 0 */15 * *",
            ["01-01 00:00:00", "01-16 00:00:00", "01-31 00:00:00"],
        ),
        (
            "0 0 1 */5 *",
            ["01-01 00:00:00", "06-01 00:00:00", "11-01 00:00:00"],
        ),
        (
            "0 0 * * 2/3",
            ["01-02 00:00:00", "01-06 00:00:00", "01-09 00:00:00"],
        ),
        (
            "0 0 * * TUE/3",
            ["01-02 00:00:00", "01-06 00:00:00", "01-09 00:00:00"],
        ),
        (
            "0 0 * * 7/6",
            ["01-03 00:00:00", "01-04 00:00:00", "01-10 00:00:00"],
        ),
    ] {
        assert_eq!(first(expression, 3), expected, "{expression}");
    }
}

#[test]
fn names_stand_for_numbers_in_any_case() {
    for (name, number) in [
        ("0 0 1 JAN *", "0 0 1 1 *"),
        ("0 0 1 feb-Apr,dEC *", "0 0 1 2-4,12 *"),
        ("0 0 * * MON-FRI", "0 0 * * 1-5"),
        ("0 0 * * sun,Sat", "0 0 * * 0,6"),
    ] {
        assert_eq!(first(name, 40), first(number, 40), "{name}");
    }
}

#[test]
fn zero_and_seven_are_sunday_in_five_and_in_six_fields() {
    let sundays = ["01-04 00:00:00", "01-11 00:00:00", "01-18 00:00:00"];
    for day in ["0", "7", "SUN", "0,7", "7-7", "0-0", "SUN-SUN", "7-0"] {
        assert_eq!(first(&format!("0 0 * * {day}"), 3), sundays, "{day}");
        assert_eq!(first(&format!("0 0 0 * * {day}"), 3), sundays, "{day}");
    }
}

#[test]
fn a_sunday_that_ends_a_range_is_the_one_after_saturday() {
    let expected = first("0 0 * * 5,6,0", 9);
    for days in ["5-7", "5-0", "FRI-SUN"] {
        assert_eq!(first(&format!("0 0 * * {days}"), 9), expected, "{days}");
    }
    for days in ["0-2", "7-2", "SUN-TUE"] {
        let range = first(&format!("0 0 * * {days}"), 9);
        assert_eq!(range, first("0 0 * * 0,1,2", 9), "{days}");
    }
    assert_eq!(first("0 0 * * 0-7", 9), first("0 0 * * *", 9));
}

#[test]
fn only_a_star_alone_leaves_a_day_field_open() {
    // Every second day of the month, or a Friday.
    assert_eq!(
        first("0 0 */2 * 5", 4),
        [
            "01-01 00:00:00",
            "01-02 00:00:00",
            "01-03 00:00:00",
            "01-05 00:00:00"
        ]
    );
    assert_eq!(first("0 0 13 * *", 2), ["01-13 00:00:00", "02-13 00:00:00"]);
    assert_eq!(first("0 0 1-31 * 5", 9), first("0 0 * * *", 9));
}

#[test]
fn short_names_stand_for_the_usual_expressions() {
    for (name, long) in [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        (" @Daily ", "0 0 * * *"),
    ] {
        assert_eq!(first(name, 30), first(long, 30), "{name}");
    }
}

#[test]
fn an_expression_shows_and_compares_as_it_was_written() {
    let written = "  00 9 * *\tmon ";
    let expression = Expression::parse(written).unwrap();
    assert_eq!(expression.as_str(), written);
    assert_ne!(expression, Expression::parse("0 9 * * 1").unwrap());
    assert_eq!(expression, written.parse().unwrap());

    let json = serde_json::to_string(&expression).unwrap();
    assert_eq!(
        serde_json::from_str::<Expression>(&json).unwrap(),
        expression
    );
    assert!(serde_json::from_str::<Expression>("\"0 9 * *\"").is_err());
}

#[test]
fn a_calendar_reads_back_what_was_stored() {
    let daily = calendar("30 2 * * *", "Europe/Berlin");
    let json = serde_json::to_string(&daily).unwrap();
    assert_eq!(
        json,
        r#"{"expression":"30 2 * * *","zone":"Europe/Berlin","gap":"fire_after","repeated_hour":"first"}"#
    );
    assert_eq!(serde_json::from_str::<Calendar>(&json).unwrap(), daily);
}

#[test]
fn an_expression_is_sub_daily_if_its_hour_field_is_a_star_or_a_stepped_star() {
    for (expression, sub_daily) in [
        ("* * * * *", true),
        ("30 * * * *", true),
        ("0 */6 * * *", true),
        ("0 */1 * * MON", true),
        ("*/10 0 * * * *", true),
        ("0 0 */2 * * *", true),
        ("@hourly", true),
        ("0 0-23 * * *", false),
        ("0 0-23/2 * * *", false),
        ("0 0/2 * * *", false),
        ("0 */6,1 * * *", false),
        ("0 */6,*/4 * * *", false),
        ("0 0,6,12,18 * * *", false),
        ("* 9 * * *", false),
        ("@daily", false),
    ] {
        let parsed = Expression::parse(expression).unwrap();
        assert_eq!(parsed.is_sub_daily(), sub_daily, "{expression}");
    }
}

#[test]
fn an_expression_of_days_that_never_come_never_fires() {
    for (expression, fires) in [
        ("0 0 30 2 *", false),
        ("0 0 30,31 FEB *", false),
        ("0 0 31 2,4,6,9,11 *", false),
        ("* * * 31 4 *", false),
        ("0 0 29 2 *", true),
        ("0 0 31 2,3 *", true),
        ("0 0 30 2 1", true), // or a Monday in February
    ] {
        let parsed = Expression::parse(expression).unwrap();
        assert_eq!(parsed.fires(), fires, "{expression}");
        let calendar = calendar(expression, "Europe/Berlin");
        for instant in [Timestamp::MIN, at("2026-01-01T00:00:00Z")] {
            assert_eq!(
                calendar.next_after(instant).is_some(),
                fires,
                "{expression}"
            );
        }
        let newest = calendar.newest(3, Timestamp::MIN, Timestamp::MAX);
        assert_eq!(newest.len(), if fires { 3 } else { 0 }, "{expression}");
    }
}
