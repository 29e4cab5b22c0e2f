//! Three kinds of clock: the simulation's true time, the database's, and each host's.
//!
//! Invariant: true time never goes back, and no engine code ever sees it.

use std::fmt;
use std::time::Duration;

use squid_mesh_core::time::{Moment, Timestamp};

/// True time, in microseconds since the world began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SimTime(pub u64);

impl SimTime {
    /// This instant moved forward.
    #[must_use]
    pub fn plus(self, span: Duration) -> SimTime {
        SimTime(self.0.saturating_add(micros(span)))
    }

    /// This instant moved forward by microseconds.
    #[must_use]
    pub const fn plus_micros(self, span: u64) -> SimTime {
        SimTime(self.0.saturating_add(span))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub const fn since(self, earlier: SimTime) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// Whole microseconds of a span.
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// The database's clock: true time from a base on, stepped forward and back by faults, perhaps coarse.
#[derive(Debug, Clone)]
pub struct DatabaseClock {
    base: i64,
    offset: i64,
    grain: i64,
}

impl DatabaseClock {
    /// A clock that shows `base` at the beginning and only multiples of `grain`.
    pub fn new(base: Timestamp, grain: Duration) -> DatabaseClock {
        let grain = i64::try_from(micros(grain))
            .expect("a grain is short")
            .max(1);
        DatabaseClock {
            base: base.as_micros(),
            offset: 0,
            grain,
        }
    }

    /// What it shows.
    pub fn read(&self, now: SimTime) -> Timestamp {
        let exact = self.base
            + self.offset
            + i64::try_from(now.0).expect("a simulation is shorter than 292,000 years");
        Timestamp::from_micros(exact - exact.rem_euclid(self.grain))
    }

    /// Steps it forward (or back, by a negative number of microseconds).
    pub fn step(&mut self, by: i64) {
        self.offset += by;
    }

    /// The first instant from `now` on at which it shows `at` or more, if it is not stepped; `now`, if it can never show that.
    pub fn reaches(&self, now: SimTime, at: Timestamp) -> SimTime {
        let target = at.as_micros();
        let Some(rounded) = target.checked_add(target.wrapping_neg().rem_euclid(self.grain)) else {
            return now;
        };
        let true_micros = rounded
            .saturating_sub(self.base)
            .saturating_sub(self.offset);
        SimTime(u64::try_from(true_micros).unwrap_or(0)).max(now)
    }
}

/// A process's monotonic clock: too fast or too slow by its drift, and now and then jumping ahead.
#[derive(Debug, Clone)]
pub struct HostClock {
    boot: SimTime,
    start: u64,
    /// Microseconds that it shows for a million true ones.
    rate: u64,
}

impl HostClock {
    /// A clock that begins at `start` when true time is `boot`, and is wrong by `drift` parts in a million.
    pub fn new(boot: SimTime, start: u64, drift: i32) -> HostClock {
        let rate = u64::try_from(1_000_000 + i64::from(drift)).expect("a clock runs forward");
        HostClock { boot, start, rate }
    }

    /// What it shows.
    pub fn read(&self, now: SimTime) -> Moment {
        let elapsed =
            u128::from(now.0.saturating_sub(self.boot.0)) * u128::from(self.rate) / 1_000_000;
        Moment::from_micros(self.start + u64::try_from(elapsed).expect("a simulation is short"))
    }

    /// Jumps ahead, as after a suspend that the clock did count in one piece.
    pub fn jump(&mut self, by: Duration) {
        self.start += micros(by);
    }

    /// The first instant from `now` on at which it shows `moment` or more.
    pub fn reaches(&self, now: SimTime, moment: Moment) -> SimTime {
        let ahead = u128::from(moment.as_micros().saturating_sub(self.start));
        let elapsed = (ahead * 1_000_000).div_ceil(u128::from(self.rate));
        SimTime(
            self.boot
                .0
                .saturating_add(u64::try_from(elapsed).unwrap_or(u64::MAX)),
        )
        .max(now)
    }

    /// By how many parts in a million it is wrong.
    pub fn drift(&self) -> u64 {
        self.rate.abs_diff(1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_clock_reaches_a_moment_at_the_first_instant_that_shows_it() {
        for drift in [-500_000, -37, 0, 11, 900_000] {
            let clock = HostClock::new(SimTime(1_000), 77, drift);
            for moment in [77, 78, 1_000_077, 123_456_789] {
                let at = clock.reaches(SimTime(0), Moment::from_micros(moment));
                assert!(clock.read(at).as_micros() >= moment, "{drift} {moment}");
                let before = SimTime(at.0.saturating_sub(1));
                assert!(
                    at == SimTime(1_000) || clock.read(before).as_micros() < moment,
                    "{drift} {moment}"
                );
            }
        }
    }

    #[test]
    fn a_coarse_database_clock_never_reaches_the_end_of_time() {
        let clock = DatabaseClock::new(Timestamp::from_micros(0), Duration::from_micros(1_000));
        let end = Timestamp::from_micros(i64::MAX);
        assert_eq!(clock.reaches(SimTime(7), end), SimTime(7));
    }

    #[test]
    fn a_database_clock_reaches_a_time_at_the_first_instant_that_shows_it() {
        for grain in [1, 1_000] {
            let mut clock = DatabaseClock::new(
                Timestamp::from_micros(5_000_300),
                Duration::from_micros(grain),
            );
            clock.step(-2_000);
            let target = Timestamp::from_micros(5_001_001);
            let at = clock.reaches(SimTime(0), target);
            assert!(
                clock.read(at) >= target && clock.read(SimTime(at.0 - 1)) < target,
                "{grain}"
            );
        }
    }
}
