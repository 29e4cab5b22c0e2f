//! Gates, signals, routes, waits, logs and children.

use std::time::Duration;

use squid_mesh_core::definition::{
    Contract, DraftBinding, DraftCondition, DraftKind, DraftOrigin, LogLevel, Operator, RouteMark,
};
use squid_mesh_core::id::RunId;

use super::*;
use crate::author::route::{equals, exists, greater_than, less_than, not_equals, one_of, routes};
use crate::author::{Signal, WorkflowRef, child, each, step};

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn a_gate_has_the_options_that_its_handle_has_when_the_workflow_is_finished() {
    let (mut wf, order) = builder();
    let review = wf.approval("review", order).deadline(DAY);
    wf.when(&review, "approved", |wf| wf.log("yes", "yes", ()));
    let pause = wf.pause("pause", review.field::<String>("comment"));
    let paid: Signal<u64> = Signal::new("paid");
    let signal = wf
        .signal("await", &paid, pause)
        .deadline(DAY)
        .label("Money");
    let signal = signal.deadline(2 * DAY);
    wf.step("last", signal, step(pass));
    let draft = draft(wf);
    let review = step_named(&draft, "review");
    let deadline = Some(DAY.into());
    assert_eq!(review.kind, DraftKind::Approval { deadline });
    assert_eq!(review.input, DraftBinding::Whole(DraftOrigin::Input.into()));
    let pause = step_named(&draft, "pause");
    assert_eq!(pause.kind, DraftKind::Pause { deadline: None });
    assert_eq!(pause.needs, ["review"]);
    let signal = step_named(&draft, "await");
    let kind = DraftKind::Signal {
        signal: "paid".to_owned(),
        contract: Contract::from_json_schema(&serde_json::json!({"type": "integer"})),
        deadline: Some((2 * DAY).into()),
    };
    assert_eq!(
        (&signal.kind, signal.label.as_deref()),
        (&kind, Some("Money"))
    );
    assert_eq!(signal.needs, ["pause"]);
    let taken = DraftOrigin::Output("await".to_owned());
    assert_eq!(
        step_named(&draft, "last").input,
        DraftBinding::Whole(taken.into())
    );
}

#[test]
fn a_route_keeps_its_conditions_in_order_and_its_fallback_apart() {
    let (mut wf, order) = builder();
    let all = routes()
        .when("big", "cents", greater_than(100))
        .otherwise("small")
        .when("tiny", "cents", less_than(1))
        .when("lamp", "lines[0].sku", equals("lamp"))
        .when("other", "sku", not_equals("lamp"))
        .when("some", "sku", one_of(["a", "b"]))
        .when("none", "sku", exists(false));
    wf.route("size", order, all);
    let draft = draft(wf);
    let condition = |label: &str, path: &[Segment], operator: Operator| DraftCondition {
        label: label.to_owned(),
        path: Path::new(path.to_vec()),
        operator,
    };
    let field = |name: &str| Segment::Field(name.to_owned());
    let line = [field("lines"), Segment::Index(0), field("sku")];
    let cents = || [field("cents")];
    let sku = || [field("sku")];
    assert_eq!(
        draft.steps[0].kind,
        DraftKind::Route {
            conditions: vec![
                condition("big", &cents(), Operator::GreaterThan(100.into())),
                condition("tiny", &cents(), Operator::LessThan(1.into())),
                condition("lamp", &line, Operator::Equals("lamp".into())),
                condition("other", &sku(), Operator::NotEquals("lamp".into())),
                condition("some", &sku(), Operator::In(vec!["a".into(), "b".into()])),
                condition("none", &sku(), Operator::Exists(false)),
            ],
            fallback: Some("small".to_owned()),
        }
    );
    assert_eq!(
        draft.steps[0].input,
        DraftBinding::Whole(DraftOrigin::Input.into())
    );
}

#[test]
fn conditions_that_cannot_be_read_are_reported_where_they_are() {
    let (mut wf, order) = builder();
    let unwritable = std::collections::BTreeMap::from([((1, 2), 3)]);
    let all = routes()
        .when("a", "a..b", exists(true))
        .when("b", "b", exists(true))
        .when("c", "c", equals(unwritable));
    wf.route("size", order, all);
    assert_eq!(
        problems(wf),
        [
            problem("steps[0].route[0]", "malformed_source"),
            problem("steps[0].route[2]", "wrong_type"),
        ]
    );
}

#[test]
fn waits_and_log_lines_are_steps_without_handlers() {
    let (mut wf, order) = builder();
    let hour = wf.wait("hour", Duration::from_secs(3_600), order);
    wf.wait_until("text", order.field::<String>("sku"));
    wf.wait_until("number", order.field::<u64>("cents"));
    wf.log("note", "here", hour);
    wf.log_at(LogLevel::Warn, "warn", "there", ());
    let draft = draft(wf);
    let of = |name: &str| step_named(&draft, name);
    assert_eq!(
        of("hour").kind,
        DraftKind::Wait(Duration::from_secs(3_600).into())
    );
    assert_eq!(of("text").kind, DraftKind::Until);
    let cents = DraftBinding::Whole(at(DraftOrigin::Input, &["cents"]));
    assert_eq!(
        (&of("number").kind, &of("number").input),
        (&DraftKind::Until, &cents)
    );
    let log = |level, message: &str| DraftKind::Log {
        level,
        message: message.to_owned(),
    };
    assert_eq!(of("note").kind, log(None, "here"));
    assert_eq!(of("note").needs, ["hour"]);
    assert_eq!(of("warn").kind, log(Some(LogLevel::Warn), "there"));
}

#[test]
fn children_are_named_by_typed_references_and_have_options() {
    let shipping: WorkflowRef<Order, String> = WorkflowRef::named("shipping").unwrap();
    let (mut wf, orders) = crate::Workflow::builder::<Vec<Order>>("orders", 1);
    let first = || orders.path::<Order>("[0]");
    let shipped: Value<String> = wf.child("one", &shipping, first());
    let spec = child(&shipping)
        .queue("slow")
        .priority(3)
        .label("Ship")
        .mark(RouteMark::Undo)
        .detach();
    let left: Value<RunId> = wf.child("two", spec.after(shipped), first());
    let all: Value<Vec<String>> = wf.each("all", &shipping, orders);
    let spec = each(&shipping).parallel(7).after((left, all)).collect();
    wf.each("gathered", spec, orders);
    let draft = draft(wf);
    let of = |name: &str| step_named(&draft, name);
    let child = |detach| DraftKind::Child {
        workflow: "shipping".to_owned(),
        detach,
    };
    assert_eq!(of("one").kind, child(false));
    let origin = DraftOrigin::Input;
    let path = Path::new(vec![Segment::Index(0)]);
    assert_eq!(
        of("one").input,
        DraftBinding::Whole(DraftSource { origin, path })
    );
    let two = of("two");
    assert_eq!((&two.kind, two.priority), (&child(true), Some(3)));
    assert_eq!(two.mark, Some(RouteMark::Undo));
    assert_eq!(two.after, ["one"]);
    assert_eq!(
        (two.queue.as_deref(), two.label.as_deref()),
        (Some("slow"), Some("Ship"))
    );
    let each = |parallel, collect| DraftKind::Each {
        workflow: "shipping".to_owned(),
        parallel,
        collect,
    };
    assert_eq!(of("all").kind, each(None, false));
    assert_eq!(of("gathered").kind, each(Some(7), true));
    assert_eq!(of("gathered").after, ["two", "all"]);
}
