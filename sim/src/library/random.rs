//! Random graphs of handlers and waits.
//!
//! Invariant: a graph is valid however it is drawn.

use squid_mesh_core::definition::{
    BackoffKind, Draft, DraftBackoff, DraftBinding, DraftKind, DraftOrigin, DraftRetry,
    DraftSource, DraftSpan, DraftStep,
};

use super::shapes::workflow;
use super::{HANDLERS, QUEUES};
use crate::choice::{Choices, Label};

/// A random graph: each step may need, be fed by, or merely follow some of the steps before it.
pub(super) fn random(index: u64, choices: &mut Choices) -> Draft {
    let count = choices.between(Label::Shape, 1, 6);
    let names: Vec<String> = (0..count).map(|step| format!("s{step}")).collect();
    let mut steps: Vec<DraftStep> = Vec::new();
    for (position, name) in names.iter().enumerate() {
        let mut step = random_step(name, choices);
        wire(&mut step, &names[..position], choices);
        steps.push(step);
    }
    let last = names.last().expect("at least one step").clone();
    Draft {
        result: DraftBinding::Whole(DraftSource::output(last)),
        queue: choices.happens(Label::Shape, 300).then(|| QUEUES[1].into()),
        priority: choices
            .happens(Label::Shape, 200)
            .then(|| choices.pick(Label::Shape, &[-5, 5, 1])),
        deadline: choices
            .happens(Label::Shape, 150)
            .then(|| span(choices, 500_000, 60_000_000)),
        ..workflow(&format!("random_{index}"), steps)
    }
}

pub(super) fn random_step(name: &str, choices: &mut Choices) -> DraftStep {
    if choices.happens(Label::Shape, 200) {
        return DraftStep::wait(name, span(choices, 1_000, 15_000_000));
    }
    DraftStep {
        retry: choices
            .happens(Label::Shape, 600)
            .then(|| random_retry(choices)),
        timeout: choices
            .happens(Label::Shape, 350)
            .then(|| span(choices, 50_000, 5_000_000)),
        queue: choices
            .happens(Label::Shape, 200)
            .then(|| choices.pick(Label::Shape, &QUEUES).into()),
        priority: choices
            .happens(Label::Shape, 200)
            .then(|| choices.pick(Label::Shape, &[-1, 1, 9])),
        ..DraftStep::handler(name, choices.pick(Label::Shape, &HANDLERS))
    }
}

pub(super) fn random_retry(choices: &mut Choices) -> DraftRetry {
    let kinds = [
        BackoffKind::None,
        BackoffKind::Constant,
        BackoffKind::Linear,
        BackoffKind::Exponential,
    ];
    let kind = choices.pick(Label::Shape, &kinds);
    let min = choices.magnitude(Label::Shape, 1_000, 2_000_000);
    let grows = matches!(kind, BackoffKind::Linear | BackoffKind::Exponential);
    let jitter_thousandths = choices
        .happens(Label::Shape, 300)
        .then(|| choices.pick(Label::Shape, &[100, 500, 1_000]));
    let backoff = DraftBackoff {
        min: Some(DraftSpan::from_micros(min.into())),
        max: grows
            .then(|| DraftSpan::from_micros((min * choices.between(Label::Shape, 1, 4)).into())),
        factor_thousandths: (kind == BackoffKind::Exponential)
            .then(|| choices.pick(Label::Shape, &[2_000, 1_500])),
        jitter_thousandths,
        ..DraftBackoff::of(kind)
    };
    DraftRetry {
        max_attempts: u32::try_from(choices.between(Label::Shape, 1, 4)).expect("at most 4"),
        max_lost: Some(choices.pick(Label::Shape, &[3, 0, 1, 2])),
        backoff: (kind != BackoffKind::None).then_some(backoff),
    }
}

pub(super) fn wire(step: &mut DraftStep, before: &[String], choices: &mut Choices) {
    if before.is_empty() {
        step.input = DraftBinding::Whole(DraftSource::input());
    } else {
        let source =
            |choices: &mut Choices| before[choices.index(Label::Shape, before.len())].clone();
        match choices.choose(Label::Shape, 6) {
            0 | 1 => step.input = DraftBinding::Whole(DraftSource::output(source(choices))),
            2 => {
                let sources = vec![
                    DraftSource::output(source(choices)),
                    DraftSource::output(source(choices)),
                ];
                step.input = DraftBinding::Tuple(sources);
            }
            3 => {
                let constant = DraftSource::constant(serde_json::json!({"fixed": true}));
                let named = [
                    ("from", DraftSource::output(source(choices))),
                    ("constant", constant),
                ];
                step.input = DraftBinding::Object(
                    named.map(|(name, source)| (name.to_owned(), source)).into(),
                );
            }
            4 => step.needs = vec![source(choices)],
            _ => step.after = vec![source(choices)],
        }
    }
    if matches!(step.kind, DraftKind::Wait(_)) {
        // A wait takes no input: what it would have been fed by, it needs.
        let binding = std::mem::take(&mut step.input);
        let fed = match binding {
            DraftBinding::Whole(DraftSource {
                origin: DraftOrigin::Output(by),
                ..
            }) => Some(by),
            DraftBinding::Nothing
            | DraftBinding::Whole(_)
            | DraftBinding::Tuple(_)
            | DraftBinding::Object(_) => None,
        };
        step.needs.extend(fed);
    }
}

pub(super) fn span(choices: &mut Choices, low: u64, high: u64) -> DraftSpan {
    DraftSpan::from_micros(choices.magnitude(Label::Shape, low, high).into())
}
