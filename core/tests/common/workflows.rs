//! Small definitions.

use std::time::Duration;

use serde_json::{Value, json};
use squid_mesh_core::definition::{
    BackoffKind, Definition, Draft, DraftBackoff, DraftBinding, DraftRetry, DraftSource, DraftSpan,
    DraftStep,
};

use super::secs;

/// The definition of these steps.
pub(crate) fn workflow(steps: Value) -> Definition {
    parsed(json!({"name": "order", "version": 1, "steps": steps}))
}

/// The definition of a whole draft.
pub(crate) fn parsed(draft: Value) -> Definition {
    Definition::parse(&draft).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn valid(draft: Draft) -> Definition {
    Definition::validate(draft).unwrap()
}

fn step(name: &str, needs: &[&str]) -> DraftStep {
    let sources = needs
        .iter()
        .map(|need| DraftSource::output(*need))
        .collect();
    DraftStep {
        input: DraftBinding::Tuple(sources),
        ..DraftStep::handler(name, format!("do_{name}"))
    }
}

fn draft(steps: Vec<DraftStep>) -> Draft {
    Draft {
        steps,
        ..Draft::new("order", 1)
    }
}

/// s0 -> s1 -> ...
pub(crate) fn chain(length: usize) -> Definition {
    let names: Vec<String> = (0..length).map(|i| format!("s{i}")).collect();
    let steps = names
        .iter()
        .enumerate()
        .map(|(i, name)| match i.checked_sub(1) {
            Some(before) => step(name, &[&names[before]]),
            None => step(name, &[]),
        });
    valid(draft(steps.collect()))
}

/// a, b -> c
pub(crate) fn join() -> Definition {
    valid(draft(vec![
        step("a", &[]),
        step("b", &[]),
        step("c", &["a", "b"]),
    ]))
}

/// slow beside x -> y -> z
pub(crate) fn chain_beside_root() -> Definition {
    valid(draft(vec![
        step("slow", &[]),
        step("x", &[]),
        step("y", &["x"]),
        step("z", &["y"]),
    ]))
}

pub(crate) fn retrying(retry: DraftRetry) -> Definition {
    valid(draft(vec![DraftStep {
        retry: Some(retry),
        ..step("a", &[])
    }]))
}

pub(crate) fn exponential(max_attempts: u32) -> DraftRetry {
    let span = |millis| Some(DraftSpan::from(Duration::from_millis(millis)));
    let backoff = DraftBackoff {
        min: span(100),
        max: span(1_000),
        ..DraftBackoff::of(BackoffKind::Exponential)
    };
    DraftRetry {
        backoff: Some(backoff),
        ..DraftRetry::attempts(max_attempts)
    }
}

/// wait -> b
pub(crate) fn waiting(span: Duration) -> Definition {
    valid(draft(vec![
        DraftStep::wait("wait", span),
        step("b", &["wait"]),
    ]))
}

/// wait of an hour, b -> c
pub(crate) fn wait_join() -> Definition {
    valid(draft(vec![
        DraftStep::wait("wait", secs(3_600)),
        step("b", &[]),
        step("c", &["wait", "b"]),
    ]))
}

pub(crate) fn with_deadline(span: Duration) -> Definition {
    valid(Draft {
        deadline: Some(span.into()),
        ..draft(vec![step("a", &[])])
    })
}
