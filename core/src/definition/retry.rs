//! When a failed attempt is tried again.
//!
//! Invariant: a delay is a function of the retry, the number of failed attempts and a salt; it is computed in integers and never
//! leaves the bounds of its backoff.

use std::time::Duration;

use crate::limits;

/// How often a step is tried and how long it waits in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retry {
    /// How many attempts may be executed in all; at least 1.
    pub max_attempts: u32,
    /// How many lost attempts the step survives; they do not count as executed.
    pub max_lost: u32,
    /// How long to wait after an executed attempt that failed.
    pub backoff: Backoff,
}

impl Retry {
    /// One attempt, the default number of losses, no backoff.
    pub const fn once() -> Retry {
        Retry {
            max_attempts: 1,
            max_lost: limits::MAX_LOST_DEFAULT,
            backoff: Backoff::NONE,
        }
    }

    /// How long to wait after that many executed attempts have failed. Zero for none.
    ///
    /// The salt picks the jitter; the same arguments always give the same delay. With jitter `j` and an unjittered delay `d`
    /// the result is within `[(1 - j) * d, d]`: jitter makes a retry earlier, never later than the backoff says.
    pub fn delay(&self, failed_attempts: u32, salt: u64) -> Duration {
        let whole = self.backoff.whole(failed_attempts);
        let spread = whole * u128::from(self.backoff.jitter_thousandths.min(1_000)) / 1_000;
        // Up to 2^64 microseconds times less than 2^64 fits 128 bits.
        let less = (spread * u128::from(mix(salt, failed_attempts))) >> 64;
        Duration::from_micros(u64::try_from(whole - less).unwrap_or(u64::MAX))
    }
}

impl Default for Retry {
    fn default() -> Retry {
        Retry::once()
    }
}

/// How the delays grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The law of growth.
    pub kind: BackoffKind,
    /// The first delay.
    pub min: Duration,
    /// No delay is longer.
    pub max: Duration,
    /// What an exponential delay is multiplied with each time, in thousandths; 1,000 for the other kinds.
    pub factor_thousandths: u32,
    /// By which part of itself a delay may be shortened, in thousandths from 0 to 1,000.
    pub jitter_thousandths: u16,
}

/// The law by which delays grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BackoffKind {
    /// No delay.
    None,
    /// The minimum each time.
    Constant,
    /// The minimum times the number of failed attempts.
    Linear,
    /// The minimum times the factor to the power of the number of failed attempts but one.
    Exponential,
}

impl BackoffKind {
    /// Every kind.
    pub const ALL: [BackoffKind; 4] = [
        BackoffKind::None,
        BackoffKind::Constant,
        BackoffKind::Linear,
        BackoffKind::Exponential,
    ];

    /// The word a draft uses for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            BackoffKind::None => "none",
            BackoffKind::Constant => "constant",
            BackoffKind::Linear => "linear",
            BackoffKind::Exponential => "exponential",
        }
    }
}

impl Backoff {
    /// No delay.
    pub const NONE: Backoff = Backoff {
        kind: BackoffKind::None,
        min: Duration::ZERO,
        max: Duration::ZERO,
        factor_thousandths: 1_000,
        jitter_thousandths: 0,
    };

    /// The delay before jitter, in microseconds; below 2^64.
    fn whole(&self, failed_attempts: u32) -> u128 {
        let Some(before) = failed_attempts.checked_sub(1) else {
            return 0;
        };
        let (min, max) = (micros(self.min), micros(self.max));
        match self.kind {
            BackoffKind::None => 0,
            BackoffKind::Constant => min,
            BackoffKind::Linear => (min * u128::from(failed_attempts)).min(max),
            BackoffKind::Exponential => grown(min, max, self.factor_thousandths, before),
        }
    }
}

/// `min * factor^times`, at most `max`, rounded down to whole microseconds.
///
/// The product keeps 40 binary places, so that growth by a thousandth of a microsecond is growth too: at most a few ten
/// thousand rounds lead from one microsecond to ten years, whatever the number of attempts.
fn grown(min: u128, max: u128, factor_thousandths: u32, times: u32) -> u128 {
    const PLACES: u32 = 40;
    // Validation keeps spans below ten years (2^49 us): 49 + 40 bits times a factor of 32 bits fit. A longer one is its own
    // maximum, as is any delay that does not grow.
    if factor_thousandths <= 1_000 || min == 0 || max >> 56 != 0 {
        return min.min(max);
    }
    let limit = max << PLACES;
    let mut delay = min << PLACES;
    for _ in 0..times {
        if delay >= limit {
            return max;
        }
        delay = delay * u128::from(factor_thousandths) / 1_000;
    }
    delay.min(limit) >> PLACES
}

fn micros(span: Duration) -> u128 {
    span.as_micros().min(u128::from(u64::MAX))
}

/// The `n`th output of the generator SplitMix64 seeded with `salt` (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
/// Generators, OOPSLA 2014; constants as in Vigna's public domain `splitmix64.c`).
fn mix(salt: u64, n: u32) -> u64 {
    let mut z = salt.wrapping_add(u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn retry(kind: BackoffKind, min: u64, max: u64, factor: u32, jitter: u16) -> Retry {
        let backoff = Backoff {
            kind,
            min: Duration::from_micros(min),
            max: Duration::from_micros(max),
            factor_thousandths: factor,
            jitter_thousandths: jitter,
        };
        Retry {
            backoff,
            ..Retry::once()
        }
    }

    fn delays(retry: &Retry, attempts: std::ops::RangeInclusive<u32>) -> Vec<u128> {
        attempts.map(|n| retry.delay(n, 7).as_micros()).collect()
    }

    #[test]
    fn a6_2_exponential_delays_double_up_to_their_maximum() {
        let retry = retry(BackoffKind::Exponential, 100_000, 1_000_000, 2_000, 0);
        let expected = [100, 200, 400, 800, 1_000, 1_000].map(|ms| ms * 1_000);
        assert_eq!(delays(&retry, 1..=6), expected);
    }

    #[test]
    fn each_kind_follows_its_law() {
        let table = [
            (retry(BackoffKind::None, 5, 9, 2_000, 0), [0, 0, 0, 0]),
            (retry(BackoffKind::Constant, 5, 5, 1_000, 0), [0, 5, 5, 5]),
            (retry(BackoffKind::Linear, 5, 12, 1_000, 0), [0, 5, 10, 12]),
            (
                retry(BackoffKind::Exponential, 100, 500, 1_500, 0),
                [0, 100, 150, 225],
            ),
            (
                retry(BackoffKind::Exponential, 100, 500, 1_000, 0),
                [0, 100, 100, 100],
            ),
        ];
        for (retry, expected) in table {
            assert_eq!(delays(&retry, 0..=3), expected, "{retry:?}");
        }
        assert_eq!(Retry::once().delay(u32::MAX, 1), Duration::ZERO);
    }

    #[test]
    fn the_slowest_growth_arrives_and_the_largest_count_ends() {
        let years = u64::try_from(limits::SPAN_MAX.as_micros()).unwrap();
        let slow = retry(BackoffKind::Exponential, 1, years, 1_001, 0);
        assert_eq!(slow.delay(u32::MAX, 0), limits::SPAN_MAX);
        assert_eq!(slow.delay(3_000, 0).as_micros(), 20);
        let fast = retry(BackoffKind::Exponential, years, years, u32::MAX, 1_000);
        assert!(fast.delay(u32::MAX, u64::MAX) <= limits::SPAN_MAX);
        let endless = retry(
            BackoffKind::Exponential,
            u64::MAX,
            u64::MAX,
            u32::MAX,
            1_000,
        );
        assert!(endless.delay(u32::MAX, u64::MAX) < Duration::MAX);
    }

    #[test]
    fn the_mixing_function_is_splitmix64() {
        // The reference stream of seed 1234567.
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!([1, 2, 3].map(|n| mix(1_234_567, n)), expected);
    }

    prop_compose! {
        fn any_retry()(
            kind in prop::sample::select(&BackoffKind::ALL[..]),
            min in 1..=315_576_000_000_000_u64,
            more in 0..=315_576_000_000_000_u64,
            factor in prop_oneof![Just(1_000), 1_000..5_000_u32, 1_000..=u32::MAX],
            jitter in 0..=1_000_u16,
        ) -> Retry {
            retry(kind, min, (min + more).min(315_576_000_000_000), factor, jitter)
        }
    }

    proptest! {
        #[test]
        fn delays_stay_within_their_bounds_and_are_deterministic(
            retry in any_retry(), n in prop_oneof![0..50_u32, any::<u32>()], salt in any::<u64>()
        ) {
            let plain = Retry { backoff: Backoff { jitter_thousandths: 0, ..retry.backoff }, ..retry };
            let (whole, delay) = (plain.delay(n, salt), retry.delay(n, salt));
            prop_assert_eq!(delay, retry.delay(n, salt));
            prop_assert!(delay <= whole && whole <= retry.backoff.max);
            let kept = 1_000 - u128::from(retry.backoff.jitter_thousandths);
            prop_assert!(delay.as_micros() * 1_000 >= whole.as_micros() * kept);
            if n > 0 && retry.backoff.kind != BackoffKind::None {
                prop_assert!(whole >= retry.backoff.min);
            }
        }

        #[test]
        fn delays_never_shrink_from_one_attempt_to_the_next(retry in any_retry(), n in any::<u32>()) {
            let plain = Retry { backoff: Backoff { jitter_thousandths: 0, ..retry.backoff }, ..retry };
            prop_assert!(plain.delay(n, 0) <= plain.delay(n.saturating_add(1), 0));
        }

        #[test]
        fn nothing_overflows_whatever_the_fields(
            kind in prop::sample::select(&BackoffKind::ALL[..]), min in any::<u64>(), max in any::<u64>(),
            factor in any::<u32>(), jitter in any::<u16>(), n in any::<u32>(), salt in any::<u64>()
        ) {
            retry(kind, min, max, factor, jitter).delay(n, salt);
        }
    }
}
