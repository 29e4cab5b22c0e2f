//! Everything that is to happen at some moment, in one flat table.
//!
//! Invariant: a timer is set for one moment at most, and each set timer is in both indexes.

use std::collections::{BTreeMap, BTreeSet};

use super::{AttemptId, Reason, Ticket};
use crate::id::Shard;
use crate::time::Moment;

/// Something that can be set for a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The lease of an attempt ends, less a margin.
    LeaseEnd(AttemptId),
    /// An attempt exceeds its step's timeout.
    Timeout(AttemptId),
    /// Leases of a shard are to be renewed.
    Renewal(Shard),
    /// A task of a shard falls due.
    TaskDue(Shard),
    /// A shard was not looked at for the poll interval.
    Poll(Shard),
    /// An operation is performed again.
    Again(Ticket),
    /// Leases of a shard are asked for again.
    LeasesAgain(Shard),
    /// Inputs are fetched again.
    FetchAgain,
    /// The grace of a drain ends, and later the time it has to wind up.
    Grace,
}

impl Timer {
    fn reason(self) -> Reason {
        match self {
            Timer::LeaseEnd(_) => Reason::LeaseEnd,
            Timer::Timeout(_) => Reason::Timeout,
            Timer::Renewal(_) => Reason::Renewal,
            Timer::TaskDue(_) => Reason::TaskDue,
            Timer::Poll(_) => Reason::Poll,
            Timer::Again(_) | Timer::LeasesAgain(_) | Timer::FetchAgain => Reason::Backoff,
            Timer::Grace => Reason::Grace,
        }
    }
}

/// The timers that are set.
#[derive(Debug, Default)]
pub(super) struct Timers {
    moments: BTreeMap<Timer, Moment>,
    order: BTreeSet<(Moment, Timer)>,
}

impl Timers {
    /// Sets a timer, in place of the moment it was set for.
    pub(super) fn set(&mut self, timer: Timer, at: Moment) {
        if let Some(before) = self.moments.insert(timer, at) {
            self.order.remove(&(before, timer));
        }
        self.order.insert((at, timer));
    }

    pub(super) fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.moments.remove(&timer) {
            self.order.remove(&(at, timer));
        }
    }

    /// The moment a timer is set for.
    pub(super) fn moment(&self, timer: Timer) -> Option<Moment> {
        self.moments.get(&timer).copied()
    }

    /// Takes out the earliest timer whose moment has come.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<Timer> {
        let (at, timer) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.cancel(timer);
        Some(timer)
    }

    pub(super) fn earliest(&self) -> Option<(Moment, Reason)> {
        self.order.first().map(|(at, timer)| (*at, timer.reason()))
    }

    pub(super) fn clear(&mut self) {
        *self = Timers::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_the_order_of_their_moments_and_can_be_moved_and_cancelled() {
        let at = Moment::from_micros;
        let mut timers = Timers::default();
        timers.set(Timer::Grace, at(30));
        timers.set(Timer::FetchAgain, at(10));
        timers.set(Timer::Poll(Shard::default()), at(20));
        timers.set(Timer::FetchAgain, at(25));
        assert_eq!(timers.earliest(), Some((at(20), Reason::Poll)));
        assert_eq!(timers.pop_due(at(19)), None);
        assert_eq!(timers.pop_due(at(27)), Some(Timer::Poll(Shard::default())));
        assert_eq!(timers.pop_due(at(27)), Some(Timer::FetchAgain));
        assert_eq!(timers.pop_due(at(27)), None);
        timers.cancel(Timer::Grace);
        assert_eq!(timers.earliest(), None);
    }
}
