//! Workflows that show the rest of the language: branches, gates, signals, compensation, children.
//!
//! Invariant: each shape shows one thing, alone.

use std::time::Duration;

use serde_json::Value;
use squid_mesh_core::definition::{
    Contract, Draft, DraftBinding, DraftCondition, DraftGuard, DraftKind, DraftOrigin, DraftRetry,
    DraftSource, DraftSpan, DraftStep, DraftUndo, Field, FieldType, OnLost, Operator, Path,
    RouteMark, Segment, Stamp,
};

use super::shapes::{fed, output, workflow};

pub(super) fn fixed() -> Vec<Draft> {
    vec![
        leaf(),
        routed(),
        recovered(),
        saga(),
        gated(),
        signalled(),
        held(),
        parent(),
        fan(),
        nested(),
        evaluated(),
        caller(),
        stamped(),
        stamping(),
        transacted(),
    ]
}

/// What children run: may fail, and can be undone.
fn leaf() -> Draft {
    let step = DraftStep {
        input: DraftBinding::Whole(DraftSource::input()),
        undo: Some(undo("beta")),
        ..DraftStep::handler("a", "alpha")
    };
    Draft {
        result: DraftBinding::Whole(output("a")),
        ..workflow("leaf", vec![step])
    }
}

pub(super) fn undo(handler: &str) -> DraftUndo {
    DraftUndo {
        handler: handler.into(),
        retry: Some(DraftRetry::constant(2, Duration::from_secs(2))),
        timeout: None,
    }
}

pub(super) fn when(step: DraftStep, of: &str, label: &str) -> DraftStep {
    let guard = DraftGuard {
        step: of.into(),
        label: label.into(),
    };
    DraftStep {
        when: [step.when, vec![guard]].concat(),
        ..step
    }
}

/// A handler's label decides between two branches that meet again.
fn routed() -> Draft {
    let labels = vec!["left".to_owned(), "right".to_owned()];
    let first = DraftStep {
        labels,
        ..DraftStep::handler("a", "alpha")
    };
    let left = when(DraftStep::handler("l", "beta"), "a", "left");
    let right = when(fed(DraftStep::handler("r", "gamma"), "a"), "a", "right");
    let both = DraftOrigin::Either(vec!["l".into(), "r".into()]);
    let last = DraftStep {
        input: DraftBinding::Whole(both.into()),
        ..DraftStep::handler("z", "alpha")
    };
    workflow("routed", vec![first, left, right, last])
}

/// A failure is routed to a recovery, and the run goes on.
fn recovered() -> Draft {
    let charge = DraftStep {
        retry: Some(DraftRetry::attempts(2)),
        ..DraftStep::handler("charge", "gamma")
    };
    let failure = DraftOrigin::Failure("charge".into());
    let credit = DraftStep {
        input: DraftBinding::Whole(failure.into()),
        mark: Some(RouteMark::Compensation),
        ..DraftStep::handler("credit", "alpha")
    };
    let both = DraftOrigin::Either(vec!["charge".into(), "credit".into()]);
    let last = DraftStep {
        input: DraftBinding::Whole(both.into()),
        ..DraftStep::handler("tell", "beta")
    };
    workflow("recovered", vec![charge, credit, last])
}

/// Steps with undo in a chain and beside it, and one that fails often.
fn saga() -> Draft {
    let undone = |name: &str, handler: &str| DraftStep {
        undo: Some(undo("delta")),
        ..DraftStep::handler(name, handler)
    };
    let a = undone("a", "alpha");
    let b = fed(undone("b", "beta"), "a");
    let side = undone("side", "gamma");
    let last = DraftStep {
        input: DraftBinding::Tuple(vec![output("b"), output("side")]),
        irreversible: Some(true),
        ..DraftStep::handler("ship", "omega")
    };
    workflow("saga", vec![a, b, side, last])
}

/// An approval with every way wired, a pause, and a wait beside them.
fn gated() -> Draft {
    let deadline = Some(DraftSpan::from(Duration::from_secs(9)));
    let approve = DraftStep {
        input: DraftBinding::Whole(output("a")),
        ..DraftStep::of("approve".into(), DraftKind::Approval { deadline })
    };
    let pause = DraftStep::of("pause".into(), DraftKind::Pause { deadline: None });
    let pause = DraftStep {
        needs: vec!["a".into()],
        ..pause
    };
    let ways = ["approved", "rejected", "expired"];
    let branches = ways.map(|way| when(DraftStep::handler(way, "beta"), "approve", way));
    let either = DraftOrigin::Either(ways.map(String::from).to_vec());
    let last = DraftStep {
        input: DraftBinding::Whole(either.into()),
        needs: vec!["pause".into()],
        ..DraftStep::handler("z", "alpha")
    };
    let mut steps = vec![DraftStep::handler("a", "alpha"), approve, pause];
    steps.extend(branches);
    steps.push(last);
    workflow("gated", steps)
}

/// Three steps wait for signals of one name, two of them at once, and one for another with a deadline.
fn signalled() -> Draft {
    let signal = |name: &str, signal: &str, deadline| {
        let kind = DraftKind::Signal {
            signal: signal.into(),
            contract: Contract::Any,
            deadline,
        };
        DraftStep::of(name.into(), kind)
    };
    let soon = Some(DraftSpan::from(Duration::from_secs(30)));
    let first = signal("first", "paid", None);
    let second = DraftStep {
        needs: vec!["first".into()],
        ..signal("second", "paid", None)
    };
    let other = DraftStep {
        needs: vec!["a".into()],
        ..signal("other", "seen", soon)
    };
    let late = when(DraftStep::handler("late", "beta"), "other", "expired");
    let last = DraftStep {
        input: DraftBinding::Tuple(vec![output("first"), output("second"), output("beside")]),
        ..DraftStep::handler("z", "alpha")
    };
    let steps = vec![
        DraftStep::handler("a", "alpha"),
        first,
        signal("beside", "paid", None),
        second,
        other,
        late,
        last,
    ];
    workflow("signalled", steps)
}

/// Steps that must not be repeated blindly, one of which returns labels.
fn held() -> Draft {
    let timeout = Some(DraftSpan::from(Duration::from_millis(900)));
    let first = DraftStep {
        irreversible: Some(true),
        timeout,
        labels: vec!["left".into(), "right".into()],
        ..DraftStep::handler("a", "alpha")
    };
    let beside = when(DraftStep::handler("beside", "beta"), "a", "left");
    let second = DraftStep {
        on_lost: Some(OnLost::Hold),
        undo: Some(undo("beta")),
        retry: Some(DraftRetry::attempts(2)),
        ..fed(DraftStep::handler("b", "gamma"), "a")
    };
    let third = fed(DraftStep::handler("c", "delta"), "b");
    workflow("held", vec![first, beside, second, third])
}

pub(super) fn child(name: &str, workflow: &str, detach: bool) -> DraftStep {
    let kind = DraftKind::Child {
        workflow: workflow.into(),
        detach,
    };
    DraftStep::of(name.into(), kind)
}

pub(super) fn each(
    name: &str,
    workflow: &str,
    count: u32,
    parallel: u32,
    collect: bool,
) -> DraftStep {
    let items: Vec<u32> = (0..count).collect();
    let kind = DraftKind::Each {
        workflow: workflow.into(),
        parallel: Some(parallel),
        collect,
    };
    DraftStep {
        input: DraftBinding::Whole(DraftSource::constant(items)),
        ..DraftStep::of(name.into(), kind)
    }
}

/// One child that is waited for, one that is not, and a step beside them.
fn parent() -> Draft {
    let waited = DraftStep {
        input: DraftBinding::Whole(output("a")),
        ..child("waited", "leaf", false)
    };
    let alone = DraftStep {
        needs: vec!["a".into()],
        ..child("alone", "chain", true)
    };
    let last = fed(DraftStep::handler("z", "beta"), "waited");
    let first = DraftStep {
        undo: Some(undo("gamma")),
        ..DraftStep::handler("a", "alpha")
    };
    Draft {
        result: DraftBinding::Whole(output("waited")),
        ..workflow("parent", vec![first, waited, alone, last])
    }
}

/// The workflow whose handlers start runs most often.
pub(super) const CALLER: &str = "caller";

/// Steps whose handlers start runs of the leaf: one that is tried again and taken back, one that must not be repeated blindly.
fn caller() -> Draft {
    let first = DraftStep {
        retry: Some(DraftRetry::constant(3, Duration::from_secs(3))),
        undo: Some(undo("gamma")),
        ..DraftStep::handler("a", "alpha")
    };
    let second = DraftStep {
        on_lost: Some(OnLost::Hold),
        ..fed(DraftStep::handler("b", "beta"), "a")
    };
    let last = DraftStep {
        input: DraftBinding::Whole(output("b")),
        ..child("leaf", "leaf", false)
    };
    workflow(CALLER, vec![first, second, last])
}

/// A child for each of five elements, two at a time; and for none.
fn fan() -> Draft {
    let steps = vec![
        each("items", "leaf", 5, 2, false),
        each("nothing", "leaf", 0, 1, false),
        fed(DraftStep::handler("z", "alpha"), "items"),
    ];
    Draft {
        result: DraftBinding::Whole(output("items")),
        ..workflow("fan", steps)
    }
}

/// Children that have children, whose failures are gathered.
fn nested() -> Draft {
    let steps = vec![
        each("items", "parent", 2, 2, true),
        fed(DraftStep::handler("z", "beta"), "items"),
    ];
    workflow("nested", steps)
}

/// Everything that the engine evaluates by itself.
fn evaluated() -> Draft {
    let condition = |label: &str, number: i64| DraftCondition {
        label: label.into(),
        path: Path::default(),
        operator: Operator::GreaterThan(number.into()),
    };
    let kind = DraftKind::Route {
        conditions: vec![condition("high", 12), condition("middle", 5)],
        fallback: Some("low".into()),
    };
    let size = DraftStep {
        input: DraftBinding::Whole(output("a")),
        ..DraftStep::of("size".into(), kind)
    };
    let at = DraftSource {
        origin: DraftOrigin::Input,
        path: Path::new(vec![Segment::Field("at".into())]),
    };
    let until = DraftStep {
        input: DraftBinding::Whole(at),
        ..DraftStep::of("until".into(), DraftKind::Until)
    };
    let log = DraftStep {
        needs: vec!["size".into()],
        ..DraftStep::of(
            "log".into(),
            DraftKind::Log {
                level: None,
                message: "so far".into(),
            },
        )
    };
    let ways = ["high", "middle", "low"];
    let branches = ways.map(|way| when(fed(DraftStep::handler(way, "beta"), "a"), "size", way));
    let either = DraftOrigin::Either(ways.map(String::from).to_vec());
    let last = DraftStep {
        input: DraftBinding::Whole(either.into()),
        needs: vec!["until".into(), "log".into()],
        ..DraftStep::handler("z", "gamma")
    };
    let mut steps = vec![DraftStep::handler("a", "alpha"), size, until, log];
    steps.extend(branches);
    steps.push(last);
    Draft {
        result: DraftBinding::Whole(output("z")),
        ..workflow("evaluated", steps)
    }
}

/// What says when it was started, to every attempt alike.
fn stamped() -> Draft {
    let fields = [
        ("started", Field::stamped(FieldType::String, Stamp::Now)),
        ("day", Field::stamped(FieldType::Any, Stamp::Today)),
    ];
    let input = Contract::Fields {
        fields: fields.map(|(name, field)| (name.to_owned(), field)).into(),
        open: true,
    };
    let step = DraftStep {
        input: DraftBinding::Whole(DraftSource::input()),
        retry: Some(DraftRetry::constant(4, Duration::from_secs(1))),
        undo: Some(undo("beta")),
        ..DraftStep::handler("a", "alpha")
    };
    let last = DraftStep {
        input: DraftBinding::Tuple(vec![output("a"), DraftSource::input()]),
        ..DraftStep::handler("z", "gamma")
    };
    Draft {
        input,
        result: DraftBinding::Whole(output("a")),
        ..workflow("stamped", vec![step, last])
    }
}

/// Steps that share their transaction with what their host writes: one that is tried again, one that can be taken back, one
/// that must not be repeated blindly and takes only so long.
fn transacted() -> Draft {
    let transactional = |step: DraftStep| DraftStep {
        transactional: true,
        ..step
    };
    let first = transactional(DraftStep {
        retry: Some(DraftRetry::constant(3, Duration::from_millis(300))),
        ..DraftStep::handler("a", "alpha")
    });
    let second = transactional(DraftStep {
        retry: Some(DraftRetry::attempts(2)),
        undo: Some(undo("beta")),
        ..fed(DraftStep::handler("b", "gamma"), "a")
    });
    let third = transactional(DraftStep {
        on_lost: Some(OnLost::Hold),
        timeout: Some(DraftSpan::from(Duration::from_millis(700))),
        ..fed(DraftStep::handler("c", "alpha"), "b")
    });
    Draft {
        result: DraftBinding::Whole(output("c")),
        ..workflow("transacted", vec![first, second, third])
    }
}

/// Children that say when they were started, of which one says it by itself.
fn stamping() -> Draft {
    let object = |text: &str| -> Value { serde_json::from_str(text).expect("an object") };
    let inputs = [r#"{"n":0}"#, r#"{"started":"given"}"#, "{}"].map(object);
    let several = DraftStep {
        input: DraftBinding::Whole(DraftSource::constant(inputs.to_vec())),
        ..each("items", "stamped", 0, 2, true)
    };
    let one = DraftStep {
        input: DraftBinding::Whole(DraftSource::constant(object("{}"))),
        needs: vec!["items".into()],
        ..child("one", "stamped", false)
    };
    Draft {
        result: DraftBinding::Whole(output("one")),
        ..workflow("stamping", vec![several, one])
    }
}
