//! When a failed attempt is tried again, as an author writes it.
//!
//! Invariant: holds what was written; validation judges it together with everything else.

use std::time::Duration;

use squid_mesh_core::definition::{BackoffKind, DraftBackoff, DraftRetry};

/// How often a step is tried, and how long it waits in between. A step without one is tried once.
///
/// Attempts that were lost with their process are not counted here: see [`Retry::max_lost`].
///
/// ```
/// use std::time::Duration;
/// use squid_mesh::Retry;
///
/// // Five attempts; pauses of 100 ms, 200 ms, 400 ms, 800 ms, each up to 20 % shorter.
/// let retry = Retry::exponential(5).min(Duration::from_millis(100)).jitter(0.2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry(DraftRetry);

impl Retry {
    /// That many attempts in all, one right after the other.
    pub fn immediate(max_attempts: u32) -> Retry {
        Retry(DraftRetry::attempts(max_attempts))
    }

    /// The same pause each time.
    pub fn constant(max_attempts: u32, pause: Duration) -> Retry {
        Retry(DraftRetry::constant(max_attempts, pause))
    }

    /// A pause that grows by `min` each time, up to `max`.
    pub fn linear(max_attempts: u32, min: Duration, max: Duration) -> Retry {
        Retry(DraftRetry::linear(max_attempts, min, max))
    }

    /// A pause that doubles each time, from one second up to an hour.
    pub fn exponential(max_attempts: u32) -> Retry {
        Retry(DraftRetry::exponential(max_attempts))
    }

    /// The first pause.
    #[must_use]
    pub fn min(self, pause: Duration) -> Retry {
        self.backoff(|backoff| backoff.min = Some(pause.into()))
    }

    /// The longest pause.
    #[must_use]
    pub fn max(self, pause: Duration) -> Retry {
        self.backoff(|backoff| backoff.max = Some(pause.into()))
    }

    /// What a pause is multiplied with each time, in steps of a thousandth: 2 for doubling.
    #[must_use]
    pub fn factor(self, factor: f64) -> Retry {
        self.backoff(|backoff| backoff.factor_thousandths = Some(thousandths(factor)))
    }

    /// By which part of itself a pause may be shortened, from 0 to 1, in steps of a thousandth.
    #[must_use]
    pub fn jitter(self, part: f64) -> Retry {
        let part = u16::try_from(thousandths(part)).unwrap_or(u16::MAX);
        self.backoff(|backoff| backoff.jitter_thousandths = Some(part))
    }

    /// How many lost attempts the step survives; 3 by default.
    #[must_use]
    pub fn max_lost(mut self, attempts: u32) -> Retry {
        self.0.max_lost = Some(attempts);
        self
    }

    /// Sets an option of the backoff. Without a backoff the option is kept with kind `none`, for validation to refuse.
    fn backoff(mut self, set: impl FnOnce(&mut DraftBackoff)) -> Retry {
        set(self
            .0
            .backoff
            .get_or_insert_with(|| DraftBackoff::of(BackoffKind::None)));
        self
    }

    pub(crate) fn into_draft(self) -> DraftRetry {
        self.0
    }
}

/// Rounded to whole thousandths; what is no number of them becomes 0, which validation refuses where it matters.
fn thousandths(number: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float cast saturates, and validation refuses what is out of range"
    )]
    let thousandths = (number * 1_000.0).round() as u32;
    thousandths
}
