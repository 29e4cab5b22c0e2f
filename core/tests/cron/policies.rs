//! What the changes of the clocks do to firings.

use squid_mesh_core::cron::{AppliedPolicy, Calendar, GapPolicy, Pass, RepeatedHourPolicy};

use crate::common::{at, calendar, firings};

/// Each firing of a day or two as UTC, wall clock and policy.
fn shown(calendar: &Calendar, after: &str, until: &str) -> Vec<String> {
    let found = calendar.newest(1_000, at(after), at(until));
    found
        .iter()
        .map(|firing| {
            let policy = firing.policy.map_or("-", |policy| policy.as_str());
            let utc = firing.local - firing.offset();
            format!(
                "{}Z {} {policy}",
                utc.format("%d %H:%M"),
                firing.local.format("%H:%M")
            )
        })
        .collect()
}

fn spring(calendar: &Calendar) -> Vec<String> {
    // The clocks go from 02:00 to 03:00 at 01:00Z.
    shown(calendar, "2027-03-27T22:59:59Z", "2027-03-28T03:00:00Z")
}

fn autumn(calendar: &Calendar) -> Vec<String> {
    // The clocks go from 03:00 to 02:00 at 01:00Z.
    shown(calendar, "2027-10-30T21:59:59Z", "2027-10-31T03:00:00Z")
}

#[test]
fn a_time_in_a_gap_is_skipped_or_fires_after_it() {
    let daily = calendar("30 2 * * *", "Europe/Berlin");
    assert_eq!(spring(&daily), ["28 01:00Z 03:00 gap_fire_after"]);
    assert_eq!(spring(&daily.with_gap(GapPolicy::Skip)), [""; 0]);

    let hourly = calendar("30 * * * *", "Europe/Berlin");
    let skipped = [
        "27 23:30Z 00:30 -",
        "28 00:30Z 01:30 -",
        "28 01:30Z 03:30 -",
        "28 02:30Z 04:30 -",
    ];
    assert_eq!(spring(&hourly), skipped);
    let mut moved = skipped.to_vec();
    moved.insert(2, "28 01:00Z 03:00 gap_fire_after");
    assert_eq!(spring(&hourly.with_gap(GapPolicy::FireAfter)), moved);
}

#[test]
fn all_times_of_one_gap_are_one_firing_with_what_is_due_right_after_it() {
    let often = calendar("*/20 2 * * *", "Europe/Berlin");
    assert_eq!(spring(&often), ["28 01:00Z 03:00 gap_fire_after"]);
    let on = calendar("*/30 2-3 * * *", "Europe/Berlin");
    assert_eq!(
        spring(&on),
        ["28 01:00Z 03:00 gap_fire_after", "28 01:30Z 03:30 -"]
    );
}

#[test]
fn a_firing_after_a_gap_says_which_time_came_first_in_the_gap() {
    let often = calendar("10,20,50 2 * * *", "Europe/Berlin");
    let forward = often.next_after(at("2027-03-28T00:00:00Z")).unwrap();
    let back = often.last_at_or_before(at("2027-03-28T12:00:00Z")).unwrap();
    assert_eq!(forward, back);
    let Some(AppliedPolicy::FiredAfterGap { scheduled }) = forward.policy else {
        panic!("{forward:?}");
    };
    assert_eq!(scheduled.to_string(), "2027-03-28 02:10:00");
}

#[test]
fn a_repeated_time_fires_at_the_first_pass_the_second_or_every_one() {
    let daily = calendar("30 2 * * *", "Europe/Berlin");
    assert_eq!(autumn(&daily), ["31 00:30Z 02:30 repeated_hour_first"]);
    assert_eq!(
        autumn(&daily.clone().with_repeated_hour(RepeatedHourPolicy::Second)),
        ["31 01:30Z 02:30 repeated_hour_second"]
    );
    assert_eq!(
        autumn(&daily.with_repeated_hour(RepeatedHourPolicy::Every)),
        [
            "31 00:30Z 02:30 repeated_hour_every",
            "31 01:30Z 02:30 repeated_hour_every"
        ]
    );
}

#[test]
fn the_passes_of_a_repeated_hour_keep_their_order_in_time() {
    let hourly = calendar("*/30 * * * *", "Europe/Berlin");
    let first = "2027-10-30T23:59:59Z";
    let last = "2027-10-31T02:00:00Z";
    assert_eq!(
        shown(&hourly, first, last),
        [
            "31 00:00Z 02:00 repeated_hour_every",
            "31 00:30Z 02:30 repeated_hour_every",
            "31 01:00Z 02:00 repeated_hour_every",
            "31 01:30Z 02:30 repeated_hour_every",
            "31 02:00Z 03:00 -",
        ]
    );
    let second = hourly.with_repeated_hour(RepeatedHourPolicy::Second);
    assert_eq!(
        shown(&second, "2027-10-30T23:29:59Z", last),
        [
            "30 23:30Z 01:30 -",
            "31 01:00Z 02:00 repeated_hour_second",
            "31 01:30Z 02:30 repeated_hour_second",
            "31 02:00Z 03:00 -",
        ]
    );
}

#[test]
fn a_firing_within_a_repeated_hour_says_which_pass_it_is() {
    let hourly = calendar("30 * * * *", "Europe/Berlin");
    let found = hourly.newest(2, at("2027-10-31T00:00:00Z"), at("2027-10-31T01:59:59Z"));
    let policies: Vec<_> = found.iter().filter_map(|firing| firing.policy).collect();
    let policy = RepeatedHourPolicy::Every;
    assert_eq!(
        policies,
        [Pass::First, Pass::Second].map(|pass| AppliedPolicy::RepeatedHour { policy, pass })
    );
}

#[test]
fn an_hourly_expression_in_a_zone_without_daylight_saving_fires_every_hour() {
    let hourly = calendar("0 * * * *", "Asia/Kathmandu");
    let found = firings(&hourly, "2027-03-27T23:59:59Z", "2027-03-28T02:00:00Z");
    // The zone is 5 hours and 45 minutes ahead.
    assert_eq!(found, ["2027-03-28T00:15:00Z", "2027-03-28T01:15:00Z"]);
}

#[test]
fn a_day_that_a_zone_leaves_out_fires_when_the_next_one_begins() {
    // Apia went from the end of 29 December 2011 to the beginning of 31 December.
    let noon = calendar("0 12 * * *", "Pacific/Apia");
    assert_eq!(
        shown(&noon, "2011-12-29T12:00:00Z", "2011-12-31T12:00:00Z"),
        [
            "29 22:00Z 12:00 -",
            "30 10:00Z 00:00 gap_fire_after",
            "30 22:00Z 12:00 -"
        ]
    );
    let skipping = noon.with_gap(GapPolicy::Skip);
    assert_eq!(
        shown(&skipping, "2011-12-29T12:00:00Z", "2011-12-31T12:00:00Z"),
        ["29 22:00Z 12:00 -", "30 22:00Z 12:00 -"]
    );
}

#[test]
fn a_midnight_that_the_clocks_jump_over_fires_at_one() {
    // In Santiago the clocks go forward at midnight.
    let daily = calendar("@daily", "America/Santiago");
    assert_eq!(
        shown(&daily, "2027-09-04T12:00:00Z", "2027-09-06T12:00:00Z"),
        ["05 04:00Z 01:00 gap_fire_after", "06 03:00Z 00:00 -"]
    );
}
