//! The `cron` crate finds the same wall-clock times. It is asked in UTC alone: it does not know what to do when clocks change.

use chrono::{DateTime, Datelike, TimeDelta};
use cron::Schedule;
use proptest::prelude::*;
use squid_mesh_core::cron::Calendar;
use squid_mesh_core::time::Timestamp;

use crate::common::{calendar, expression};

/// The same expression in its dialect: six fields, names of weekdays, and one of two day fields.
fn schedules(text: &str) -> Vec<Schedule> {
    let mut fields: Vec<&str> = text.split(' ').collect();
    if fields.len() == 5 {
        fields.insert(0, "0");
    }
    let [second, minute, hour, day, month, weekday] = fields[..] else {
        panic!("{text}");
    };
    let weekday = match weekday {
        "0" | "7" => "SUN",
        "6,7" => "SAT,SUN",
        "5-7" => "FRI,SAT,SUN",
        "*/3" => "SUN,WED,SAT",
        named => named,
    };
    let with = |day: &str, weekday: &str| {
        let text = format!("{second} {minute} {hour} {day} {month} {weekday}");
        text.parse().unwrap()
    };
    if day == "*" || weekday == "*" {
        vec![with(day, weekday)]
    } else {
        vec![with(day, "*"), with("*", weekday)]
    }
}

fn micros(at: DateTime<chrono::Utc>) -> Timestamp {
    Timestamp::from_micros(at.timestamp_micros())
}

proptest! {
    #[test]
    fn the_cron_crate_names_the_same_wall_clock_times(
        text in expression(),
        seconds in 0_i64..3_900_000_000,
    ) {
        let calendar: Calendar = calendar(&text, "UTC");
        let schedules = schedules(&text);
        let mut at = DateTime::from_timestamp(seconds, 0).unwrap();
        for _ in 0..50 {
            let next = schedules.iter().filter_map(|s| s.after(&at).next()).min();
            // The crate knows no year after 2100.
            let found = calendar.next_after(micros(at)).filter(|f| f.local.year() <= 2100);
            prop_assert_eq!(found.map(|f| f.at), next.map(micros));
            let Some(next) = next else { break };
            at = next;
        }
        for _ in 0..50 {
            let last = schedules.iter().filter_map(|s| s.after(&at).next_back()).max();
            let before = micros(at - TimeDelta::microseconds(1));
            let found = calendar.last_at_or_before(before);
            prop_assert_eq!(found.map(|f| f.at), last.map(micros));
            let Some(last) = last else { break };
            at = last;
        }
    }
}
