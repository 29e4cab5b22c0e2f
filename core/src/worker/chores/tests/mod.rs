mod ends;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::definition::{DefinitionKey, LabelIndex, LogLevel};
use crate::event::Event;
use crate::id::Life;
use crate::name::Name;
use crate::operation::{Claimed, JournalRow};
use crate::payload::OutputRef;
use crate::run::Seq;
use crate::store::{Fetch, Fetched, JournalPart, StoreError, StoredRow};
use crate::task::{TaskRow, engine};
use crate::time::Timestamp;
use crate::transition::Transition;
use crate::worker::rig::{Rig, config, first, name, text};
use crate::worker::{Config, Input, Ticket};

const ROUTE: u16 = 0;
const UNTIL: u16 = 1;
const LOG: u16 = 2;
const PAUSE: u16 = 3;
const CHILD: u16 = 4;
const EACH: u16 = 5;
const GATHER: u16 = 6;

fn parsed(draft: &Value) -> Arc<Definition> {
    Arc::new(Definition::parse(draft).unwrap())
}

fn flow() -> Arc<Definition> {
    parsed(
        &json!({"name": "flow", "version": 1, "result": "output(route).total", "steps": [
            {"name": "route", "input": "input", "route": [
                {"label": "big", "path": "amount", "greater_than": 100},
                {"label": "small", "path": "amount", "less_than": 10}]},
            {"name": "until", "until": "input.at"},
            {"name": "log", "log": {"message": "hello", "level": "warn"}},
            {"name": "pause", "pause": {}},
            {"name": "child", "child": {"workflow": "parcel"}, "input": "input"},
            {"name": "each", "each": {"workflow": "parcel"}, "input": "input"},
            {"name": "gather", "each": {"workflow": "parcel", "collect": true, "parallel": 500}, "input": "input"},
        ]}),
    )
}

fn parcel(version: u32) -> Arc<Definition> {
    parsed(&json!({"name": "parcel", "version": version,
        "input": {"fields": {
            "to": {"type": "string", "required": true},
            "express": {"type": "boolean", "default": false}}},
        "steps": [{"name": "pack", "handler": "work"}]}))
}

/// A task about a step, whose only source is in row 1.
fn task(kind: TaskKind, step: u16, input: Option<&Payload>, work: Work) -> TaskRow {
    let mut row = first(1);
    row.kind = kind;
    row.step = StepIndex(step);
    row.queue = Name::stored(crate::name::ENGINE_QUEUE);
    row.handler = Name::stored(engine::CHORE);
    row.brief.definition = flow().key().clone();
    let place = |input: &Payload| Some(OutputRef::here(Seq(1), input.digest()));
    row.brief.sources = input.into_iter().map(place).collect();
    row.brief.work = work;
    row
}

fn evaluation(step: u16, input: Option<&Payload>) -> TaskRow {
    task(TaskKind::Evaluate, step, input, Work::Plain)
}

/// A worker that knows the flow and these payloads, and just claimed the task.
fn doing(config: Config, row: &TaskRow, known: &[&Payload]) -> Rig {
    let mut rig = Rig::of(config);
    rig.worker.cache.keep_definition(flow());
    for payload in known {
        let (run, digest) = (row.key.run, payload.digest());
        rig.worker
            .cache
            .keep_payload(run, digest, (*payload).clone());
    }
    let (ticket, _) = rig.claim();
    let tasks = vec![row.clone()];
    rig.claimed(
        ticket,
        Claimed {
            tasks,
            ..Claimed::default()
        },
    );
    rig
}

fn reported(rig: &mut Rig) -> Outcome {
    let (_, settle) = rig.settle();
    assert_eq!(settle.reports.len(), 1);
    settle.reports[0].outcome.clone()
}

/// What a worker that has everything at hand reports of a task.
fn done(row: &TaskRow, known: &[&Payload]) -> Outcome {
    reported(&mut doing(config(), row, known))
}

fn found(step: u16, input: &str) -> Outcome {
    let input = text(input);
    done(&evaluation(step, Some(&input)), &[&input])
}

fn failure_of(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Found(Finding::Failure(failure)) => &failure.code,
        other => panic!("{other:?} is no failure"),
    }
}

fn is_halted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unreadable { .. })
}

fn shown(payload: &Payload) -> Value {
    serde_json::from_slice(payload.bytes()).unwrap()
}

#[test]
fn a_route_reports_its_label_or_that_there_is_none() {
    let label = |label| Outcome::Found(Finding::Label(LabelIndex(label)));
    assert_eq!(found(ROUTE, r#"{"amount":101}"#), label(0));
    assert_eq!(found(ROUTE, r#"{"amount":9}"#), label(1));
    let none = found(ROUTE, r#"{"amount":50}"#);
    assert_eq!(failure_of(&none), "no_matching_route");
}

#[test]
fn a_wait_reports_its_instant_or_that_there_is_none() {
    let until = found(UNTIL, r#"{"at":"1970-01-01T00:00:01Z"}"#);
    let instant = Timestamp::from_micros(1_000_000);
    assert_eq!(until, Outcome::Found(Finding::Instant(instant)));
    assert_eq!(
        failure_of(&found(UNTIL, r#"{"at":"soon"}"#)),
        "invalid_wait"
    );
    assert_eq!(failure_of(&found(UNTIL, "{}")), "missing_input_path");
}

#[test]
fn a_log_line_is_written_and_reported() {
    let row = evaluation(LOG, None);
    let mut rig = doing(config(), &row, &[]);
    let actions = rig.actions();
    let line = LogLine {
        run: row.key.run,
        definition: flow().key().clone(),
        step: name("log"),
        level: LogLevel::Warn,
        message: "hello".into(),
    };
    assert_eq!(actions[0], Action::Log(Box::new(line)));
    let Action::Perform {
        operation: crate::operation::Operation::Settle(settle),
        ..
    } = &actions[1]
    else {
        panic!("{actions:?}");
    };
    assert_eq!(settle.reports[0].outcome, Outcome::Found(Finding::Logged));
}

#[test]
fn a_gate_of_a_delayed_start_is_reported_as_reached() {
    let reached = done(&evaluation(PAUSE, None), &[]);
    assert_eq!(reached, Outcome::Found(Finding::Reached));
}

#[test]
fn a16_6_elements_are_counted_up_to_the_limit() {
    let count = |count| Outcome::Found(Finding::Children(count));
    assert_eq!(found(EACH, "[]"), count(0));
    assert_eq!(found(EACH, "[1,[2],{}]"), count(3));
    let many = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    assert_eq!(found(EACH, &many(10_000)), count(10_000));
    assert_eq!(failure_of(&found(EACH, &many(10_001))), "limit_exceeded");
    assert_eq!(failure_of(&found(EACH, "{}")), "invalid_input");
}

#[test]
fn a_task_that_does_not_fit_its_step_halts_the_run() {
    let input = text("1");
    for row in [
        evaluation(CHILD, Some(&input)),
        task(TaskKind::Spawn, CHILD, Some(&input), Work::Plain),
        task(TaskKind::Collect, CHILD, None, Work::Plain),
    ] {
        let known = Config {
            workflows: registered(),
            ..config()
        };
        let outcome = reported(&mut doing(known, &row, &[&input]));
        assert!(is_halted(&outcome), "{row:?}: {outcome:?}");
    }
}

fn registered() -> Arc<BTreeMap<Name, Arc<Definition>>> {
    Arc::new([(name("parcel"), parcel(3))].into())
}

fn spawn(step: u16, input: &Payload, from: u32, depth: u16) -> TaskRow {
    let work = Work::Spawn { from, depth };
    task(TaskKind::Spawn, step, Some(input), work)
}

/// What a worker reports that declares the child's workflow itself.
fn spawned(step: u16, input: &str, from: u32, depth: u16) -> Outcome {
    let input = text(input);
    let config = Config {
        workflows: registered(),
        ..config()
    };
    let row = spawn(step, &input, from, depth);
    reported(&mut doing(config, &row, &[&input]))
}

fn children(outcome: Outcome) -> Spawn {
    match outcome {
        Outcome::Spawn(spawn) => *spawn,
        other => panic!("{other:?} starts no children"),
    }
}

#[test]
fn a16_1_a_child_gets_its_input_checked_and_filled_in() {
    let child = children(spawned(CHILD, r#"{"to":"ana"}"#, 0, 1));
    let key = DefinitionKey {
        name: name("parcel"),
        version: 3,
    };
    assert_eq!((child.definition, child.from), (key, 0));
    assert_eq!(child.inputs.len(), 1);
    let (input, raw) = &child.inputs[0];
    assert_eq!(shown(input), json!({"to": "ana", "express": false}));
    assert_eq!(*raw, text(r#"{"to":"ana"}"#).digest(), "before defaults");
    let wrong = spawned(CHILD, r#"{"to":5}"#, 0, 1);
    assert_eq!(failure_of(&wrong), "invalid_input");
}

#[test]
fn a_child_that_will_be_stamped_is_held_to_the_limit_of_what_will_be_stored() {
    let child = parsed(&json!({"name": "parcel", "version": 3,
        "input": {"fields": {
            "to": {"type": "string", "required": true},
            "at": {"type": "string", "required": true, "stamp": "now"}}},
        "steps": [{"name": "pack", "handler": "work"}]}));
    let stored = r#"{"to":"ana","at":"2026-03-29T02:00:00.000001Z"}"#.len();
    let reported = |payload_limit| {
        let config = Config {
            workflows: Arc::new([(name("parcel"), Arc::clone(&child))].into()),
            payload_limit,
            ..config()
        };
        let input = text(r#"{"to":"ana"}"#);
        reported(&mut doing(config, &spawn(CHILD, &input, 0, 1), &[&input]))
    };
    let prepared = children(reported(stored));
    assert_eq!(
        prepared.inputs[0].0,
        text(r#"{"to":"ana"}"#),
        "stamped later"
    );
    let refused = reported(stored - 1);
    assert_eq!(failure_of(&refused), "payload_too_large");
}

#[test]
fn children_are_prepared_from_where_the_last_ended_and_so_many_at_once() {
    let element = |nth: usize| format!(r#"{{"to":"{nth}"}}"#);
    let all: Vec<String> = (0..200).map(element).collect();
    let input = format!("[{}]", all.join(","));
    let first = children(spawned(GATHER, &input, 0, 1));
    assert_eq!((first.from, first.inputs.len()), (0, 128), "of 500");
    let room = children(spawned(EACH, &input, 0, 1));
    assert_eq!((room.from, room.inputs.len()), (0, 100), "of 100");
    let rest = children(spawned(EACH, &input, 128, 1));
    assert_eq!((rest.from, rest.inputs.len()), (128, 72));
    assert_eq!(shown(&rest.inputs[0].0)["to"], json!("128"));
}

#[test]
fn a16_7_a_child_32_runs_below_its_root_is_started_and_a_deeper_one_is_not() {
    let input = r#"{"to":"ana"}"#;
    assert_eq!(children(spawned(CHILD, input, 0, 32)).inputs.len(), 1);
    assert_eq!(failure_of(&spawned(CHILD, input, 0, 33)), "limit_exceeded");
}

fn wanting_newest(rig: &mut Rig) -> (Ticket, Fetch) {
    let (ticket, wanted) = rig.fetch();
    assert_eq!(wanted.newest, [name("parcel")].into());
    (ticket, wanted)
}

#[test]
fn what_a_child_runs_that_this_process_does_not_declare_is_looked_up() {
    let input = text(r#"{"to":"ana"}"#);
    let row = spawn(CHILD, &input, 0, 1);
    let mut rig = doing(config(), &row, &[&input]);
    let (ticket, _) = wanting_newest(&mut rig);
    rig.fetched(
        ticket,
        Fetched {
            newest: vec![parcel(7)],
            ..Fetched::default()
        },
    );
    let child = children(reported(&mut rig));
    assert_eq!(child.definition.version, 7);

    let mut rig = doing(config(), &row, &[&input]);
    let (ticket, _) = wanting_newest(&mut rig);
    rig.fetched(ticket, Fetched::default());
    assert_eq!(failure_of(&reported(&mut rig)), "unknown_workflow");
}

#[test]
fn of_several_things_that_cannot_be_read_together_each_is_asked_for_alone() {
    let input = text(r#"{"to":"ana"}"#);
    let row = spawn(CHILD, &input, 0, 1);
    let mut rig = doing(config(), &row, &[]);
    let corrupt = || {
        Err(StoreError::Corrupt {
            detail: "bits".into(),
        })
    };
    let fetched = |ticket, result| Input::Fetched { ticket, result };
    let (ticket, wanted) = wanting_newest(&mut rig);
    assert_eq!(wanted.payloads.len(), 1);
    rig.handle(fetched(ticket, corrupt()));
    let (ticket, wanted) = wanting_newest(&mut rig);
    assert!(wanted.payloads.is_empty(), "one thing at a time");
    let newest = Fetched {
        newest: vec![parcel(7)],
        ..Fetched::default()
    };
    rig.handle(fetched(ticket, Ok(newest)));
    let (ticket, wanted) = rig.fetch();
    assert_eq!((wanted.payloads.len(), wanted.newest.len()), (1, 0));
    rig.handle(fetched(ticket, corrupt()));
    assert!(is_halted(&reported(&mut rig)));
}
