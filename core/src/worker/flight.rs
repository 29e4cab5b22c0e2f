//! Operations in flight: each is performed, with pauses that grow, until it is resolved.
//!
//! Invariant: whatever may have committed is performed again unchanged, under its own ticket, until its outcome is known.

use std::collections::BTreeMap;
use std::time::Duration;

use super::attempts::HandOut;
use super::slots::Reservation;
use super::timers::Timer;
use super::{Action, Ticket, Worker};
use crate::limits;
use crate::mutant::Mutant;
use crate::operation::{GroupReply, Operation, Reply, SlotReply};
use crate::store::StoreError;
use crate::time::{Moment, Timestamp};

#[cfg(test)]
mod tests;

/// Operations in flight, and the tickets they travel under.
#[derive(Debug, Default)]
pub(super) struct Flight {
    last: u64,
    pending: BTreeMap<Ticket, Pending>,
}

/// One operation that is not resolved.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) operation: Operation,
    /// Whom to answer, for groups that were submitted.
    pub(super) requests: Vec<u64>,
    pub(super) reserved: Reservation,
    /// When it was last sent: leases it answers with count from here.
    pub(super) sent: Moment,
    tries: u32,
    /// An earlier performance may have committed.
    in_doubt: bool,
    /// It is out: an answer is expected.
    out: bool,
}

impl Flight {
    /// A name for the next operation or fetch.
    pub(super) fn ticket(&mut self) -> Ticket {
        self.last += 1;
        Ticket(self.last)
    }

    /// The newest ticket there is.
    pub(super) fn newest(&self) -> Ticket {
        Ticket(self.last)
    }

    /// The oldest operation in flight.
    pub(super) fn oldest(&self) -> Option<Ticket> {
        self.pending.keys().next().copied()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Gives up on everything in flight.
    pub(super) fn abandon(&mut self) -> impl Iterator<Item = Pending> + use<> {
        std::mem::take(&mut self.pending).into_values()
    }

    fn answered(&mut self, ticket: Ticket) -> Option<Pending> {
        self.pending.get(&ticket).filter(|pending| pending.out)?;
        self.pending.remove(&ticket)
    }
}

impl Worker {
    /// Sends an operation.
    pub(super) fn send(
        &mut self,
        operation: Operation,
        requests: Vec<u64>,
        reserved: Reservation,
        now: Moment,
    ) {
        let ticket = self.flight.ticket();
        self.actions.push_back(Action::Perform {
            ticket,
            operation: operation.clone(),
        });
        let pending = Pending {
            operation,
            requests,
            reserved,
            sent: now,
            tries: 0,
            in_doubt: false,
            out: true,
        };
        self.flight.pending.insert(ticket, pending);
    }

    pub(super) fn performed(
        &mut self,
        ticket: Ticket,
        result: Result<Reply, StoreError>,
        now: Moment,
    ) {
        let Some(pending) = self.flight.answered(ticket) else {
            self.stats.late += 1;
            return;
        };
        match result {
            Ok(reply) if pending.met_a_lock(&reply) => {
                self.postpone(ticket, pending, &StoreError::Conflict, now)
            }
            Ok(reply) => self.resolved(ticket, pending, reply, now),
            Err(error) => self.unanswered(ticket, pending, &error, now),
        }
        self.attempts.memory.forget(self.flight.oldest());
    }

    pub(super) fn perform_again(&mut self, ticket: Ticket, now: Moment) {
        if let Some(pending) = self.flight.pending.get_mut(&ticket) {
            pending.out = true;
            pending.sent = now;
            self.stats.repeated += 1;
            self.actions.push_back(Action::Perform {
                ticket,
                operation: pending.operation.clone(),
            });
        }
    }

    fn resolved(&mut self, ticket: Ticket, pending: Pending, reply: Reply, now: Moment) {
        self.slots.release(&pending.reserved);
        let from_reply = self.config.mutation.is(Mutant::LeaseFromReply);
        let since = if from_reply { now } else { pending.sent };
        let from = |clock: Timestamp| HandOut {
            ticket,
            since,
            clock,
        };
        match (pending.operation, reply) {
            (Operation::Claim(claim), Reply::Claimed(claimed)) => {
                let from = from(claimed.now);
                self.claimed(&claim, claimed, &from, now);
            }
            (Operation::Lease(leases), Reply::Leased(replies)) => {
                self.leased(&leases, &replies, since, now)
            }
            (
                Operation::Settle(settle),
                Reply::Settled {
                    now: clock,
                    slots,
                    handed,
                    ended,
                    next_due,
                },
            ) => {
                self.due_in(settle.shard, next_due, now);
                self.settled(settle, slots);
                self.receive(handed, &from(clock), now);
                self.actions.extend(ended.into_iter().map(Action::Ended));
            }
            (
                Operation::Submit(submit),
                Reply::Submitted {
                    now: clock,
                    groups,
                    handed,
                    next_due,
                },
            ) => {
                self.due_in(submit.shard, next_due, now);
                self.submitted(submit, pending.requests, groups, now);
                self.receive(handed, &from(clock), now);
            }
            (operation, reply) => panic!("{operation:?} was answered with {reply:?}"),
        }
    }

    /// An operation whose outcome is not known, or that was rolled back.
    fn unanswered(
        &mut self,
        ticket: Ticket,
        mut pending: Pending,
        error: &StoreError,
        now: Moment,
    ) {
        let mutation = self.config.mutation;
        let unknown = matches!(error, StoreError::Unavailable(_));
        pending.in_doubt |= unknown;
        match &pending.operation {
            Operation::Lease(leases) => self.leases_unanswered(leases, error, now),
            Operation::Claim(claim) if unknown && mutation.is(Mutant::UnknownClaimRenumbered) => {
                self.slots.release(&pending.reserved);
                self.claims.forget_last();
                self.timers
                    .set(Timer::Poll(claim.shard), now.plus(limits::BACKOFF_MIN));
            }
            Operation::Settle(settle) if unknown && mutation.is(Mutant::UnknownCommitForgotten) => {
                self.slots.release(&pending.reserved);
                self.forget_reports(settle);
            }
            Operation::Submit(submit) if !pending.in_doubt && is_refusal(error) => {
                self.slots.release(&pending.reserved);
                self.submit_refused(submit, &pending.requests, error);
            }
            Operation::Register(_)
            | Operation::Queue(_)
            | Operation::Schedule(_)
            | Operation::Submit(_)
            | Operation::Claim(_)
            | Operation::Settle(_) => {
                self.postpone(ticket, pending, error, now);
            }
        }
    }

    fn postpone(&mut self, ticket: Ticket, mut pending: Pending, error: &StoreError, now: Moment) {
        let pause = self.backoff(error, pending.tries, ticket.0);
        pending.tries += 1;
        pending.out = false;
        self.timers.set(Timer::Again(ticket), now.plus(pause));
        self.flight.pending.insert(ticket, pending);
    }

    /// How long to wait before the next try. `of` scatters workers and operations, so that they do not all ask at once.
    pub(super) fn backoff(&self, error: &StoreError, tries: u32, of: u64) -> Duration {
        let (first, most) = match error {
            StoreError::Unavailable(_) => (limits::BACKOFF_MIN, limits::BACKOFF_MAX),
            StoreError::Conflict => (limits::CONFLICT_BACKOFF_MIN, limits::CONFLICT_BACKOFF_MAX),
            StoreError::Refused(_) | StoreError::Newer { .. } | StoreError::Corrupt { .. } => {
                (limits::REFUSED_BACKOFF_MIN, limits::BACKOFF_MAX)
            }
        };
        let full = first.saturating_mul(1 << tries.min(16)).min(most);
        full - full * self.scatter(of ^ u64::from(tries).rotate_left(32), 256) / 1024
    }

    /// A number below `bound` that looks random: a hash of this incarnation and `of`.
    pub(super) fn scatter(&self, of: u64, bound: u32) -> u32 {
        let scattered = mix(mix_id(self.config.incarnation.as_u128()) ^ mix(of)) % u64::from(bound);
        u32::try_from(scattered).expect("it is below a bound of 32 bits")
    }
}

impl Pending {
    /// Whether it was to wait for runs that are locked elsewhere, and still met the lock.
    fn met_a_lock(&self, reply: &Reply) -> bool {
        match (&self.operation, reply) {
            (Operation::Settle(settle), Reply::Settled { slots, .. }) => {
                settle.wait && slots.iter().all(|slot| *slot == SlotReply::Busy)
            }
            (Operation::Submit(submit), Reply::Submitted { groups, .. }) => {
                submit.wait && groups.iter().all(|group| *group == GroupReply::Busy)
            }
            _ => false,
        }
    }
}

/// Whether the store will say the same until somebody mends it.
fn is_refusal(error: &StoreError) -> bool {
    match error {
        StoreError::Refused(_) | StoreError::Newer { .. } | StoreError::Corrupt { .. } => true,
        StoreError::Unavailable(_) | StoreError::Conflict => false,
    }
}

/// Scatters an id over 64 bits.
pub(super) fn mix_id(id: u128) -> u64 {
    let low = u64::try_from(id & u128::from(u64::MAX)).expect("it is masked to 64 bits");
    let high = u64::try_from(id >> 64).expect("it is shifted to 64 bits");
    mix(low ^ mix(high))
}

/// The finaliser of SplitMix64.
const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
