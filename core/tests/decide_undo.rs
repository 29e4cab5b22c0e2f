//! Taking back what a run did: tables of the exact changes.

mod common;

use std::collections::BTreeSet;

use common::*;
use serde_json::{Value, json};
use squid_mesh_core::change::{Change, Heading};
use squid_mesh_core::definition::Definition;
use squid_mesh_core::event::Resolution;
use squid_mesh_core::operation::{Rejection, Waiting, Wants};
use squid_mesh_core::run::{Stage, Status, UndoStage};
use squid_mesh_core::task::{TaskKind, TaskRow};

fn undoable(name: &str, after: &[&str]) -> Value {
    json!({"name": name, "handler": "h", "after": after, "input": "input", "queue": "work",
        "undo": {"handler": "u", "timeout": "9s",
            "retry": {"max_attempts": 2, "max_lost": 1, "backoff": {"kind": "constant", "min": "5s"}}}})
}

/// a, then b, then c, each of which can be undone, then d, which can too.
fn row() -> Definition {
    workflow(json!([
        undoable("a", &[]),
        undoable("b", &["a"]),
        undoable("c", &["b"]),
        undoable("d", &["c"]),
    ]))
}

/// After a, b and c succeeded, d failed for good.
fn failing() -> Fold {
    let mut run = Fold::start(row());
    run.take(succeeded(A, 1)).take(succeeded(B, 2));
    run.take(succeeded(C, 3));
    run.at(9)
        .take_knowing(failed(D, 4, permanent("down")), &claimed([0]));
    run
}

fn only_task(run: &Fold) -> TaskRow {
    let mut rows = run.run().agenda(run.definition());
    assert_eq!(rows.len(), 1);
    rows.remove(0)
}

#[test]
fn a12_1_what_succeeded_is_undone_in_reverse_order_one_at_a_time() {
    let mut run = failing();
    assert_eq!(
        run.last()[1..],
        [
            fail(D, "down", 5),
            fails(D, "down"),
            schedule_undo(C, 0, due(9))
        ]
    );
    assert_eq!(run.run().status(), Status::Compensating);
    run.at(10).take(undone(C, 5));
    assert_eq!(
        run.last(),
        [
            report_undo(C, 5),
            undo_done(C, true),
            schedule_undo(B, 0, due(10))
        ]
    );
    run.at(11).take(undone(B, 6));
    assert_eq!(run.last()[2], schedule_undo(A, 0, due(11)));
    run.take(undone(A, 7));
    assert_eq!(
        run.last(),
        [report_undo(A, 7), undo_done(A, true), Change::Finish]
    );
    assert_eq!(run.run().status(), Status::Failed);
    assert_eq!(run.run().failure(), Some(at(5)));
}

#[test]
fn a12_1_an_undo_is_given_input_output_the_runs_input_and_the_failure() {
    let run = failing();
    let row = only_task(&run);
    assert_eq!(row.kind, TaskKind::Undo);
    assert_eq!((row.handler.as_str(), row.queue.as_str()), ("u", "work"));
    assert_eq!(row.brief.timeout, Some(secs(9)));
    assert_eq!((row.attempt, row.fence.seq.0), (1, 5));
    assert_eq!(
        row.brief.sources,
        [Some(at(1)), Some(at(4)), Some(at(1)), Some(at(5))]
    );
}

#[test]
fn a12_2_of_parallel_steps_the_later_success_is_undone_first() {
    let definition = workflow(json!([
        undoable("a", &[]),
        undoable("b", &[]),
        {"name": "c", "handler": "h", "after": ["a", "b"]},
    ]));
    let mut run = Fold::start(definition);
    run.take(succeeded(B, 1)).take(succeeded(A, 1));
    run.take_knowing(failed(C, 3, permanent("down")), &claimed([0]));
    assert_eq!(run.last()[3], schedule_undo(A, 0, due(0)));
    run.take(undone(A, 4));
    assert_eq!(run.last()[2], schedule_undo(B, 0, due(0)));
}

#[test]
fn a12_3_an_undo_that_fails_for_good_does_not_stop_the_others() {
    let mut run = failing();
    run.take(undone(C, 5));
    run.at(20).take(of_undo(failed(B, 6, retryable("stuck"))));
    assert_eq!(run.last()[1..], [schedule_undo(B, 0, due(25))]);
    assert_eq!(only_task(&run).attempt, 2);
    run.take(of_undo(failed(B, 7, retryable("stuck"))));
    assert_eq!(
        run.last()[1..],
        [undo_done(B, false), schedule_undo(A, 0, due(20))]
    );
    run.take(undone(A, 8));
    assert_eq!(run.run().status(), Status::Failed);
    assert_eq!(run.run().cause().map(|cause| cause.code()), Some("down"));
    let stage = |step| run.run().step(step).undo.as_ref().map(|undo| undo.stage);
    assert_eq!(
        [A, B, C].map(stage),
        [UndoStage::Done, UndoStage::Failed, UndoStage::Done].map(Some)
    );
    assert_eq!(stage(D), None);
}

#[test]
fn a12_4_a_lost_undo_is_executed_again_within_its_bound() {
    let mut run = failing();
    run.at(40).take(of_undo(lost_after(C, 5, true)));
    assert_eq!(run.last(), [lose_undo(C), schedule_undo(C, 0, due(40))]);
    run.take(of_undo(lost(C, 6)));
    assert_eq!(
        run.last(),
        [
            lose_undo(C),
            undo_done(C, false),
            schedule_undo(B, 0, due(40))
        ]
    );
    let stale = run.try_take(undone(C, 5));
    assert_eq!(stale.unwrap_err().code(), "stale");
}

#[test]
fn a12_5_neither_what_failed_nor_what_was_skipped_nor_what_never_ran_is_undone() {
    let mut steps = vec![
        json!({"name": "a", "handler": "h", "labels": ["x", "y"]}),
        undoable("b", &["a"]),
        undoable("c", &["b"]),
        undoable("d", &["c"]),
    ];
    steps[1]["when"] = json!({"step": "a", "label": "x"});
    let mut run = Fold::start(workflow(steps.into()));
    run.take(labelled(A, 1, Some(1)));
    run.take_knowing(failed(C, 2, permanent("down")), &claimed([0]));
    assert_eq!(
        run.last()[1..],
        [fail(C, "down", 3), fails(C, "down"), end(D), Change::Finish]
    );
    assert_eq!(run.run().step(B).stage, Stage::Skipped);
}

/// slow and quick beside each other, each of which can be undone.
fn beside() -> Definition {
    workflow(json!([undoable("slow", &[]), undoable("quick", &[])]))
}

#[test]
fn a12_7_a_late_success_is_recorded_and_undone() {
    let mut run = Fold::start(beside());
    run.take_knowing(failed(B, 1, permanent("down")), &claimed([0, 1]));
    assert_eq!(
        run.last()[1..],
        [
            fail(B, "down", 2),
            fails(B, "down"),
            Change::Stop { step: A }
        ]
    );
    run.at(30).take(succeeded(A, 1));
    assert_eq!(
        run.last(),
        [report(A, 1), succeed(A), schedule_undo(A, 0, due(30))]
    );
    run.take(undone(A, 3));
    assert_eq!(run.run().status(), Status::Failed);
}

#[test]
fn nothing_is_undone_while_an_attempt_is_still_out() {
    let definition = workflow(json!([
        undoable("done", &[]),
        undoable("slow", &[]),
        undoable("bad", &[]),
    ]));
    let mut run = Fold::start(definition);
    run.take(succeeded(A, 1));
    run.take_knowing(failed(C, 1, permanent("down")), &claimed([1, 2]));
    assert_eq!(run.last()[3..], [Change::Stop { step: B }]);
    run.at(60).take(lost(B, 1));
    assert_eq!(run.last(), [lose(B), end(B), schedule_undo(A, 0, due(60))]);
}

#[test]
fn a13_7_a_cancel_undoes_only_if_it_says_so() {
    let begun = || {
        let mut run = Fold::start(row());
        run.take(succeeded(A, 1)).take(succeeded(B, 2));
        run
    };
    let mut run = begun();
    run.take_knowing(cancel_with(5, false, false), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [wind(Heading::Cancelled), end(C), end(D), Change::Finish]
    );
    let mut run = begun();
    run.take_knowing(cancel_with(5, false, true), &claimed([0]));
    assert_eq!(
        run.last(),
        [wind(Heading::Cancelled), Change::Stop { step: C }, end(D)]
    );
    assert_eq!(run.run().status(), Status::Cancelling);
    run.take(lost(C, 3));
    assert_eq!(run.last()[1..], [end(C), schedule_undo(B, 0, due(0))]);
    assert_eq!(run.run().status(), Status::Compensating);
    assert_eq!(only_task(&run).brief.sources[3], None, "nothing failed");
    run.take(undone(B, 5)).take(undone(A, 6));
    assert_eq!(run.run().status(), Status::Cancelled);
}

#[test]
fn a_forced_cancel_undoes_nothing_and_waits_for_nobody() {
    let mut run = Fold::start(beside());
    run.take(succeeded(B, 1));
    run.take_knowing(cancel_with(5, true, true), &claimed([0]));
    assert_eq!(
        run.last(),
        [wind(Heading::Cancelled), end(A), Change::Finish]
    );
    let mut run = Fold::start(beside());
    run.take(succeeded(B, 1));
    run.take_knowing(cancel_with(5, false, true), &claimed([0]));
    run.take(cancel_with(6, true, true));
    assert_eq!(run.last(), [end(A), Change::Finish]);
    assert_eq!(run.run().status(), Status::Cancelled);
}

#[test]
fn a_run_that_is_compensating_cannot_be_cancelled() {
    let mut run = failing();
    let winding = Rejection::Winding {
        run: run.run().id(),
        status: Status::Compensating,
    };
    for force in [false, true] {
        assert_eq!(run.try_take(cancel(5, force)).unwrap_err(), winding);
    }
    let mut run = Fold::start(beside());
    run.take(succeeded(A, 1));
    run.take_knowing(cancel_with(5, false, true), &BTreeSet::new());
    assert_eq!(run.run().status(), Status::Compensating);
    assert_eq!(run.try_take(cancel(6, true)).unwrap_err(), winding);
}

#[test]
fn an_undo_that_nobody_holds_can_be_skipped() {
    let mut run = failing();
    assert_eq!(run.run().waits(run.definition()), [(C, Wants::Undo)]);
    let skip = |step| resolved(5, step, Resolution::SkipUndo);
    assert!(run.needs_claims(skip(C)));
    let told = Rejection::NotWaiting {
        run: run.run().id(),
        waits: vec![Waiting {
            step: run.definition().step(C).name.clone(),
            wants: Wants::Undo,
        }],
    };
    assert_eq!(run.try_take(skip(B)).unwrap_err(), told);
    let held = Rejection::Held {
        run: run.run().id(),
        step: run.definition().step(C).name.clone(),
    };
    assert_eq!(run.refused_knowing(skip(C), &claimed([0])), held);
    run.take_knowing(skip(C), &BTreeSet::new());
    assert_eq!(
        run.last(),
        [obey(5), undo_done(C, false), schedule_undo(B, 0, due(9))]
    );
}
