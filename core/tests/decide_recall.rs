//! Children that are told to cancel: tables of the exact changes.

mod common;

use std::collections::BTreeSet;

use common::*;
use serde_json::json;
use squid_mesh_core::change::{Change, Chore, Heading};
use squid_mesh_core::event::{ChildEnd, Found, code};
use squid_mesh_core::run::Status;
use squid_mesh_core::task::Work;

#[test]
fn a_failed_element_recalls_the_rest_and_fails_the_step_when_all_have_ended() {
    let mut run = counted(4, false);
    run.take(spawned(A, 0, 2));
    run.at(5).take(child_ended(A, 1, ChildEnd::Failed));
    assert_eq!(
        run.last(),
        [
            arrive(1),
            spoil(code::CHILD_FAILED, 4),
            engage(A, Chore::Recall, 0, due(5))
        ],
        "children that were not started never are"
    );
    assert_eq!(work(&run), Work::Recall { from: 0, upto: 2 });
    assert!(run.run().cause().is_none(), "the run fails with its step");
    run.take(recalled(A, 2));
    assert_eq!(run.last(), [recall(2), REST]);
    run.take_knowing(child_ended(A, 0, ChildEnd::Cancelled), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [
            arrive(0),
            fail(A, code::CHILD_FAILED, 4),
            fails(A, code::CHILD_FAILED),
            end(B),
            Change::Finish
        ],
        "with the first failure"
    );
}

#[test]
fn an_element_that_ends_by_itself_while_the_rest_is_recalled_ends_the_recall() {
    let mut run = counted(4, false);
    run.take(spawned(A, 0, 2));
    run.take(child_ended(A, 0, ChildEnd::Failed));
    run.take_knowing(child_ended(A, 1, ChildEnd::Failed), &BTreeSet::new());
    assert_eq!(
        run.last()[..3],
        [
            arrive(1),
            fail(A, code::CHILD_FAILED, 4),
            fails(A, code::CHILD_FAILED)
        ]
    );
    assert_eq!(run.run().status(), Status::Failed);
}

#[test]
fn the_only_element_that_is_out_fails_its_step_at_once() {
    let mut run = counted(4, false);
    run.take(spawned(A, 0, 1));
    assert_eq!(
        run.last(),
        [spawn(1), engage(A, Chore::Spawn, 0, due(0))],
        "there is room"
    );
    let failed = child_ended(A, 0, ChildEnd::Cancelled);
    run.take_knowing(failed, &BTreeSet::new());
    assert_eq!(
        run.last()[..2],
        [arrive(0), fail(A, code::CHILD_CANCELLED, 4)]
    );
}

#[test]
fn a13_8_a_cancelled_run_has_its_children_told_and_waits_for_them() {
    let mut run = counted(4, false);
    run.take(spawned(A, 0, 2));
    run.at(5).take_knowing(cancel(5, false), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [
            wind(Heading::Cancelled),
            engage(A, Chore::Recall, 0, due(5)),
            end(B)
        ]
    );
    assert_eq!(run.run().status(), Status::Cancelling);
    assert_eq!(run.try_take(recalled(A, 3)).unwrap_err().code(), "stale");
    run.take(recalled(A, 1));
    assert_eq!(run.last(), [recall(1), engage(A, Chore::Recall, 0, due(5))]);
    assert_eq!(work(&run), Work::Recall { from: 1, upto: 2 });
    run.take(child_ended(A, 0, ChildEnd::Cancelled));
    assert_eq!(run.last(), [arrive(0)]);
    run.take(recalled(A, 2));
    assert_eq!(run.last(), [recall(2), REST]);
    run.take(child_ended(A, 1, ChildEnd::Completed));
    assert_eq!(run.last(), [arrive(1), end(A), Change::Finish]);
    assert_eq!(run.run().status(), Status::Cancelled);
}

#[test]
fn a_run_is_cancelled_at_once_while_its_step_only_counts_spawns_or_collects() {
    let counting = || Fold::start(each(json!({"parallel": 2})));
    let spawning = || counted(4, false);
    let collecting = || {
        let mut run = counted(1, false);
        run.take(spawned(A, 0, 1));
        run.take(child_ended(A, 0, ChildEnd::Completed));
        run
    };
    for start in [&counting as &dyn Fn() -> Fold, &spawning, &collecting] {
        let mut run = start();
        run.take_knowing(cancel(5, false), &BTreeSet::new());
        assert_eq!(
            run.last(),
            [wind(Heading::Cancelled), end(A), end(B), Change::Finish]
        );
    }
    let mut run = spawning();
    run.take(spawned(A, 0, 1));
    run.take_knowing(cancel(5, false), &BTreeSet::new());
    assert_eq!(run.last()[1], engage(A, Chore::Recall, 0, due(0)));
    assert_eq!(run.try_take(spawned(A, 1, 2)).unwrap_err().code(), "stale");
}

#[test]
fn a_forced_cancel_waits_only_until_the_children_were_told() {
    let mut run = counted(4, false);
    run.take(spawned(A, 0, 2));
    run.take_knowing(cancel(5, true), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [
            wind(Heading::Cancelled),
            engage(A, Chore::Recall, 0, due(0)),
            end(B)
        ]
    );
    run.take(recalled(A, 2));
    assert_eq!(run.last(), [recall(2), REST, end(A), Change::Finish]);
    let mut run = counted(4, false);
    run.take(spawned(A, 0, 2));
    run.take_knowing(cancel(5, false), &BTreeSet::new());
    run.take(recalled(A, 2));
    run.take(cancel(6, true));
    assert_eq!(run.last(), [end(A), Change::Finish], "they were told");
}

#[test]
fn a_failing_run_waits_for_its_children_before_it_undoes() {
    let definition = workflow(json!([
        {"name": "parcels", "each": {"workflow": "parcel"}, "input": "input"},
        {"name": "paid", "handler": "h", "undo": {"handler": "u"}},
        {"name": "bad", "handler": "h"},
    ]));
    let mut run = Fold::start(definition);
    run.take(found(A, Found::Children { count: 1 }));
    run.take(spawned(A, 0, 1)).take(succeeded(B, 1));
    run.take_knowing(failed(C, 1, permanent("down")), &claimed([2]));
    assert_eq!(
        run.last()[2..],
        [fails(C, "down"), engage(A, Chore::Recall, 0, due(0))]
    );
    run.take(recalled(A, 1));
    run.at(9).take(child_ended(A, 0, ChildEnd::Cancelled));
    assert_eq!(run.last(), [arrive(0), end(A), schedule_undo(B, 0, due(9))]);
}
