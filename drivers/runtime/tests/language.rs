//! The whole workflow language, wired in Rust: what validation takes and what it refuses.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::core::definition::{Definition, ProblemCode};
use squid_mesh::route::{equals, exists, greater_than, less_than, not_equals, one_of, routes};
use squid_mesh::{
    BuildError, Decision, Handlers, LogLevel, OnLost, Outcome, Retry, RouteMark, Routed, Signal,
    StepContext, StepError, StepFailure, Undo, Value, Workflow, WorkflowBuilder, WorkflowRef,
    child, constant, each, object, step, step_routed,
};

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Order {
    sku: String,
    amount: u64,
    ship_at: String,
    parts: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Parcel {
    sku: String,
    paid: u64,
    region: String,
}

const PAID: Signal<u64> = Signal::new("paid");

async fn reserve(_: StepContext, order: Order) -> Result<u64, StepError> {
    Ok(order.amount)
}

async fn release(_: StepContext, undo: Undo<Order, u64>) -> Result<(), StepError> {
    match undo.output == undo.input.amount {
        true => Ok(()),
        false => Err(StepError::permanent("other_amount", undo.input.sku)),
    }
}

async fn assess(_: StepContext, order: Order) -> Result<Routed<u64>, StepError> {
    Ok(Routed::new("clean", order.amount))
}

async fn ship(_: StepContext, parcel: Parcel) -> Result<String, StepError> {
    Ok(parcel.sku)
}

async fn refund(_: StepContext, amount: u64) -> Result<String, StepError> {
    Ok(amount.to_string())
}

async fn notify(_: StepContext, failure: StepFailure) -> Result<String, StepError> {
    Ok(failure.message)
}

async fn decided(_: StepContext, decision: Decision) -> Result<String, StepError> {
    Ok(decision.decision)
}

async fn count(_: StepContext, all: Vec<Outcome<String>>) -> Result<u64, StepError> {
    Ok(all.len() as u64)
}

fn builder() -> (WorkflowBuilder<Order>, Value<Order>) {
    Workflow::builder::<Order>("order", 1)
}

/// A workflow that uses every construct.
fn everything() -> Result<Workflow<Order, String>, BuildError> {
    let part: WorkflowRef<String, String> = WorkflowRef::named("part").expect("it is a name");
    let (mut wf, order) = builder();
    wf.manual("from_support").label("Orders");
    let reserving = step(reserve)
        .undo(release)
        .undo_retry(Retry::exponential(5))
        .undo_timeout(Duration::from_secs(5));
    let stock = wf.step("reserve", order, reserving);
    let sorry = wf.on_failure(&stock, |wf, failure| {
        wf.step("sorry", failure, step(notify).mark(RouteMark::Compensation))
    });
    let assessed = wf.step("assess", order, step_routed(assess, ["fraud", "clean"]));
    let review = wf
        .approval("review", (order, assessed))
        .deadline(Duration::from_secs(2 * 86_400));
    let shipped = wf.when(&review, "approved", |wf| {
        wf.when(&assessed, "clean", |wf| {
            let parcel = object()
                .field("sku", order.field::<String>("sku"))
                .field("paid", stock)
                .field("region", constant("eu"));
            wf.step("ship", parcel.of::<Parcel>(), step(ship).irreversible())
        })
    });
    let refused = wf.when(&review, "rejected", |wf| {
        wf.step("refund", assessed, step(refund).not_compensatable())
    });
    let late = wf.when(&review, "expired", |wf| {
        let spec = step(decided).on_lost(OnLost::Hold);
        wf.step("late", *review, spec)
    });
    let sizes = routes()
        .when("big", "amount", greater_than(100))
        .when("small", "amount", less_than(10))
        .when("lamp", "sku", equals("lamp"))
        .when("lamp", "sku", one_of(["bulb", "shade"]))
        .when("odd", "sku", not_equals("chair"))
        .when("odd", "parts[0]", exists(true))
        .otherwise("middle");
    let size = wf.route("size", order, sizes);
    wf.when(&size, "big", |wf| {
        let pause = wf.pause("look", ()).label("Look at it");
        let due = wf.wait_until("due", order.field::<String>("ship_at"));
        wf.wait("rest", Duration::from_secs(1), (pause, due));
    });
    let money = wf.signal("await_payment", &PAID, ());
    let money = money.deadline(Duration::from_secs(86_400));
    wf.log_at(LogLevel::Warn, "note", "paid", money);
    let parts = order.field::<Vec<String>>("parts");
    let all = wf.each("parts", each(&part).parallel(3).collect(), parts);
    wf.step("count", all, step(count));
    wf.child(
        "first_part",
        child(&part).detach(),
        order.path::<String>("parts[0]"),
    );
    let end = wf.either_of(&[shipped, refused, late, sorry]);
    wf.finish(end)
}

/// That a workflow is refused, with a problem whose message holds all of these words.
#[track_caller]
fn refused<I, O>(built: Result<Workflow<I, O>, BuildError>, words: &[&str]) {
    let error = match built {
        Ok(workflow) => panic!("{workflow:?} is accepted"),
        Err(error) => error,
    };
    let mut problems = error.problems().iter();
    let found = problems.any(|problem| words.iter().all(|word| problem.message.contains(word)));
    assert!(found, "{words:?} are not in a problem of {error}");
}

#[test]
fn a_workflow_may_use_every_construct_at_once() {
    let built = everything().unwrap();
    let definition = built.definition();
    assert_eq!(definition.steps().len(), 16);
    assert_eq!(definition.triggers().len(), 2);
    let handlers: Vec<&str> = definition
        .handlers()
        .iter()
        .map(|name| name.as_str())
        .collect();
    assert!(handlers.contains(&"order_reserve_undo"), "{handlers:?}");
}

#[test]
fn a2_1_what_the_builder_made_is_the_same_workflow_when_it_is_read_back_from_its_json() {
    let built = everything().unwrap();
    let json = built.definition().to_draft().to_json();
    let parsed = Definition::parse(&json).unwrap();
    assert_eq!(
        built.definition().differences(&parsed),
        Vec::<String>::new()
    );
    assert_eq!(built.definition().digest(), parsed.digest());
}

#[test]
fn a2_4_and_a2_5_undo_handlers_of_a_draft_must_be_listed_and_not_switched_off() {
    let (mut wf, order) = builder();
    let stock = wf.step("reserve", order, step(reserve).undo(release));
    let built = wf.finish(stock).unwrap();
    let json = built.definition().to_draft().to_json();
    let some = Handlers::new().add("order_reserve", reserve);
    let all = some.clone().add("order_reserve_undo", release);
    assert!(Workflow::<Order, u64>::from_draft(&json, &all).is_ok());
    for (handlers, code) in [
        (some, ProblemCode::UnknownHandler),
        (
            all.disable("order_reserve_undo"),
            ProblemCode::DisabledHandler,
        ),
    ] {
        let error = Workflow::<Order, u64>::from_draft(&json, &handlers).unwrap_err();
        let codes: Vec<ProblemCode> = error
            .problems()
            .iter()
            .map(|problem| problem.code)
            .collect();
        assert_eq!(codes, [code], "{error}");
        assert!(error.to_string().contains("order_reserve_undo"), "{error}");
    }
}

#[test]
fn a1_8_an_irreversible_step_has_no_undo_handler() {
    let (mut wf, order) = builder();
    let stock = wf.step("reserve", order, step(reserve).undo(release).irreversible());
    refused(wf.finish(stock), &["reserve"]);
}

#[test]
fn a1_9_a_guard_names_a_label_that_its_step_can_return() {
    let (mut wf, order) = builder();
    let assessed = wf.step("assess", order, step_routed(assess, ["yes", "no"]));
    wf.when(&assessed, "maybe", |wf| wf.log("note", "maybe", ()));
    refused(wf.finish(assessed), &["assess", "maybe"]);
}

#[test]
fn a1_10_what_may_be_skipped_is_needed_through_either_only() {
    let wired = |joined: bool| {
        let (mut wf, order) = builder();
        let assessed = wf.step("assess", order, step_routed(assess, ["fraud", "clean"]));
        let review = wf.when(&assessed, "fraud", |wf| {
            wf.step("review", order, step(reserve))
        });
        let checked = wf.when(&assessed, "clean", |wf| {
            wf.step("check", order, step(reserve))
        });
        let amount = if joined {
            wf.either(review, checked)
        } else {
            review
        };
        let refunded = wf.step("refund", amount, step(refund));
        wf.finish(refunded)
    };
    assert!(wired(true).is_ok());
    refused(wired(false), &["review"]);
}

#[test]
fn a1_11_both_outcomes_of_an_approval_are_wired() {
    let (mut wf, order) = builder();
    let review = wf.approval("review", order);
    wf.when(&review, "approved", |wf| wf.log("yes", "yes", ()));
    refused(wf.finish(order), &["review", "rejected"]);
}

#[test]
fn a_malformed_signal_and_a_malformed_trigger_are_problems_of_the_workflow() {
    let (mut wf, order) = builder();
    wf.manual("From Support");
    let wrong: Signal<u64> = Signal::new("Paid!");
    wf.signal("await_payment", &wrong, ());
    let error = wf.finish(order).unwrap_err();
    let malformed = error.problems().iter();
    let malformed = malformed.filter(|problem| problem.code == ProblemCode::MalformedName);
    assert_eq!(malformed.count(), 2, "{error}");
}
