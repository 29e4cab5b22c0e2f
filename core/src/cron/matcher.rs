//! Which wall-clock times an expression names, by the `cron` crate.
//!
//! Invariant: the crate is asked about years of its own range only, about UTC only, and never about the present.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

use super::expression::{Days, Field, Fields, Values};

/// Finds wall-clock times. Whole seconds, no zone.
pub(super) struct Matcher {
    /// Two where day of month and day of week are both given: the crate would want both to hold.
    schedules: Vec<::cron::Schedule>,
    fires: bool,
}

/// The years from one day that is a match to the next: a 29 February, around a year like 2100.
const YEARS_BETWEEN: usize = 8;

impl Matcher {
    pub(super) fn new(fields: &Fields) -> Matcher {
        let schedule = |days: &str, weekdays: &str| {
            let [seconds, minutes, hours, months] = [
                (fields.seconds, Field::Second),
                (fields.minutes, Field::Minute),
                (fields.hours, Field::Hour),
                (fields.months, Field::Month),
            ]
            .map(|(values, field)| list(values, field));
            format!("{seconds} {minutes} {hours} {days} {months} {weekdays}")
                .parse()
                .expect("lists of values within their fields are read by the cron crate")
        };
        let month_days = |values| list(values, Field::DayOfMonth);
        Matcher {
            schedules: match fields.days {
                Days::Every => vec![schedule("*", "*")],
                Days::OfMonth(days) => vec![schedule(&month_days(days), "*")],
                Days::OfWeek(days) => vec![schedule("*", &weekdays(days))],
                Days::Either { month, week } => vec![
                    schedule(&month_days(month), "*"),
                    schedule("*", &weekdays(week)),
                ],
            },
            fires: fires(fields),
        }
    }

    /// Whether there is any match.
    pub(super) fn fires(&self) -> bool {
        self.fires
    }

    /// The first match at or after a whole second. Looks at no more than eight years beyond it: if there is none, there never is.
    pub(super) fn first_from(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        if !self.fires {
            return None;
        }
        let mut from = from;
        for _ in 0..=YEARS_BETWEEN {
            let found = self.schedules.iter().filter_map(|s| first_in_year(s, from));
            if let Some(found) = found.min() {
                return Some(found);
            }
            from = NaiveDate::from_ymd_opt(from.year() + 1, 1, 1)?.and_time(NaiveTime::MIN);
        }
        None
    }

    /// The last match at or before a whole second. Looks at no more than eight years before it.
    pub(super) fn last_until(&self, until: NaiveDateTime) -> Option<NaiveDateTime> {
        if !self.fires {
            return None;
        }
        let mut until = until;
        for _ in 0..=YEARS_BETWEEN {
            let found = self.schedules.iter().filter_map(|s| last_in_year(s, until));
            if let Some(found) = found.max() {
                return Some(found);
            }
            until = NaiveDate::from_ymd_opt(until.year(), 1, 1)?.and_time(NaiveTime::MIN)
                - TimeDelta::seconds(1);
        }
        None
    }
}

fn first_in_year(schedule: &::cron::Schedule, from: NaiveDateTime) -> Option<NaiveDateTime> {
    let twin = twin_of(from.year());
    let start = dressed(from, twin)? - TimeDelta::seconds(1);
    let found = schedule.after(&start).next()?;
    undressed(found, twin, from.year())
}

fn last_in_year(schedule: &::cron::Schedule, until: NaiveDateTime) -> Option<NaiveDateTime> {
    let twin = twin_of(until.year());
    let start = dressed(until, twin)? + TimeDelta::seconds(1);
    let found = schedule.after(&start).next_back()?;
    undressed(found, twin, until.year())
}

/// A year with the same days of the week and the same length as another: the crate knows 1970 to 2100 alone.
fn twin_of(year: i32) -> i32 {
    // By the weekday of 1 January, Monday first.
    const COMMON: [i32; 7] = [2001, 2002, 2003, 2009, 2010, 2005, 2006];
    const LEAP: [i32; 7] = [2024, 2008, 2020, 2004, 2016, 2000, 2012];
    let first = NaiveDate::from_ymd_opt(year, 1, 1);
    let weekday = first.map_or(0, |day| day.weekday().num_days_from_monday());
    let leap = first.is_some_and(|day| day.leap_year());
    let years = if leap { LEAP } else { COMMON };
    years[weekday as usize]
}

/// A wall-clock time in another year, as if it were UTC.
fn dressed(wall: NaiveDateTime, year: i32) -> Option<DateTime<Utc>> {
    Some(wall.with_year(year)?.and_utc())
}

fn undressed(found: DateTime<Utc>, twin: i32, year: i32) -> Option<NaiveDateTime> {
    let found = found.naive_utc();
    (found.year() == twin)
        .then(|| found.with_year(year))
        .flatten()
}

fn fires(fields: &Fields) -> bool {
    // The longest that each month gets.
    const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    match fields.days {
        Days::Every | Days::OfWeek(_) | Days::Either { .. } => true,
        Days::OfMonth(days) => (1..)
            .zip(LENGTHS)
            .filter(|(month, _)| fields.months.contains(*month))
            .any(|(_, length)| days.iter().any(|day| day <= length)),
    }
}

/// Values as the crate reads them.
fn list(values: Values, field: Field) -> String {
    if values == Values::all(field) {
        return "*".to_owned();
    }
    joined(values.iter().map(|value| value.to_string()))
}

/// Weekdays by name: the crate counts them from 1.
fn weekdays(values: Values) -> String {
    const NAMES: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    joined(values.iter().map(|day| NAMES[day as usize].to_owned()))
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_and_its_twin_have_the_same_days() {
        for year in 1969..=10_000 {
            let twin = twin_of(year);
            assert!((2000..2028).contains(&twin));
            let [first, last] = [(1, 1), (12, 31)].map(|(month, day)| {
                [year, twin].map(|year| NaiveDate::from_ymd_opt(year, month, day).unwrap())
            });
            for [day, same] in [first, last] {
                assert_eq!(day.weekday(), same.weekday(), "{year}");
                assert_eq!(day.ordinal(), same.ordinal(), "{year}");
            }
        }
    }
}
