//! Parents and children through settles: started, reported, recalled.

mod common;

use common::*;
use serde_json::{Value, json};
use squid_mesh_core::definition::Definition;
use squid_mesh_core::event::{ChildEnd, code};
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Cancel, Finding, Outcome, Rejection, SlotReply, Spawn};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Stage, Status};
use squid_mesh_core::task::{TaskKind, Work};

fn parent(step: Value) -> Definition {
    parsed(json!({"name": "a_parent", "version": 1, "steps": [step]}))
}

fn parcels(parallel: u32) -> Definition {
    let each = json!({"workflow": "parcel", "parallel": parallel});
    parent(
        json!({"name": "parcels", "each": each, "input": "input", "queue": "depot", "priority": 3}),
    )
}

fn invoice(detach: bool) -> Definition {
    let child = json!({"workflow": "parcel", "detach": detach});
    parent(json!({"name": "invoice", "child": child, "input": "input"}))
}

fn parcel() -> Definition {
    parsed(
        json!({"name": "parcel", "version": 2, "result": "output(pack)", "steps": [
        {"name": "pack", "handler": "h", "input": "input", "undo": {"handler": "u"}}]}),
    )
}

fn spawning(from: u32, count: u32) -> Outcome {
    let input = Payload::new(*b"{}");
    let inputs = (0..count).map(|_| (input.clone(), input.digest()));
    Outcome::Spawn(Box::new(Spawn {
        definition: parcel().key().clone(),
        from,
        inputs: inputs.collect(),
    }))
}

fn recalling(from: u32, upto: u32) -> Outcome {
    let called = Vec::new();
    Outcome::Recall { from, upto, called }
}

fn counted(desk: &mut Desk, count: u32) -> RunId {
    let run = desk.started(1);
    desk.finish(run, 0, Outcome::Found(Finding::Children(count)));
    run
}

fn children(run: RunId, count: u32) -> Vec<RunId> {
    (0..count).map(|nth| RunId::child(run, A, nth)).collect()
}

/// What the task says that tells the parent.
fn delivery(desk: &mut Desk, child: RunId, end: ChildEnd, text: &str) -> Outcome {
    let row = &desk.tasks_of(child)[0];
    assert_eq!(row.kind, TaskKind::Delivery);
    let Work::Deliver { parent, .. } = &row.brief.work else {
        panic!("{row:?}");
    };
    Outcome::ChildEnded {
        parent: parent.clone(),
        end,
        payload: Payload::new(text.as_bytes()),
    }
}

#[test]
fn a16_9_a_child_is_started_and_recorded_by_one_operation() {
    let mut desk = Desk::new([invoice(false), parcel()]);
    let run = desk.started(1);
    let row = desk.claim(run, 0);
    desk.finish_claimed(&row, spawning(0, 1));
    let child = RunId::child(run, A, 0);
    assert_eq!(desk.row(child).unwrap().parent, Some(run));
    let origin = desk.run(child).origin().clone();
    let of = origin.parent.unwrap();
    assert_eq!((of.run, of.child, of.depth), (run, 0, 1));
    assert_eq!(desk.run(child).status(), Status::Pending);
    desk.finish_claimed(&row, spawning(0, 1));
    assert_eq!(
        desk.journal(child).count(),
        1,
        "repeated, it starts nothing"
    );
    assert_eq!(desk.journal(run).count(), 2);
}

#[test]
fn a16_1_a_childs_result_is_its_parents_output_and_is_delivered_once() {
    let mut desk = Desk::new([invoice(false), parcel()]);
    let run = desk.started(1);
    desk.finish(run, 0, spawning(0, 1));
    let child = RunId::child(run, A, 0);
    desk.finish(child, 0, output("\"packed\""));
    assert_eq!(desk.run(child).status(), Status::Completed);
    let told = delivery(&mut desk, child, ChildEnd::Completed, "\"packed\"");
    let row = desk.claim(child, 0);
    desk.finish_claimed(&row, told.clone());
    assert!(desk.tasks_of(child).is_empty());
    assert_eq!(desk.run(run).status(), Status::Completed);
    assert_eq!(desk.payload(run, 3), "\"packed\"");
    desk.finish_claimed(&row, told);
    assert_eq!(desk.journal(run).count(), 3, "repeated, it tells nothing");
}

#[test]
fn a_parent_that_has_ended_need_not_hear_of_a_child() {
    let mut desk = Desk::new([invoice(false), parcel()]);
    let run = desk.started(1);
    desk.finish(run, 0, spawning(0, 1));
    let child = RunId::child(run, A, 0);
    desk.finish(child, 0, failing(permanent("down")));
    let told = delivery(&mut desk, child, ChildEnd::Failed, "{}");
    let force = Cancel {
        force: true,
        ..plain_cancel(run, 5)
    };
    desk.cancel(force).unwrap();
    desk.finish(run, 0, recalling(0, 1));
    assert_eq!(desk.run(run).status(), Status::Cancelled);
    desk.finish(child, 0, told);
    assert!(desk.tasks_of(child).is_empty());
}

#[test]
fn a_detached_child_reports_to_nobody() {
    let mut desk = Desk::new([invoice(true), parcel()]);
    let run = desk.started(1);
    desk.finish(run, 0, spawning(0, 1));
    let child = RunId::child(run, A, 0);
    assert_eq!(desk.run(run).status(), Status::Completed);
    assert_eq!(desk.payload(run, 2), format!("\"{child}\""));
    desk.finish(child, 0, output("1"));
    assert!(desk.tasks_of(child).is_empty());
}

#[test]
fn a16_5_no_more_of_the_prepared_children_start_than_there_is_room_for() {
    let mut desk = Desk::new([parcels(2), parcel()]);
    let run = counted(&mut desk, 3);
    desk.finish(run, 0, spawning(0, 3));
    let ids = children(run, 3);
    let there: Vec<bool> = ids.iter().map(|id| desk.row(*id).is_some()).collect();
    assert_eq!(there, [true, true, false]);
    let row = &desk.tasks_of(ids[0])[0];
    assert_eq!((row.queue.as_str(), row.priority), ("depot", 3));
    desk.finish(ids[1], 0, output("1"));
    let told = delivery(&mut desk, ids[1], ChildEnd::Completed, "1");
    desk.finish(ids[1], 0, told);
    let row = desk.claim(run, 0);
    let stale = desk.settle(&row, spawning(1, 2));
    let refused = Rejection::Stale { run, step: 0 };
    assert_eq!(stale, SlotReply::Rejected(refused));
    desk.finish_claimed(&row, spawning(2, 1));
    assert!(desk.row(ids[2]).is_some());
}

#[test]
fn a_child_whose_workflow_is_not_stored_fails_the_step() {
    let mut desk = Desk::new([invoice(false)]);
    let run = desk.started(1);
    desk.finish(run, 0, spawning(0, 1));
    let run = desk.run(run);
    assert_eq!(run.step(A).code.as_deref(), Some(code::UNKNOWN_WORKFLOW));
    assert_eq!(run.status(), Status::Failed);
}

#[test]
fn a13_8_a_cancel_is_passed_on_to_children_with_its_undo() {
    for undo in [false, true] {
        let mut desk = Desk::new([parcels(2), parcel()]);
        let run = counted(&mut desk, 2);
        desk.finish(run, 0, spawning(0, 2));
        let ids = children(run, 2);
        let held = desk.claim(ids[1], 0);
        let cancel = Cancel {
            undo,
            ..plain_cancel(run, 5)
        };
        desk.cancel(cancel).unwrap();
        assert_eq!(desk.run(run).status(), Status::Cancelling);
        let row = desk.claim(run, 0);
        desk.finish_claimed(&row, recalling(0, 2));
        let status = |desk: &Desk, nth: usize| desk.run(ids[nth]).status();
        assert_eq!(status(&desk, 0), Status::Cancelled);
        assert_eq!(status(&desk, 1), Status::Cancelling);
        assert_eq!(desk.run(run).step(A).stage, Stage::Resting);
        desk.finish_claimed(&row, recalling(0, 2));
        desk.finish_claimed(&held, output("1"));
        if undo {
            assert_eq!(status(&desk, 1), Status::Compensating);
            desk.finish(ids[1], 0, output("null"));
        }
        for id in &ids {
            let told = delivery(&mut desk, *id, ChildEnd::Cancelled, "{}");
            desk.finish(*id, 0, told);
        }
        assert_eq!(desk.run(run).status(), Status::Cancelled);
    }
}

#[test]
fn a13_6_a_forced_cancel_that_comes_again_writes_nothing() {
    let mut desk = Desk::new([parcels(8), parcel()]);
    let run = counted(&mut desk, 3);
    desk.finish(run, 0, spawning(0, 3));
    let force = Cancel {
        force: true,
        ..plain_cancel(run, 5)
    };
    let first = desk.cancel(force.clone()).unwrap();
    assert_eq!(
        first.status,
        Status::Cancelling,
        "its children are to be told"
    );
    let rows = desk.journal(run).count();
    assert_eq!(desk.cancel(force).unwrap(), first);
    let other = Cancel {
        force: true,
        ..plain_cancel(run, 6)
    };
    assert_eq!(desk.cancel(other).unwrap(), first);
    assert_eq!(desk.journal(run).count(), rows);
}

#[test]
fn a_failing_each_recalls_the_other_children_and_fails_with_the_first_failure() {
    let mut desk = Desk::new([parcels(2), parcel()]);
    let run = counted(&mut desk, 2);
    desk.finish(run, 0, spawning(0, 2));
    let ids = children(run, 2);
    desk.finish(ids[0], 0, failing(permanent("down")));
    let told = delivery(
        &mut desk,
        ids[0],
        ChildEnd::Failed,
        "{\"code\":\"child_failed\"}",
    );
    desk.finish(ids[0], 0, told);
    let held = desk.claim(ids[1], 0);
    desk.finish(run, 0, recalling(0, 2));
    desk.finish_claimed(&held, output("1"));
    assert_eq!(desk.run(ids[1]).status(), Status::Cancelled);
    let told = delivery(&mut desk, ids[1], ChildEnd::Cancelled, "{}");
    desk.finish(ids[1], 0, told);
    assert_eq!(desk.run(run).status(), Status::Failed);
    let place = desk.run(run).failure().unwrap();
    assert_eq!(
        desk.payload(run, place.seq.0),
        "{\"code\":\"child_failed\"}"
    );
}
