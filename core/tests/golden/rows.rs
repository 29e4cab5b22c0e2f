//! Snapshots that have every stage of a step and every part of a run, and briefs with every kind of work.

use std::time::Duration;

use serde_json::json;
use squid_mesh_core::change::Change;
use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::event::{ChildEnd, Found, Resolution, Started};
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::OutputRef;
use squid_mesh_core::run::{Run, Seq};
use squid_mesh_core::schedule::{Fired, Missed, Occasion, Occurrence, ScheduleId, State, Trouble};
use squid_mesh_core::task::{Brief, Work};
use squid_mesh_core::time::Timestamp;

use crate::common::*;
use crate::events::parent;
use crate::{AT, DIGEST, PLACE, key};

pub(crate) fn snapshots() -> Vec<(&'static str, Run)> {
    let mut all = vec![
        ("stopping", stopping()),
        ("gates", gates()),
        ("routed", routed()),
        ("undo", undoing()),
        ("copy-of-child", copy_of_child()),
        ("scheduled", scheduled()),
    ];
    all.extend(children());
    all
}

/// Of an occurrence of a schedule.
fn scheduled() -> Run {
    let occurrence = Box::new(occurrence());
    let belong = vec![Change::Belong { occurrence }];
    let started = Fold::started(&join());
    Fold::start_as(join(), started, belong).run().clone()
}

fn stopping() -> Run {
    let mut run = Fold::start(join());
    run.at(3).take(succeeded(A, 1));
    run.take_knowing(cancel(5, false), &claimed([1]));
    run.run().clone()
}

/// Every gate open, a doubt, a wait, something kept, a deadline.
fn gates() -> Run {
    let definition = parsed(json!({
        "name": "order", "version": 1, "deadline": "7d",
        "steps": [
            {"name": "review", "approval": {"deadline": "1h"}},
            {"name": "yes", "handler": "h", "when": {"step": "review", "label": "approved"}},
            {"name": "no", "handler": "h", "when": {"step": "review", "label": "rejected"}},
            {"name": "paid", "signal": {"name": "paid"}},
            {"name": "late", "signal": {"name": "late"}, "needs": ["hour"]},
            {"name": "hour", "wait": "1h"},
            {"name": "ship", "handler": "h", "irreversible": true},
            {"name": "look", "log": "hello"},
            {"name": "work", "handler": "h", "retry": {"max_attempts": 3}},
            {"name": "park", "pause": {}},
        ],
    }));
    let mut run = Fold::start(definition);
    run.at(1).take(lost_after(StepIndex(6), 1, true));
    run.take(signalled(20, "late"));
    run.take(failed(StepIndex(8), 1, retryable("down")));
    run.take(conflicted(StepIndex(8), 4));
    run.take(resolved(21, StepIndex(9), Resolution::Resume));
    run.run().clone()
}

/// A failure that was routed, a label that was taken, a step that was not.
fn routed() -> Run {
    let definition = workflow(json!([
        {"name": "charge", "handler": "h", "labels": ["odd", "even"]},
        {"name": "odd", "handler": "h", "when": {"step": "charge", "label": "odd"}},
        {"name": "even", "handler": "h", "when": {"step": "charge", "label": "even"}},
        {"name": "tell", "handler": "h", "input": "failure(even)"},
    ]));
    let mut run = Fold::start(definition);
    run.take(labelled(A, 1, Some(1)));
    run.take(failed(C, 2, permanent("down")));
    run.run().clone()
}

/// Undone, not to be undone, being undone.
fn undoing() -> Run {
    let step = |name: &str| json!({"name": name, "handler": "h", "undo": {"handler": "u"}});
    let mut steps: Vec<_> = ["a", "b", "c"].map(step).into();
    steps.push(json!({"name": "d", "handler": "h", "after": ["a", "b", "c"]}));
    let mut run = Fold::start(workflow(steps.into()));
    run.take(succeeded(A, 1)).take(succeeded(B, 1));
    run.take(succeeded(C, 1));
    run.take_knowing(failed(D, 4, permanent("down")), &claimed([0]));
    run.take(of_undo(lost(C, 5))).take(undone(C, 6));
    run.take(of_undo(failed(B, 7, permanent("stuck"))));
    run.run().clone()
}

/// Takes over what another run did, ends, and is to tell its parent.
fn copy_of_child() -> Run {
    let definition = chain(2);
    let started = Started {
        parent: Some(parent()),
        due: Some(due(60)),
        queue: Some(Name::stored("mail")),
        priority: Some(-5),
        trace: Some("00-1-2-01".into()),
        ..Fold::started(&definition)
    };
    let inherit = Change::Inherit {
        step: A,
        code: None,
        label: None,
        place: Some(OutputRef {
            run: Some(RunId::from_u128(5)),
            ..PLACE
        }),
    };
    let mut run = Fold::start_as(definition, started, vec![inherit]);
    run.at(61).take(succeeded(B, 1));
    run.run().clone()
}

/// One step with children in each of its stages.
fn children() -> Vec<(&'static str, Run)> {
    let each = |collect| {
        let each = json!({"workflow": "parcel", "parallel": 10, "collect": collect});
        workflow(json!([{"name": "parcels", "each": each, "input": "input"}]))
    };
    let mut run = Fold::start(each(false));
    run.take(found(A, Found::Children { count: 12 }));
    let spawning = run.run().clone();
    run.take(spawned(A, 0, 10));
    let resting = run.run().clone();
    run.take(child_ended(A, 9, ChildEnd::Failed));
    let recalling = run.run().clone();
    let mut run = Fold::start(each(true));
    run.take(found(A, Found::Children { count: 1 }));
    run.take(spawned(A, 0, 1));
    run.take(child_ended(A, 0, ChildEnd::Cancelled));
    vec![
        ("spawning", spawning),
        ("resting", resting),
        ("recalling", recalling),
        ("collecting", run.run().clone()),
    ]
}

pub(crate) fn occurrence() -> Occurrence {
    Occurrence {
        schedule: ScheduleId::from_u128(11),
        name: "nightly".into(),
        at: AT,
        window_start: Timestamp::from_micros(7),
        received_at: Timestamp::from_micros(8),
        occasion: Occasion::Fired,
        reports: true,
    }
}

pub(crate) fn schedules() -> Vec<(&'static str, State)> {
    let fresh = State::from(AT);
    let at = Timestamp::from_micros;
    let rich = State {
        armed: Some((at(9), Seq(300))),
        previous: Some(RunId::from_u128(7)),
        waiting: Some(at(10)),
        fired: Some(Fired {
            occurrence: at(11),
            at: at(12),
        }),
        missed: Some(Missed {
            first: at(13),
            last: at(14),
            at: at(15),
        }),
        skipped: Some(at(16)),
        trouble: Some(Trouble {
            code: "unknown_workflow".into(),
            message: "it is gone".into(),
            since: at(17),
        }),
        ..fresh.clone()
    };
    vec![("fresh", fresh), ("rich", rich)]
}

pub(crate) fn briefs() -> Vec<(&'static str, Brief)> {
    let brief = |work| Brief {
        definition: key(),
        handler: Name::stored("charge"),
        timeout: None,
        sources: Vec::new(),
        trace: None,
        occurrence: None,
        work,
    };
    let elsewhere = OutputRef {
        run: Some(RunId::from_u128(5)),
        ..PLACE
    };
    let rich = Brief {
        timeout: Some(Duration::from_secs(30)),
        sources: vec![Some(OutputRef::here(Seq(1), DIGEST)), None, Some(elsewhere)],
        trace: Some("00-1-2-01".into()),
        occurrence: Some(Box::new(occurrence())),
        ..brief(Work::Plain)
    };
    let deliver = |end, code: Option<&str>| Work::Deliver {
        parent: parent(),
        end,
        code: code.map(str::to_owned),
    };
    vec![
        ("plain", brief(Work::Plain)),
        ("rich", rich),
        (
            "spawn",
            brief(Work::Spawn {
                from: 128,
                depth: 32,
            }),
        ),
        (
            "collect",
            brief(Work::Collect {
                count: 300,
                after: Seq(2),
                upto: Seq(400),
            }),
        ),
        (
            "recall",
            brief(Work::Recall {
                from: 128,
                upto: 256,
            }),
        ),
        (
            "recall-called",
            brief(Work::RecallCalled {
                from: 128,
                runs: vec![RunId::from_u128(7), RunId::from_u128(8)],
            }),
        ),
        ("deliver", brief(deliver(ChildEnd::Completed, None))),
        (
            "deliver-failed",
            brief(deliver(ChildEnd::Failed, Some("down"))),
        ),
        (
            "deliver-cancelled",
            brief(deliver(ChildEnd::Cancelled, None)),
        ),
        (
            "fire",
            brief(Work::Fire {
                trigger: Name::stored("nightly"),
            }),
        ),
        (
            "release",
            brief(Work::Release {
                schedule: ScheduleId::from_u128(11),
            }),
        ),
    ]
}
