//! When and what to claim.
//!
//! A shard is *awake* when something may be due in it that nobody told the worker about: at the start, when a timer or the
//! poll interval ends, after a hint that names no queue. A queue of a shard *may have more* after a hint that names it,
//! after a claim that left something behind or took as much as it was offered, and when its shard was awake and had no
//! slot of it free. An awake shard is claimed from as soon as any slot is free, a queue that may have more as soon as one
//! of its own slots is.
//!
//! Invariant: one claim is in flight at most, and each one that is not a repetition has the next number.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::attempts::HandOut;
use super::slots::{Place, Slots};
use super::timers::Timer;
use super::{Config, Worker};
use crate::id::{Shard, Shards};
use crate::mutant::Mutant;
use crate::name::Name;
use crate::operation::{Claim, Claimed, Operation};
use crate::store::Hint;
use crate::time::Moment;

#[cfg(test)]
mod tests;

/// What is known of the shards.
#[derive(Debug)]
pub(super) struct Claims {
    shards: Shards,
    /// Counts claims.
    number: u64,
    /// A claim is in flight.
    out: bool,
    /// The shard of the last claim.
    last: Shard,
    awake: BTreeSet<Shard>,
    more: BTreeMap<Shard, BTreeSet<Place>>,
    /// How many tasks the last claim took of a queue.
    took: BTreeMap<Place, u32>,
    /// The most urgent priority that the last claim left behind.
    left: BTreeMap<(Shard, Name), i16>,
}

/// Free slots of a queue that every claim is offered.
const OFFERED_MIN: u32 = 8;

/// Wake-ups of several workers for one task are spread over so many microseconds.
const SPREAD_MICROS: u32 = 2_000;

impl Claims {
    pub(super) fn new(config: &Config) -> Claims {
        Claims {
            shards: config.shards,
            number: 0,
            out: false,
            last: Shard::default(),
            awake: config.shards.all().collect(),
            more: BTreeMap::new(),
            took: BTreeMap::new(),
            left: BTreeMap::new(),
        }
    }

    /// How many slots of a queue a claim is offered: twice what the last one took, so that one which finds little keeps
    /// few from hand-offs, and a backlog is soon met by all there are.
    fn wanted(&self, place: Place) -> u32 {
        let took = self.took.get(&place).copied().unwrap_or(0);
        took.saturating_mul(2).max(OFFERED_MIN)
    }

    pub(super) fn wake(&mut self, shard: Shard) {
        self.awake.insert(shard);
    }

    /// How urgent a hand-off must be so that it overtakes nothing.
    pub(super) fn floor(&self, shard: Shard, queue: &Name) -> Option<i16> {
        self.left.get(&(shard, queue.clone())).copied()
    }

    /// What becomes of a claim whose outcome nobody will ask for.
    pub(super) fn forget_last(&mut self) {
        self.out = false;
    }

    /// The next shard to claim from, in rotation: every one has its turn.
    fn next(&self, slots: &Slots) -> Option<Shard> {
        if self.out || !slots.any_free() {
            return None;
        }
        let served = |(shard, places): (&Shard, &BTreeSet<Place>)| {
            places
                .iter()
                .any(|place| slots.free(*place) > 0)
                .then_some(*shard)
        };
        let after = (
            std::ops::Bound::Excluded(self.last),
            std::ops::Bound::Unbounded,
        );
        let first = |awake: Option<&Shard>, more: Option<Shard>| match (awake.copied(), more) {
            (Some(awake), Some(more)) => Some(awake.min(more)),
            (one, other) => one.or(other),
        };
        let later = first(
            self.awake.range(after).next(),
            self.more.range(after).find_map(served),
        );
        later.or_else(|| first(self.awake.first(), self.more.iter().find_map(served)))
    }

    /// Takes note of what a claim is about to find out.
    fn begin(&mut self, shard: Shard, slots: &Slots) -> u64 {
        self.out = true;
        self.last = shard;
        self.number += 1;
        let awake = self.awake.remove(&shard);
        let is_full = |place: &Place| slots.free(*place) == 0;
        let more = self.more.entry(shard).or_default();
        more.retain(is_full);
        if awake {
            more.extend(slots.places().filter(is_full));
        }
        self.number
    }

    /// Takes note of what a claim took and what it left behind.
    fn end(&mut self, claim: &Claim, claimed: &Claimed, slots: &Slots, took: BTreeMap<Place, u32>) {
        self.out = false;
        let shard = claim.shard;
        for demand in &claim.offer.queues {
            self.left.remove(&(shard, demand.queue.clone()));
        }
        self.left.extend(
            claimed
                .left
                .iter()
                .map(|(queue, priority)| ((shard, queue.clone()), *priority)),
        );
        let offered = |place: Place| match place {
            Place::Queue(_) => claim
                .offer
                .queues
                .iter()
                .find(|demand| slots.queue(&demand.queue) == Some(place))
                .map_or(0, |demand| demand.slots),
            Place::Engine => claim.offer.engine,
        };
        // What a claim left although it had slots for it and took nothing is not to be had: a timer or a hint tells.
        let mut more: BTreeSet<Place> = BTreeSet::new();
        if claimed.more && !took.is_empty() {
            let left = claimed.left.iter();
            more.extend(left.filter_map(|(queue, _)| slots.queue(queue)));
            more.extend(
                took.iter()
                    .filter_map(|(place, count)| (*count >= offered(*place)).then_some(*place)),
            );
        }
        // It stopped somewhere without saying where.
        if claimed.more && claimed.left.is_empty() && more.is_empty() {
            self.awake.insert(shard);
        }
        self.more.entry(shard).or_default().extend(more);
        self.took = took;
    }
}

impl Worker {
    /// Something may be due. Which shard it is in a hint does not say.
    pub(super) fn hinted(&mut self, hint: &Hint) {
        let place = match &hint.queue {
            None => None,
            Some(queue) if queue.is_engine() => Some(Place::Engine),
            Some(queue) => match self.slots.queue(queue) {
                Some(place) => Some(place),
                None => return,
            },
        };
        for shard in self.claims.shards.all() {
            match place {
                Some(place) => {
                    self.claims.more.entry(shard).or_default().insert(place);
                }
                None => self.claims.wake(shard),
            }
        }
    }

    /// Sends a claim, if there is reason for one and a slot free.
    pub(super) fn next_claim(&mut self, now: Moment) {
        if !self.phase.is_working() {
            return;
        }
        let Some(shard) = self.claims.next(&self.slots) else {
            return;
        };
        let number = self.claims.begin(shard, &self.slots);
        self.timers.cancel(Timer::TaskDue(shard));
        self.timers.cancel(Timer::Poll(shard));
        let offered = self.slots.offer_free(|place| self.claims.wanted(place));
        let claim = Claim {
            shard,
            number,
            offer: self.offer(&offered),
        };
        self.send(Operation::Claim(claim), Vec::new(), offered.reserved, now);
    }

    pub(super) fn claimed(&mut self, claim: &Claim, claimed: Claimed, from: &HandOut, now: Moment) {
        let mut took: BTreeMap<Place, u32> = BTreeMap::new();
        for task in &claimed.tasks {
            *took.entry(self.slots.place(task)).or_default() += 1;
        }
        self.claims.end(claim, &claimed, &self.slots, took);
        if self.phase.is_working() && !self.config.mutation.is(Mutant::WakesByHintOnly) {
            self.sleep(claim.shard, claimed.next_due, now);
        }
        self.receive(claimed.tasks, from, now);
    }

    /// Sets when to look at a shard again: at the next due time, or after the poll interval.
    fn sleep(&mut self, shard: Shard, next_due: Option<Duration>, now: Moment) {
        self.timers
            .set(Timer::Poll(shard), now.plus(self.config.poll));
        self.due_in(shard, next_due, now);
    }

    /// Something falls due after that long: looks then, a little spread, unless it looks before that anyway.
    pub(super) fn due_in(&mut self, shard: Shard, next_due: Option<Duration>, now: Moment) {
        let asleep = !self.phase.is_working() || self.config.mutation.is(Mutant::WakesByHintOnly);
        let Some(due) = next_due.filter(|due| *due < self.config.poll && !asleep) else {
            return;
        };
        let spread = self.scatter(u64::from(shard.as_u16()), SPREAD_MICROS);
        let at = now.plus(due).plus(Duration::from_micros(spread.into()));
        let timer = Timer::TaskDue(shard);
        if self.timers.moment(timer).is_none_or(|set| at < set) {
            self.timers.set(timer, at);
        }
    }

    /// Stops looking.
    pub(super) fn stop_claiming(&mut self) {
        for shard in self.claims.shards.all() {
            self.timers.cancel(Timer::TaskDue(shard));
            self.timers.cancel(Timer::Poll(shard));
        }
    }
}
