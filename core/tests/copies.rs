//! Replays, forks and resumed failures: what a copy takes over, and what it is refused for.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use serde_json::{Value, json};
use squid_mesh_core::change::Change;
use squid_mesh_core::definition::{Definition, StepIndex};
use squid_mesh_core::event::{Copied, CopyKind, Event};
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Copy, Outcome, Rejection, Ruling, Start};
use squid_mesh_core::payload::OutputRef;
use squid_mesh_core::run::{Stage, Status};
use squid_mesh_core::task::Item;

/// a -> b -> c, and s beside them.
fn rows(options: [Value; 4]) -> Definition {
    let mut steps = vec![
        json!({"name": "a", "handler": "h", "input": "input"}),
        json!({"name": "b", "handler": "h", "input": "output(a)"}),
        json!({"name": "c", "handler": "h", "input": "output(b)"}),
        json!({"name": "s", "handler": "h"}),
    ];
    for (step, options) in steps.iter_mut().zip(options) {
        let own = step.as_object_mut().expect("steps are objects");
        own.extend(options.as_object().expect("so are options").clone());
    }
    workflow(steps.into())
}

fn plain() -> [Value; 4] {
    [json!({}), json!({}), json!({}), json!({})]
}

fn copy(source: RunId, kind: CopyKind, from: &[&str]) -> Copy {
    Copy {
        source,
        kind,
        from: from.iter().map(|step| Name::stored(step)).collect(),
        allow_irreversible: false,
    }
}

/// The start of run 2 as that copy.
fn copying(desk: &Desk, copy: Copy) -> Start {
    let key = desk.run(copy.source).definition().clone();
    Start {
        copy: Some(copy),
        ..desk.start_of(2, &key)
    }
}

/// After a, s, b and c succeeded.
fn completed(definition: Definition) -> (Desk, RunId) {
    let mut desk = Desk::new([definition]);
    let run = desk.started(1);
    for (lane, text) in [(0, "\"a\""), (1, "\"s\""), (0, "\"b\""), (0, "\"c\"")] {
        desk.finish(run, lane, output(text));
    }
    assert_eq!(desk.run(run).status(), Status::Completed);
    (desk, run)
}

/// After a and s succeeded, and b failed for good.
fn failed_run(definition: Definition) -> (Desk, RunId) {
    let mut desk = Desk::new([definition]);
    let run = desk.started(1);
    desk.finish(run, 0, output("\"a\""));
    desk.finish(run, 1, output("\"s\""));
    desk.finish(run, 0, failing(permanent("down")));
    (desk, run)
}

fn inherited(source: RunId, step: StepIndex, row: &squid_mesh_core::run::Run) -> Change {
    let place = row.step(step).output().map(|place| OutputRef {
        run: Some(source),
        ..place
    });
    Change::Inherit {
        step,
        code: None,
        label: None,
        place,
    }
}

fn first_changes(desk: &Desk, run: RunId) -> Vec<Change> {
    let first = desk.journal(run).next();
    let first = first.expect("a run has a first row");
    first.transition.changes.clone()
}

fn unsafe_steps(result: Result<squid_mesh_core::operation::StartReply, Rejection>) -> Vec<String> {
    match result {
        Err(Rejection::UnsafeReplay { steps, .. }) => {
            steps.iter().map(ToString::to_string).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a14_1_a_replay_begins_anew_with_the_same_input_and_names_its_source() {
    let (mut desk, run) = completed(rows(plain()));
    let before = desk.journal(run).count();
    let start = copying(&desk, copy(run, CopyKind::Replay, &[]));
    let again = desk.start(start.clone()).unwrap().run;
    assert_eq!(
        first_changes(&desk, again),
        [schedule(A, 0, due(0)), schedule(D, 1, due(0))]
    );
    let origin = desk.run(again).origin().clone();
    let kind = CopyKind::Replay;
    assert_eq!(origin.copy, Some(Copied { run, kind }));
    assert_eq!(origin.input, desk.run(run).origin().input);
    assert_eq!(desk.row(again).unwrap().source, Some(run));
    assert_eq!(desk.journal(run).count(), before);
    let repeated = desk.start(start.clone()).unwrap();
    assert_eq!((repeated.run, repeated.existing), (again, false));
    let other = Start {
        command: command(99),
        ..start
    };
    assert!(desk.start(other).unwrap().existing, "derived from one key");
}

#[test]
fn a14_2_a_replay_is_refused_for_what_succeeded_and_must_not_be_repeated() {
    let mut options = plain();
    options[2] = json!({"irreversible": true});
    options[3] = json!({"compensatable": false});
    let (mut desk, run) = completed(rows(options));
    let mut start = copying(&desk, copy(run, CopyKind::Replay, &[]));
    assert_eq!(unsafe_steps(desk.start(start.clone())), ["c", "s"]);
    assert!(desk.row(run_id(2)).is_none(), "nothing is written");
    start.copy.as_mut().unwrap().allow_irreversible = true;
    assert_eq!(desk.start(start).unwrap().run, run_id(2));
}

#[test]
fn a14_3_what_failed_or_was_never_reached_does_not_hinder_a_replay() {
    let mut options = plain();
    options[1] = json!({"irreversible": true});
    options[2] = json!({"irreversible": true});
    let (mut desk, run) = failed_run(rows(options));
    let start = copying(&desk, copy(run, CopyKind::Replay, &[]));
    assert!(desk.start(start).is_ok());
}

/// After b, which must not be repeated blindly, was lost, and the run was cancelled.
fn doubtful() -> (Desk, RunId) {
    let mut options = plain();
    options[1] = json!({"irreversible": true});
    let mut desk = Desk::new([rows(options)]);
    let run = desk.started(1);
    desk.finish(run, 0, output("\"a\""));
    desk.finish(run, 0, failing(timeout()));
    assert!(matches!(desk.run(run).step(B).stage, Stage::Held { .. }));
    desk.cancel(plain_cancel(run, 5)).expect("it is open");
    (desk, run)
}

#[test]
fn a_step_whose_outcome_is_unknown_is_not_repeated_unasked() {
    for (kind, from) in [
        (CopyKind::Replay, vec![]),
        (CopyKind::Resume, vec![]),
        (CopyKind::Fork, vec!["b"]),
        (CopyKind::Fork, vec!["s"]),
    ] {
        let (mut desk, run) = doubtful();
        let start = copying(&desk, copy(run, kind, &from));
        assert_eq!(
            unsafe_steps(desk.start(start)),
            ["b"],
            "{kind:?} from {from:?} would do it again"
        );
    }
}

#[test]
fn a_doubt_that_was_resolved_as_a_failure_hinders_no_replay() {
    let mut options = plain();
    options[1] = json!({"irreversible": true});
    let mut desk = Desk::new([rows(options)]);
    let run = desk.started(1);
    desk.finish(run, 0, output("\"a\""));
    desk.finish(run, 1, output("\"s\""));
    desk.finish(run, 0, failing(timeout()));
    let ruling = Ruling::Fail {
        code: None,
        message: "it did not".into(),
    };
    desk.resolve(resolving(run, 5, None, ruling)).unwrap();
    let start = copying(&desk, copy(run, CopyKind::Replay, &[]));
    assert!(desk.start(start).is_ok());
}

#[test]
fn a14_4_a_replay_may_run_another_version_and_a_fork_may_not() {
    let steps = json!([{"name": "z", "handler": "h"}]);
    let newer = parsed(json!({"name": "order", "version": 2, "steps": steps}));
    let key = newer.key().clone();
    let mut desk = Desk::new([rows(plain()), newer]);
    let run = desk.started(1);
    desk.cancel(plain_cancel(run, 5)).unwrap();
    let replay = Start {
        definition: key.clone(),
        ..copying(&desk, copy(run, CopyKind::Replay, &[]))
    };
    let fork = Start {
        definition: key.clone(),
        ..copying(&desk, copy(run, CopyKind::Fork, &["a"]))
    };
    assert_eq!(desk.start(fork).unwrap_err().code(), "invalid_copy");
    desk.start(replay).unwrap();
    assert_eq!(desk.run(run_id(2)).definition(), &key);
}

#[test]
fn only_a_run_that_has_ended_can_be_copied() {
    let mut desk = Desk::new([rows(plain())]);
    let run = desk.started(1);
    for kind in [CopyKind::Replay, CopyKind::Fork, CopyKind::Resume] {
        let start = copying(&desk, copy(run, kind, &["b"]));
        let status = Status::Pending;
        let refused = Rejection::NotFinished { run, status };
        assert_eq!(desk.start(start).unwrap_err(), refused);
    }
    let mut unknown = copying(&desk, copy(run, CopyKind::Replay, &[]));
    unknown.copy.as_mut().unwrap().source = run_id(77);
    assert_eq!(desk.start(unknown).unwrap_err().code(), "unknown_run");
}

#[test]
fn a14_6_a_fork_takes_over_exactly_what_is_not_downstream() {
    let (mut desk, run) = completed(rows(plain()));
    let source = desk.run(run);
    let start = copying(&desk, copy(run, CopyKind::Fork, &["b"]));
    let fork = desk.start(start).unwrap().run;
    assert_eq!(
        first_changes(&desk, fork),
        [
            inherited(run, A, &source),
            inherited(run, D, &source),
            schedule(B, 0, due(0))
        ]
    );
    let row = desk.claim(fork, 0);
    let of_source = source.step(A).output().unwrap().of(run);
    assert_eq!(row.brief.sources[0].unwrap().of(fork), of_source);
    desk.finish_claimed(&row, output("\"b\""));
    desk.finish(fork, 0, output("\"c\""));
    assert_eq!(desk.run(fork).status(), Status::Completed);
    let mut again = copying(&desk, copy(fork, CopyKind::Fork, &["c"]));
    (again.run, again.command) = (run_id(3), command(3));
    desk.start(again).unwrap();
    let place = desk.run(run_id(3)).step(A).output().unwrap();
    assert_eq!(place.of(run_id(3)), of_source, "the first source has it");
}

#[test]
fn a14_7_a_fork_is_refused_for_what_it_would_do_again_only() {
    let mut options = plain();
    options[0] = json!({"irreversible": true});
    options[2] = json!({"irreversible": true});
    let (mut desk, run) = completed(rows(options));
    let start = copying(&desk, copy(run, CopyKind::Fork, &["b"]));
    assert_eq!(unsafe_steps(desk.start(start)), ["c"]);
    let start = copying(&desk, copy(run, CopyKind::Fork, &["s"]));
    desk.start(start).unwrap();
    let ghost = copying(&desk, copy(run, CopyKind::Fork, &["ghost"]));
    let ghost = Start {
        run: run_id(4),
        ..ghost
    };
    assert_eq!(desk.start(ghost).unwrap_err().code(), "unknown_step");
}

#[test]
fn a14_8_a_resumed_failure_begins_at_the_step_that_failed() {
    let (mut desk, run) = failed_run(rows(plain()));
    let source = desk.run(run);
    let start = copying(&desk, copy(run, CopyKind::Resume, &[]));
    let resumed = desk.start(start).unwrap().run;
    assert_eq!(
        first_changes(&desk, resumed),
        [
            inherited(run, A, &source),
            inherited(run, D, &source),
            schedule(B, 0, due(0))
        ]
    );
    assert_eq!(desk.run(run).status(), Status::Failed);
}

#[test]
fn a_fork_does_a_failed_step_again_wherever_it_is() {
    let (mut desk, run) = failed_run(rows(plain()));
    let start = copying(&desk, copy(run, CopyKind::Fork, &["s"]));
    let fork = desk.start(start).unwrap().run;
    assert_eq!(
        first_changes(&desk, fork)[1..],
        [schedule(B, 0, due(0)), schedule(D, 1, due(0))],
        "a failure that ended its run is no output to take over"
    );
}

#[test]
fn what_was_undone_is_done_again_and_what_was_inherited_is_not_undone() {
    let undo = json!({"undo": {"handler": "u"}});
    let (mut desk, run) = failed_run(rows([undo.clone(), undo, json!({}), json!({})]));
    desk.finish(run, 0, output("null"));
    assert_eq!(desk.run(run).status(), Status::Failed);
    assert_eq!(desk.run(run).undone_steps(), BTreeSet::from([A]));
    let start = copying(&desk, copy(run, CopyKind::Resume, &[]));
    let resumed = desk.start(start).unwrap().run;
    assert_eq!(
        first_changes(&desk, resumed)[1..],
        [schedule(A, 0, due(0))],
        "s is taken over, a is done again"
    );

    let undo = json!({"undo": {"handler": "u"}});
    let (mut desk, run) = completed(rows([undo.clone(), undo, json!({}), json!({})]));
    let start = copying(&desk, copy(run, CopyKind::Fork, &["b"]));
    let fork = desk.start(start).unwrap().run;
    desk.finish(fork, 0, output("\"b\""));
    desk.finish(fork, 0, failing(permanent("down")));
    assert_eq!(desk.run(fork).status(), Status::Compensating);
    let row = desk.claim(fork, 0);
    assert_eq!((row.step, row.item()), (B, Item::Attempt));
    desk.finish_claimed(&row, output("null"));
    assert_eq!(desk.run(fork).status(), Status::Failed, "a is its source's");
}

#[test]
fn a_fork_takes_over_labels_and_failures_that_were_routed() {
    let definition = workflow(json!([
        {"name": "charge", "handler": "h", "labels": ["x", "y"]},
        {"name": "bad", "handler": "h"},
        {"name": "tell", "handler": "h", "input": "failure(bad)"},
        {"name": "x", "handler": "h", "when": {"step": "charge", "label": "x"}},
        {"name": "y", "handler": "h", "when": {"step": "charge", "label": "y"}},
    ]));
    let mut desk = Desk::new([definition]);
    let run = desk.started(1);
    let label = desk_label(1);
    desk.finish(run, 0, label);
    desk.finish(run, 1, failing(permanent("down")));
    for lane in [0, 1] {
        desk.finish(run, lane, output("null"));
    }
    assert_eq!(desk.run(run).status(), Status::Completed);
    let start = copying(&desk, copy(run, CopyKind::Fork, &["tell"]));
    let fork = desk.start(start).unwrap().run;
    let copy = desk.run(fork);
    assert_eq!(copy.step(B).code.as_deref(), Some("down"));
    assert_eq!(
        copy.step(B).failure().map(|place| place.of(fork)),
        desk.run(run).step(B).failure().map(|place| place.of(run))
    );
    let stages = [A, D, E].map(|step| copy.step(step).stage);
    assert_eq!(
        stages,
        [Stage::Succeeded, Stage::Skipped, Stage::Succeeded],
        "what was skipped is skipped by itself"
    );
    assert!(matches!(copy.step(C).stage, Stage::Scheduled(_)));
}

fn desk_label(label: u16) -> Outcome {
    let label = Some(squid_mesh_core::definition::LabelIndex(label));
    let output = squid_mesh_core::payload::Payload::null();
    Outcome::Succeeded { output, label }
}

#[test]
fn a_copy_of_a_run_that_did_everything_has_nothing_to_do() {
    let (mut desk, run) = completed(rows(plain()));
    let start = copying(&desk, copy(run, CopyKind::Resume, &[]));
    let resumed = desk.start(start).unwrap().run;
    assert_eq!(desk.run(resumed).status(), Status::Completed);
    assert_eq!(first_changes(&desk, resumed).last(), Some(&Change::Finish));
}

#[test]
fn a14_5_a_copy_has_no_labels_key_or_parent_of_its_source() {
    let mut desk = Desk::new([rows(plain())]);
    let key = rows(plain()).key().clone();
    let source = Start {
        labels: BTreeMap::from([("team".into(), "a".into())]),
        key: Some("k".into()),
        ..desk.start_of(1, &key)
    };
    let run = desk.start(source).unwrap().run;
    desk.cancel(plain_cancel(run, 5)).unwrap();
    let start = copying(&desk, copy(run, CopyKind::Replay, &[]));
    let copied = desk.start(start).unwrap().run;
    let Event::Started(started) = &desk.journal(copied).next().unwrap().transition.event else {
        panic!("a journal begins with its start");
    };
    assert!(started.labels.is_empty() && started.key.is_none() && started.parent.is_none());
}
