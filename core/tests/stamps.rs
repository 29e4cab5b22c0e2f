//! Inputs that say when their run was started: whose clock it is, and how often it is looked at.

mod common;

use common::*;
use serde_json::{Value, json};
use squid_mesh_core::definition::Definition;
use squid_mesh_core::event::CopyKind;
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Copy, Outcome, Spawn, Start, StartDelay};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Stage;

/// `due(0)`, and a second later.
const FIRST: &str = "2023-11-14T22:13:20.000000Z";
const SECOND: &str = "2023-11-14T22:13:21.000000Z";

/// One step; started by hand it is told the instant, by the import the day.
fn order(version: u32) -> Definition {
    let stamped = |name: &str, stamp: &str| json!({"fields": {name: {"type": "string", "stamp": stamp}}, "open": true});
    parsed(
        json!({"name": "order", "version": version, "input": stamped("at", "now"),
        "triggers": [{"name": "import", "input": stamped("day", "today")}],
        "steps": [{"name": "a", "handler": "h", "input": "input", "retry": {"max_attempts": 2}}]}),
    )
}

fn with_input(desk: &Desk, number: u128, input: Value) -> Start {
    let input = Payload::new(input.to_string().into_bytes());
    Start {
        raw_input: input.digest(),
        input,
        ..desk.start_of(number, order(1).key())
    }
}

/// The stored input of a run, whose digest is the one in its journal.
fn stored(desk: &Desk, run: RunId) -> Value {
    let text = desk.payload(run, 1);
    let digest = Payload::new(text.as_bytes()).digest();
    assert_eq!(desk.run(run).origin().input, digest);
    serde_json::from_str(&text).expect("inputs are JSON")
}

#[test]
fn a3_4_a_run_is_stamped_once_by_the_clock_of_its_start_and_every_attempt_sees_that() {
    let mut desk = Desk::new([order(1)]);
    let start = with_input(&desk, 1, json!({"n": 1}));
    let run = desk.start(start.clone()).unwrap().run;
    assert_eq!(stored(&desk, run), json!({"n": 1, "at": FIRST}));
    let first = desk.claim(run, 0);
    desk.now = due(3_600);
    desk.finish_claimed(&first, failing(retryable("down")));
    let second = desk.claim(run, 0);
    assert_eq!(second.brief.sources, first.brief.sources);
    let place = second.brief.sources[0].unwrap().of(run);
    assert_eq!(
        (place.run, place.digest),
        (run, desk.run(run).origin().input)
    );
    assert!(!desk.start(start).unwrap().existing, "the command repeated");
    assert_eq!(stored(&desk, run), json!({"n": 1, "at": FIRST}));
}

#[test]
fn what_the_caller_says_stays_and_each_trigger_has_its_own_stamps() {
    let mut desk = Desk::new([order(1)]);
    let given = with_input(&desk, 1, json!({"at": "then"}));
    let given = desk.start(given).unwrap().run;
    assert_eq!(stored(&desk, given), json!({"at": "then"}));
    let imported = Start {
        trigger: Name::stored("import"),
        ..with_input(&desk, 2, json!({}))
    };
    let imported = desk.start(imported).unwrap().run;
    assert_eq!(stored(&desk, imported), json!({"day": "2023-11-14"}));
}

#[test]
fn a_delayed_run_is_stamped_when_it_is_started_and_not_when_it_is_due() {
    let mut desk = Desk::new([order(1)]);
    let delayed = Start {
        delay: Some(StartDelay::In(secs(3_600))),
        ..with_input(&desk, 1, json!({}))
    };
    let run = desk.start(delayed).unwrap().run;
    assert_eq!(stored(&desk, run), json!({"at": FIRST}));
}

#[test]
fn a4_1_the_same_key_is_the_same_run_however_much_later_it_comes() {
    let mut desk = Desk::new([order(1)]);
    let keyed = |desk: &Desk, number, input| Start {
        run: RunId::derived(&Name::stored("order"), "k"),
        key: Some("k".into()),
        ..with_input(desk, number, input)
    };
    let first = keyed(&desk, 1, json!({}));
    let run = desk.start(first).unwrap().run;
    desk.now = due(1);
    let again = keyed(&desk, 2, json!({}));
    assert!(desk.start(again).unwrap().existing);
    assert_eq!(stored(&desk, run), json!({"at": FIRST}));
    let spelled_out = keyed(&desk, 3, json!({"at": FIRST}));
    let refused = desk.start(spelled_out).unwrap_err();
    assert_eq!(
        refused.code(),
        "key_conflict",
        "inputs are compared before stamps"
    );
}

#[test]
fn a_child_is_stamped_when_its_parent_starts_it() {
    let parent = parsed(json!({"name": "a_parent", "version": 1, "steps": [
        {"name": "ordered", "child": {"workflow": "order"}, "input": "input"}]}));
    let mut desk = Desk::new([parent, order(1)]);
    let run = desk.started(1);
    desk.now = due(1);
    let input = Payload::new(*b"{}");
    let spawn = Outcome::Spawn(Box::new(Spawn {
        definition: order(1).key().clone(),
        from: 0,
        inputs: vec![(input.clone(), input.digest())],
    }));
    let row = desk.claim(run, 0);
    desk.finish_claimed(&row, spawn.clone());
    let child = RunId::child(run, A, 0);
    assert_eq!(stored(&desk, child), json!({"at": SECOND}));
    desk.now = due(2);
    desk.finish_claimed(&row, spawn);
    assert_eq!(
        stored(&desk, child),
        json!({"at": SECOND}),
        "reported again"
    );
}

#[test]
fn a14_1_a_copy_has_the_stored_input_of_its_source_and_is_not_stamped_anew() {
    let (mut desk, source) = ended(with_input(&Desk::new([]), 1, json!({})));
    let before = stored(&desk, source);
    assert_eq!(before, json!({"at": FIRST}));
    let replay = replay(&desk, source, 2, 1);
    let replay = desk.start(replay).unwrap().run;
    assert_eq!(stored(&desk, replay), before);
}

#[test]
fn a14_1_a_copy_that_runs_a_version_with_other_stamps_keeps_what_it_has() {
    let imported = Start {
        trigger: Name::stored("import"),
        ..with_input(&Desk::new([]), 1, json!({"day": "monday"}))
    };
    let (mut desk, source) = ended(imported);
    let replay = Start {
        trigger: Name::stored("manual"),
        ..replay(&desk, source, 2, 2)
    };
    let replay = desk.start(replay).unwrap().run;
    assert_eq!(stored(&desk, replay), json!({"day": "monday"}));
}

/// A run that succeeded at its start, and a minute later.
fn ended(start: Start) -> (Desk, RunId) {
    let mut desk = Desk::new([order(1), order(2)]);
    let run = desk.start(start).expect("it fits").run;
    desk.finish(run, 0, output("1"));
    assert_eq!(desk.run(run).step(A).stage, Stage::Succeeded);
    desk.now = due(60);
    (desk, run)
}

fn replay(desk: &Desk, source: RunId, number: u128, version: u32) -> Start {
    let input = Payload::new(desk.payload(source, 1).into_bytes());
    Start {
        input,
        copy: Some(Copy {
            source,
            kind: CopyKind::Replay,
            from: Vec::new(),
            allow_irreversible: false,
        }),
        ..desk.start_of(number, order(version).key())
    }
}
