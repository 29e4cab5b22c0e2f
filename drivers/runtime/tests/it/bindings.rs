//! What steps are given, and routes that look at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use squid_mesh::core::event::code;
use squid_mesh::core::run::Status;
use squid_mesh::{ResultError, RunFailure, RunHandle, StepContext, StepError, StepStatus};

use crate::harness::on_every_store;

/// Gives what it was given.
async fn echo(_: StepContext, value: Value) -> Result<Value, StepError> {
    Ok(value)
}

async fn failure(run: &RunHandle<Value>) -> RunFailure {
    let error = run.result().await.unwrap_err();
    let ResultError::Failed { failure, .. } = error else {
        panic!("{error}")
    };
    failure
}

on_every_store! {
    async fn a5_3_a_handler_is_given_exactly_what_its_binding_says(place) {
        let draft = json!({"name": "shipping", "version": 1, "result": "output(ship)", "steps": [
            {"name": "charge", "handler": "echo", "input": "input.payment"},
            {"name": "ship", "handler": "echo", "input": {"object": {
                "sku": "input.order.sku", "paid": "output(charge).id", "region": {"constant": "eu"}}}},
        ]});
        let runtime = place.runtime().await.handler("echo", echo).draft(draft).start().await.unwrap();
        let input = json!({"order": {"sku": "A-1", "more": 1}, "payment": {"id": 12_345, "more": [2]}, "more": 3});
        let run = runtime.client().start_json("shipping", None, input).await.unwrap();
        assert_eq!(run.result().await.unwrap(), json!({"sku": "A-1", "paid": 12_345, "region": "eu"}));
        runtime.shutdown().await;
    }

    async fn a5_4_a_path_that_is_missing_fails_the_step_at_once_and_no_other(place) {
        let draft = json!({"name": "shipping", "version": 1, "steps": [
            {"name": "charge", "handler": "echo", "input": "input"},
            {"name": "ship", "handler": "count", "retry": {"max_attempts": 5},
             "input": {"object": {"paid": "output(charge).receipt.url"}}},
        ]});
        let begun = Arc::new(AtomicU32::new(0));
        let counter = begun.clone();
        let builder = place.runtime().await.handler("echo", echo).draft(draft);
        let builder = builder.handler("count", move |_: StepContext, value: Value| {
            counter.fetch_add(1, Ordering::SeqCst);
            async move { Ok::<_, StepError>(value) }
        });
        let runtime = builder.start().await.unwrap();
        let run = runtime.client().start_json("shipping", None, json!({"receipt": {}})).await.unwrap();
        let failure = failure(&run).await;
        assert_eq!((failure.code.as_str(), failure.step.unwrap().as_str()), (code::MISSING_INPUT_PATH, "ship"));
        assert_eq!(
            failure.message,
            "input.paid takes output(charge).receipt.url, but .receipt.url is missing: .receipt is an object without that field"
        );
        let seen = run.inspect().await.unwrap();
        let [charge, ship] = ["charge", "ship"].map(|name| seen.step(name).unwrap());
        assert_eq!((charge.status, ship.status), (StepStatus::Succeeded, StepStatus::Failed));
        assert_eq!((ship.executed, begun.load(Ordering::SeqCst)), (1, 0), "no retry, and no handler");
        runtime.shutdown().await;
    }

    async fn a11_3_a_route_without_a_match_fails_its_run_and_no_other(place) {
        let draft = json!({"name": "sizing", "version": 1, "result": "either(pack, crate)", "steps": [
            {"name": "size", "input": "input", "route": [
                {"label": "big", "path": "amount", "greater_than": 100},
                {"label": "small", "path": "amount", "less_than": 10}]},
            {"name": "pack", "handler": "echo", "input": "input.amount", "when": {"step": "size", "label": "small"}},
            {"name": "crate", "handler": "echo", "input": "input.amount", "when": {"step": "size", "label": "big"}},
        ]});
        let runtime = place.runtime().await.handler("echo", echo).draft(draft).start().await.unwrap();
        let mut runs = Vec::new();
        for amount in [500, 50, 5] {
            let run = runtime.client().start_json("sizing", None, json!({ "amount": amount })).await.unwrap();
            runs.push(run);
        }
        let failure = failure(&runs[1]).await;
        assert_eq!((failure.code.as_str(), failure.step.unwrap().as_str()), (code::NO_MATCHING_ROUTE, "size"));
        let seen = runs[1].inspect().await.unwrap();
        assert_eq!(seen.status, Status::Failed);
        assert!(seen.steps[1..].iter().all(|step| step.executed == 0), "{seen:?}");
        assert_eq!((runs[0].result().await.unwrap(), runs[2].result().await.unwrap()), (json!(500), json!(5)));
        let next = runtime.client().start_json("sizing", None, json!({"amount": 7})).await.unwrap();
        assert_eq!(next.result().await.unwrap(), json!(7));
        runtime.shutdown().await;
    }
}
