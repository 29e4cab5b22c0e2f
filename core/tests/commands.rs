//! Commands about a run through submits: which step is meant, what is refused, what a repeated one is told.

mod common;

use common::*;
use serde_json::json;
use squid_mesh_core::definition::Definition;
use squid_mesh_core::event::By;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Cancel, Entry, GroupReply, Outcome, Rejection, Resolve, Ruling, Waiting, Wants,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Stage, Status};
use squid_mesh_core::task::Item;

fn gates() -> Definition {
    workflow(json!([
        {"name": "first", "pause": {}},
        {"name": "second", "pause": {}},
        {"name": "review", "approval": {"deadline": "1h"}},
        {"name": "yes", "handler": "h", "when": {"step": "review", "label": "approved"}},
        {"name": "no", "handler": "h", "when": {"step": "review", "label": "rejected"}},
    ]))
}

fn waiting(step: &str, wants: Wants) -> Waiting {
    let step = Name::stored(step);
    Waiting { step, wants }
}

#[test]
fn s5_2_a_decision_that_fits_several_gates_must_name_one() {
    let mut desk = Desk::new([gates()]);
    let run = desk.started(1);
    let ambiguous = Rejection::AmbiguousGate {
        run,
        waits: vec![
            waiting("first", Wants::Resume),
            waiting("second", Wants::Resume),
        ],
    };
    let resume = |number, step| resolving(run, number, step, Ruling::Resume);
    assert_eq!(desk.resolve(resume(5, None)).unwrap_err(), ambiguous);
    desk.resolve(resume(5, Some("second"))).unwrap();
    assert_eq!(desk.run(run).step(B).stage, Stage::Succeeded);
    desk.resolve(resume(6, None)).unwrap();
    assert_eq!(desk.run(run).step(A).stage, Stage::Succeeded);
    let told = Rejection::NotWaiting {
        run,
        waits: vec![waiting("review", Wants::Approval)],
    };
    assert_eq!(desk.resolve(resume(7, None)).unwrap_err(), told);
    assert_eq!(desk.resolve(resume(7, Some("review"))).unwrap_err(), told);
    let unknown = Rejection::UnknownStep {
        run,
        step: "ghost".into(),
    };
    assert_eq!(desk.resolve(resume(7, Some("ghost"))).unwrap_err(), unknown);
}

#[test]
fn a9_3_an_approval_needs_an_actor_and_its_output_says_who_decided_what_and_when() {
    let mut desk = Desk::new([gates()]);
    let run = desk.started(1);
    let approve = resolving(run, 5, None, Ruling::Approve);
    for actor in [None, Some(String::new()), Some("  ".into())] {
        let by = By {
            actor,
            ..By::default()
        };
        let anonymous = Resolve {
            by,
            ..approve.clone()
        };
        assert_eq!(
            desk.resolve(anonymous).unwrap_err().code(),
            "invalid_command"
        );
    }
    for metadata in ["[]", "{", "1"] {
        let by = By {
            metadata: Some(metadata.into()),
            ..approve.by.clone()
        };
        let malformed = Resolve {
            by,
            ..approve.clone()
        };
        let refused = desk.resolve(malformed).unwrap_err();
        assert_eq!(refused.code(), "invalid_command", "{metadata}");
    }
    let by = By {
        comment: Some("fine".into()),
        metadata: Some("{\"ticket\":7}".into()),
        ..approve.by.clone()
    };
    desk.now = due(9);
    desk.resolve(Resolve { by, ..approve }).unwrap();
    let output: serde_json::Value = serde_json::from_str(&desk.payload(run, 2)).unwrap();
    assert_eq!(
        output,
        json!({"decision": "approved", "actor": "ana", "comment": "fine",
            "metadata": {"ticket": 7}, "decided_at": due(9).to_string()})
    );
}

#[test]
fn a_command_that_is_repeated_gets_the_first_answer_and_has_no_further_effect() {
    let mut desk = Desk::new([gates()]);
    let run = desk.started(1);
    desk.now = due(3);
    let resume = resolving(run, 5, Some("first"), Ruling::Resume);
    let first = desk.resolve(resume.clone()).unwrap();
    assert_eq!((first.seq.0, first.at), (2, due(3)));
    desk.now = due(8);
    let again = desk.resolve(resume.clone()).unwrap();
    assert_eq!((again.seq, again.at), (first.seq, first.at));
    assert_eq!(desk.journal(run).count(), 2);
    let other = resolving(run, 6, Some("first"), Ruling::Resume);
    assert_eq!(desk.resolve(other).unwrap_err().code(), "not_waiting");
    desk.cancel(plain_cancel(run, 7)).unwrap();
    let late = desk.resolve(resume).unwrap();
    assert_eq!((late.seq, late.status), (first.seq, Status::Cancelled));
}

#[test]
fn a10_5_a_signal_that_is_repeated_is_delivered_once() {
    let definition = workflow(json!([
        {"name": "a", "signal": {"name": "paid"}},
        {"name": "b", "signal": {"name": "paid"}, "needs": ["a"]},
    ]));
    let mut desk = Desk::new([definition]);
    let run = desk.started(1);
    let paid = signalling(run, 5, "paid");
    desk.signal(paid.clone()).unwrap();
    desk.signal(paid).unwrap();
    assert!(matches!(
        desk.run(run).step(B).stage,
        Stage::Listening { .. }
    ));
    desk.signal(signalling(run, 6, "paid")).unwrap();
    assert_eq!(desk.run(run).status(), Status::Completed);
    let unknown = desk.signal(signalling(run_id(9), 7, "paid"));
    assert_eq!(unknown.unwrap_err().code(), "unknown_run");
    let late = desk.signal(signalling(run, 7, "paid"));
    assert_eq!(late.unwrap_err().code(), "finished");
}

#[test]
fn a13_6_a_second_cancel_gets_the_first_answer_unless_it_says_something_else() {
    let mut desk = Desk::new([gates()]);
    let run = desk.started(1);
    desk.resolve(resolving(run, 4, None, Ruling::Approve))
        .unwrap();
    desk.claim(run, 0);
    let first = desk.cancel(plain_cancel(run, 5)).unwrap();
    assert_eq!(first.status, Status::Cancelling);
    let again = desk.cancel(plain_cancel(run, 6)).unwrap();
    assert_eq!(again, first);
    let undo = Cancel {
        undo: true,
        ..plain_cancel(run, 7)
    };
    let other = Rejection::OtherCancel { run, undo: false };
    assert_eq!(desk.cancel(undo).unwrap_err(), other);
    let force = Cancel {
        force: true,
        ..plain_cancel(run, 8)
    };
    let forced = desk.cancel(force).unwrap();
    assert_eq!((forced.seq, forced.status), (first.seq, Status::Cancelled));
    assert_eq!(desk.cancel(plain_cancel(run, 9)).unwrap(), forced);
    assert_eq!(desk.journal(run).count(), 4);
}

fn shipping() -> (Desk, squid_mesh_core::id::RunId) {
    let definition = workflow(json!([
        {"name": "ship", "handler": "h", "irreversible": true, "labels": ["air", "sea"]},
        {"name": "fly", "handler": "h", "when": {"step": "ship", "label": "air"}},
    ]));
    let mut desk = Desk::new([definition]);
    let run = desk.started(1);
    (desk, run)
}

#[test]
fn s4_4_the_late_report_of_a_held_attempt_counts_under_its_own_lease_only() {
    let (mut desk, run) = shipping();
    let first = desk.claim(run, 0);
    desk.mark_begun(run, 0);
    let lost = desk.claim(run, 0);
    assert_eq!(lost.item(), Item::Loss);
    desk.finish_claimed(&lost, Outcome::Engine(Item::Loss));
    assert!(matches!(desk.run(run).step(A).stage, Stage::Held { .. }));
    let refused = desk.settle(&lost, output("1"));
    assert_ne!(refused, squid_mesh_core::operation::SlotReply::Accepted);
    desk.finish_claimed(&first, output("\"parcel\""));
    assert_eq!(desk.run(run).step(A).stage, Stage::Succeeded);
    desk.finish_claimed(&first, output("\"parcel\""));
    assert_eq!(desk.journal(run).count(), 3, "repeated, it writes nothing");
}

#[test]
fn a6_8_an_operator_settles_a_doubt_with_an_output_and_a_label_that_the_step_has() {
    let (mut desk, run) = shipping();
    desk.finish(run, 0, failing(timeout()));
    let ruling = |label: &str| Ruling::Succeeded {
        output: Payload::new(*b"\"parcel\""),
        label: Some(Name::stored(label)),
    };
    let wrong = desk.resolve(resolving(run, 5, None, ruling("rail")));
    assert_eq!(wrong.unwrap_err().code(), "invalid_command");
    desk.resolve(resolving(run, 5, None, ruling("air")))
        .unwrap();
    assert_eq!(desk.payload(run, 3), "\"parcel\"");
    assert!(matches!(desk.run(run).step(B).stage, Stage::Scheduled(_)));
}

#[test]
fn a6_8_a_doubt_that_is_ruled_a_failure_has_the_code_and_message_of_the_ruling() {
    let (mut desk, run) = shipping();
    desk.finish(run, 0, failing(timeout()));
    let ruling = Ruling::Fail {
        code: None,
        message: "the depot says no".into(),
    };
    desk.resolve(resolving(run, 5, None, ruling)).unwrap();
    let failure: serde_json::Value = serde_json::from_str(&desk.payload(run, 3)).unwrap();
    assert_eq!(
        (&failure["code"], &failure["message"]),
        (&json!("failed_by_operator"), &json!("the depot says no"))
    );
    let code = desk.run(run).cause().map(|cause| cause.code().to_owned());
    assert_eq!(code.as_deref(), Some("failed_by_operator"));
}

#[test]
fn a_gate_that_expires_has_its_end_as_its_rows_payload() {
    let mut desk = Desk::new([gates()]);
    let run = desk.started(1);
    desk.now = due(3_600);
    desk.finish(run, 0, Outcome::Engine(Item::Wait));
    let failure: serde_json::Value = serde_json::from_str(&desk.payload(run, 2)).unwrap();
    assert_eq!(failure["code"], json!("expired"));
    assert_eq!(desk.run(run).status(), Status::Failed);
}

#[test]
fn a_group_is_done_together_or_not_at_all() {
    let mut desk = Desk::new([gates()]);
    let run = desk.started(1);
    let resume = |number, step| {
        let ruling = Ruling::Resume;
        Entry::Resolve(Box::new(resolving(run, number, Some(step), ruling)))
    };
    let reply = desk.submit(vec![resume(5, "first"), resume(6, "review")]);
    assert!(matches!(reply, GroupReply::Refused { index: 1, .. }));
    assert_eq!(desk.journal(run).count(), 1);
    let reply = desk.submit(vec![resume(5, "first"), resume(6, "second")]);
    assert!(matches!(reply, GroupReply::Done(done) if done.len() == 2));
}
