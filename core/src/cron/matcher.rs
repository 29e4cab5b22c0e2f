//! Which wall-clock times an expression names.
//!
//! Invariant: the searches forward and back see the same times, and none looks at more than eight years.

use chrono::{Datelike, Days as Span, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::expression::{Days, Fields};

/// Finds wall-clock times. Whole seconds, no zone.
pub(super) struct Matcher {
    fields: Fields,
    fires: bool,
}

/// The years from one match to the next at most: a 29 February, around a year like 2100.
const YEARS_BETWEEN: i32 = 8;

impl Matcher {
    pub(super) fn new(fields: Fields) -> Matcher {
        let fires = fires(&fields);
        Matcher { fields, fires }
    }

    /// Whether there is any match.
    pub(super) fn fires(&self) -> bool {
        self.fires
    }

    /// The first match at or after a whole second.
    pub(super) fn first_from(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        if !self.fires {
            return None;
        }
        if self.names(from.date())
            && let Some(time) = self.first_time(from.time())
        {
            return Some(from.date().and_time(time));
        }
        let midnight = self.first_time(NaiveTime::MIN)?;
        let mut date = from.date().succ_opt()?;
        while date.year() <= from.year() + YEARS_BETWEEN {
            if !self.fields.months.contains(date.month()) {
                date = first_of_next_month(date)?;
            } else if self.names(date) {
                return Some(date.and_time(midnight));
            } else {
                date = date.succ_opt()?;
            }
        }
        None
    }

    /// The last match at or before a whole second.
    pub(super) fn last_until(&self, until: NaiveDateTime) -> Option<NaiveDateTime> {
        if !self.fires {
            return None;
        }
        if self.names(until.date())
            && let Some(time) = self.last_time(until.time())
        {
            return Some(until.date().and_time(time));
        }
        let end_of_day = self.last_time(NaiveTime::from_hms_opt(23, 59, 59)?)?;
        let mut date = until.date().pred_opt()?;
        while date.year() >= until.year() - YEARS_BETWEEN {
            if !self.fields.months.contains(date.month()) {
                date = date.checked_sub_days(Span::new(u64::from(date.day())))?;
            } else if self.names(date) {
                return Some(date.and_time(end_of_day));
            } else {
                date = date.pred_opt()?;
            }
        }
        None
    }

    /// Whether a date is among those that the expression names.
    fn names(&self, date: NaiveDate) -> bool {
        let weekday = date.weekday().num_days_from_sunday();
        self.fields.months.contains(date.month())
            && match self.fields.days {
                Days::Every => true,
                Days::OfMonth(days) => days.contains(date.day()),
                Days::OfWeek(days) => days.contains(weekday),
                Days::Either { month, week } => {
                    month.contains(date.day()) || week.contains(weekday)
                }
            }
    }

    /// The first match of a day at or after a time.
    fn first_time(&self, from: NaiveTime) -> Option<NaiveTime> {
        let Fields {
            seconds,
            minutes,
            hours,
            ..
        } = &self.fields;
        let (first_minute, first_second) = (minutes.first_from(0)?, seconds.first_from(0)?);
        let hour = hours.first_from(from.hour())?;
        if hour > from.hour() {
            return NaiveTime::from_hms_opt(hour, first_minute, first_second);
        }
        if minutes.contains(from.minute())
            && let Some(second) = seconds.first_from(from.second())
        {
            return NaiveTime::from_hms_opt(hour, from.minute(), second);
        }
        match minutes.first_from(from.minute() + 1) {
            Some(minute) => NaiveTime::from_hms_opt(hour, minute, first_second),
            None => {
                let hour = hours.first_from(hour + 1)?;
                NaiveTime::from_hms_opt(hour, first_minute, first_second)
            }
        }
    }

    /// The last match of a day at or before a time.
    fn last_time(&self, until: NaiveTime) -> Option<NaiveTime> {
        let Fields {
            seconds,
            minutes,
            hours,
            ..
        } = &self.fields;
        let (last_minute, last_second) = (minutes.last_until(59)?, seconds.last_until(59)?);
        let hour = hours.last_until(until.hour())?;
        if hour < until.hour() {
            return NaiveTime::from_hms_opt(hour, last_minute, last_second);
        }
        if minutes.contains(until.minute())
            && let Some(second) = seconds.last_until(until.second())
        {
            return NaiveTime::from_hms_opt(hour, until.minute(), second);
        }
        match until
            .minute()
            .checked_sub(1)
            .and_then(|m| minutes.last_until(m))
        {
            Some(minute) => NaiveTime::from_hms_opt(hour, minute, last_second),
            None => {
                let hour = hours.last_until(hour.checked_sub(1)?)?;
                NaiveTime::from_hms_opt(hour, last_minute, last_second)
            }
        }
    }
}

fn first_of_next_month(date: NaiveDate) -> Option<NaiveDate> {
    match date.month() {
        12 => NaiveDate::from_ymd_opt(date.year() + 1, 1, 1),
        month => NaiveDate::from_ymd_opt(date.year(), month + 1, 1),
    }
}

fn fires(fields: &Fields) -> bool {
    // The longest that each month gets.
    const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    match fields.days {
        Days::Every | Days::OfWeek(_) | Days::Either { .. } => true,
        Days::OfMonth(days) => (1..)
            .zip(LENGTHS)
            .filter(|(month, _)| fields.months.contains(*month))
            .any(|(_, length)| days.first_from(1).is_some_and(|day| day <= length)),
    }
}
