//! Where on the page an instant is: milliseconds matter and silences last for minutes, so both are drawn wide enough to see.
//!
//! Invariant: what is later is farther to the right.

use crate::clock::SimTime;

/// How wide the least thing is.
pub(super) const LEAST: f64 = 8.0;
/// How far two instants are from each other at least.
const STEP: f64 = 14.0;
/// How far ticks are from each other at least.
const TICK: f64 = 90.0;

/// The instants of a story, with where they are.
pub(super) struct Axis {
    places: Vec<(SimTime, f64)>,
}

impl Axis {
    /// Over these instants, in any order.
    pub(super) fn over(times: impl Iterator<Item = SimTime>) -> Axis {
        let mut times: Vec<SimTime> = times.collect();
        times.push(SimTime(0));
        times.sort_unstable();
        times.dedup();
        let mut x = 0.0;
        let mut before = SimTime(0);
        let mut places = Vec::with_capacity(times.len());
        for at in times {
            let gap = at.0 - before.0;
            if gap > 0 {
                // A tenth of a millisecond is a step, and ten times as long is one step more.
                x += STEP * (1.0 + f64::from((gap / 100 + 1).ilog10()));
            }
            places.push((at, x));
            before = at;
        }
        Axis { places }
    }

    /// Where an instant is, or the last one before it.
    pub(super) fn at(&self, at: SimTime) -> f64 {
        let after = self.places.partition_point(|(other, _)| *other <= at);
        self.places[after.saturating_sub(1)].1
    }

    /// How wide it is.
    pub(super) fn width(&self) -> f64 {
        self.places.last().map_or(0.0, |(_, x)| *x) + 4.0 * STEP
    }

    /// Instants to be written, not too near to each other.
    pub(super) fn ticks(&self) -> Vec<(SimTime, f64)> {
        let mut ticks: Vec<(SimTime, f64)> = Vec::new();
        for (at, x) in &self.places {
            if ticks.last().is_none_or(|(_, last)| x - last >= TICK) {
                ticks.push((*at, *x));
            }
        }
        ticks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_later_is_farther_to_the_right_and_silences_are_short() {
        let axis = Axis::over([5_000_000, 300, 600, 5_000_300].map(SimTime).into_iter());
        let places = [0, 300, 600, 5_000_000, 5_000_300].map(|at| axis.at(SimTime(at)));
        assert!(places.is_sorted() && places[0] < places[1], "{places:?}");
        assert!(places[3] - places[2] < 10.0 * STEP);
        assert_eq!(axis.at(SimTime(u64::MAX)), places[4]);
    }
}
