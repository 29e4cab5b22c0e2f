//! Cancelling, against everything that may be going on.

use squid_mesh_core::definition::{Draft, DraftRetry, DraftStep};
use squid_mesh_core::operation::{Rejection, SlotReply};
use squid_mesh_core::run::{Stage, Status};

use crate::desk::{Desk, LEASE, chain, failure, secs, success};

#[test]
fn a13_1_a_run_of_which_nothing_is_claimed_is_cancelled_at_once_and_never_runs() {
    let mut desk = Desk::new(chain(2));
    let run = desk.start();
    let reply = desk.try_cancel(run, false).unwrap();
    assert_eq!(reply.status, Status::Cancelled);
    assert_eq!(desk.claim(1), []);
    assert_eq!(desk.tables.tasks_of(run).count(), 0);
}

#[test]
fn a13_2_a_claimed_step_is_told_to_stop_and_awaited() {
    let mut desk = Desk::new(chain(2));
    let run = desk.start();
    let task = desk.claim_one(1);
    assert_eq!(
        desk.try_cancel(run, false).unwrap().status,
        Status::Cancelling
    );
    let renewal = squid_mesh_core::operation::Leases {
        renew: vec![crate::desk::held(&task)],
        ..crate::desk::no_leases()
    };
    let replies = desk.leases(renewal);
    assert_eq!(
        replies,
        [squid_mesh_core::operation::HeldReply::Held {
            lease: LEASE,
            stop: true
        }]
    );
    assert_eq!(desk.settle(1, success(&task)), SlotReply::Accepted);
    assert_eq!(desk.status(run), Status::Cancelled);
    assert_eq!(desk.run(run).steps()[1].stage, Stage::Cancelled);
    assert_eq!(desk.claim(1), []);
}

#[test]
fn a13_3_the_output_of_a_step_that_was_cancelled_too_late_is_kept() {
    let mut desk = Desk::new(chain(2));
    let run = desk.start();
    let task = desk.claim_one(1);
    desk.try_cancel(run, false).unwrap();
    desk.settle(1, success(&task));
    assert!(desk.run(run).steps()[0].output().is_some());
}

#[test]
fn a13_4_a_dead_workers_run_is_cancelled_when_the_lease_ends() {
    let mut desk = Desk::new(chain(2));
    let run = desk.start();
    desk.claim_one(1);
    desk.try_cancel(run, false).unwrap();
    desk.pass(LEASE - secs(1));
    assert_eq!(desk.run_engine(2), 0);
    desk.pass(secs(1));
    assert_eq!(desk.run_engine(2), 1);
    assert_eq!(desk.status(run), Status::Cancelled);
    assert_eq!(desk.tables.tasks_of(run).count(), 0);
}

#[test]
fn a13_5_a_run_in_backoff_or_in_a_wait_is_cancelled_at_once_and_leaves_no_task() {
    let retry = Some(DraftRetry::constant(5, secs(60)));
    let draft = Draft {
        steps: vec![
            DraftStep {
                retry,
                ..DraftStep::handler("a", "work")
            },
            DraftStep::wait("w", secs(3_600)),
        ],
        ..Draft::new("order", 1)
    };
    let mut desk = Desk::new(draft);
    let run = desk.start();
    let task = desk.claim_one(1);
    desk.settle(1, failure(&task, true));
    assert_eq!(desk.status(run), Status::Retrying);
    assert_eq!(
        desk.try_cancel(run, false).unwrap().status,
        Status::Cancelled
    );
    assert_eq!(desk.tables.tasks_of(run).count(), 0);
}

#[test]
fn a13_6_an_ended_run_cannot_be_cancelled_and_a_cancelled_one_answers_as_before() {
    let mut desk = Desk::new(chain(1));
    let run = desk.start();
    let task = desk.claim_one(1);
    let first = desk.try_cancel(run, false).unwrap();
    let second = desk.try_cancel(run, false).unwrap();
    assert_eq!(
        (second.seq, second.at, second.command),
        (first.seq, first.at, first.command)
    );
    desk.settle(1, success(&task));
    let third = desk.try_cancel(run, false).unwrap();
    assert_eq!(
        (third.command, third.status),
        (first.command, Status::Cancelled)
    );
    assert_eq!(desk.journal_length(run), 3, "start, cancel, report");
    let other = desk.start();
    let task = desk.claim_one(1);
    desk.settle(1, success(&task));
    let finished = Rejection::Finished {
        run: other,
        status: Status::Completed,
    };
    assert_eq!(desk.try_cancel(other, false), Err(finished));
}

#[test]
fn a13_9_after_an_acknowledged_cancel_nothing_of_the_run_is_claimed() {
    let mut desk = Desk::new(chain(3));
    let run = desk.start();
    let task = desk.claim_one(1);
    desk.try_cancel(run, false).unwrap();
    let settle = desk.settle_operation(1, vec![success(&task)], 4);
    desk.perform(&settle);
    desk.pass(secs(3_600));
    assert_eq!(desk.claim(1), []);
    assert_eq!(desk.status(run), Status::Cancelled);
}

#[test]
fn a_forced_cancel_ends_the_run_and_rejects_the_report() {
    let mut desk = Desk::new(chain(1));
    let run = desk.start();
    let task = desk.claim_one(1);
    assert_eq!(
        desk.try_cancel(run, true).unwrap().status,
        Status::Cancelled
    );
    let finished = Rejection::Finished {
        run,
        status: Status::Cancelled,
    };
    assert_eq!(
        desk.settle(1, success(&task)),
        SlotReply::Rejected(finished)
    );
    assert_eq!(desk.tables.tasks_of(run).count(), 0);
}

#[test]
fn a_failing_run_cannot_be_cancelled() {
    let draft = Draft {
        steps: vec![
            DraftStep::handler("a", "work"),
            DraftStep::handler("b", "work"),
        ],
        ..Draft::new("order", 1)
    };
    let mut desk = Desk::new(draft);
    let run = desk.start();
    let tasks = desk.claim(1);
    desk.settle(1, failure(&tasks[0], false));
    let winding = Rejection::Winding {
        run,
        status: Status::Compensating,
    };
    assert_eq!(desk.try_cancel(run, false), Err(winding));
}
