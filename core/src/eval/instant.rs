//! The instant that a value says.
//!
//! Invariant: what is taken lies in the years 1 to 9999, so that it reads back from the text it shows.

use chrono::DateTime;

use super::scan::{self, Kind};
use crate::event::{Failure, code};
use crate::payload::Payload;
use crate::time::Timestamp;

/// 0001-01-01T00:00:00Z.
const EARLIEST: Timestamp = Timestamp::from_micros(-62_135_596_800_000_000);
/// 9999-12-31T23:59:59.999999Z.
const LATEST: Timestamp = Timestamp::from_micros(253_402_300_799_999_999);

/// Reads RFC 3339 text with an offset, cut to whole microseconds, or an integer of milliseconds since 1970. How far away the
/// instant is does not matter here.
///
/// # Errors
/// A failure that no attempt can mend: the value is neither, or not in the years 1 to 9999.
pub fn instant(input: &Payload) -> Result<Timestamp, Failure> {
    let read = scan::whole(input.bytes(), |scanner| {
        Ok(match scanner.kind()? {
            Kind::String => of_text(&scanner.string()?),
            Kind::Number => of_number(scanner.number()?),
            kind @ (Kind::Null | Kind::Boolean | Kind::Array | Kind::Object) => {
                scanner.skip()?;
                Err(format!("{kind} is neither RFC 3339 text nor an integer"))
            }
        })
    });
    let at = match read {
        Ok(read) => read.map_err(|why| invalid(&why))?,
        Err(malformed) => return Err(invalid(&format!("it cannot be read as JSON: {malformed}"))),
    };
    if (EARLIEST..=LATEST).contains(&at) {
        Ok(at)
    } else {
        Err(invalid("it is not in the years 1 to 9999"))
    }
}

fn of_text(text: &str) -> Result<Timestamp, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| Timestamp::from_micros(at.timestamp_micros()))
        .map_err(|error| format!("the text is not RFC 3339 with an offset: {error}"))
}

fn of_number(number: &str) -> Result<Timestamp, String> {
    if number.contains(['.', 'e', 'E']) {
        return Err("the number is not written as an integer".to_owned());
    }
    // An integer that does not fit is far beyond the year 9999 or before the year 1.
    let millis: Option<i64> = number.parse().ok();
    let micros = millis.and_then(|millis| millis.checked_mul(1_000));
    Ok(Timestamp::from_micros(micros.unwrap_or(i64::MAX)))
}

fn invalid(why: &str) -> Failure {
    let message = format!("the input says no instant to wait for: {why}");
    Failure::new(code::INVALID_WAIT, &message, false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Result<i64, Failure> {
        instant(&Payload::new(json.as_bytes())).map(Timestamp::as_micros)
    }

    #[test]
    fn a8_4_instants_are_read_from_text_with_an_offset_and_from_milliseconds() {
        for (json, micros) in [
            (r#""1970-01-01T00:00:00Z""#, 0),
            (r#" "1970-01-01T01:00:00.5+01:00" "#, 500_000),
            (r#""1969-12-31T23:59:59.999999Z""#, -1),
            (r#""1970-01-01t00:00:00.0000019z""#, 1),
            (r#""1969-12-31T23:59:59.9999999999Z""#, -1),
            (r#""2024-02-29T23:30:00-05:30""#, 1_709_269_200_000_000),
            (r#""2016-12-31T23:59:60Z""#, 1_483_228_800_000_000),
            (r#""\u0031970-01-01T00:00:00Z""#, 0),
            (r#""0001-01-01T00:00:00Z""#, EARLIEST.as_micros()),
            (r#""9999-12-31T23:59:59.9999999Z""#, LATEST.as_micros()),
            ("0", 0),
            ("-1", -1_000),
            (" 1774749600000 ", 1_774_749_600_000_000),
            ("253402300799999", 253_402_300_799_999_000),
        ] {
            assert_eq!(read(json), Ok(micros), "{json}");
        }
    }

    #[test]
    fn anything_else_is_an_invalid_wait_that_is_not_retried() {
        for json in [
            "null",
            "true",
            "{}",
            "[0]",
            "1.0",
            "1e3",
            "253402300800000",
            "-62135596800001",
            "99999999999999999999999999",
            "-99999999999999999999999999",
            "",
            "1970-01-01T00:00:00Z",
            r#""""#,
            r#""tomorrow""#,
            r#""1970-01-01""#,
            r#""1970-01-01T00:00:00""#,
            r#""1970-01-01T00:00Z""#,
            r#""1970-01-01T00:00:00+25:00""#,
            r#""1970-02-30T00:00:00Z""#,
            r#""1970-01-01T24:00:00Z""#,
            r#""1970-01-01T00:00:61Z""#,
            r#""1970-01-01T00:00:00Zx""#,
            r#"" 1970-01-01T00:00:00Z""#,
            r#""0000-12-31T23:59:59Z""#,
            r#""0001-01-01T00:00:00+00:01""#,
            r#""9999-12-31T23:59:59-00:01""#,
            r#""10000-01-01T00:00:00Z""#,
        ] {
            let failure = read(json).unwrap_err();
            assert_eq!(
                (failure.code.as_str(), failure.retryable),
                ("invalid_wait", false),
                "{json}"
            );
        }
    }

    proptest! {
        #[test]
        fn an_instant_is_read_from_the_text_it_shows(
            micros in EARLIEST.as_micros()..=LATEST.as_micros(),
        ) {
            let at = Timestamp::from_micros(micros);
            prop_assert_eq!(read(&format!("\"{at}\"")), Ok(micros));
            let millis = micros.div_euclid(1_000);
            let expected = millis.checked_mul(1_000).unwrap();
            prop_assert_eq!(read(&millis.to_string()), Ok(expected));
        }
    }
}
