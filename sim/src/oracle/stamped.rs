//! Inputs that say when their run was started: what is stored, worked out once more.
//!
//! Invariant: made from the contract, what was asked for and the database's clock, by no code of the engine's.

use serde_json::Value;
use squid_mesh_core::definition::{Contract, Definition, FieldDefault, Stamp};
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::time::Timestamp;

const DAY_MICROS: i64 = 86_400_000_000;

/// What is stored in place of a given input, if anything is put in.
pub(super) fn stored(
    definition: &Definition,
    trigger: &Name,
    given: &Payload,
    now: Timestamp,
) -> Option<Value> {
    let trigger = definition.trigger(trigger.as_str())?;
    let Contract::Fields { fields, .. } = &trigger.contract else {
        return None;
    };
    let Ok(Value::Object(mut input)) = serde_json::from_slice(given.bytes()) else {
        return None;
    };
    let count = input.len();
    for (name, field) in fields {
        if let Some(FieldDefault::Stamp(stamp)) = field.default {
            let text = || Value::String(text(stamp, now));
            input.entry(name.clone()).or_insert_with(text);
        }
    }
    (input.len() > count).then_some(Value::Object(input))
}

fn text(stamp: Stamp, now: Timestamp) -> String {
    let micros = now.as_micros();
    let (year, month, day) = date(micros.div_euclid(DAY_MICROS));
    let date = format!("{year:04}-{month:02}-{day:02}");
    let rest = micros.rem_euclid(DAY_MICROS);
    let (seconds, micros) = (rest / 1_000_000, rest % 1_000_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match stamp {
        Stamp::Now => format!("{date}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"),
        Stamp::Today => date,
    }
}

/// The date that is so many days after 1970-01-01, counted year by year and month by month.
fn date(mut days: i64) -> (i64, usize, i64) {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1_970;
    while days < 0 || days >= 365 + i64::from(is_leap(year)) {
        if days < 0 {
            year -= 1;
            days += 365 + i64::from(is_leap(year));
        } else {
            days -= 365 + i64::from(is_leap(year));
            year += 1;
        }
    }
    let february = 28 + i64::from(is_leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_those_that_a_calendar_shows() {
        for (micros, shown) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_774_745_880_000_001, "2026-03-29T00:58:00.000001Z"),
            (253_402_300_799_000_000, "9999-12-31T23:59:59.000000Z"),
        ] {
            let now = Timestamp::from_micros(micros);
            assert_eq!(text(Stamp::Now, now), shown);
            assert_eq!(text(Stamp::Today, now), shown[..10]);
        }
    }
}
