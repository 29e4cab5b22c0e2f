//! The workflows that simulations run: fixed shapes first, then a pool of random ones.
//!
//! Invariant: the library is the same in every process; what a seed draws is an index into it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use squid_mesh_core::definition::{
    BackoffKind, Definition, Draft, DraftBackoff, DraftBinding, DraftRetry, DraftSource, DraftSpan,
    DraftStep,
};

use crate::choice::{Choices, Label};

/// Handlers that steps name. Every node has the first; some nodes lack some of the others.
pub const HANDLERS: [&str; 5] = ["alpha", "beta", "gamma", "delta", "omega"];
/// Queues that steps name.
pub const QUEUES: [&str; 2] = ["default", "bulk"];

const RANDOM: u64 = 500;

/// Every workflow, the simplest first.
pub fn workflows() -> &'static [Arc<Definition>] {
    static WORKFLOWS: OnceLock<Vec<Arc<Definition>>> = OnceLock::new();
    WORKFLOWS.get_or_init(|| {
        let random = (0..RANDOM).map(|index| random(index, &mut Choices::seeded(index)));
        let drafts = fixed().into_iter().chain(random);
        drafts
            .map(|draft| {
                Arc::new(Definition::validate(draft).expect("the library's drafts are valid"))
            })
            .collect()
    })
}

/// How many of them have a fixed shape.
pub fn fixed_shapes() -> usize {
    workflows().len() - usize::try_from(RANDOM).expect("a small number")
}

fn fixed() -> Vec<Draft> {
    vec![
        chain(),
        join(),
        waiting(),
        retried(),
        timed(),
        wide(),
        lossy(),
    ]
}

fn workflow(name: &str, steps: Vec<DraftStep>) -> Draft {
    Draft {
        steps,
        ..Draft::new(name, 1)
    }
}

fn output(step: &str) -> DraftSource {
    DraftSource::Output(step.into())
}

fn fed(step: DraftStep, by: &str) -> DraftStep {
    DraftStep {
        input: DraftBinding::Whole(output(by)),
        ..step
    }
}

fn chain() -> Draft {
    let first = DraftStep {
        input: DraftBinding::Whole(DraftSource::Input),
        ..DraftStep::handler("a", "alpha")
    };
    let second = fed(DraftStep::handler("b", "alpha"), "a");
    let third = fed(DraftStep::handler("c", "beta"), "b");
    workflow("chain", vec![first, second, third])
}

fn join() -> Draft {
    let both = DraftBinding::Tuple(vec![output("b"), output("c")]);
    let steps = vec![
        DraftStep::handler("a", "alpha"),
        fed(DraftStep::handler("b", "beta"), "a"),
        fed(DraftStep::handler("c", "gamma"), "a"),
        DraftStep {
            input: both,
            ..DraftStep::handler("d", "alpha")
        },
    ];
    workflow("join", steps)
}

fn waiting() -> Draft {
    let rest = DraftStep {
        needs: vec!["a".into()],
        ..DraftStep::wait("rest", Duration::from_secs(3))
    };
    let last = DraftStep {
        needs: vec!["rest".into()],
        ..DraftStep::handler("b", "beta")
    };
    workflow(
        "waiting",
        vec![DraftStep::handler("a", "alpha"), rest, last],
    )
}

fn retried() -> Draft {
    let retry = DraftRetry::linear(4, Duration::from_millis(200), Duration::from_secs(2));
    let step = DraftStep {
        retry: Some(retry),
        ..DraftStep::handler("a", "gamma")
    };
    workflow(
        "retried",
        vec![step, fed(DraftStep::handler("b", "alpha"), "a")],
    )
}

fn timed() -> Draft {
    let retry = DraftRetry::constant(3, Duration::from_millis(500));
    let timeout = Some(DraftSpan::from(Duration::from_millis(800)));
    let step = DraftStep {
        retry: Some(retry),
        timeout,
        ..DraftStep::handler("a", "delta")
    };
    let deadline = Some(DraftSpan::from(Duration::from_secs(20)));
    Draft {
        deadline,
        ..workflow(
            "timed",
            vec![step, fed(DraftStep::handler("b", "alpha"), "a")],
        )
    }
}

fn wide() -> Draft {
    let mut steps: Vec<DraftStep> = ["a", "b", "c", "d"]
        .iter()
        .map(|name| DraftStep::handler(*name, "alpha"))
        .collect();
    let after = ["a", "b", "c", "d"].map(String::from).to_vec();
    steps.push(DraftStep {
        after,
        queue: Some("bulk".into()),
        ..DraftStep::handler("e", "omega")
    });
    workflow("wide", steps)
}

fn lossy() -> Draft {
    let retry = DraftRetry {
        max_lost: Some(0),
        ..DraftRetry::attempts(2)
    };
    let step = DraftStep {
        retry: Some(retry),
        ..DraftStep::handler("a", "alpha")
    };
    workflow(
        "lossy",
        vec![step, fed(DraftStep::handler("b", "beta"), "a")],
    )
}

/// A random graph: each step may need, be fed by, or merely follow some of the steps before it.
fn random(index: u64, choices: &mut Choices) -> Draft {
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
        result: DraftBinding::Whole(DraftSource::Output(last)),
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

fn random_step(name: &str, choices: &mut Choices) -> DraftStep {
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

fn random_retry(choices: &mut Choices) -> DraftRetry {
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

fn wire(step: &mut DraftStep, before: &[String], choices: &mut Choices) {
    if before.is_empty() {
        step.input = DraftBinding::Whole(DraftSource::Input);
    } else {
        let source =
            |choices: &mut Choices| before[choices.index(Label::Shape, before.len())].clone();
        match choices.choose(Label::Shape, 6) {
            0 | 1 => step.input = DraftBinding::Whole(DraftSource::Output(source(choices))),
            2 => {
                let sources = vec![
                    DraftSource::Output(source(choices)),
                    DraftSource::Output(source(choices)),
                ];
                step.input = DraftBinding::Tuple(sources);
            }
            3 => {
                let constant = DraftSource::Constant(serde_json::json!({"fixed": true}));
                let named = [
                    ("from", DraftSource::Output(source(choices))),
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
    if matches!(step.kind, squid_mesh_core::definition::DraftKind::Wait(_)) {
        // A wait takes no input: what it would have been fed by, it needs.
        let binding = std::mem::take(&mut step.input);
        let fed = match binding {
            DraftBinding::Whole(DraftSource::Output(by)) => Some(by),
            DraftBinding::Nothing
            | DraftBinding::Whole(_)
            | DraftBinding::Tuple(_)
            | DraftBinding::Object(_) => None,
        };
        step.needs.extend(fed);
    }
}

fn span(choices: &mut Choices, low: u64, high: u64) -> DraftSpan {
    DraftSpan::from_micros(choices.magnitude(Label::Shape, low, high).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workflow_of_the_library_is_valid_and_has_a_name_of_its_own() {
        let mut names: Vec<&str> = workflows()
            .iter()
            .map(|definition| definition.name().as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), workflows().len());
        assert_eq!(fixed_shapes(), 7);
    }

    #[test]
    fn the_library_is_varied() {
        let steps: Vec<usize> = workflows()
            .iter()
            .map(|definition| definition.steps().len())
            .collect();
        assert!((1..=6).all(|count| steps.contains(&count)));
        let with = |holds: &dyn Fn(&Definition) -> bool| {
            workflows().iter().filter(|one| holds(one)).count()
        };
        assert!(with(&|one| one.deadline().is_some()) > 20);
        assert!(with(&|one| one.steps().iter().any(|step| step.timeout.is_some())) > 50);
        assert!(with(&|one| one.steps().iter().any(|step| !step.after.is_empty())) > 50);
        assert!(with(&|one| one.steps().iter().any(|step| step.needs.len() > 1)) > 20);
    }
}
