//! Runs that handlers start, through submits.

mod common;

use common::*;
use serde_json::json;
use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::event::ChildEnd;
use squid_mesh_core::id::{CommandId, Incarnation, RunId};
use squid_mesh_core::limits;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Call, Entry, EntryReply, GroupReply, Outcome, Rejection, Start, StartReply,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Status;
use squid_mesh_core::task::{TaskKind, TaskRow, Work};

fn parent() -> Definition {
    parsed(json!({"name": "a_parent", "version": 1, "steps": [
        {"name": "pay", "handler": "h", "retry": {"max_attempts": 2}, "undo": {"handler": "u"}},
        {"name": "mail", "handler": "h"},
    ]}))
}

fn receipt() -> Definition {
    parsed(
        json!({"name": "receipt", "version": 2, "result": "output(print)", "steps": [
        {"name": "print", "handler": "h", "input": "input"}]}),
    )
}

fn desk() -> (Desk, RunId) {
    let mut desk = Desk::new([parent(), receipt()]);
    let run = desk.started(1);
    (desk, run)
}

/// The handler that holds `row` starts a receipt.
fn call(desk: &Desk, row: &TaskRow, key: &str, number: u128) -> Call {
    let start = Start {
        command: CommandId::from_u128(number),
        ..desk.start_of(900, receipt().key())
    };
    let token = row.token().expect("it is held");
    Call::new((row.key, row.step, token), key.to_owned(), false, start)
}

fn submit(desk: &mut Desk, call: Call) -> Result<StartReply, Rejection> {
    match desk.submit(vec![Entry::Call(Box::new(call))]) {
        GroupReply::Done(done) => match done.as_slice() {
            [EntryReply::Started(reply)] => Ok(*reply),
            other => panic!("{other:?}"),
        },
        GroupReply::Refused { rejection, .. } => Err(rejection),
        GroupReply::Busy => panic!("nobody else is there"),
    }
}

fn code(refused: Result<StartReply, Rejection>) -> &'static str {
    refused.expect_err("it is refused").code()
}

#[test]
fn a16_2_the_same_key_is_the_same_child_over_attempts_and_losses() {
    let (mut desk, run) = desk();
    let row = desk.claim(run, 0);
    let first = call(&desk, &row, "r1", 10);
    let reply = submit(&mut desk, first.clone()).unwrap();
    assert_eq!(reply.run, RunId::child_by_key(run, A, "r1"));
    assert!(!reply.existing);
    let child = desk.run(reply.run);
    let of = child.origin().parent.clone().unwrap();
    assert_eq!((of.run, of.step, of.child, of.depth), (run, A, 0, 1));
    assert_eq!(desk.row(reply.run).unwrap().parent, Some(run));
    assert_eq!(desk.journal(run).count(), 2);
    assert_eq!(
        submit(&mut desk, first).unwrap(),
        reply,
        "as the first time"
    );
    let again = call(&desk, &row, "r1", 11);
    let existing = StartReply {
        existing: true,
        ..reply
    };
    assert_eq!(submit(&mut desk, again).unwrap(), existing);
    desk.finish_claimed(&row, failing(retryable("down")));
    let row = desk.claim(run, 0);
    let retried = call(&desk, &row, "r1", 12);
    assert_eq!(submit(&mut desk, retried).unwrap(), existing);
    assert_eq!(desk.journal(reply.run).count(), 1);
    assert_eq!(desk.journal(run).count(), 3, "one record of the child");
}

#[test]
fn a16_3_a_key_with_another_workflow_or_input_is_refused_and_another_step_has_another_child() {
    let (mut desk, run) = desk();
    let row = desk.claim(run, 0);
    let first = call(&desk, &row, "r1", 10);
    let child = submit(&mut desk, first.clone()).unwrap().run;
    let mut other_input = call(&desk, &row, "r1", 11);
    other_input.start.raw_input = Payload::new(*b"7").digest();
    let conflict = Err(Rejection::KeyConflict { run: child });
    assert_eq!(submit(&mut desk, other_input), conflict);
    let mut other_workflow = call(&desk, &row, "r1", 12);
    other_workflow.start.definition = parent().key().clone();
    assert_eq!(submit(&mut desk, other_workflow), conflict);
    assert_eq!(desk.journal(run).count(), 2);
    let row = desk.claim(run, 1);
    let elsewhere = call(&desk, &row, "r1", 13);
    let reply = submit(&mut desk, elsewhere).unwrap();
    assert_ne!(reply.run, child);
    assert_eq!(desk.run(reply.run).origin().parent.clone().unwrap().step, B);
}

#[test]
fn a16_1_the_end_of_such_a_child_ends_the_step_that_waits_for_it() {
    let (mut desk, run) = desk();
    let row = desk.claim(run, 0);
    let called = call(&desk, &row, "r1", 10);
    let child = submit(&mut desk, called).unwrap().run;
    desk.finish_claimed(&row, output("\"paid\""));
    assert_eq!(desk.tasks_of(run).len(), 1, "the other step");
    desk.finish(child, 0, output("\"printed\""));
    let row = desk.tasks_of(child)[0].clone();
    assert_eq!(row.kind, TaskKind::Delivery);
    let Work::Deliver { parent, .. } = row.brief.work else {
        panic!("{row:?}");
    };
    let told = Outcome::ChildEnded {
        parent,
        end: ChildEnd::Completed,
        payload: Payload::new(*b"\"printed\""),
    };
    desk.finish(child, 0, told);
    desk.finish(run, 1, output("1"));
    assert_eq!(desk.run(run).status(), Status::Completed);
    assert_eq!(desk.payload(run, 3), "\"paid\"", "its output is its own");
}

#[test]
fn a13_8_children_of_a_handler_are_cancelled_by_their_ids() {
    let (mut desk, run) = desk();
    let row = desk.claim(run, 0);
    let children: Vec<RunId> = ["r1", "r2"]
        .map(|key| {
            let called = call(&desk, &row, key, 10);
            submit(&mut desk, called).unwrap().run
        })
        .to_vec();
    desk.finish_claimed(&row, failing(permanent("down")));
    let (from, upto, called) = (0, 2, children.clone());
    desk.finish(run, 0, Outcome::Recall { from, upto, called });
    for child in children {
        assert_eq!(desk.run(child).status(), Status::Cancelled);
    }
}

#[test]
fn an_attempt_that_has_lost_its_lease_or_was_told_to_stop_starts_nothing() {
    let (mut desk, run) = desk();
    let row = desk.claim(run, 0);
    let late = call(&desk, &row, "r1", 10);
    desk.claim(run, 0);
    assert_eq!(code(submit(&mut desk, late.clone())), "stale");
    let row = desk.claim(run, 0);
    let mut foreign = call(&desk, &row, "r1", 11);
    foreign.token.owner = Incarnation::from_u128(2);
    assert_eq!(code(submit(&mut desk, foreign)), "stale");
    let mut elsewhere = call(&desk, &row, "r1", 11);
    elsewhere.step = B;
    assert_eq!(code(submit(&mut desk, elsewhere)), "stale");
    let told = call(&desk, &row, "r1", 12);
    desk.cancel(plain_cancel(run, 20)).unwrap();
    assert_eq!(code(submit(&mut desk, told.clone())), "winding");
    desk.finish_claimed(&row, output("1"));
    assert_eq!(desk.run(run).status(), Status::Cancelled);
    assert_eq!(code(submit(&mut desk, told)), "finished");
    assert!(desk.row(RunId::child_by_key(run, A, "r1")).is_none());
}

#[test]
fn an_undo_starts_nothing() {
    let (mut desk, run) = desk();
    desk.finish(run, 0, output("1"));
    desk.finish(run, 1, failing(permanent("down")));
    let row = desk.claim(run, 0);
    assert_eq!(row.kind, TaskKind::Undo);
    let from_undo = call(&desk, &row, "r1", 10);
    assert_eq!(code(submit(&mut desk, from_undo)), "stale");
}

#[test]
fn a16_7_a_handler_starts_no_child_below_the_deepest() {
    let workflow = parsed(json!({"name": "deep", "version": 1, "steps": [
        {"name": "dig", "handler": "h"}]}));
    let key = workflow.key().clone();
    let mut desk = Desk::new([workflow]);
    let mut run = desk.started(1);
    for depth in 1..=limits::DEPTH {
        let row = desk.claim(run, 0);
        let deeper = Call {
            start: Start {
                definition: key.clone(),
                ..call(&desk, &row, "next", 10).start
            },
            ..call(&desk, &row, "next", 10)
        };
        run = submit(&mut desk, deeper).unwrap().run;
        assert_eq!(desk.run(run).origin().depth(), depth);
    }
    let row = desk.claim(run, 0);
    let mut deeper = call(&desk, &row, "next", 10);
    deeper.start.definition = key;
    let refused = submit(&mut desk, deeper).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the number of runs above the child is 33, above the limit of 32"
    );
}

#[test]
fn what_cannot_be_started_is_refused_and_its_parent_goes_on() {
    let (mut desk, run) = desk();
    let row = desk.claim(run, 0);
    let unknown = DefinitionKey {
        name: Name::stored("nothing"),
        version: 1,
    };
    let mut lost = call(&desk, &row, "r1", 10);
    lost.start.definition = unknown;
    assert_eq!(code(submit(&mut desk, lost)), "unknown_workflow");
    assert_eq!(desk.journal(run).count(), 1);
    desk.finish_claimed(&row, output("1"));
}
