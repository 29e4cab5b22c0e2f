//! Leases held: renewed in time, given back where nothing began.
//!
//! Every lease is to be renewed a third of it after it was last granted; those due within a sixth go along. Hand-backs
//! travel in the same operation. What met a lock, or an outage, is asked for again after a pause.
//!
//! Invariant: one operation on leases is in flight per shard at most, and no lease that a handler relies on is forgotten.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::attempts::{Stage, Task};
use super::slots::Reservation;
use super::timers::Timer;
use super::{AttemptId, StopReason, Worker};
use crate::id::{RunId, Shard};
use crate::limits;
use crate::mutant::Mutant;
use crate::operation::{Held, HeldReply, Leases, Operation};
use crate::store::StoreError;
use crate::time::Moment;

#[cfg(test)]
mod tests;

/// The leases of every shard.
#[derive(Debug, Default)]
pub(super) struct LeaseBook {
    shards: BTreeMap<Shard, Page>,
    /// Shards that may have something to ask for.
    ready: BTreeSet<Shard>,
}

/// The leases of one shard.
#[derive(Debug, Default)]
struct Page {
    /// When each is to be renewed.
    due: BTreeSet<(Moment, AttemptId)>,
    /// To be renewed with the next operation.
    renew: BTreeSet<AttemptId>,
    /// Bodies that are to begin once the next operation has recorded it.
    begin: BTreeSet<AttemptId>,
    /// To be handed back with the next operation.
    hand_back: BTreeSet<AttemptId>,
    out: bool,
    tries: u32,
}

impl LeaseBook {
    pub(super) fn hand_back(&mut self, shard: Shard, id: AttemptId) {
        self.page(shard).hand_back.insert(id);
        self.ready.insert(shard);
    }

    pub(super) fn begin(&mut self, shard: Shard, id: AttemptId) {
        self.page(shard).begin.insert(id);
        self.ready.insert(shard);
    }

    pub(super) fn renew(&mut self, shard: Shard, id: AttemptId) {
        self.page(shard).renew.insert(id);
        self.ready.insert(shard);
    }

    /// Has the shard looked at with the next poll.
    pub(super) fn look_at(&mut self, shard: Shard) {
        self.ready.insert(shard);
    }

    /// Renews nothing any more.
    pub(super) fn stop_renewing(&mut self) {
        for page in self.shards.values_mut() {
            page.due.clear();
            page.renew.clear();
        }
    }

    fn page(&mut self, shard: Shard) -> &mut Page {
        self.shards.entry(shard).or_default()
    }
}

impl Worker {
    /// What a lease is taken to be shorter than it is.
    pub(super) fn lease_margin(&self) -> Duration {
        self.config.lease / 20
    }

    /// Has a lease renewed at `at`.
    pub(super) fn watch_lease(&mut self, id: AttemptId, at: Moment) {
        if self.phase.is_ending() {
            return;
        }
        let shard = id.key.run.shard(self.config.shards);
        self.unwatch_lease(id);
        self.task_mut(id).renew_at = Some(at);
        self.leases.page(shard).due.insert((at, id));
        let timer = Timer::Renewal(shard);
        if self.timers.moment(timer).is_none_or(|set| at < set) {
            self.timers.set(timer, at);
        }
    }

    /// Asks for the run's leases at once: the answer says whether its attempts are to stop.
    pub(super) fn watch_run(&mut self, run: RunId, now: Moment) {
        for id in self.attempts.of_run(run).collect::<Vec<AttemptId>>() {
            self.watch_lease(id, now);
        }
    }

    pub(super) fn unwatch_lease(&mut self, id: AttemptId) {
        let Some(at) = self
            .attempts
            .held
            .get_mut(&id)
            .and_then(|task| task.renew_at.take())
        else {
            return;
        };
        let shard = id.key.run.shard(self.config.shards);
        let page = self.leases.page(shard);
        page.due.remove(&(at, id));
        if page.due.is_empty() {
            self.timers.cancel(Timer::Renewal(shard));
        }
    }

    pub(super) fn renewal_due(&mut self, shard: Shard, now: Moment) {
        let horizon = now.plus(self.config.lease / 6);
        while let Some((at, id)) = self
            .leases
            .page(shard)
            .due
            .first()
            .copied()
            .filter(|(at, _)| *at <= horizon)
        {
            let page = self.leases.page(shard);
            page.due.remove(&(at, id));
            page.renew.insert(id);
            self.task_mut(id).renew_at = None;
        }
        if let Some((at, _)) = self.leases.page(shard).due.first() {
            self.timers.set(Timer::Renewal(shard), *at);
        }
        self.leases.look_at(shard);
    }

    pub(super) fn next_leases(&mut self, now: Moment) {
        while let Some(shard) = self.leases.ready.pop_first() {
            let paused = self.timers.moment(Timer::LeasesAgain(shard)).is_some();
            if paused || self.leases.page(shard).out {
                continue;
            }
            let leases = self.wanted_of(shard);
            if !leases.renew.is_empty() || !leases.begun.is_empty() || !leases.hand_back.is_empty()
            {
                self.leases.page(shard).out = true;
                self.send(
                    Operation::Lease(leases),
                    Vec::new(),
                    Reservation::default(),
                    now,
                );
            }
        }
    }

    /// Hand-backs first: somebody may be waiting for them. Then bodies that wait to begin.
    fn wanted_of(&mut self, shard: Shard) -> Leases {
        let page = self.leases.shards.entry(shard).or_default();
        let held = &self.attempts.held;
        let take = |ids: &mut BTreeSet<AttemptId>, most: usize, fits: fn(&Stage) -> bool| {
            let mut taken = Vec::new();
            while taken.len() < most
                && let Some(id) = ids.pop_first()
            {
                if held
                    .get(&id)
                    .is_some_and(|task| !task.lost && fits(&task.stage))
                {
                    taken.push(Held {
                        key: id.key,
                        token: id.token,
                    });
                }
            }
            taken
        };
        let giving = |stage: &Stage| matches!(stage, Stage::HandingBack);
        let hand_back = take(&mut page.hand_back, limits::BATCH, giving);
        let rest = limits::BATCH - hand_back.len();
        let begun = take(&mut page.begin, rest, |stage| {
            matches!(stage, Stage::Beginning(_))
        });
        // A mark renews too, and is asked for until it is answered.
        let renew = take(&mut page.renew, rest - begun.len(), |stage| {
            !matches!(stage, Stage::HandingBack | Stage::Beginning(_))
        });
        Leases {
            shard,
            lease: self.config.lease,
            renew,
            begun,
            hand_back,
        }
    }

    pub(super) fn leased(
        &mut self,
        leases: &Leases,
        replies: &[HeldReply],
        sent: Moment,
        now: Moment,
    ) {
        let (renewals, begun) = (leases.renew.len(), leases.begun.len());
        assert_eq!(
            replies.len(),
            renewals + begun + leases.hand_back.len(),
            "every lease is answered"
        );
        self.leases.page(leases.shard).out = false;
        self.leases.look_at(leases.shard);
        let all = leases.renew.iter().chain(&leases.begun);
        for (nth, (held, reply)) in all.chain(&leases.hand_back).zip(replies).enumerate() {
            let id = id_of(held);
            if nth < renewals {
                self.renewed(id, *reply, sent);
            } else if nth < renewals + begun {
                self.marked(id, *reply, sent, now);
            } else {
                self.given_back(id, *reply);
            }
        }
        if replies.contains(&HeldReply::Busy) {
            self.pause_leases(leases.shard, &StoreError::Conflict, now);
        } else {
            self.leases.page(leases.shard).tries = 0;
        }
    }

    /// That a body may begin is recorded: it begins.
    fn marked(&mut self, id: AttemptId, reply: HeldReply, sent: Moment, now: Moment) {
        let beginning = |task: &&mut Task| matches!(task.stage, Stage::Beginning(_));
        let Some(task) = self.attempts.held.get_mut(&id).filter(beginning) else {
            return;
        };
        match reply {
            HeldReply::Held { lease, stop: false } => {
                let Stage::Beginning(execution) =
                    std::mem::replace(&mut task.stage, Stage::Received)
                else {
                    unreachable!("only what is beginning was filtered");
                };
                self.watch_lease(id, sent.plus(self.config.lease / 3));
                self.extend_lease(id, sent.plus(lease.saturating_sub(self.lease_margin())));
                self.execute(id, execution, now);
            }
            HeldReply::Held { stop: true, .. } => self.hand_back(id),
            HeldReply::Lost => self.lease_lost(id, true),
            HeldReply::Busy => self.leases.begin(id.key.run.shard(self.config.shards), id),
            HeldReply::HandedBack => unreachable!("a mark hands nothing back"),
        }
    }

    fn renewed(&mut self, id: AttemptId, reply: HeldReply, sent: Moment) {
        let (begun, waiting) = match self.attempts.held.get(&id).map(|task| &task.stage) {
            Some(Stage::Executing { .. }) => (true, false),
            Some(Stage::Fetching(_) | Stage::Beginning(_)) => (false, true),
            Some(Stage::Received | Stage::Reporting) => (false, false),
            Some(Stage::HandingBack) | None => return,
        };
        match reply {
            HeldReply::Held { stop: true, .. } if waiting => self.hand_back(id),
            HeldReply::Held { lease, stop } => {
                self.watch_lease(id, sent.plus(self.config.lease / 3));
                if begun || waiting {
                    self.extend_lease(id, sent.plus(lease.saturating_sub(self.lease_margin())));
                }
                if stop {
                    self.stop(id, StopReason::RunEnding);
                }
            }
            HeldReply::Lost => self.lease_lost(id, waiting),
            HeldReply::Busy => self.leases.renew(id.key.run.shard(self.config.shards), id),
            HeldReply::HandedBack => unreachable!("a renewal hands nothing back"),
        }
    }

    /// The lease of an attempt that has not reported lasts until `ends`. One that was told to stop is not told again.
    fn extend_lease(&mut self, id: AttemptId, ends: Moment) {
        if self.timers.moment(Timer::LeaseEnd(id)).is_some() {
            self.timers.set(Timer::LeaseEnd(id), ends);
        }
    }

    /// The report of a handler that goes on is sent all the same: only the store knows whether it still counts.
    fn lease_lost(&mut self, id: AttemptId, fetching: bool) {
        self.stats.leases_lost += 1;
        if fetching {
            return self.drop_task(id);
        }
        self.task_mut(id).lost = true;
        self.stop(id, StopReason::LeaseLost);
    }

    fn given_back(&mut self, id: AttemptId, reply: HeldReply) {
        match reply {
            HeldReply::HandedBack => {
                self.stats.handed_back += 1;
                self.drop_task(id);
            }
            HeldReply::Lost => self.drop_task(id),
            HeldReply::Busy => self
                .leases
                .hand_back(id.key.run.shard(self.config.shards), id),
            HeldReply::Held { .. } => unreachable!("a hand-back renews nothing"),
        }
    }

    /// Everything that was asked for is asked for again: it is harmless, and by then there may be more.
    pub(super) fn leases_unanswered(&mut self, leases: &Leases, error: &StoreError, now: Moment) {
        if self.config.mutation.is(Mutant::RenewalForgottenAfterOutage) {
            return;
        }
        let page = self.leases.page(leases.shard);
        page.out = false;
        page.renew.extend(leases.renew.iter().map(id_of));
        page.begin.extend(leases.begun.iter().map(id_of));
        page.hand_back.extend(leases.hand_back.iter().map(id_of));
        self.pause_leases(leases.shard, error, now);
    }

    /// Not for longer than a tenth of the lease, so that an outage shorter than a lease costs none.
    fn pause_leases(&mut self, shard: Shard, error: &StoreError, now: Moment) {
        let tries = self.leases.page(shard).tries;
        let pause = self
            .backoff(error, tries, shard.as_u16().into())
            .min(self.config.lease / 10);
        self.leases.page(shard).tries += 1;
        self.timers.set(Timer::LeasesAgain(shard), now.plus(pause));
    }
}

fn id_of(held: &Held) -> AttemptId {
    AttemptId {
        key: held.key,
        token: held.token,
    }
}
