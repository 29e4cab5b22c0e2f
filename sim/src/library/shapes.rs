//! Workflows of handlers and waits.
//!
//! Invariant: each shape shows one thing.

use std::time::Duration;

use squid_mesh_core::definition::{
    Draft, DraftBinding, DraftRetry, DraftSource, DraftSpan, DraftStep,
};

pub(super) fn fixed() -> Vec<Draft> {
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

pub(super) fn workflow(name: &str, steps: Vec<DraftStep>) -> Draft {
    Draft {
        steps,
        ..Draft::new(name, 1)
    }
}

pub(super) fn output(step: &str) -> DraftSource {
    DraftSource::output(step)
}

pub(super) fn fed(step: DraftStep, by: &str) -> DraftStep {
    DraftStep {
        input: DraftBinding::Whole(output(by)),
        ..step
    }
}

fn chain() -> Draft {
    let first = DraftStep {
        input: DraftBinding::Whole(DraftSource::input()),
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
        ..DraftStep::wait("rest", Duration::from_secs(20))
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
