//! The long-lived machine of one process: which operations to perform, which attempts to execute, when to look again.
//!
//! What it does is spread over parts by concept; each part holds its own state and extends [`Worker`] with what it does
//! with it. Inputs change state at once; operations are put together in [`Worker::poll`] only, so that everything that
//! came in before one poll leaves together.
//!
//! Invariant: it owns no clock and does no IO; a driver hands in inputs with the moment they came, and drains actions.

mod attempts;
mod cache;
#[cfg(test)]
mod chaos;
mod chores;
mod claims;
mod drain;
mod flight;
mod in_place;
mod inputs;
mod io;
mod leases;
mod memory;
mod returned;
#[cfg(test)]
mod rig;
mod settles;
mod slots;
mod submits;
mod timers;

use std::collections::VecDeque;
use std::sync::Arc;

pub use in_place::SettledInPlace;
pub use io::{
    Action, AttemptFailure, AttemptId, Config, Execution, Input, LogLine, QueueConfig, Reason,
    Returned, StopReason, SubmitError, Ticket,
};

use crate::id::RunId;
use crate::operation::Offer;
use crate::time::Moment;
use attempts::Attempts;
use cache::Cache;
use claims::Claims;
use drain::Phase;
use flight::Flight;
use inputs::Inputs;
use leases::LeaseBook;
use settles::Settles;
use slots::{Offered, Slots};
use submits::Submits;
use timers::{Timer, Timers};

/// The machine. One future owns it.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    phase: Phase,
    actions: VecDeque<Action>,
    timers: Timers,
    slots: Slots,
    flight: Flight,
    claims: Claims,
    attempts: Attempts,
    inputs: Inputs,
    leases: LeaseBook,
    settles: Settles,
    submits: Submits,
    cache: Cache,
    stats: Stats,
}

/// What a worker did so far, for telemetry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks received under lease, by claims and by hand-offs.
    pub received: u64,
    /// Tasks handed out again that were known already.
    pub known: u64,
    /// Attempts that were executed.
    pub executed: u64,
    /// Reports that were accepted.
    pub accepted: u64,
    /// Reports that were rejected.
    pub rejected: u64,
    /// Attempts aborted because of their timeout.
    pub timed_out: u64,
    /// Leases that turned out to be somebody else's.
    pub leases_lost: u64,
    /// Leases handed back.
    pub handed_back: u64,
    /// Operations that were performed again.
    pub repeated: u64,
    /// Answers to what was not in flight.
    pub late: u64,
}

impl Worker {
    /// A worker that is registered but has claimed nothing yet. The first claims leave with the first poll.
    ///
    /// # Panics
    /// If the configuration allows no settle in flight.
    pub fn new(config: Config, _now: Moment) -> Worker {
        assert!(
            config.settles > 0,
            "a worker without settles could never report"
        );
        Worker {
            phase: Phase::Working,
            actions: VecDeque::new(),
            timers: Timers::default(),
            slots: Slots::new(&config.queues),
            flight: Flight::default(),
            claims: Claims::new(&config),
            attempts: Attempts::default(),
            inputs: Inputs::default(),
            leases: LeaseBook::default(),
            settles: Settles::new(config.settles),
            submits: Submits::default(),
            cache: Cache::new(),
            stats: Stats::default(),
            config,
        }
    }

    /// Takes an input in. Never blocks; actions that follow are drained with [`Worker::poll`].
    ///
    /// # Panics
    /// If a reply does not answer the operation it is given for: a broken driver or store.
    pub fn handle(&mut self, input: Input, now: Moment) {
        if self.phase.is_stopped() {
            return self.refuse_stopped(&input);
        }
        match input {
            Input::Performed { ticket, result } => self.performed(ticket, result, now),
            Input::Fetched { ticket, result } => self.fetched(ticket, result, now),
            Input::Finished { attempt, result } => self.finished(attempt, result),
            Input::SettledInPlace(settled) => self.settled_in_place(*settled, now),
            Input::Conflicted { attempt } => self.conflicted(attempt),
            Input::Submit { request, group } => self.submit(request, group),
            Input::Hint(hint) => self.hinted(&hint),
            Input::Drain => self.drain(now),
        }
    }

    /// The next action, if there is one. To be called until there is none, after every input and deadline.
    pub fn poll(&mut self, now: Moment) -> Option<Action> {
        if self.actions.is_empty() && !self.phase.is_stopped() {
            self.advance(now);
        }
        self.actions.pop_front()
    }

    /// When to call [`Worker::poll`] again if nothing happens before, and why.
    pub fn deadline(&self) -> Option<(Moment, Reason)> {
        self.timers.earliest()
    }

    /// Whether it holds a task of a run that has not ended, as far as it knows.
    pub fn holds(&self, run: RunId) -> bool {
        self.attempts.moves_on(run)
    }

    /// What it did so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Lets time pass, then puts together whatever may leave. Claims come before what merely offers slots, so that
    /// hand-offs never keep a claim from its share.
    fn advance(&mut self, now: Moment) {
        while let Some(timer) = self.timers.pop_due(now) {
            self.fire(timer, now);
        }
        self.next_leases(now);
        self.next_claim(now);
        self.next_settles(now);
        self.next_submits(now);
        self.next_fetch();
        self.end_drain();
    }

    fn fire(&mut self, timer: Timer, now: Moment) {
        match timer {
            Timer::LeaseEnd(attempt) => self.lease_ending(attempt),
            Timer::Timeout(attempt) => self.timed_out(attempt),
            Timer::Renewal(shard) => self.renewal_due(shard, now),
            Timer::TaskDue(shard) | Timer::Poll(shard) => self.claims.wake(shard),
            Timer::Again(ticket) => self.perform_again(ticket, now),
            Timer::LeasesAgain(shard) => self.leases.look_at(shard),
            // Setting the timer kept the next fetch back; there is nothing else to do.
            Timer::FetchAgain => {}
            Timer::Grace => self.grace_over(now),
        }
    }

    fn offer(&self, offered: &Offered) -> Offer {
        Offer {
            worker: self.config.incarnation,
            handlers: Arc::clone(&self.config.handlers),
            queues: offered.queues.clone(),
            engine: offered.engine,
            lease: self.config.lease,
        }
    }
}
