//! Attempts that their driver settles itself, in the transaction that holds their host's writes.
//!
//! Only a success goes this way: a failure rolls the host's writes back, and is reported like any other. The transaction
//! waits for its run, so nothing is ever busy, and it hands nothing over: what becomes ready is claimed.
//!
//! Invariant: an attempt that was settled in place is done with, whether it was recorded or rejected; a rejection has rolled
//! its host's writes back.

use std::sync::Arc;
use std::time::Duration;

use super::{Action, AttemptFailure, AttemptId, Config, Execution, Worker, returned};
use crate::operation::{Ended, Offer, Outcome, Rejection, Report, Settle};
use crate::payload::Payload;
use crate::time::Moment;

/// How a transactional attempt was settled by its driver.
#[derive(Debug, Clone, PartialEq)]
pub struct SettledInPlace {
    /// The attempt.
    pub attempt: AttemptId,
    /// What it returned.
    pub output: Payload,
    /// Whether it was recorded and committed; else nothing was, and all was rolled back.
    pub recorded: Result<(), Rejection>,
    /// Runs that ended by it.
    pub ended: Vec<Ended>,
    /// How long until the next of the tasks just scheduled falls due that this worker could take.
    pub next_due: Option<Duration>,
}

impl Execution {
    /// The operation that settles a success, for the end of its host's transaction.
    ///
    /// # Errors
    /// The failure that the attempt is to report instead if its output cannot be stored; the transaction is to be rolled back
    /// first.
    pub fn settle(&self, output: Payload, config: &Config) -> Result<Settle, AttemptFailure> {
        let outcome = returned::outcome(Ok(output.into()), |_| None, config.payload_limit);
        if let Outcome::Failed { failure, details } = outcome {
            return Err(AttemptFailure { failure, details });
        }
        let report = Report {
            key: self.attempt.key,
            step: self.task.step,
            token: self.attempt.token,
            outcome,
        };
        Ok(Settle {
            shard: self.run().shard(config.shards),
            reports: vec![report],
            offer: Offer {
                worker: config.incarnation,
                handlers: Arc::clone(&config.handlers),
                queues: Vec::new(),
                engine: 0,
                lease: config.lease,
            },
            wait: true,
        })
    }
}

impl Worker {
    /// Frees the slot as any settle does. One that is not executing any more was aborted before this was known.
    pub(super) fn settled_in_place(&mut self, settled: SettledInPlace, now: Moment) {
        let SettledInPlace {
            attempt: id,
            output,
            recorded,
            ended,
            next_due,
        } = settled;
        if !self.is_executing(id) {
            return;
        }
        match recorded {
            Ok(()) => {
                let label = None;
                self.accepted(id, Outcome::Succeeded { output, label });
            }
            Err(_) => self.rejected(id),
        }
        self.due_in(id.key.run.shard(self.config.shards), next_due, now);
        self.actions.extend(ended.into_iter().map(Action::Ended));
    }

    /// Reports that the attempt was undone because of others, or may have been: refused by the store if it was not.
    pub(super) fn conflicted(&mut self, id: AttemptId) {
        if self.is_executing(id) {
            self.report(id, Outcome::Conflicted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig::{LEASE, Rig, config, first, id_of, text};
    use super::super::{Input, QueueConfig, StopReason};
    use super::*;
    use crate::event::code;
    use crate::limits;
    use crate::name::Name;
    use crate::run::Status;
    use crate::store::Hint;
    use crate::task::TaskRow;

    /// A worker with one slot whose one attempt executes.
    fn executing(task: &TaskRow) -> (Rig, Execution) {
        let queues = vec![QueueConfig {
            name: Name::stored("default"),
            slots: 1,
        }];
        let mut rig = Rig::holding_of(
            Config {
                queues,
                poll: LEASE * 100,
                ..config()
            },
            vec![task.clone()],
        );
        let mut actions = rig.actions();
        let Some(Action::Execute(execution)) = actions.pop() else {
            panic!("it executes")
        };
        (rig, *execution)
    }

    fn settled(task: &TaskRow, recorded: Result<(), Rejection>) -> SettledInPlace {
        SettledInPlace {
            attempt: id_of(task),
            output: text("1"),
            recorded,
            ended: Vec::new(),
            next_due: None,
        }
    }

    #[test]
    fn an_attempt_that_was_settled_in_place_reports_nothing_and_its_slot_is_free() {
        let task = first(1);
        let (mut rig, _) = executing(&task);
        let ended = Ended {
            run: task.key.run,
            status: Status::Completed,
        };
        rig.handle(Input::SettledInPlace(Box::new(SettledInPlace {
            ended: vec![ended],
            ..settled(&task, Ok(()))
        })));
        assert_eq!(rig.actions(), [Action::Ended(ended)]);
        assert_eq!(rig.worker.stats().accepted, 1);
        rig.handle(Input::Hint(Hint {
            queue: Some(Name::stored("default")),
        }));
        assert_eq!(rig.claim().1.offer.queues[0].slots, 1);
    }

    #[test]
    fn a_rejected_one_frees_its_slot_too_and_its_lease_is_not_renewed() {
        let task = first(1);
        let (mut rig, _) = executing(&task);
        let stale = Rejection::Stale {
            run: task.key.run,
            step: 0,
        };
        rig.handle(Input::SettledInPlace(Box::new(settled(&task, Err(stale)))));
        assert_eq!(rig.at(LEASE.as_millis().try_into().unwrap()).actions(), []);
        assert_eq!(rig.worker.stats().rejected, 1);
    }

    #[test]
    fn one_that_was_aborted_before_is_left_to_its_own_report() {
        let task = first(1);
        let (mut rig, _) = executing(&task);
        rig.finish(&task);
        let (_, settle) = rig.settle();
        rig.handle(Input::SettledInPlace(Box::new(settled(&task, Ok(())))));
        assert_eq!((rig.actions(), rig.worker.stats().accepted), (vec![], 0));
        assert_eq!(settle.reports.len(), 1);
    }

    #[test]
    fn a_conflict_is_reported_as_one_unless_its_attempt_was_aborted_before() {
        let task = first(1);
        let (mut rig, _) = executing(&task);
        let attempt = id_of(&task);
        rig.handle(Input::Conflicted { attempt });
        let (_, settle) = rig.settle();
        assert_eq!(settle.reports[0].outcome, Outcome::Conflicted);
        rig.handle(Input::Conflicted { attempt });
        assert_eq!(rig.actions(), []);
    }

    #[test]
    fn leases_are_renewed_while_the_body_runs_and_it_is_told_when_they_are_not() {
        let task = first(1);
        let (mut rig, _) = executing(&task);
        let third = u64::try_from((LEASE / 3).as_millis()).unwrap();
        let (_, leases) = rig.at(third).leases();
        assert_eq!(leases.renew.len(), 1);
        let end = u64::try_from(LEASE.as_millis()).unwrap();
        let told = Action::Stop {
            attempt: id_of(&task),
            reason: StopReason::LeaseEnding,
        };
        assert!(rig.at(end).actions().contains(&told));
    }

    #[test]
    fn the_settle_of_a_success_waits_hands_nothing_over_and_refuses_what_cannot_be_stored() {
        let (_, execution) = executing(&first(1));
        let settle = execution.settle(text("1"), &config()).unwrap();
        assert!(settle.wait && settle.offer.queues.is_empty() && settle.offer.engine == 0);
        assert_eq!(
            settle.reports[0].outcome,
            Outcome::Succeeded {
                output: text("1"),
                label: None
            }
        );
        let large = Payload::new(vec![b'1'; limits::PAYLOAD_BYTES_DEFAULT + 1]);
        let refused = execution.settle(large, &config()).unwrap_err();
        assert_eq!(refused.failure.code, code::PAYLOAD_TOO_LARGE);
    }
}
