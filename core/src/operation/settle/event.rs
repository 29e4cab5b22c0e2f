//! The event that a report becomes, with the payload of its journal row.
//!
//! Invariant: whatever a step can fail with because of an event is that event's payload.

use crate::definition::{Definition, LabelIndex, StepIndex, label};
use crate::eval;
use crate::event::{Event, Failure, Found, Role, code};
use crate::operation::{Finding, Outcome, Report};
use crate::payload::Payload;
use crate::run::{Run, Stage};
use crate::task::{Item, TaskRow};
use crate::time::Timestamp;

type Written = (Event, Option<Payload>);

/// `None` for a report that says nothing: an engine item on an attempt's row, or the other way round.
pub(super) fn of(
    report: &Report,
    row: Option<&TaskRow>,
    run: &Run,
    definition: &Definition,
    now: Timestamp,
) -> Option<Written> {
    let role = row.map_or(Role::Step, TaskRow::role);
    let step = report.step;
    match &report.outcome {
        Outcome::Succeeded { output, label } => Some(succeeded(report, role, output, *label)),
        Outcome::Failed { failure, details } => {
            Some(failed(report, role, failure, details.as_ref()))
        }
        Outcome::Conflicted => Some(conflicted(report)),
        Outcome::Unreadable { detail } => {
            Some(failed(report, role, &Failure::unreadable(detail), None))
        }
        Outcome::Engine(Item::Loss) => Some(lost(report, role, row?)),
        Outcome::Engine(Item::Wait) => Some(due(step, run, definition, now)),
        Outcome::Engine(Item::Deadline) => Some(deadline()),
        Outcome::Found(finding) => Some(found(step, finding)),
        Outcome::Collected { output } => {
            let event = Event::Collected {
                step,
                output: output.digest(),
            };
            Some((event, Some(output.clone())))
        }
        Outcome::Engine(Item::Attempt | Item::Chore(_) | Item::Delivery | Item::Firing)
        | Outcome::Spawn(_)
        | Outcome::Recall { .. }
        | Outcome::ChildEnded { .. }
        | Outcome::Released { .. }
        | Outcome::Fired { .. } => None,
    }
}

fn succeeded(report: &Report, role: Role, output: &Payload, label: Option<LabelIndex>) -> Written {
    let event = Event::Succeeded {
        step: report.step,
        role,
        fence: report.token.fence,
        output: output.digest(),
        label,
    };
    (event, Some(output.clone()))
}

fn failed(report: &Report, role: Role, failure: &Failure, details: Option<&Payload>) -> Written {
    let payload = eval::failure_payload(failure, details);
    let event = Event::Failed {
        step: report.step,
        role,
        fence: report.token.fence,
        failure: failure.clone(),
        payload: payload.digest(),
    };
    (event, Some(payload))
}

fn conflicted(report: &Report) -> Written {
    let payload = failure(
        code::CONFLICT,
        "the database undid the attempt too often, because of others",
    );
    let event = Event::Conflicted {
        step: report.step,
        fence: report.token.fence,
        payload: payload.digest(),
    };
    (event, Some(payload))
}

fn lost(report: &Report, role: Role, row: &TaskRow) -> Written {
    let payload = failure(
        code::LOST,
        "more attempts were lost with the processes that ran them than the step allows",
    );
    let event = Event::Lost {
        step: report.step,
        role,
        fence: report.token.fence,
        begun: row.begun,
        payload: payload.digest(),
    };
    (event, Some(payload))
}

/// The end of a wait has no payload. A gate that closes has what its step ends with.
fn due(step: StepIndex, run: &Run, definition: &Definition, now: Timestamp) -> Written {
    let stage = run.steps().get(step.at()).map(|state| state.stage);
    let payload = match stage {
        Some(Stage::Open { .. } | Stage::Listening { .. }) => {
            let wired = definition.wires_expiry(step);
            Some(expired(wired, now.max(run.at())))
        }
        Some(_) | None => None,
    };
    let event = Event::Due {
        step,
        payload: payload.as_ref().map(Payload::digest),
    };
    (event, payload)
}

fn expired(wired: bool, at: Timestamp) -> Payload {
    if wired {
        eval::gate_output(label::EXPIRED, None, None, None, at)
    } else {
        failure(code::EXPIRED, "nobody ended the gate before its deadline")
    }
}

fn deadline() -> Written {
    let payload = failure(
        code::DEADLINE_EXCEEDED,
        "the run's deadline came before its end",
    );
    let event = Event::DeadlineReached {
        payload: payload.digest(),
    };
    (event, Some(payload))
}

fn found(step: StepIndex, finding: &Finding) -> Written {
    let (found, payload) = match finding {
        Finding::Logged => (Found::Logged, None),
        Finding::Reached => (Found::Reached, None),
        Finding::Label(label) => (Found::Label(*label), None),
        Finding::Instant(until) => {
            let payload = failure(
                code::INVALID_WAIT,
                "the instant that the wait should end at is more than ten years away",
            );
            let found = Found::Instant {
                until: *until,
                payload: payload.digest(),
            };
            (found, Some(payload))
        }
        Finding::Children(count) => (Found::Children { count: *count }, None),
        Finding::Failure(failure) => {
            let payload = eval::failure_payload(failure, None);
            let found = Found::Failure {
                failure: failure.clone(),
                payload: payload.digest(),
            };
            (found, Some(payload))
        }
    };
    (Event::Evaluated { step, found }, payload)
}

pub(super) fn failure(code: &str, message: &str) -> Payload {
    eval::failure_payload(&Failure::new(code, message, false), None)
}
