//! The fields of an expression, and the values each can take.
//!
//! Invariant: a `Values` holds at least one value, all within its field's range, with Sunday as 0.

use std::fmt;
use std::ops::RangeInclusive;

/// One field of a cron expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Second of the minute, 0 to 59; only in expressions of six fields.
    Second,
    /// Minute of the hour, 0 to 59.
    Minute,
    /// Hour of the day, 0 to 23.
    Hour,
    /// Day of the month, 1 to 31.
    DayOfMonth,
    /// Month, 1 to 12 or `JAN` to `DEC`.
    Month,
    /// Day of the week, 0 to 7 or `SUN` to `SAT`; 0 and 7 are Sunday.
    DayOfWeek,
}

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Field {
    /// Every field, in the order of an expression of six.
    pub const ALL: [Field; 6] = [
        Field::Second,
        Field::Minute,
        Field::Hour,
        Field::DayOfMonth,
        Field::Month,
        Field::DayOfWeek,
    ];

    /// The field's name for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Field::Second => "second",
            Field::Minute => "minute",
            Field::Hour => "hour",
            Field::DayOfMonth => "day of month",
            Field::Month => "month",
            Field::DayOfWeek => "day of week",
        }
    }

    /// The numbers that an expression may name.
    pub(super) const fn numbers(self) -> RangeInclusive<u32> {
        match self {
            Field::Second | Field::Minute => 0..=59,
            Field::Hour => 0..=23,
            Field::DayOfMonth => 1..=31,
            Field::Month => 1..=12,
            Field::DayOfWeek => 0..=7,
        }
    }

    /// The values there are: `numbers` without the second number for Sunday.
    pub(super) const fn values(self) -> RangeInclusive<u32> {
        match self {
            Field::DayOfWeek => 0..=6,
            Field::Second | Field::Minute | Field::Hour | Field::DayOfMonth | Field::Month => {
                self.numbers()
            }
        }
    }

    /// The largest step that takes more than one value.
    pub(super) const fn step_max(self) -> u32 {
        let values = self.values();
        *values.end() - *values.start()
    }

    /// The names of its values, from the first value on.
    pub(super) const fn names(self) -> &'static [&'static str] {
        match self {
            Field::Month => &MONTHS,
            Field::DayOfWeek => &WEEKDAYS,
            Field::Second | Field::Minute | Field::Hour | Field::DayOfMonth => &[],
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The values of one field that an expression names, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Values(u64);

impl Values {
    /// The one value 0.
    pub(crate) const ZERO: Values = Values(1);

    pub(crate) fn insert(&mut self, value: u32) {
        self.0 |= 1 << value;
    }

    pub(crate) fn contains(self, value: u32) -> bool {
        self.0 & (1 << value) != 0
    }

    /// The smallest value that is not smaller than a number.
    pub(crate) fn first_from(self, value: u32) -> Option<u32> {
        let rest = self.0 & u64::MAX.checked_shl(value)?;
        (rest != 0).then(|| rest.trailing_zeros())
    }

    /// The greatest value that is not greater than a number below 64.
    pub(crate) fn last_until(self, value: u32) -> Option<u32> {
        (self.0 & (u64::MAX >> (63 - value))).checked_ilog2()
    }
}
