//! Waits and gates: opened, ended by somebody, closed by their time.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::*;
use serde_json::json;
use squid_mesh_core::change::{Change, Chore, Gate, Heading};
use squid_mesh_core::definition::{Definition, StepIndex};
use squid_mesh_core::event::{Found, Resolution, Started, code};
use squid_mesh_core::limits;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Rejection, Waiting, Wants};
use squid_mesh_core::run::{Stage, Status};

const YEARS: Duration = limits::WAIT_MAX;

fn pause() -> Definition {
    workflow(json!([
        {"name": "park", "pause": {}},
        {"name": "go", "handler": "h", "needs": ["park"]},
        {"name": "side", "handler": "h"},
    ]))
}

fn approval(expiry: bool) -> Definition {
    let mut steps = vec![
        json!({"name": "review", "approval": {"deadline": "1h"}}),
        json!({"name": "yes", "handler": "h", "when": {"step": "review", "label": "approved"}}),
        json!({"name": "no", "handler": "h", "when": {"step": "review", "label": "rejected"}}),
    ];
    if expiry {
        steps.push(
            json!({"name": "late", "handler": "h", "when": {"step": "review", "label": "expired"}}),
        );
    }
    workflow(steps.into())
}

fn waits(run: &Fold, step: &str, wants: Wants) -> Rejection {
    let step = Name::stored(step);
    Rejection::NotWaiting {
        run: run.run().id(),
        waits: vec![Waiting { step, wants }],
    }
}

#[test]
fn a_wait_until_an_instant_takes_the_lane_of_its_evaluation() {
    let mut run = Fold::start(workflow(json!([
        {"name": "a", "until": "input"},
        {"name": "b", "handler": "h", "needs": ["a"]},
    ])));
    assert_eq!(run.last(), [engage(A, Chore::Evaluate, 0, due(0))]);
    run.at(1).take(found_instant(A, due(90)));
    assert_eq!(run.last(), [awaits(A, 0, due(90))]);
    assert_eq!(run.run().status(), Status::Waiting);
    assert!(matches!(
        run.at(89).try_take(over(A)),
        Err(Rejection::NotDue { .. })
    ));
    run.at(90).take(over(A));
    assert_eq!(run.last(), [succeed(A), schedule(B, 0, due(90))]);
}

#[test]
fn a_wait_until_the_past_is_due_at_once_and_one_too_distant_is_invalid() {
    let start = || Fold::start(workflow(json!([{"name": "a", "until": "input"}])));
    let mut run = start();
    run.at(50).take(found_instant(A, due(3)));
    assert_eq!(run.last(), [awaits(A, 0, due(3))]);
    run.take(over(A));
    assert_eq!(run.run().status(), Status::Completed);
    let mut run = start();
    run.at(50).take(found_instant(A, due(50).plus(YEARS)));
    assert_eq!(run.last(), [awaits(A, 0, due(50).plus(YEARS))]);
    let mut run = start();
    let beyond = due(50).plus(YEARS).plus(Duration::from_micros(1));
    run.at(50)
        .take_knowing(found_instant(A, beyond), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [
            fail(A, code::INVALID_WAIT, 2),
            fails(A, code::INVALID_WAIT),
            Change::Finish
        ]
    );
}

#[test]
fn a_gate_at_the_front_of_a_delayed_start_opens_when_its_time_has_come() {
    let definition = workflow(json!([
        {"name": "park", "pause": {"deadline": "1h"}},
        {"name": "wait", "wait": "10s"},
    ]));
    let started = Started {
        due: Some(due(600)),
        ..Fold::started(&definition)
    };
    let mut run = Fold::start_as(definition, started, vec![]);
    assert_eq!(
        run.last(),
        [
            engage(A, Chore::Evaluate, 0, due(600)),
            awaits(B, 1, due(610))
        ]
    );
    assert_eq!(run.run().status(), Status::Scheduled);
    let early = run.at(599).try_take(found(A, Found::Reached));
    assert!(matches!(early, Err(Rejection::NotDue { .. })));
    let nobody_waits = Rejection::NotWaiting {
        run: run.run().id(),
        waits: vec![],
    };
    let resume = resolved(9, A, Resolution::Resume);
    assert_eq!(run.try_take(resume.clone()).unwrap_err(), nobody_waits);
    run.at(602).take(found(A, Found::Reached));
    assert_eq!(
        run.last(),
        [open(A, Gate::Person, Some((0, due(602 + 3_600))))],
        "it keeps its lane, and its deadline counts from when it opened"
    );
    run.take(resume);
    assert_eq!(run.run().step(A).stage, Stage::Succeeded);
}

#[test]
fn a9_1_a_pause_stops_its_branch_only_until_it_is_resumed() {
    let mut run = Fold::start(pause());
    assert_eq!(
        run.last(),
        [open(A, Gate::Person, None), schedule(C, 0, due(0))]
    );
    run.take(succeeded(C, 1));
    assert_eq!(run.run().status(), Status::Paused);
    assert!(run.run().agenda(run.definition()).is_empty());
    run.at(7).take(resolved(5, A, Resolution::Resume));
    assert_eq!(
        run.last(),
        [
            obey(5),
            label(A, 0),
            place(A, 3),
            succeed(A),
            schedule(B, 0, due(7))
        ]
    );
    assert_eq!(
        run.run().obeyed(command(5)).map(|record| record.seq.0),
        Some(3)
    );
}

#[test]
fn a9_2_an_approval_goes_the_way_of_its_decision() {
    for (verdict, way, taken, left) in [
        (Resolution::Approve, 0, B, C),
        (Resolution::Reject, 1, C, B),
    ] {
        let mut run = Fold::start(approval(false));
        assert_eq!(run.last(), [open(A, Gate::Person, Some((0, due(3_600))))]);
        run.at(10).take(resolved(5, A, verdict));
        let mut expected = [schedule(taken, 0, due(10)), skip(left)];
        expected.sort_by_key(|change| matches!(change, Change::Settle { .. }) == (left == C));
        assert_eq!(
            run.last()[..4],
            [obey(5), label(A, way), place(A, 2), succeed(A)]
        );
        assert_eq!(run.last()[4..], expected);
    }
}

#[test]
fn a9_6_a_gate_that_nobody_ended_takes_the_route_of_its_expiry() {
    let mut run = Fold::start(approval(true));
    assert!(matches!(
        run.at(3_599).try_take(expired(A)),
        Err(Rejection::NotDue { .. })
    ));
    run.at(3_600).take(expired(A));
    assert_eq!(
        run.last(),
        [
            label(A, 2),
            place(A, 2),
            succeed(A),
            skip(B),
            skip(C),
            schedule(D, 0, due(3_600))
        ]
    );
    let late = run.try_take(resolved(5, A, Resolution::Approve));
    let nobody_waits = Rejection::NotWaiting {
        run: run.run().id(),
        waits: vec![],
    };
    assert_eq!(late.unwrap_err(), nobody_waits);
}

#[test]
fn s5_2_without_a_route_of_its_expiry_a_gate_fails_as_expired() {
    let mut run = Fold::start(approval(false));
    run.at(3_600).take_knowing(expired(A), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [
            fail(A, code::EXPIRED, 2),
            fails(A, code::EXPIRED),
            end(B),
            end(C),
            Change::Finish
        ]
    );
}

#[test]
fn a9_5_whoever_comes_second_to_a_gate_is_told_what_the_run_waits_for() {
    let mut run = Fold::start(workflow(json!([
        {"name": "park", "pause": {}},
        {"name": "review", "approval": {}},
        {"name": "yes", "handler": "h", "when": {"step": "review", "label": "approved"}},
        {"name": "no", "handler": "h", "when": {"step": "review", "label": "rejected"}},
    ])));
    run.take(resolved(5, A, Resolution::Resume));
    let told = waits(&run, "review", Wants::Approval);
    for (step, wrong) in [
        (A, Resolution::Resume),
        (B, Resolution::Resume),
        (B, Resolution::Retry),
        (B, Resolution::Succeeded { label: None }),
        (B, Resolution::Fail { code: "x".into() }),
        (B, Resolution::SkipUndo),
        (C, Resolution::Approve),
    ] {
        let refused = run.try_take(resolved(6, step, wrong.clone()));
        assert_eq!(refused.unwrap_err(), told, "{step:?} {wrong:?}");
    }
    let unknown = run.try_take(resolved(6, StepIndex(9), Resolution::Approve));
    assert_eq!(unknown.unwrap_err().code(), "stale");
    run.take(resolved(6, B, Resolution::Reject));
    let nobody_waits = Rejection::NotWaiting {
        run: run.run().id(),
        waits: vec![],
    };
    let again = run.try_take(resolved(7, B, Resolution::Approve));
    assert_eq!(again.unwrap_err(), nobody_waits);
}

#[test]
fn a13_5_a_run_at_its_gates_and_waits_is_cancelled_at_once() {
    let definition = workflow(json!([
        {"name": "park", "pause": {"deadline": "1h"}},
        {"name": "paid", "signal": {"name": "paid", "deadline": "1h"}},
        {"name": "wait", "wait": "1h"},
        {"name": "at", "until": "input"},
    ]));
    let mut run = Fold::start(definition);
    run.take_knowing(cancel(5, false), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [
            wind(Heading::Cancelled),
            end(A),
            end(B),
            end(C),
            end(D),
            Change::Finish
        ]
    );
    assert!(run.run().agenda(run.definition()).is_empty());
}

#[test]
fn a_run_that_is_ending_takes_no_decision_about_its_gates() {
    let mut run = Fold::start(pause());
    run.take_knowing(cancel(5, false), &claimed([0]));
    let refused = run.try_take(resolved(6, A, Resolution::Resume));
    let winding = Rejection::Winding {
        run: run.run().id(),
        status: Status::Cancelling,
    };
    assert_eq!(refused.unwrap_err(), winding);
}
