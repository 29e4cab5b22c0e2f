//! Acceptance items of schedules, as far as they are about the calendar.

use crate::common::{calendar, firings};

#[test]
fn a15_3_a_daily_time_in_berlin_fires_once_after_the_gap_and_once_at_the_first_pass() {
    let daily = calendar("30 2 * * *", "Europe/Berlin");
    assert_eq!(
        firings(&daily, "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"),
        ["2026-03-29T01:00:00Z"]
    );
    assert_eq!(
        firings(&daily, "2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"),
        ["2026-10-25T00:30:00Z"]
    );
}

#[test]
fn a15_4_an_hourly_time_in_berlin_fires_at_both_passes_of_the_repeated_hour() {
    let hourly = calendar("30 * * * *", "Europe/Berlin");
    assert_eq!(
        firings(&hourly, "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"),
        ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]
    );
}

#[test]
fn a15_5_a_daily_time_in_new_york_fires_once_after_the_gap_and_once_at_the_first_pass() {
    assert_eq!(
        firings(
            &calendar("30 2 * * *", "America/New_York"),
            "2026-03-07T12:00:00Z",
            "2026-03-08T12:00:00Z"
        ),
        ["2026-03-08T07:00:00Z"]
    );
    assert_eq!(
        firings(
            &calendar("30 1 * * *", "America/New_York"),
            "2026-10-31T12:00:00Z",
            "2026-11-01T12:00:00Z"
        ),
        ["2026-11-01T05:30:00Z"]
    );
}

#[test]
fn a15_6_a_daily_time_on_lord_howe_keeps_to_a_change_of_half_an_hour() {
    assert_eq!(
        firings(
            &calendar("15 2 * * *", "Australia/Lord_Howe"),
            "2026-10-03T00:00:00Z",
            "2026-10-04T00:00:00Z"
        ),
        ["2026-10-03T15:30:00Z"]
    );
    assert_eq!(
        firings(
            &calendar("45 1 * * *", "Australia/Lord_Howe"),
            "2026-04-04T00:00:00Z",
            "2026-04-05T00:00:00Z"
        ),
        ["2026-04-04T14:45:00Z"]
    );
}

#[test]
fn a15_13_day_of_month_and_day_of_week_mean_either() {
    assert_eq!(
        firings(
            &calendar("0 0 13 * 5", "UTC"),
            "2026-03-01T00:00:00Z",
            "2026-04-18T00:00:00Z"
        ),
        [
            "2026-03-06T00:00:00Z", // Friday
            "2026-03-13T00:00:00Z", // Friday and 13th
            "2026-03-20T00:00:00Z",
            "2026-03-27T00:00:00Z",
            "2026-04-03T00:00:00Z",
            "2026-04-10T00:00:00Z",
            "2026-04-13T00:00:00Z", // Monday
            "2026-04-17T00:00:00Z",
        ]
    );
}
