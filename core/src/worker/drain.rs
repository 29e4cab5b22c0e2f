//! Shutting down gracefully.
//!
//! A drain claims nothing any more and offers nothing. What never began is handed back at once; handlers may finish until
//! the grace ends. Then those that still run are told to stop, and once nothing is in flight (or a bound has passed) they
//! are dropped. Their leases are left alone: when they end, somebody records the losses.
//!
//! Invariant: after [`Action::Stopped`] nothing follows, and every group was answered.

use super::attempts::Stage;
use super::timers::Timer;
use super::{Action, AttemptId, Input, StopReason, SubmitError, Worker};
use crate::limits;
use crate::mutant::Mutant;
use crate::time::Moment;

/// How far a shutdown is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is none.
    Working,
    /// Handlers may finish.
    Draining,
    /// The grace is over; what is in flight is awaited.
    Ending,
    /// The bound for that has passed too.
    Overdue,
    /// It is over.
    Stopped,
}

impl Phase {
    pub(super) fn is_working(self) -> bool {
        self == Phase::Working
    }

    pub(super) fn is_ending(self) -> bool {
        matches!(self, Phase::Ending | Phase::Overdue)
    }

    pub(super) fn is_stopped(self) -> bool {
        self == Phase::Stopped
    }
}

impl Worker {
    pub(super) fn drain(&mut self, now: Moment) {
        if !self.phase.is_working() {
            return;
        }
        self.phase = Phase::Draining;
        self.stop_claiming();
        self.timers.set(Timer::Grace, now.plus(self.config.grace));
        let running_too = self.config.mutation.is(Mutant::DrainHandsBackRunning);
        let not_begun = |stage: &Stage| match stage {
            Stage::Received | Stage::Fetching(_) | Stage::Beginning(_) => true,
            Stage::Executing { .. } => running_too,
            Stage::Reporting | Stage::HandingBack => false,
        };
        let held = self
            .attempts
            .held
            .iter()
            .filter(|(_, task)| not_begun(&task.stage));
        let waiting: Vec<AttemptId> = held.map(|(id, _)| *id).collect();
        for id in waiting {
            self.hand_back(id);
        }
    }

    /// The grace of a drain is over, or the bound after it.
    pub(super) fn grace_over(&mut self, now: Moment) {
        if self.phase.is_ending() {
            self.phase = Phase::Overdue;
            return;
        }
        self.phase = Phase::Ending;
        self.timers.set(Timer::Grace, now.plus(limits::DRAIN_END));
        self.leases.stop_renewing();
        for attempt in self.executing() {
            self.stop(attempt, StopReason::Shutdown);
        }
    }

    /// Ends a drain that has nothing left to wait for.
    pub(super) fn end_drain(&mut self) {
        let over = match self.phase {
            Phase::Working | Phase::Stopped => false,
            Phase::Draining => self.attempts.held.is_empty() && self.is_quiet(),
            Phase::Ending => self.is_quiet(),
            Phase::Overdue => true,
        };
        if !over {
            return;
        }
        for attempt in self.executing() {
            self.actions.push_back(Action::Abort { attempt });
        }
        let in_flight = self.flight.abandon().flat_map(|pending| pending.requests);
        for request in in_flight.chain(self.submits.abandon()) {
            self.answer(request, Err(SubmitError::Stopped));
        }
        self.timers.clear();
        self.phase = Phase::Stopped;
        self.actions.push_back(Action::Stopped);
    }

    /// After the end only clients can still ask for something.
    pub(super) fn refuse_stopped(&mut self, input: &Input) {
        if let Input::Submit { request, .. } = input {
            self.answer(*request, Err(SubmitError::Stopped));
        }
    }

    /// Whether nothing is in flight and nothing waits to leave.
    fn is_quiet(&self) -> bool {
        let handing_back = self
            .attempts
            .held
            .values()
            .any(|task| matches!(task.stage, Stage::HandingBack));
        self.flight.is_empty()
            && self.settles.is_empty()
            && self.submits.is_empty()
            && !handing_back
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::rig::{Rig, config, first, id_of, second, start, text, unavailable};
    use super::super::{Config, Reason};
    use super::*;
    use crate::operation::{Claimed, HeldReply, Operation, Reply, SlotReply};
    use crate::task::TaskRow;

    fn abort(task: &TaskRow) -> Action {
        Action::Abort {
            attempt: id_of(task),
        }
    }

    fn shutdown(task: &TaskRow) -> Action {
        Action::Stop {
            attempt: id_of(task),
            reason: StopReason::Shutdown,
        }
    }

    fn draining(tasks: &[TaskRow]) -> Rig {
        let mut rig = Rig::holding(tasks.to_vec());
        assert_eq!(rig.actions().len(), tasks.len());
        rig.handle(Input::Drain);
        rig
    }

    #[test]
    fn an_idle_worker_stops_at_once_and_once() {
        let mut rig = Rig::idle();
        rig.handle(Input::Drain);
        assert_eq!(rig.actions(), [Action::Stopped]);
        rig.handle(Input::Drain);
        rig.at(90_000)
            .handle(Input::Hint(crate::store::Hint { queue: None }));
        assert_eq!((rig.actions(), rig.deadline()), (vec![], None));
    }

    #[test]
    fn a17_7_handlers_finish_and_settle_and_nothing_is_claimed_or_offered() {
        let (a, b) = (first(1), first(2));
        let mut rig = draining(&[a.clone(), b.clone()]);
        assert_eq!(rig.at(5_000).actions(), [], "not even at the poll interval");
        rig.finish(&a);
        let (ticket, settle) = rig.settle();
        assert!(settle.offer.queues.is_empty());
        rig.settled(ticket, vec![SlotReply::Accepted], vec![]);
        assert_eq!(rig.actions(), []);
        rig.finish(&b);
        let (ticket, _) = rig.settle();
        rig.settled(ticket, vec![SlotReply::Accepted], vec![]);
        assert_eq!(rig.actions(), [Action::Stopped]);
    }

    #[test]
    fn a17_8_what_was_claimed_and_never_began_is_handed_back_at_once() {
        let (fetching, running) = (second(1, &text("1")), first(2));
        let mut rig = draining(&[fetching.clone(), running.clone()]);
        let (ticket, leases) = rig.leases();
        let keys: Vec<_> = leases.hand_back.iter().map(|held| held.key).collect();
        assert_eq!((keys, leases.renew.len()), (vec![fetching.key], 0));
        rig.reply(ticket, Reply::Leased(vec![HeldReply::HandedBack]));
        assert_eq!(rig.actions(), []);
        assert_eq!(rig.worker.stats().handed_back, 1);
        assert_eq!(rig.worker.executing(), [id_of(&running)]);
    }

    #[test]
    fn what_a_claim_in_flight_still_brings_is_handed_back() {
        let mut rig = Rig::of(config());
        let (claim, _) = rig.claim();
        rig.handle(Input::Drain);
        assert_eq!(rig.actions(), []);
        rig.claimed(
            claim,
            Claimed {
                tasks: vec![first(1)],
                ..Claimed::default()
            },
        );
        let (ticket, leases) = rig.leases();
        assert_eq!(leases.hand_back.len(), 1);
        rig.error(ticket, unavailable());
        let (ticket, _) = rig.at(20).leases();
        rig.reply(ticket, Reply::Leased(vec![HeldReply::HandedBack]));
        assert_eq!(rig.actions(), [Action::Stopped]);
    }

    #[test]
    fn at_the_end_of_the_grace_running_handlers_are_told_and_dropped_and_their_leases_left_alone() {
        let task = first(1);
        let config = Config {
            grace: Duration::from_secs(3),
            ..config()
        };
        let mut rig = Rig::holding_of(config, vec![task.clone()]);
        assert_eq!(rig.actions().len(), 1);
        rig.handle(Input::Drain);
        assert_eq!(rig.actions(), []);
        assert_eq!(rig.deadline(), Some((3_000, Reason::Grace)));
        assert_eq!(
            rig.at(3_000).actions(),
            [shutdown(&task), abort(&task), Action::Stopped]
        );
        assert_eq!(rig.deadline(), None);
    }

    #[test]
    fn what_is_in_flight_at_the_end_of_the_grace_is_awaited_but_not_for_ever() {
        let (a, b) = (first(1), first(2));
        let config = Config {
            grace: Duration::from_secs(3),
            ..config()
        };
        let mut rig = Rig::holding_of(config, vec![a.clone(), b.clone()]);
        assert_eq!(rig.actions().len(), 2);
        rig.handle(Input::Drain);
        rig.finish(&a);
        let (ticket, settle) = rig.settle();
        rig.handle(Input::Submit {
            request: 5,
            group: start(9),
        });
        let (_, submit) = rig.submits();
        assert_eq!(submit.offer, None);
        assert_eq!(rig.at(3_000).actions(), [shutdown(&b)]);
        rig.error(ticket, unavailable());
        assert_eq!(
            rig.at(3_020).operation(),
            (ticket, Operation::Settle(settle))
        );
        rig.settled(ticket, vec![SlotReply::Accepted], vec![]);
        assert_eq!(rig.actions(), []);
        let unknown = Action::Answer {
            request: 5,
            result: Err(SubmitError::Stopped),
        };
        assert_eq!(
            rig.at(5_000).actions(),
            [abort(&b), unknown, Action::Stopped]
        );
    }

    #[test]
    fn groups_submitted_while_it_drains_are_submitted_and_those_after_it_are_not() {
        let mut rig = draining(&[first(1)]);
        rig.handle(Input::Submit {
            request: 1,
            group: start(2),
        });
        rig.submits();
        rig.at(32_000).actions();
        rig.at(32_000).actions();
        rig.at(34_000).actions();
        rig.handle(Input::Submit {
            request: 2,
            group: start(3),
        });
        assert_eq!(
            rig.actions(),
            [Action::Answer {
                request: 2,
                result: Err(SubmitError::Stopped)
            }]
        );
    }

    #[test]
    fn leases_of_running_handlers_are_renewed_while_it_drains() {
        let task = first(1);
        let mut rig = draining(std::slice::from_ref(&task));
        let (_, leases) = rig.at(10_000).leases();
        assert_eq!((leases.renew.len(), leases.hand_back.len()), (1, 0));
    }
}
