//! How runs end: tables of the exact changes.

mod common;

use std::collections::BTreeSet;

use common::*;
use squid_mesh_core::change::{Cause, Change, Heading};
use squid_mesh_core::operation::Rejection;
use squid_mesh_core::run::{Seq, Stage, Status};

#[test]
fn a_failing_run_stops_what_is_claimed_and_ends_what_is_not() {
    let mut run = Fold::start(join());
    run.take_knowing(failed(A, 1, permanent("no")), &claimed([0, 1]));
    assert_eq!(
        run.last()[2..],
        [fails(A, "no"), Change::Stop { step: B }, end(C),]
    );
    assert_eq!(run.run().status(), Status::Compensating);
    run.take(succeeded(B, 1));
    assert_eq!(run.last()[1..], [succeed(B), Change::Finish]);
    assert_eq!(run.run().status(), Status::Failed);
}

#[test]
fn a13_1_a_run_of_which_nothing_is_claimed_is_cancelled_at_once() {
    let mut run = Fold::start(chain(2));
    run.take_knowing(cancel(1, false), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [wind(Heading::Cancelled), end(A), end(B), Change::Finish,]
    );
}

#[test]
fn a13_2_a_claimed_step_is_awaited_and_routes_nowhere() {
    let mut run = Fold::start(chain(2));
    run.take_knowing(cancel(1, false), &claimed([0]));
    assert_eq!(run.run().status(), Status::Cancelling);
    run.take(succeeded(A, 1));
    assert_eq!(run.last()[1..], [succeed(A), Change::Finish]);
    assert!(
        run.run().step(A).output().is_some(),
        "the effect happened, so its output is kept"
    );
    assert_eq!(
        (run.run().status(), run.run().step(B).stage),
        (Status::Cancelled, Stage::Cancelled)
    );
}

#[test]
fn a13_4_a_dead_workers_step_ends_with_its_lease() {
    let mut run = Fold::start(chain(2));
    run.take_knowing(cancel(1, false), &claimed([0]));
    run.at(30).take(lost(A, 1));
    assert_eq!(run.last()[1..], [end(A), Change::Finish]);
}

#[test]
fn a13_6_an_ended_run_refuses_every_event() {
    let mut run = Fold::start(chain(1));
    run.take(succeeded(A, 1));
    let finished = Rejection::Finished {
        run: run.run().id(),
        status: Status::Completed,
    };
    for event in [cancel(1, false), succeeded(A, 1), lost(A, 1), deadline()] {
        assert_eq!(run.try_take(event).unwrap_err(), finished);
    }
}

#[test]
fn a_forced_cancel_does_not_wait_for_claimed_steps() {
    let mut run = Fold::start(chain(2));
    run.take_knowing(cancel(1, false), &claimed([0]));
    run.take_knowing(cancel(2, true), &claimed([0]));
    assert_eq!(run.last(), [end(A), Change::Finish]);
    assert_eq!(
        run.run().cancel().map(|first| first.seq),
        Some(Seq(2)),
        "the first cancel stays the first"
    );
}

#[test]
fn a_run_deadline_fails_the_run_and_is_disarmed_when_it_no_longer_matters() {
    let mut run = Fold::start(with_deadline(secs(60)));
    assert_eq!(
        run.last()[1],
        Change::ArmDeadline {
            lane: squid_mesh_core::task::Lane(1),
            due: due(60)
        }
    );
    assert!(matches!(
        run.at(59).try_take(deadline()),
        Err(Rejection::NotDue { .. })
    ));
    let mut ended = run.clone();
    ended.take(succeeded(A, 1));
    assert!(ended.last().contains(&Change::DisarmDeadline));
    assert!(ended.run().agenda(ended.definition()).is_empty());
    run.at(60).take_knowing(deadline(), &BTreeSet::new());
    assert_eq!(
        run.run().cause(),
        Some(&Cause::DeadlineExceeded { place: at(2) })
    );
    assert_eq!(run.run().status(), Status::Failed);
}

#[test]
fn a_final_failure_asks_for_the_claims_before_it_decides() {
    let run = Fold::start(join());
    assert!(run.needs_claims(failed(A, 1, permanent("no"))));
    assert!(run.needs_claims(cancel(1, false)));
    assert!(!run.needs_claims(succeeded(A, 1)));
}

#[test]
fn a_report_on_a_step_that_is_not_out_is_stale() {
    let mut run = Fold::start(chain(2));
    let stale = Rejection::Stale {
        run: run.run().id(),
        step: 1,
    };
    assert_eq!(run.try_take(succeeded(B, 1)).unwrap_err(), stale);
    assert_eq!(run.try_take(over(B)).unwrap_err(), stale);
}
