//! Spans of time as an author writes them.
//!
//! Invariant: `Display` and `FromStr` are each other's inverse, and no arithmetic wraps.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A signed span in microseconds: a draft can hold what validation then rejects.
///
/// The text form is a sum of whole numbers with units: `100ms`, `1h30m`, `-1s`. The units are `us`, `ms`, `s`, `m` (60 s),
/// `h`, `d` (24 h) and `w` (7 d).
///
/// ```
/// use squid_mesh_core::definition::DraftSpan;
/// let span: DraftSpan = "90s".parse().unwrap();
/// assert_eq!(span.to_string(), "1m30s");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DraftSpan(i128);

/// Units from long to short with their length in microseconds. Weeks are read, never shown.
const UNITS: [(&str, i128); 7] = [
    ("w", 7 * 86_400_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

impl DraftSpan {
    /// No time at all.
    pub const ZERO: DraftSpan = DraftSpan(0);

    /// The span of that many microseconds.
    pub const fn from_micros(micros: i128) -> DraftSpan {
        DraftSpan(micros)
    }

    /// Its length in microseconds.
    pub const fn as_micros(self) -> i128 {
        self.0
    }

    /// As a duration; `None` if it is negative or longer than any duration the engine can count.
    pub fn to_duration(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_micros)
    }
}

/// Rounds up to whole microseconds, so that nothing becomes due early.
impl From<Duration> for DraftSpan {
    fn from(span: Duration) -> DraftSpan {
        let up = i128::from(!span.subsec_nanos().is_multiple_of(1_000));
        DraftSpan(i128::from(span.as_secs()) * 1_000_000 + i128::from(span.subsec_micros()) + up)
    }
}

impl fmt::Display for DraftSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let mut rest = self.0.unsigned_abs();
        for (unit, micros) in UNITS.iter().skip(1) {
            let length = micros.unsigned_abs();
            if rest >= length {
                write!(f, "{}{unit}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for DraftSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DraftSpan {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<DraftSpan, InvalidSpan> {
        let invalid = || InvalidSpan {
            text: text.chars().take(80).collect(),
        };
        let (sign, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut sum: i128 = 0;
        while !rest.is_empty() {
            let (part, tail) = first_part(rest).ok_or_else(invalid)?;
            sum = part
                .checked_mul(sign)
                .and_then(|p| sum.checked_add(p))
                .ok_or_else(invalid)?;
            rest = tail;
        }
        Ok(DraftSpan(sum))
    }
}

/// The microseconds of the first number and unit, and what follows them.
fn first_part(text: &str) -> Option<(i128, &str)> {
    let number = text.find(|c: char| !c.is_ascii_digit())?;
    let unit = text[number..]
        .find(|c: char| c.is_ascii_digit())
        .map_or(text.len(), |length| number + length);
    let (_, micros) = UNITS
        .iter()
        .find(|(name, _)| *name == &text[number..unit])?;
    let count: i128 = text[..number].parse().ok()?;
    Some((count.checked_mul(*micros)?, &text[unit..]))
}

impl Serialize for DraftSpan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DraftSpan {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DraftSpan, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A text that is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no span of time: expected whole numbers with units us, ms, s, m, h, d or w, like 1h30m"
)]
pub struct InvalidSpan {
    text: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spans_are_sums_of_numbers_with_units() {
        for (text, micros, shown) in [
            ("0s", 0, "0s"),
            ("100ms", 100_000, "100ms"),
            ("1h", 3_600_000_000, "1h"),
            ("2d", 172_800_000_000, "2d"),
            ("1w", 604_800_000_000, "7d"),
            ("-1s", -1_000_000, "-1s"),
            ("90s", 90_000_000, "1m30s"),
            ("1h30m", 5_400_000_000, "1h30m"),
            ("-1h30m", -5_400_000_000, "-1h30m"),
            ("1s1us", 1_000_001, "1s1us"),
        ] {
            let span: DraftSpan = text.parse().unwrap();
            assert_eq!(
                (span.as_micros(), span.to_string().as_str()),
                (micros, shown)
            );
        }
    }

    #[test]
    fn what_is_no_span_is_refused_without_a_panic() {
        let huge = format!("{}d", i128::MAX);
        for text in [
            "", "-", "5", "s", "1.5h", "1 h", "1y", "--1s", "1h-1m", "+1s", "1hm", "١s", "1µs",
            &huge,
        ] {
            assert!(text.parse::<DraftSpan>().is_err(), "{text}");
        }
    }

    #[test]
    fn durations_round_up_to_microseconds() {
        assert_eq!(DraftSpan::from(Duration::from_nanos(1)).as_micros(), 1);
        assert_eq!(DraftSpan::from(Duration::from_nanos(1_000)).as_micros(), 1);
        assert_eq!(
            DraftSpan::from(Duration::MAX).as_micros(),
            i128::from(u64::MAX) * 1_000_000 + 1_000_000
        );
        assert_eq!(DraftSpan::from(Duration::MAX).to_duration(), None);
        assert_eq!(DraftSpan::from_micros(-1).to_duration(), None);
    }

    proptest! {
        #[test]
        fn every_span_reads_back_what_it_shows(micros in any::<i128>()) {
            let span = DraftSpan::from_micros(micros);
            prop_assert_eq!(span.to_string().parse::<DraftSpan>().unwrap(), span);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,12}") {
            let _ = text.parse::<DraftSpan>();
        }
    }
}
