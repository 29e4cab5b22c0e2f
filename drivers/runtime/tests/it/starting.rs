//! Starting runs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use squid_mesh::core::definition::ContractViolation;
use squid_mesh::core::explain::Reason;
use squid_mesh::core::limits;
use squid_mesh::core::operation::Rejection;
use squid_mesh::core::run::Status;
use squid_mesh::core::time::Timestamp;
use squid_mesh::{BuildError, Client, Runtime, StartError, StepContext, StepError, Workflow, step};
use tokio::sync::Notify;

use crate::faulty::Faulty;
use crate::harness::{journal_rows, on_every_store, until};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    amount: i64,
    #[serde(default)]
    note: String,
    #[serde(default = "euro")]
    currency: String,
}

fn euro() -> String {
    "EUR".to_owned()
}

fn order(amount: i64) -> Order {
    Order {
        amount,
        note: String::new(),
        currency: euro(),
    }
}

async fn charge(_: StepContext, order: Order) -> Result<String, StepError> {
    Ok(format!("{} {}", order.amount, order.currency))
}

fn charging() -> Result<Workflow<Order, String>, BuildError> {
    let (mut wf, order) = Workflow::builder::<Order>("order", 1);
    let paid = wf.step("charge", order, step(charge));
    wf.finish(paid)
}

/// Registers the workflow without anybody to execute it.
async fn registered(place: &crate::harness::Place) -> Client {
    let runtime = place
        .runtime()
        .await
        .workflow(charging().unwrap())
        .queue("elsewhere", 1);
    runtime.start().await.unwrap().shutdown().await;
    place.client().await
}

async fn runs(client: &Client) -> usize {
    client
        .list(&Default::default(), None, 0)
        .await
        .unwrap()
        .runs
        .len()
}

on_every_store! {
    async fn a3_1_a_started_run_is_visible_to_others_when_start_returns(place) {
        let client = registered(place).await;
        let run = client.start(&charging().unwrap().reference(), order(5)).await.unwrap();
        let other = place.client().await;
        let seen = other.inspect(run.id()).with_payloads().await.unwrap();
        assert_eq!(seen.input, Some(json!({"amount": 5, "note": "", "currency": "EUR"})));
        assert!(!run.existing());
    }

    async fn a_run_that_is_executed_here_is_waited_for_without_a_look(place) {
        let store = Faulty::new(place).await;
        let gate = Arc::new(Notify::new());
        let opened = gate.clone();
        let (mut wf, n) = Workflow::builder::<u32>("gated", 1);
        let end = wf.step("end", n, step(move |_: StepContext, n: u32| {
            let opened = opened.clone();
            async move {
                opened.notified().await;
                Ok::<_, StepError>(n)
            }
        }));
        let wf = wf.finish(end).unwrap();
        let runtime = Runtime::builder(store.shared()).workflow(&wf).start().await.unwrap();
        store.faults.looks.store(1, Ordering::SeqCst);
        let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
        // The step does not end before its run is waited for.
        let (status, ()) = tokio::join!(run.wait_terminal(), async { gate.notify_one() });
        assert_eq!(status.unwrap(), Status::Completed);
        assert_eq!(store.faults.looks.swap(0, Ordering::SeqCst), 1, "nobody looked");
        assert_eq!(run.result().await.unwrap(), 5);
        runtime.shutdown().await;
    }

    async fn a3_2_an_input_that_does_not_fit_is_refused_with_everything_that_is_wrong(place) {
        let client = registered(place).await;
        let error = client.start_json("order", None, json!({"amout": 1, "note": 5})).await.unwrap_err();
        let StartError::InvalidInput { violations, .. } = error else { panic!("{error}") };
        let kinds: Vec<&str> = violations.as_slice().iter().map(|violation| match violation {
            ContractViolation::Missing { path, .. } => path.as_str(),
            ContractViolation::Unknown { path } => path.as_str(),
            ContractViolation::IllTyped { path, .. } => path.as_str(),
            _ => "other",
        }).collect();
        assert_eq!(kinds, ["amount", "amout", "note"]);
        assert_eq!(runs(&client).await, 0);
    }

    async fn a3_3_defaults_are_stored_with_the_input(place) {
        let client = registered(place).await;
        for (input, currency) in [(json!({"amount": 1}), "EUR"), (json!({"amount": 1, "currency": "USD"}), "USD")] {
            let run = client.start_json("order", 1, input).await.unwrap();
            let stored = client.inspect(run.id()).with_payloads().await.unwrap().input.unwrap();
            assert_eq!(stored["currency"], currency);
        }
    }

    async fn a3_5_a_delayed_start_is_scheduled_and_begins_in_time(place) {
        let runtime = place.runtime().await.workflow(charging().unwrap()).start().await.unwrap();
        let client = runtime.client();
        let delay = Duration::from_millis(300);
        let run = client.start(&charging().unwrap().reference(), order(1)).delay(delay).await.unwrap();
        let seen = run.inspect().await.unwrap();
        assert_eq!((seen.status, seen.due), (Status::Scheduled, Some(seen.created.plus(delay))));
        assert_eq!(client.explain(run.id()).await.unwrap().reason, Reason::Scheduled);
        run.result().await.unwrap();
        let done = run.inspect().await.unwrap();
        assert!(done.updated >= done.due.unwrap(), "{done:?}");
        runtime.shutdown().await;
    }

    async fn a_start_that_is_more_than_ten_years_away_is_refused_and_not_brought_forward(place) {
        let client = registered(place).await;
        let start = || client.start(&charging().unwrap().reference(), order(1));
        let tick = Duration::from_micros(1);
        let now = start().await.unwrap().inspect().await.unwrap().created;
        for refused in [start().delay(limits::SPAN_MAX + tick), start().deadline(limits::SPAN_MAX + tick)] {
            let error = refused.await.unwrap_err();
            assert!(matches!(&error, StartError::Limit(limit) if limit.found == limit.limit + 1), "{error}");
        }
        let error = start().at(now.plus(limits::SPAN_MAX + Duration::from_secs(600))).await.unwrap_err();
        let StartError::Rejected(Rejection::LimitExceeded { what, .. }) = &error else { panic!("{error}") };
        assert_eq!(what, "the number of seconds of the delay");
        assert_eq!(runs(&client).await, 1);
        let far = start().delay(limits::SPAN_MAX).deadline(limits::SPAN_MAX).await.unwrap().inspect().await.unwrap();
        assert_eq!(far.due, Some(far.created.plus(limits::SPAN_MAX)));
        start().at(now.plus(limits::SPAN_MAX)).await.unwrap();
    }

    async fn a3_7_a_run_that_nobody_touched_is_pending_and_says_why(place) {
        let client = registered(place).await;
        let run = client.start(&charging().unwrap().reference(), order(1)).await.unwrap();
        assert_eq!(run.status().await.unwrap(), Status::Pending);
        let reason = client.explain(run.id()).await.unwrap().reason;
        assert!(matches!(reason, Reason::ReadyUnclaimed | Reason::NoWorkerForHandler), "{reason:?}");
    }

    async fn a4_1_the_same_key_and_input_is_the_same_run_also_when_it_is_over(place) {
        let runtime = place.runtime().await.workflow(charging().unwrap()).start().await.unwrap();
        let order_ref = charging().unwrap().reference();
        let first = runtime.client().start(&order_ref, order(5)).key("k1").await.unwrap();
        let second = runtime.client().start(&order_ref, order(5)).key("k1").await.unwrap();
        assert_eq!((second.id(), first.existing(), second.existing()), (first.id(), false, true));
        first.result().await.unwrap();
        let rows = journal_rows(runtime.client(), first.id()).await;
        let third = place.client().await.start(&order_ref, order(5)).key("k1").await.unwrap();
        assert_eq!((third.id(), third.existing()), (first.id(), true));
        assert_eq!(journal_rows(runtime.client(), first.id()).await, rows);
        assert_eq!(third.result().await.unwrap(), "5 EUR");
        runtime.shutdown().await;
    }

    async fn a4_2_the_same_key_with_another_input_is_a_conflict_that_names_the_run(place) {
        let client = registered(place).await;
        let order_ref = charging().unwrap().reference();
        let first = client.start(&order_ref, order(5)).key("k1").await.unwrap();
        let error = client.start(&order_ref, order(6)).key("k1").await.unwrap_err();
        assert!(matches!(error, StartError::KeyConflict { run } if run == first.id()), "{error}");
        assert_eq!(runs(&client).await, 1);
    }

    async fn a4_3_fifty_starts_at_once_under_one_key_are_one_run(place) {
        let client = registered(place).await;
        let clients = [client, place.client().await, place.client().await, place.client().await];
        let mut starts = tokio::task::JoinSet::new();
        for client in clients.iter().cycle().take(50) {
            let client = client.clone();
            starts.spawn(async move { client.start_json("order", None, json!({"amount": 1})).key("k").await });
        }
        let handles = starts.join_all().await;
        let ids: std::collections::BTreeSet<_> = handles.iter().map(|run| run.as_ref().unwrap().id()).collect();
        let fresh = handles.iter().filter(|run| run.as_ref().is_ok_and(|run| !run.existing())).count();
        assert_eq!((ids.len(), fresh, runs(&clients[0]).await), (1, 1, 1));
    }

    async fn a4_5_a_start_whose_answer_was_lost_is_found_to_have_happened(place) {
        let order_ref = charging().unwrap().reference();
        let faulty = Faulty::new(place).await;
        let runtime = Runtime::builder(faulty.shared()).workflow(charging().unwrap()).start().await.unwrap();
        let alone = Client::connect(faulty.shared()).await.unwrap();
        for client in [runtime.client(), &alone] {
            let before = runs(client).await;
            faulty.faults.submissions.store(2, Ordering::SeqCst);
            let run = client.start(&order_ref, order(5)).await.unwrap();
            assert_eq!(faulty.faults.submissions.load(Ordering::SeqCst), 0);
            assert_eq!((runs(client).await, run.existing()), (before + 1, false));
            faulty.faults.settles.store(2, Ordering::SeqCst);
            faulty.faults.looks.store(3, Ordering::SeqCst);
            assert_eq!(run.result().await.unwrap(), "5 EUR");
            assert_eq!(journal_rows(client, run.id()).await, 2);
        }
        runtime.shutdown().await;
    }

    async fn a_workflow_or_version_that_is_not_there_is_a_typed_error(place) {
        let client = registered(place).await;
        for (name, version) in [("refund", None), ("order", Some(2))] {
            let error = client.start_json(name, version, json!({"amount": 1})).await.unwrap_err();
            assert!(matches!(&error, StartError::UnknownWorkflow { name: found, .. } if found == name), "{error}");
        }
        let error = client.start_json("Order!", None, Value::Null).await.unwrap_err();
        assert!(matches!(error, StartError::Name(_)), "{error}");
    }

    async fn a21_1_a_nul_character_is_refused_everywhere_and_no_run_is_made(place) {
        let client = registered(place).await;
        let input = Order { note: "a\0b".to_owned(), ..order(1) };
        let error = client.start(&charging().unwrap().reference(), input).await.unwrap_err();
        assert!(error.to_string().contains("\"note\" has a NUL character"), "{error}");
        let started = client.start(&charging().unwrap().reference(), order(1)).label("a", "\0").await;
        assert!(matches!(started, Err(StartError::NulCharacter { what: "a label" })), "{started:?}");
        assert_eq!(runs(&client).await, 0);
    }

    async fn a21_3_labels_are_accepted_at_their_limits_and_refused_above(place) {
        let client = registered(place).await;
        let order_ref = charging().unwrap().reference();
        let mut largest = client.start(&order_ref, order(1));
        let mut one_more = client.start(&order_ref, order(1)).label("more", "");
        for n in 0..32 {
            let key = format!("{n:0128}");
            largest = largest.label(&key, "v".repeat(128));
            one_more = one_more.label(&key, "");
        }
        let run = largest.await.unwrap();
        assert_eq!(run.inspect().await.unwrap().labels.len(), 32);
        for refused in [one_more, client.start(&order_ref, order(1)).label("k", "v".repeat(129))] {
            let error = refused.await.unwrap_err();
            assert!(matches!(&error, StartError::Limit(limit) if limit.found > limit.limit), "{error}");
        }
        assert_eq!(runs(&client).await, 1);
    }

    async fn an_input_is_accepted_at_the_payload_limit_and_refused_above(place) {
        let runtime = place.runtime().await.workflow(charging().unwrap()).payload_limit(200).start().await.unwrap();
        let base = serde_json::to_vec(&order(1)).unwrap().len();
        let start = |room: usize| {
            let input = Order { note: "n".repeat(room - base), ..order(1) };
            runtime.client().start(&charging().unwrap().reference(), input)
        };
        let error = start(201).await.unwrap_err();
        assert!(matches!(&error, StartError::Limit(limit) if (limit.limit, limit.found) == (200, 201)), "{error}");
        start(200).await.unwrap().result().await.unwrap();
        runtime.shutdown().await;
    }

    async fn a_key_is_accepted_at_its_limit_and_refused_above(place) {
        let client = registered(place).await;
        let start = |bytes: usize| client.start(&charging().unwrap().reference(), order(1)).key("k".repeat(bytes));
        start(256).await.unwrap();
        assert!(matches!(start(257).await, Err(StartError::Limit(_))));
    }

    async fn a_plain_start_takes_the_highest_version(place) {
        let (mut wf, order) = Workflow::builder::<Order>("order", 10);
        let paid = wf.step("charge_more", order, step(charge));
        let later: Workflow<Order, String> = wf.finish(paid).unwrap();
        let runtime = place.runtime().await.workflow(charging().unwrap()).workflow(later).start().await.unwrap();
        for client in [runtime.client(), &place.client().await] {
            let run = client.start_json("order", None, json!({"amount": 1})).await.unwrap();
            assert_eq!(run.inspect().await.unwrap().version, 10);
        }
        runtime.shutdown().await;
    }

    async fn options_of_a_start_reach_its_run(place) {
        let (mut wf, input) = Workflow::builder::<Order>("traced", 1);
        let traced = wf.step("trace", input, step(async |cx: StepContext, _: Order| {
            Ok((cx.trace().map(str::to_owned), cx.workflow().to_owned(), cx.version(), cx.step().to_owned()))
        }));
        let wf = wf.finish(traced).unwrap();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let start = runtime.client().start(&wf.reference(), order(1)).trace("00-1-2-01").key("k").label("a", "b");
        let run = start.deadline(Duration::from_secs(60)).at(Timestamp::from_micros(5)).await.unwrap();
        let expected = (Some("00-1-2-01".to_owned()), "traced".to_owned(), 1, "trace".to_owned());
        assert_eq!(run.result().await.unwrap(), expected);
        let seen = run.inspect().await.unwrap();
        assert_eq!((seen.key.as_deref(), seen.labels["a"].as_str()), (Some("k"), "b"));
        assert!(seen.deadline.is_some_and(|deadline| deadline >= seen.created.plus(Duration::from_secs(50))), "{seen:?}");
        runtime.shutdown().await;
    }

    async fn a_client_goes_on_when_its_runtime_is_gone(place) {
        let runtime = place.runtime().await.workflow(charging().unwrap()).start().await.unwrap();
        let client = runtime.client().clone();
        drop(runtime);
        let run = client.start(&charging().unwrap().reference(), order(1)).await.unwrap();
        until(async || run.status().await.unwrap() == Status::Pending).await;
        run.cancel().await.unwrap();
        assert_eq!(run.wait_terminal().await.unwrap(), Status::Cancelled);
    }
}
