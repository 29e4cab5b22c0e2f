//! Attempts whose outcome nobody knows, and those that their transaction undid.

mod common;

use std::collections::BTreeSet;

use common::*;
use serde_json::json;
use squid_mesh_core::change::{Change, Heading};
use squid_mesh_core::definition::{Definition, LabelIndex};
use squid_mesh_core::event::{Event, Resolution, code};
use squid_mesh_core::limits;
use squid_mesh_core::operation::{Outcome, Rejection, Waiting, Wants};
use squid_mesh_core::run::{Seq, Stage, Status};
use squid_mesh_core::task::Fence;

/// ship, which cannot be undone and may be tried twice, then tell.
fn ship() -> Definition {
    workflow(json!([
        {"name": "ship", "handler": "h", "irreversible": true, "labels": ["air", "sea"],
         "retry": {"max_attempts": 2, "backoff": {"kind": "constant", "min": "5s"}}},
        {"name": "tell", "handler": "h", "when": {"step": "ship", "label": "air"}},
    ]))
}

fn held() -> Fold {
    let mut run = Fold::start(ship());
    run.at(40).take(lost_after(A, 1, true));
    run
}

fn success(label: u16) -> Resolution {
    let label = Some(LabelIndex(label));
    Resolution::Succeeded { label }
}

#[test]
fn a6_7_an_attempt_lost_after_it_began_is_held_and_gives_its_lane_back() {
    let run = held();
    assert_eq!(run.last(), [lose(A), hold(A, 1)]);
    assert_eq!(run.run().status(), Status::Paused);
    assert!(run.run().agenda(run.definition()).is_empty());
    assert!(run.run().step(A).doubtful);
    assert_eq!(run.run().waits(run.definition()), [(A, Wants::Outcome)]);
}

#[test]
fn s4_4_an_attempt_lost_before_it_began_is_scheduled_again() {
    let mut run = Fold::start(ship());
    run.at(40).take(lost_after(A, 1, false));
    assert_eq!(run.last(), [lose(A), schedule(A, 0, due(40))]);
    assert!(!run.run().step(A).doubtful);
}

#[test]
fn an_attempt_that_timed_out_or_panicked_is_held_and_another_failure_is_not() {
    for unclear in [timeout(), panicked()] {
        let mut run = Fold::start(ship());
        run.take(failed(A, 1, unclear));
        assert_eq!(run.last()[1..], [hold(A, 1)]);
        assert!(matches!(run.last()[0], Change::Report { .. }));
    }
    let mut run = Fold::start(ship());
    run.take(failed(A, 1, retryable("busy")));
    assert_eq!(run.last()[1..], [schedule(A, 0, due(5))]);
}

#[test]
fn a_step_that_may_be_repeated_is_not_held() {
    let mut run = Fold::start(chain(1));
    run.take(lost_after(A, 1, true));
    assert_eq!(run.last(), [lose(A), schedule(A, 0, due(0))]);
}

#[test]
fn a6_8_an_operator_says_that_it_succeeded() {
    let mut run = held();
    run.at(50).take(resolved(5, A, success(0)));
    assert_eq!(
        run.last(),
        [
            obey(5),
            label(A, 0),
            place(A, 3),
            succeed(A),
            schedule(B, 0, due(50))
        ]
    );
    let state = run.run().step(A);
    assert_eq!(state.output(), Some(at(3)));
    assert!(!state.doubtful);
}

#[test]
fn a6_8_an_operator_has_it_tried_again() {
    let mut run = held();
    run.at(50).take(resolved(5, A, Resolution::Retry));
    assert_eq!(run.last(), [obey(5), schedule(A, 0, due(50))]);
    assert!(!run.run().step(A).doubtful);
    assert_eq!(run.run().step(A).tries.attempt(), 2);
    run.take(labelled(A, 3, Some(1)));
    assert_eq!(run.run().status(), Status::Completed);
}

#[test]
fn a6_8_an_operator_says_that_it_failed() {
    let mut run = held();
    let fails_it = |code: &str| Resolution::Fail { code: code.into() };
    run.take_knowing(
        resolved(5, A, fails_it(code::FAILED_BY_OPERATOR)),
        &BTreeSet::new(),
    );
    assert_eq!(
        run.last(),
        [
            obey(5),
            fail(A, code::FAILED_BY_OPERATOR, 3),
            fails(A, code::FAILED_BY_OPERATOR),
            end(B),
            Change::Finish
        ]
    );
    assert!(!run.run().step(A).doubtful, "it is known that it failed");
}

#[test]
fn the_late_report_of_the_held_attempt_itself_resolves_it() {
    let mut run = held();
    run.at(60).take(labelled(A, 1, Some(0)));
    assert_eq!(
        run.last(),
        [
            report(A, 1),
            label(A, 0),
            succeed(A),
            schedule(B, 0, due(60))
        ]
    );
    let mut run = held();
    run.at(60).take(failed(A, 1, retryable("busy")));
    assert_eq!(run.last()[1..], [schedule(A, 0, due(65))]);
    let mut run = held();
    run.take_knowing(failed(A, 1, permanent("no")), &BTreeSet::new());
    assert_eq!(run.last()[1..3], [fail(A, "no", 3), fails(A, "no")]);
    let mut run = held();
    run.take(failed(A, 1, timeout()));
    assert_eq!(run.last()[1..], [hold(A, 1)], "it does not know either");
}

#[test]
fn what_a_doubt_is_not_resolved_by_is_told_what_is_wanted() {
    let mut run = held();
    let told = Rejection::NotWaiting {
        run: run.run().id(),
        waits: vec![Waiting {
            step: run.definition().step(A).name.clone(),
            wants: Wants::Outcome,
        }],
    };
    for wrong in [
        Resolution::Resume,
        Resolution::Approve,
        Resolution::Reject,
        Resolution::SkipUndo,
    ] {
        let refused = run.try_take(resolved(5, A, wrong));
        assert_eq!(refused.unwrap_err(), told);
    }
    run.take(resolved(5, A, success(1)));
    assert_eq!(
        run.try_take(resolved(6, A, success(1))).unwrap_err().code(),
        "finished"
    );
}

#[test]
fn a_cancelled_run_does_not_wait_for_anybody_to_resolve_a_doubt() {
    let mut run = held();
    run.take_knowing(cancel(5, false), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [wind(Heading::Cancelled), end(A), end(B), Change::Finish]
    );
    let again = run.run().is_unsafe_to_repeat(run.definition(), A);
    assert!(again, "the doubt remains");
}

#[test]
fn an_attempt_whose_outcome_becomes_unknown_while_its_run_is_cancelled_ends_in_doubt() {
    for event in [lost_after(A, 1, true), failed(A, 1, timeout())] {
        let mut run = Fold::start(ship());
        run.take_knowing(cancel(5, false), &claimed([0]));
        run.take(event);
        assert_eq!(run.last()[1..], [hold(A, 1), end(A), Change::Finish]);
        let state = run.run().step(A);
        assert_eq!((state.stage, state.doubtful), (Stage::Cancelled, true));
        assert_eq!(run.run().status(), Status::Cancelled);
    }
    let mut run = Fold::start(ship());
    run.take_knowing(cancel(5, false), &claimed([0]));
    run.take(lost_after(A, 1, false));
    assert_eq!(run.last(), [lose(A), end(A), Change::Finish]);
    assert!(!run.run().step(A).doubtful);
}

fn met_conflict(seq: u32) -> Change {
    Change::Conflict {
        step: A,
        fence: Fence {
            seq: Seq(seq),
            claims: 1,
        },
        digest: Outcome::Conflicted.digest(),
    }
}

#[test]
fn conflicts_are_tried_again_at_once_and_do_not_consume_the_attempts() {
    let mut run = Fold::start(chain(1));
    for seq in 1..=limits::CONFLICTS {
        run.at(u64::from(seq)).take(conflicted(A, seq));
        assert_eq!(
            run.last(),
            [met_conflict(seq), schedule(A, 0, due(seq.into()))]
        );
    }
    let tries = &run.run().step(A).tries;
    assert_eq!((tries.executed, tries.conflicts), (0, limits::CONFLICTS));
    let last = conflicted(A, limits::CONFLICTS + 1);
    let mut succeeding = run.clone();
    succeeding.take(succeeded(A, limits::CONFLICTS + 1));
    assert_eq!(succeeding.run().status(), Status::Completed);
    run.take_knowing(last, &BTreeSet::new());
    assert_eq!(
        run.last(),
        [
            met_conflict(limits::CONFLICTS + 1),
            fail(A, code::CONFLICT, limits::CONFLICTS + 2),
            fails(A, code::CONFLICT),
            Change::Finish
        ]
    );
}

#[test]
fn an_attempt_that_would_be_tried_again_ends_with_a_run_that_is_ending() {
    let again: [Event; 3] = [
        failed(A, 1, retryable("busy")),
        conflicted(A, 1),
        lost(A, 1),
    ];
    for event in again {
        let mut run = Fold::start(ship());
        run.take_knowing(cancel(5, false), &claimed([0]));
        run.take(event);
        assert_eq!(run.last()[1..], [end(A), Change::Finish]);
    }
    let mut run = Fold::start(ship());
    run.take_knowing(cancel(5, false), &claimed([0]));
    run.take(failed(A, 1, permanent("no")));
    assert_eq!(run.last()[1..], [fail(A, "no", 3), Change::Finish]);
    assert_eq!(run.run().status(), Status::Cancelled);
}

#[test]
fn a_forced_cancel_leaves_in_doubt_what_somebody_held() {
    let mut run = Fold::start(ship());
    assert!(run.needs_claims(cancel(5, true)));
    let mut unclaimed = run.clone();
    unclaimed.take_knowing(cancel(5, true), &BTreeSet::new());
    assert!(!unclaimed.run().step(A).doubtful);
    let mut stopping = run.clone();
    run.take_knowing(cancel(5, true), &claimed([0]));
    let fence = Fence {
        claims: 0,
        ..fence(1)
    };
    let doubt = Change::Hold { step: A, fence };
    assert_eq!(
        run.last(),
        [
            doubt.clone(),
            wind(Heading::Cancelled),
            end(A),
            end(B),
            Change::Finish
        ]
    );
    assert!(run.run().step(A).doubtful);
    stopping.take_knowing(cancel(5, false), &claimed([0]));
    stopping.take(cancel(6, true));
    assert_eq!(stopping.last(), [doubt, end(A), Change::Finish]);
    assert!(stopping.run().step(A).doubtful);
}
