//! One of each change, and of whatever a change can hold.

use squid_mesh_core::change::{Cause, Change, Chore, Gate, Heading, StepEnd};
use squid_mesh_core::definition::LabelIndex;
use squid_mesh_core::event::Role;
use squid_mesh_core::id::{CommandId, RunId};
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::OutputRef;
use squid_mesh_core::run::Seq;
use squid_mesh_core::task::Lane;

use crate::rows::occurrence;
use crate::{AT, DIGEST, FENCE, PLACE, STEP};

const LANE: Lane = Lane(300);

pub(crate) fn all() -> Vec<(&'static str, Change)> {
    let mut all = tasks();
    all.extend(attempts());
    all.extend(ends());
    all.extend(children());
    all.extend(of_the_run());
    all
}

fn tasks() -> Vec<(&'static str, Change)> {
    let (step, lane, due) = (STEP, LANE, AT);
    let schedule = |role| Change::Schedule {
        step,
        role,
        lane,
        due,
    };
    let engage = |chore| Change::Engage {
        step,
        chore,
        lane,
        due,
    };
    let open = |gate, deadline| Change::Open {
        step,
        gate,
        deadline,
    };
    vec![
        ("schedule", schedule(Role::Step)),
        ("schedule-undo", schedule(Role::Undo)),
        ("engage-evaluate", engage(Chore::Evaluate)),
        ("engage-spawn", engage(Chore::Spawn)),
        ("engage-collect", engage(Chore::Collect)),
        ("engage-recall", engage(Chore::Recall)),
        ("await", Change::Await { step, lane, due }),
        ("open-person", open(Gate::Person, None)),
        ("open-signal", open(Gate::Signal, Some((lane, due)))),
        ("arm", Change::ArmDeadline { lane, due }),
        ("disarm", Change::DisarmDeadline),
        ("deliver", Change::Deliver { lane, due }),
    ]
}

fn attempts() -> Vec<(&'static str, Change)> {
    let (step, fence) = (STEP, FENCE);
    let report = |role| Change::Report {
        step,
        role,
        fence,
        digest: DIGEST,
    };
    let lose = |role| Change::Lose { step, role };
    vec![
        ("report", report(Role::Step)),
        ("report-undo", report(Role::Undo)),
        ("lose", lose(Role::Step)),
        ("lose-undo", lose(Role::Undo)),
        (
            "conflict",
            Change::Conflict {
                step,
                fence,
                digest: DIGEST,
            },
        ),
        ("hold", Change::Hold { step, fence }),
        ("stop", Change::Stop { step }),
    ]
}

fn ends() -> Vec<(&'static str, Change)> {
    let step = STEP;
    let settle = |end| Change::Settle { step, end };
    let label = LabelIndex(300);
    let elsewhere = OutputRef {
        run: Some(RunId::from_u128(5)),
        ..PLACE
    };
    vec![
        ("label", Change::Label { step, label }),
        ("place", Change::Place { step, place: PLACE }),
        ("settle-succeeded", settle(StepEnd::Succeeded)),
        ("settle-cancelled", settle(StepEnd::Cancelled)),
        ("settle-skipped", settle(StepEnd::Skipped)),
        (
            "fail",
            Change::Fail {
                step,
                code: "down".into(),
                place: PLACE,
            },
        ),
        ("undone", Change::Undone { step, done: true }),
        ("not-undone", Change::Undone { step, done: false }),
        (
            "inherit-success",
            Change::Inherit {
                step,
                code: None,
                label: Some(label),
                place: Some(elsewhere),
            },
        ),
        (
            "inherit-failure",
            Change::Inherit {
                step,
                code: Some("down".into()),
                label: None,
                place: Some(elsewhere),
            },
        ),
        (
            "inherit-wait",
            Change::Inherit {
                step,
                code: None,
                label: None,
                place: None,
            },
        ),
    ]
}

fn children() -> Vec<(&'static str, Change)> {
    let (step, upto) = (STEP, 256);
    vec![
        (
            "fan",
            Change::Fan {
                step,
                count: 10_000,
            },
        ),
        ("spawn", Change::Spawn { step, upto }),
        ("rest", Change::Rest { step }),
        ("recall", Change::Recall { step, upto }),
        ("arrive", Change::Arrive { step, child: 300 }),
        (
            "spoil",
            Change::Spoil {
                step,
                code: "child_failed".into(),
                place: PLACE,
            },
        ),
        (
            "adopt",
            Change::Adopt {
                step,
                run: RunId::from_u128(7),
            },
        ),
    ]
}

fn of_the_run() -> Vec<(&'static str, Change)> {
    let wind = |heading| Change::Wind { heading };
    let failed = |cause| wind(Heading::Failed(cause));
    let step = Cause::Step {
        step: STEP,
        code: "down".into(),
    };
    vec![
        (
            "keep",
            Change::Keep {
                signal: Name::stored("paid"),
                payload: DIGEST,
            },
        ),
        ("take", Change::Take { seq: Seq(300) }),
        (
            "obey",
            Change::Obey {
                command: CommandId::from_u128(9),
            },
        ),
        ("wind-completed", wind(Heading::Completed)),
        ("wind-failed", failed(step)),
        (
            "wind-deadline",
            failed(Cause::DeadlineExceeded { place: PLACE }),
        ),
        ("wind-no-result", failed(Cause::NoResult)),
        ("wind-cancelled", wind(Heading::Cancelled)),
        ("finish", Change::Finish),
        (
            "belong",
            Change::Belong {
                occurrence: Box::new(occurrence()),
            },
        ),
    ]
}
