//! Which way a run goes: labels, guards, alternatives, failures that are routed.

mod common;

use std::collections::BTreeSet;

use common::*;
use serde_json::json;
use squid_mesh_core::change::{Cause, Change, Chore, Heading};
use squid_mesh_core::definition::{Definition, Origin, StepIndex};
use squid_mesh_core::event::{Found, code};
use squid_mesh_core::run::{Stage, Status};

/// charge says fraud or clean; hold and pass follow; join takes the output of the one that ran; audit needs hold.
fn fork() -> Definition {
    workflow(json!([
        {"name": "charge", "handler": "h", "labels": ["fraud", "clean"]},
        {"name": "hold", "handler": "h", "when": {"step": "charge", "label": "fraud"}},
        {"name": "pass", "handler": "h", "when": {"step": "charge", "label": "clean"}},
        {"name": "join", "handler": "h", "input": "either(pass,hold)"},
    ]))
}

#[test]
fn a11_5_the_guarded_step_of_the_label_runs_and_the_other_is_skipped() {
    let mut run = Fold::start(fork());
    run.at(5).take(labelled(A, 1, Some(0)));
    assert_eq!(
        run.last(),
        [
            report(A, 1),
            label(A, 0),
            succeed(A),
            schedule(B, 0, due(5)),
            skip(C)
        ]
    );
    run.at(9).take(succeeded(B, 2));
    assert_eq!(
        run.last(),
        [report(B, 2), succeed(B), schedule(D, 0, due(9))]
    );
    let either = Origin::Either(vec![C, B]);
    assert_eq!(run.run().place(&either), Some(at(3)));
    run.take(succeeded(D, 3));
    assert_eq!(run.run().status(), Status::Completed);
}

#[test]
fn a_step_that_returns_no_label_leaves_every_guarded_step_out() {
    let mut run = Fold::start(fork());
    run.take(succeeded(A, 1));
    assert_eq!(
        run.last(),
        [
            report(A, 1),
            succeed(A),
            skip(B),
            skip(C),
            skip(D),
            wind(Heading::Completed),
            Change::Finish
        ]
    );
}

#[test]
fn either_waits_until_all_its_alternatives_are_settled_and_takes_the_first_declared() {
    let definition = workflow(json!([
        {"name": "a", "handler": "h"},
        {"name": "b", "handler": "h"},
        {"name": "c", "handler": "h", "input": "either(b,a)"},
    ]));
    let mut run = Fold::start(definition);
    run.take(succeeded(A, 1));
    assert_eq!(run.run().step(C).stage, Stage::Blocked);
    run.take(succeeded(B, 1));
    assert_eq!(run.last()[2], schedule(C, 0, due(0)));
    let either = Origin::Either(vec![B, A]);
    assert_eq!(run.run().place(&either), Some(at(3)), "b is declared first");
}

#[test]
fn a_skip_goes_on_through_needs_but_not_through_after_and_either() {
    let definition = workflow(json!([
        {"name": "a", "handler": "h", "labels": ["go", "no"]},
        {"name": "b", "handler": "h", "when": {"step": "a", "label": "go"}},
        {"name": "c", "handler": "h", "either": [["a", "b"]], "after": ["b"]},
        {"name": "d", "handler": "h", "after": ["b"]},
        {"name": "e", "handler": "h", "either": [["b"]]},
    ]));
    let mut run = Fold::start(definition);
    run.at(1).take(labelled(A, 1, Some(1)));
    assert_eq!(
        run.last()[3..],
        [
            skip(B),
            schedule(C, 0, due(1)),
            schedule(D, 1, due(1)),
            skip(E)
        ],
        "an either of skipped steps only is excluded too"
    );
}

#[test]
fn a5_11_what_needs_a_skipped_step_is_skipped_with_it_and_never_attempted() {
    let go = json!({"step": "a", "label": "go"});
    let definition = workflow(json!([
        {"name": "a", "handler": "h", "labels": ["go", "no"]},
        {"name": "b", "handler": "h", "when": go},
        {"name": "c", "handler": "h", "when": go, "input": "output(b)"},
        {"name": "d", "handler": "h", "when": go, "input": "output(c)"},
    ]));
    let mut run = Fold::start(definition);
    run.at(1).take(labelled(A, 1, Some(1)));
    let last = &run.last()[3..];
    assert_eq!(last[..3], [skip(B), skip(C), skip(D)]);
    assert!(
        !last
            .iter()
            .any(|change| matches!(change, Change::Schedule { .. })),
        "{last:?}"
    );
    assert!(run.run().is_ended());
}

#[test]
fn a_step_needs_all_its_guards_and_is_skipped_by_the_first_that_fails() {
    let definition = workflow(json!([
        {"name": "a", "handler": "h", "labels": ["x", "y"]},
        {"name": "b", "handler": "h", "labels": ["x", "y"]},
        {"name": "c", "handler": "h", "when": [{"step": "a", "label": "x"}, {"step": "b", "label": "x"}]},
    ]));
    let mut run = Fold::start(definition.clone());
    run.take(labelled(A, 1, Some(0)));
    assert_eq!(run.run().step(C).stage, Stage::Blocked);
    run.take(labelled(B, 1, Some(0)));
    assert_eq!(run.last()[3], schedule(C, 0, due(0)));
    let mut run = Fold::start(definition);
    run.take(labelled(A, 1, Some(1)));
    assert_eq!(run.last()[3], skip(C), "whatever b says");
}

/// charge, which has three attempts; its failure feeds notify.
fn routed() -> Definition {
    workflow(json!([
        {"name": "charge", "handler": "h", "retry": {"max_attempts": 3}, "undo": {"handler": "u"}},
        {"name": "ship", "handler": "h", "needs": ["charge"]},
        {"name": "notify", "handler": "h", "input": "failure(charge)", "mark": "compensation"},
    ]))
}

#[test]
fn a11_6_a_failure_that_is_routed_does_not_fail_the_run() {
    let mut run = Fold::start(routed());
    run.at(3).take(failed(A, 1, permanent("declined")));
    assert_eq!(
        run.last()[1..],
        [fail(A, "declined", 2), skip(B), schedule(C, 0, due(3))]
    );
    assert_eq!(run.run().place(&Origin::Failure(A)), Some(at(2)));
    run.take(succeeded(C, 2));
    assert_eq!(
        run.last()[2..],
        [wind(Heading::Completed), Change::Finish],
        "a12_6: nothing is undone"
    );
}

#[test]
fn a11_7_a_failure_is_routed_only_after_the_last_attempt() {
    let mut run = Fold::start(routed());
    for seq in [1, 2] {
        run.take(failed(A, seq, retryable("down")));
        assert_eq!(run.run().step(C).stage, Stage::Blocked);
    }
    run.take(failed(A, 3, retryable("down")));
    assert_eq!(run.last()[3], schedule(C, 0, due(0)));
}

#[test]
fn a_recovery_step_is_skipped_when_there_is_nothing_to_recover_from() {
    let mut run = Fold::start(routed());
    run.take(succeeded(A, 1));
    assert_eq!(run.last()[2..], [schedule(B, 0, due(0)), skip(C)]);
    run.take(succeeded(B, 2));
    assert_eq!(run.run().status(), Status::Completed);
}

#[test]
fn a11_9_a_failure_that_nothing_consumes_fails_the_run_with_its_code() {
    let mut run = Fold::start(routed());
    run.take(failed(A, 1, permanent("declined")));
    run.take_knowing(failed(C, 2, permanent("no_mail")), &claimed([0]));
    assert_eq!(
        run.last()[1..],
        [fail(C, "no_mail", 3), fails(C, "no_mail"), Change::Finish]
    );
}

/// The failure of charge goes to notify, if tone says loud.
fn stranded() -> Definition {
    workflow(json!([
        {"name": "charge", "handler": "h"},
        {"name": "tone", "handler": "h", "labels": ["loud", "quiet"]},
        {"name": "notify", "handler": "h", "when": [
            {"step": "charge", "label": "failed"}, {"step": "tone", "label": "loud"}]},
        {"name": "other", "handler": "h"},
    ]))
}

#[test]
fn a_failure_whose_consumers_were_all_skipped_fails_the_run_with_its_code() {
    let expected = [skip(C), fails(A, "declined"), Change::Stop { step: D }];
    let mut run = Fold::start(stranded());
    run.take(labelled(B, 1, Some(1)));
    assert!(run.needs_claims(failed(A, 1, permanent("declined"))));
    run.take_knowing(failed(A, 1, permanent("declined")), &claimed([0, 2]));
    assert_eq!(
        run.last()[1..],
        [&[fail(A, "declined", 3)], &expected[1..]].concat()
    );
    let mut run = Fold::start(stranded());
    run.take(failed(A, 1, permanent("declined")));
    assert!(!run.run().is_ended() && run.run().cause().is_none());
    run.take_knowing(labelled(B, 1, Some(1)), &claimed([1, 2]));
    assert_eq!(run.last()[3..], expected);
    run.take(succeeded(D, 1));
    assert_eq!(run.run().status(), Status::Failed);
    let cause = Cause::Step {
        step: A,
        code: "declined".into(),
    };
    assert_eq!(run.run().cause(), Some(&cause));
    assert_eq!(run.run().failure(), Some(at(2)));
}

#[test]
fn a_guard_on_a_failure_holds_and_the_run_completes() {
    let mut run = Fold::start(stranded());
    run.take(failed(A, 1, permanent("declined")));
    run.take(labelled(B, 1, Some(0)));
    assert_eq!(run.last()[3], schedule(C, 0, due(0)));
    run.take(succeeded(D, 1)).take(succeeded(C, 3));
    assert_eq!(run.run().status(), Status::Completed);
}

#[test]
fn a_run_without_anything_to_take_its_result_from_fails_and_undoes() {
    let definition = parsed(json!({"name": "order", "version": 1, "steps": [
        {"name": "a", "handler": "h", "labels": ["x", "y", "z"], "undo": {"handler": "u"}},
        {"name": "b", "handler": "h", "when": {"step": "a", "label": "x"}},
        {"name": "c", "handler": "h", "when": {"step": "a", "label": "y"}},
    ], "result": "either(b,c)"}));
    let mut run = Fold::start(definition);
    run.take(labelled(A, 1, Some(2)));
    assert_eq!(
        run.last()[3..],
        [
            skip(B),
            skip(C),
            wind(Heading::Failed(Cause::NoResult)),
            schedule_undo(A, 0, due(0)),
        ]
    );
    assert_eq!(run.run().cause().map(Cause::code), Some(code::NO_RESULT));
    run.take(undone(A, 2));
    assert_eq!(run.run().status(), Status::Failed);
}

#[test]
fn a_route_takes_the_label_that_was_found_and_fails_where_there_is_none() {
    let definition = workflow(json!([
        {"name": "size", "input": "input", "route": [
            {"label": "big", "path": "amount", "greater_than": 100},
            {"label": "small", "otherwise": true}]},
        {"name": "big", "handler": "h", "when": {"step": "size", "label": "big"}},
        {"name": "small", "handler": "h", "when": {"step": "size", "label": "small"}},
    ]));
    let mut run = Fold::start(definition);
    assert_eq!(run.last(), [engage(A, Chore::Evaluate, 0, due(0))]);
    assert_eq!(run.run().status(), Status::Pending);
    let mut failing = run.clone();
    run.at(2).take(found_label(A, 1));
    assert_eq!(
        run.last(),
        [label(A, 1), succeed(A), skip(B), schedule(C, 0, due(2))]
    );
    let none = found_failure(A, code::NO_MATCHING_ROUTE);
    failing.take_knowing(none, &BTreeSet::new());
    assert_eq!(
        failing.last(),
        [
            fail(A, code::NO_MATCHING_ROUTE, 2),
            fails(A, code::NO_MATCHING_ROUTE),
            end(B),
            end(C),
            Change::Finish
        ]
    );
}

#[test]
fn a_log_line_goes_on_and_a_finding_of_another_kind_of_step_does_not_fit() {
    let definition = workflow(json!([
        {"name": "a", "log": "hello"},
        {"name": "b", "until": "input"},
        {"name": "c", "handler": "h"},
    ]));
    let mut run = Fold::start(definition);
    for wrong in [
        found_label(A, 0),
        found(A, Found::Reached),
        found(A, Found::Children { count: 1 }),
        found_instant(A, due(1)),
        found(B, Found::Logged),
        found(C, Found::Logged),
        found(StepIndex(9), Found::Logged),
    ] {
        let refused = run.try_take(wrong.clone()).unwrap_err();
        assert_eq!(refused.code(), "stale", "{wrong:?}");
    }
    run.take(found(A, Found::Logged));
    assert_eq!(run.last(), [succeed(A)]);
}
