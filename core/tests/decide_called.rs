//! Runs that a step's handler starts: tables of the exact changes.

mod common;

use std::collections::BTreeSet;

use common::*;
use serde_json::json;
use squid_mesh_core::change::{Change, Chore, Heading};
use squid_mesh_core::definition::Definition;
use squid_mesh_core::event::{ChildEnd, Event, Resolution, code};
use squid_mesh_core::id::RunId;
use squid_mesh_core::limits;
use squid_mesh_core::run::{Stage, Status};
use squid_mesh_core::task::Work;

fn definition() -> Definition {
    workflow(json!([
        {"name": "pay", "handler": "h", "retry": {"max_attempts": 3}},
        {"name": "next", "handler": "h", "needs": ["pay"]},
    ]))
}

fn child(number: u128) -> RunId {
    RunId::from_u128(number << 64)
}

fn called(number: u128) -> Event {
    Event::Called {
        step: A,
        fence: fence(1),
        run: child(number),
        detached: false,
    }
}

fn adopt(number: u128) -> Change {
    let run = child(number);
    Change::Adopt { step: A, run }
}

/// A run whose first step is attempted and has started two others.
fn with_two() -> Fold {
    let mut run = Fold::start(definition());
    run.take(called(1)).take(called(2));
    run
}

#[test]
fn a_step_ends_with_its_output_once_what_its_handler_started_has_ended() {
    let mut run = Fold::start(definition());
    run.take(called(1));
    assert_eq!(run.last(), [adopt(1)]);
    run.take(called(2));
    assert_eq!(run.last(), [adopt(2)]);
    run.take(child_ended(A, 1, ChildEnd::Completed));
    assert_eq!(run.last(), [arrive(1)], "the attempt goes on");
    run.take(succeeded(A, 1));
    assert_eq!(run.last(), [report(A, 1), place(A, 5), REST]);
    assert_eq!(run.run().status(), Status::Waiting);
    run.at(9).take(child_ended(A, 0, ChildEnd::Completed));
    assert_eq!(run.last(), [arrive(0), succeed(A), schedule(B, 0, due(9))]);
    assert_eq!(run.run().step(A).output(), Some(at(5)));
}

#[test]
fn a_step_whose_children_have_all_ended_ends_with_its_report() {
    let mut run = Fold::start(definition());
    run.take(called(1));
    run.take(child_ended(A, 0, ChildEnd::Completed));
    run.take(succeeded(A, 1));
    assert_eq!(
        run.last(),
        [
            report(A, 1),
            place(A, 4),
            succeed(A),
            schedule(B, 0, due(0))
        ]
    );
}

#[test]
fn a16_4_a_failed_child_fails_the_step_when_its_attempt_has_ended_and_recalls_the_others() {
    let mut run = with_two();
    let held = claimed([0]);
    run.take_knowing(child_ended(A, 0, ChildEnd::Failed), &held);
    assert_eq!(run.last(), [arrive(0), spoil(code::CHILD_FAILED, 4)]);
    run.take(succeeded(A, 1));
    assert_eq!(
        run.last(),
        [
            report(A, 1),
            place(A, 5),
            engage(A, Chore::Recall, 0, due(0))
        ]
    );
    let runs = vec![child(1), child(2)];
    assert_eq!(work(&run), Work::RecallCalled { from: 0, runs });
    run.take(recalled(A, 2));
    assert_eq!(run.last(), [recall(2), REST]);
    run.take_knowing(child_ended(A, 1, ChildEnd::Cancelled), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [
            arrive(1),
            fail(A, code::CHILD_FAILED, 4),
            fails(A, code::CHILD_FAILED),
            end(B),
            Change::Finish
        ],
        "with the failure that came first"
    );
}

#[test]
fn a_step_of_which_a_child_has_failed_is_not_attempted_again() {
    let end_of_attempt = [
        failed(A, 1, retryable("down")),
        lost(A, 1),
        conflicted(A, 1),
    ];
    for event in end_of_attempt {
        let mut run = with_two();
        run.take_knowing(child_ended(A, 0, ChildEnd::Failed), &claimed([0]));
        run.take(event);
        let recall = engage(A, Chore::Recall, 0, due(0));
        assert_eq!(run.last()[1..], [recall]);
    }
    let mut run = with_two();
    run.take(failed(A, 1, retryable("down")));
    assert!(matches!(run.run().step(A).stage, Stage::Scheduled(_)));
    run.take_knowing(child_ended(A, 0, ChildEnd::Cancelled), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [
            arrive(0),
            spoil(code::CHILD_CANCELLED, 5),
            engage(A, Chore::Recall, 0, due(0))
        ],
        "nobody holds it, so nobody will"
    );
}

#[test]
fn a_step_that_fails_for_good_recalls_what_its_handler_started() {
    let mut run = with_two();
    run.take(failed(A, 1, permanent("down")));
    assert_eq!(
        run.last()[1..],
        [spoil("down", 4), engage(A, Chore::Recall, 0, due(0))]
    );
    run.take(recalled(A, 2));
    run.take(child_ended(A, 1, ChildEnd::Failed));
    run.take_knowing(child_ended(A, 0, ChildEnd::Cancelled), &BTreeSet::new());
    assert_eq!(run.last()[1..3], [fail(A, "down", 4), fails(A, "down")]);
}

#[test]
fn another_attempt_finds_the_children_of_the_one_before() {
    let mut run = with_two();
    run.take(failed(A, 1, retryable("down")));
    run.take(succeeded(A, 4));
    assert_eq!(run.last(), [report(A, 4), place(A, 5), REST]);
    run.take(child_ended(A, 0, ChildEnd::Completed));
    run.take(child_ended(A, 1, ChildEnd::Completed));
    assert_eq!(run.last()[..2], [arrive(1), succeed(A)]);
}

#[test]
fn a13_8_a_cancel_is_passed_on_when_the_attempt_has_ended_and_what_it_did_is_kept() {
    let mut run = with_two();
    run.take_knowing(cancel(5, false), &claimed([0]));
    assert_eq!(
        run.last(),
        [wind(Heading::Cancelled), Change::Stop { step: A }, end(B)]
    );
    assert_eq!(run.try_take(called(3)).unwrap_err().code(), "winding");
    run.take(child_ended(A, 0, ChildEnd::Failed));
    assert_eq!(run.last(), [arrive(0)]);
    run.take(succeeded(A, 1));
    assert_eq!(
        run.last(),
        [
            report(A, 1),
            place(A, 6),
            engage(A, Chore::Recall, 0, due(0))
        ]
    );
    run.take(child_ended(A, 1, ChildEnd::Cancelled));
    assert_eq!(run.last(), [arrive(1), succeed(A), Change::Finish]);
    assert_eq!(run.run().status(), Status::Cancelled);
}

#[test]
fn a13_8_a_cancel_recalls_the_children_of_a_step_that_nobody_holds() {
    let unheld = || {
        let mut run = with_two();
        run.take(failed(A, 1, retryable("down")));
        run
    };
    let mut run = unheld();
    run.take_knowing(cancel(5, false), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [
            wind(Heading::Cancelled),
            engage(A, Chore::Recall, 0, due(0)),
            end(B)
        ]
    );
    run.take(recalled(A, 2));
    run.take(child_ended(A, 1, ChildEnd::Completed));
    run.take(child_ended(A, 0, ChildEnd::Completed));
    assert_eq!(run.last(), [arrive(0), end(A), Change::Finish]);
    let mut run = unheld();
    run.take_knowing(cancel(5, true), &claimed([0]));
    run.take(recalled(A, 2));
    assert_eq!(
        run.last(),
        [recall(2), REST, end(A), Change::Finish],
        "a forced one waits only until they were told"
    );
}

#[test]
fn a_forced_cancel_tells_the_children_of_an_attempt_that_was_told_to_stop() {
    let mut run = with_two();
    run.take_knowing(cancel(5, false), &claimed([0]));
    run.take(cancel(6, true));
    assert_eq!(run.last(), [engage(A, Chore::Recall, 0, due(0))]);
    run.take(recalled(A, 2));
    assert_eq!(run.last(), [recall(2), REST, end(A), Change::Finish]);
}

#[test]
fn a_step_whose_outcome_is_unknown_keeps_its_children_and_its_doubt() {
    let held = || {
        let mut run = Fold::start(workflow(json!([
            {"name": "pay", "handler": "h", "on_lost": "hold"},
        ])));
        run.take(called(1)).take(lost_after(A, 1, true));
        assert_eq!(run.last(), [lose(A), hold(A, 1)]);
        run
    };
    let mut run = held();
    let settled = Resolution::Succeeded { label: None };
    run.take(resolved(5, A, settled));
    assert_eq!(run.last(), [obey(5), place(A, 4), REST]);
    run.take(child_ended(A, 0, ChildEnd::Completed));
    assert_eq!(run.run().status(), Status::Completed);

    let mut run = held();
    run.take(child_ended(A, 0, ChildEnd::Failed));
    assert_eq!(run.last(), [arrive(0), spoil(code::CHILD_FAILED, 4)]);
    run.take_knowing(resolved(5, A, Resolution::Retry), &BTreeSet::new());
    assert_eq!(run.last()[1], fail(A, code::CHILD_FAILED, 4));

    let mut run = held();
    run.take_knowing(cancel(5, false), &BTreeSet::new());
    assert_eq!(run.last()[1], engage(A, Chore::Recall, 0, due(0)));
    run.take(child_ended(A, 0, ChildEnd::Cancelled));
    assert!(run.run().is_ended() && run.run().step(A).doubtful);
}

#[test]
fn a_detached_run_is_recorded_and_not_waited_for() {
    let mut run = Fold::start(definition());
    let alone = Event::Called {
        step: A,
        fence: fence(1),
        run: child(1),
        detached: true,
    };
    run.take(alone);
    assert_eq!(run.last(), []);
    run.take(succeeded(A, 1));
    assert_eq!(
        run.last(),
        [report(A, 1), succeed(A), schedule(B, 0, due(0))]
    );
}

#[test]
fn only_an_attempted_step_starts_runs_and_only_so_many() {
    let mut run = Fold::start(definition());
    let of_next = Event::Called {
        step: B,
        fence: fence(1),
        run: child(1),
        detached: false,
    };
    assert_eq!(run.try_take(of_next).unwrap_err().code(), "stale");
    for number in 0..limits::CHILDREN_CALLED {
        run.take(called(u128::from(number) + 1));
    }
    let refused = run.try_take(called(5_000)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the number of children of step pay is 1001, above the limit of 1000"
    );
    run.take(succeeded(A, 1));
    assert_eq!(run.try_take(called(5_000)).unwrap_err().code(), "stale");
}
