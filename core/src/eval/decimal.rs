//! JSON numbers as exact decimals.
//!
//! Invariant: two texts of one number read as equal decimals; no work depends on the size of an exponent.

use std::cmp::Ordering;

/// A decimal number: its digits behind the point, times ten to the power of its scale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    /// Never of zero.
    negative: bool,
    scale: i128,
    /// Neither begins nor ends with a zero; empty for zero.
    digits: String,
}

/// An exponent beyond this, up or down, counts as this one.
const EXPONENT_MAX: i128 = 10_i128.pow(36);

impl Decimal {
    /// Reads the text of a JSON number.
    pub(super) fn read(number: &str) -> Decimal {
        let magnitude = number.trim_start_matches('-');
        let (mantissa, power) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
        let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{integer}{fraction}");
        let behind = all.trim_start_matches('0');
        let digits = behind.trim_end_matches('0');
        if digits.is_empty() {
            return Decimal {
                negative: false,
                scale: 0,
                digits: String::new(),
            };
        }
        let before = length(integer) - length(&all) + length(behind);
        Decimal {
            negative: number.starts_with('-'),
            scale: exponent(power) + before,
            digits: digits.to_owned(),
        }
    }

    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// -1, 0 or 1.
    fn sign(&self) -> i8 {
        match (self.is_zero(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }
}

fn length(digits: &str) -> i128 {
    i128::try_from(digits.len()).expect("no text is longer than an i128 counts")
}

fn exponent(text: &str) -> i128 {
    let beyond = if text.starts_with('-') {
        -EXPONENT_MAX
    } else {
        EXPONENT_MAX
    };
    let read = text.parse().unwrap_or(beyond);
    read.clamp(-EXPONENT_MAX, EXPONENT_MAX)
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        let magnitude = || (self.scale, &self.digits).cmp(&(other.scale, &other.digits));
        self.sign().cmp(&other.sign()).then_with(|| {
            if self.negative {
                magnitude().reverse()
            } else {
                magnitude()
            }
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compared(left: &str, right: &str) -> Ordering {
        Decimal::read(left).cmp(&Decimal::read(right))
    }

    #[test]
    fn one_number_in_many_texts_is_one_decimal() {
        for (left, right) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("1", "0.0001E+4"),
            ("-0", "0.00e99"),
            ("120", "1.2e2"),
            ("1e1000000000000", "10e999999999999"),
            (
                "100000000000000000000000000001",
                "100000000000000000000000000001.0",
            ),
            ("1e-00000000000000000000000000000000000000000000002", "0.01"),
        ] {
            assert_eq!(Decimal::read(left), Decimal::read(right), "{left} {right}");
        }
    }

    #[test]
    fn order_is_that_of_the_numbers_not_of_floats_or_texts() {
        for (less, greater) in [
            ("9", "10"),
            ("0.1", "0.10000000000000000000000000000001"),
            ("9007199254740992", "9007199254740993"),
            ("-10", "-9"),
            ("-1e-999999999", "0"),
            ("0", "1e-999999999"),
            ("1e999999999", "1e1000000000"),
            ("-1e1000000000", "-1e999999999"),
            (
                "9e99999999999999999999999999999999999",
                "1e100000000000000000000000000000000000",
            ),
            ("1", "1e99999999999999999999999999999999999999999999999999"),
            (
                "1e-99999999999999999999999999999999999999999999999999",
                "1e-9",
            ),
        ] {
            assert_eq!(compared(less, greater), Ordering::Less, "{less} {greater}");
            assert_eq!(compared(greater, less), Ordering::Greater);
        }
    }

    /// A number's text, and the number times ten to the twelfth as an integer.
    fn number() -> impl Strategy<Value = (String, i128)> {
        let integer = prop_oneof![Just("0".to_owned()), "[1-9][0-9]{0,3}"];
        let parts = (any::<bool>(), integer, "[0-9]{0,4}", -8_i32..=8, 0..3);
        parts.prop_map(|(negative, integer, fraction, exponent, form)| {
            let exponent = if form == 0 { 0 } else { exponent };
            let digits: i128 = format!("{integer}{fraction}").parse().unwrap();
            let places = i32::try_from(fraction.len()).unwrap();
            let power = u32::try_from(12 + exponent - places).unwrap();
            let value = digits * 10_i128.pow(power) * if negative { -1 } else { 1 };
            let sign = if negative { "-" } else { "" };
            let point = if fraction.is_empty() { "" } else { "." };
            let tail = match form {
                0 => String::new(),
                1 => format!("e{exponent}"),
                _ => format!("E{exponent:+}"),
            };
            (format!("{sign}{integer}{point}{fraction}{tail}"), value)
        })
    }

    proptest! {
        #[test]
        fn decimals_compare_like_integers_of_one_unit(left in number(), right in number()) {
            prop_assert_eq!(compared(&left.0, &right.0), left.1.cmp(&right.1));
        }

        #[test]
        fn a_shift_of_the_point_that_the_exponent_makes_good_changes_nothing(
            number in number(),
            zeros in 0_usize..40,
            far in -1_000_000_000_000_i64..1_000_000_000_000,
        ) {
            let (mantissa, power) = number.0.split_once(['e', 'E']).unwrap_or((&number.0, "0"));
            let power: i64 = power.parse().unwrap();
            let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
            let wide = i64::try_from(fraction.len() + zeros).unwrap();
            let shifted = format!("{integer}{fraction}{}e{}", "0".repeat(zeros), power + far - wide);
            let plain = format!("{mantissa}e{}", power + far);
            prop_assert_eq!(compared(&shifted, &plain), Ordering::Equal);
        }
    }
}
