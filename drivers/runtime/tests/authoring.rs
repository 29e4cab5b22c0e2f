//! Authoring: what the builder makes, and what it refuses.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use squid_mesh::core::definition::{Definition, ProblemCode};
use squid_mesh::{Retry, StepContext, StepError, Workflow, constant, step};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Order {
    amount: i64,
    note: Option<String>,
    #[serde(default = "euro")]
    currency: String,
}

fn euro() -> String {
    "EUR".to_owned()
}

async fn reserve(_: StepContext, order: Order) -> Result<String, StepError> {
    Ok(order.currency)
}

async fn charge(_: StepContext, order: Order) -> Result<i64, StepError> {
    Ok(order.amount)
}

async fn ship(
    _: StepContext,
    (stock, paid, express): (String, i64, bool),
) -> Result<String, StepError> {
    Ok(format!("{stock} {paid} {express}"))
}

fn codes(error: &squid_mesh::BuildError) -> Vec<ProblemCode> {
    error
        .problems()
        .iter()
        .map(|problem| problem.code)
        .collect()
}

#[test]
fn a2_1_the_builder_and_a_json_draft_of_the_same_workflow_have_one_digest() {
    let (mut wf, order) = Workflow::builder::<Order>("order", 1);
    let stock = wf.step(
        "reserve_stock",
        order,
        step(reserve).queue("stock").priority(-5),
    );
    let retry = Retry::exponential(5)
        .min(Duration::from_millis(100))
        .factor(1.5)
        .jitter(0.2)
        .max_lost(9);
    let paid = wf.step(
        "charge_card",
        order,
        step(charge)
            .retry(retry)
            .timeout(Duration::from_secs(30))
            .after(&stock),
    );
    let settled = wf.wait("settle", Duration::from_secs(90), paid);
    let shipped = wf.step(
        "ship",
        (stock, paid, constant(true)),
        step(ship).after(&settled).named("ship_parcel"),
    );
    wf.deadline(Duration::from_secs(3_600))
        .queue("orders")
        .priority(3)
        .label("Orders");
    let built = wf.finish(shipped).unwrap();

    let draft = json!({
        "name": "order",
        "version": 1,
        "input": {"fields": {
            "amount": {"type": "integer", "required": true},
            "note": {"type": "string?"},
            "currency": {"type": "string", "default": "EUR"},
        }, "open": true},
        "steps": [
            {"name": "reserve_stock", "handler": "order_reserve_stock", "input": "input", "queue": "stock", "priority": -5},
            {
                "name": "charge_card", "handler": "order_charge_card", "input": "input", "after": ["reserve_stock"],
                "timeout": "30s",
                "retry": {
                    "max_attempts": 5, "max_lost": 9,
                    "backoff": {"kind": "exponential", "min": "100ms", "factor": 1.5, "jitter": 0.2},
                },
            },
            {"name": "settle", "wait": "90s", "needs": ["charge_card"]},
            {
                "name": "ship", "handler": "ship_parcel", "after": ["settle"],
                "input": ["output(reserve_stock)", "output(charge_card)", {"constant": true}],
            },
        ],
        "result": "output(ship)",
        "deadline": "1h",
        "queue": "orders",
        "priority": 3,
    });
    let parsed = Definition::parse(&draft).unwrap();
    assert_eq!(
        built.definition().differences(&parsed),
        Vec::<String>::new()
    );
    assert_eq!(built.definition().digest(), parsed.digest());
}

#[test]
fn everything_that_is_wrong_is_reported_at_once() {
    let (mut wf, order) = Workflow::builder::<Order>("Order", 1);
    let first = wf.step("pay", order, step(charge).retry(Retry::immediate(0)));
    let second = wf.step("pay", order, step(charge).timeout(Duration::ZERO));
    wf.wait("9lives", Duration::from_secs(1), (first, second));
    let error = wf.finish(second).unwrap_err();
    for code in [
        ProblemCode::MalformedName,
        ProblemCode::DuplicateStep,
        ProblemCode::InvalidRetry,
        ProblemCode::InvalidTimeout,
    ] {
        assert!(codes(&error).contains(&code), "{code} is not in {error}");
    }
}

#[test]
fn one_handler_name_for_two_functions_is_refused_and_for_one_function_is_not() {
    let build = |second: bool| {
        let (mut wf, order) = Workflow::builder::<Order>("order", 1);
        let paid = wf.step("pay", order, step(charge).named("shared"));
        if second {
            wf.step("reserve", order, step(reserve).named("shared"));
        } else {
            wf.step("pay_again", order, step(charge).named("shared"));
        }
        wf.finish(paid)
    };
    assert!(build(false).is_ok());
    let error = build(true).unwrap_err();
    assert_eq!(codes(&error), [ProblemCode::ConflictingOptions]);
    assert!(error.to_string().contains("\"shared\""), "{error}");
}

#[test]
fn a_value_of_another_workflow_is_refused() {
    let (mut other, order) = Workflow::builder::<Order>("other", 1);
    let foreign = other.step("pay", order, step(charge));
    let (mut wf, order) = Workflow::builder::<Order>("order", 1);
    wf.step("pay", order, step(charge).after(&foreign));
    let error = wf.finish(foreign).unwrap_err();
    assert_eq!(
        codes(&error),
        [ProblemCode::UnknownStep, ProblemCode::UnknownStep]
    );
}

#[test]
fn a_constant_that_is_no_json_is_refused() {
    let (mut wf, _) = Workflow::builder::<Order>("order", 1);
    let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
    let value = wf.step(
        "map",
        constant(keys),
        step(async |_: StepContext, _: std::collections::BTreeMap<(i32, i32), i32>| Ok(1)),
    );
    assert_eq!(
        codes(&wf.finish(value).unwrap_err()),
        [ProblemCode::WrongType]
    );
}

#[test]
fn closures_are_handlers_and_capture_state() {
    let state = Arc::new(7_i64);
    let (mut wf, order) = Workflow::builder::<Order>("order", 1);
    let sum = wf.step(
        "sum",
        order,
        step(move |_, order: Order| {
            let state = state.clone();
            async move { Ok(order.amount + *state) }
        }),
    );
    let built: Workflow<Order, i64> = wf.finish(sum).unwrap();
    assert_eq!(built.definition().handlers().len(), 1);
}
