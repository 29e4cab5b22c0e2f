//! Inputs that say when their run was started.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use squid_mesh::core::id::RunId;
use squid_mesh::{
    Applied, Client, Retry, Runtime, Stamp, StartError, StepContext, StepError, Workflow, step,
};

use crate::harness::{Place, on_every_store};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Order {
    cents: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    day: String,
}

/// Every input that an attempt was given.
type Seen = Arc<Mutex<Vec<Order>>>;

fn order(cents: u64) -> Order {
    Order {
        cents,
        at: None,
        day: String::new(),
    }
}

/// One step, whose first attempt fails if it may be tried again.
fn ordering(seen: &Seen, attempts: u32) -> Workflow<Order, Order> {
    let (mut wf, input) = Workflow::builder::<Order>("ordering", 1);
    wf.stamp("at", Stamp::Now).stamp("day", Stamp::Today);
    let seen = seen.clone();
    let charge = move |cx: StepContext, order: Order| {
        seen.lock().unwrap().push(order.clone());
        async move {
            match cx.attempt() < attempts {
                true => Err(StepError::retryable("down", "not yet")),
                false => Ok(order),
            }
        }
    };
    let pause = Retry::constant(attempts, Duration::from_millis(20));
    let charged = wf.step("charge", input, step(charge).retry(pause));
    wf.finish(charged).unwrap()
}

async fn running(place: &Place, wf: &Workflow<Order, Order>) -> Runtime {
    let builder = place.runtime().await.workflow(wf);
    builder.start().await.unwrap()
}

/// The stored input of a run, which says when the database recorded its start.
async fn stamped(client: &Client, run: RunId) -> Value {
    let seen = client.inspect(run).with_payloads().await.unwrap();
    let input = seen.input.unwrap();
    let created = seen.created.to_string();
    assert_eq!(input["at"], created);
    assert_eq!(input["day"], created[..10]);
    input
}

on_every_store! {
    async fn a3_4_every_attempt_sees_the_one_instant_that_was_stored_at_the_start(place) {
        let seen = Seen::default();
        let wf = ordering(&seen, 2);
        let runtime = running(place, &wf).await;
        let run = runtime.client().start(&wf.reference(), order(5)).await.unwrap();
        let given = run.result().await.unwrap();
        let stored = stamped(runtime.client(), run.id()).await;
        assert_eq!(serde_json::to_value(&given).unwrap(), stored);
        assert_eq!(*seen.lock().unwrap(), [given.clone(), given]);
        runtime.shutdown().await;
    }

    async fn a3_4_what_the_caller_gives_is_stored_as_it_is(place) {
        let wf = ordering(&Seen::default(), 1);
        let runtime = running(place, &wf).await;
        let given = json!({"cents": 5, "at": null, "day": "monday"});
        let run = runtime.client().start_json("ordering", None, given.clone()).await.unwrap();
        let seen = run.inspect().with_payloads().await.unwrap();
        assert_eq!(seen.input, Some(given));
        let error = runtime.client().start_json("ordering", None, json!({"cents": 5, "at": 7})).await.unwrap_err();
        assert!(matches!(error, StartError::InvalidInput { .. }), "{error}");
        runtime.shutdown().await;
    }

    async fn a14_1_a_replay_has_the_instant_of_its_source(place) {
        let wf = ordering(&Seen::default(), 1);
        let runtime = running(place, &wf).await;
        let source = runtime.client().start(&wf.reference(), order(5)).await.unwrap();
        let given = source.result().await.unwrap();
        let stored = stamped(runtime.client(), source.id()).await;
        let replay = source.replay().await.unwrap();
        assert_eq!(replay.result().await.unwrap(), given);
        let seen = replay.inspect().with_payloads().await.unwrap();
        assert_eq!(seen.input, Some(stored));
        runtime.shutdown().await;
    }

    async fn a4_1_the_same_key_is_the_same_run_although_time_has_passed(place) {
        let wf = ordering(&Seen::default(), 1);
        let runtime = running(place, &wf).await;
        let client = runtime.client();
        let first = client.start(&wf.reference(), order(5)).key("k").await.unwrap();
        let given = first.result().await.unwrap();
        let again = client.start(&wf.reference(), order(5)).key("k").await.unwrap();
        assert_eq!((again.id(), again.existing()), (first.id(), true));
        let spelled_out = client.start(&wf.reference(), given).key("k").await.unwrap_err();
        assert!(matches!(spelled_out, StartError::KeyConflict { .. }), "{spelled_out}");
        runtime.shutdown().await;
    }

    async fn every_way_of_starting_a_run_stamps_it(place) {
        let wf = ordering(&Seen::default(), 1);
        let builder = place.runtime().await.workflow(&wf);
        let (mut parent, input) = Workflow::builder::<Order>("parent", 1);
        let ordered = parent.child("order", &wf.reference(), input);
        let parent = parent.finish(ordered).unwrap();
        let runtime = builder.workflow(&parent).start().await.unwrap();
        let client = runtime.client();

        let many = client.start_many(&wf.reference(), vec![order(1), order(2)]).await.unwrap();
        let mut tx = client.begin().await.unwrap();
        let with_host = client.start(&wf.reference(), order(3)).in_tx(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        let said = client.start(&wf.reference(), order(4)).to_command().unwrap();
        let Applied::Started { run: said, .. } = client.apply(said).await.unwrap() else {
            panic!("a start starts");
        };
        let family = client.start(&parent.reference(), order(6)).await.unwrap();
        family.result().await.unwrap();
        let child = family.inspect().await.unwrap().steps[0].children.as_ref().unwrap().runs[0];
        let outside = place.client().await.start(&wf.reference(), order(7)).await.unwrap();
        let runs = many.iter().map(|run| run.id());
        for run in runs.chain([with_host.id(), said, child, outside.id()]) {
            stamped(client, run).await;
        }
        runtime.shutdown().await;
    }

    async fn an_input_with_its_stamps_is_accepted_at_the_payload_limit_and_refused_above(place) {
        let wf = ordering(&Seen::default(), 1);
        let stored = r#"{"cents":5,"at":"2026-11-25T08:00:00.000000Z","day":"2026-11-25"}"#.len();
        for limit in [stored, stored - 1] {
            let runtime = place.runtime().await.workflow(&wf).payload_limit(limit).start().await.unwrap();
            let started = runtime.client().start(&wf.reference(), order(5)).await;
            if limit == stored {
                started.unwrap().result().await.unwrap();
            } else {
                let error = started.unwrap_err();
                let StartError::Limit(exceeded) = &error else { panic!("{error}") };
                assert_eq!((exceeded.limit, exceeded.found), (limit as u64, stored as u64));
            }
            runtime.shutdown().await;
        }
    }
}
