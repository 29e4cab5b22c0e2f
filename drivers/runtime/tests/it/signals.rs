//! Signals.

use std::sync::atomic::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use squid_mesh::core::run::Status;
use squid_mesh::{Client, Runtime, Signal, SignalError, StepStatus, Workflow, step};

use crate::faulty::Faulty;
use crate::harness::{Place, journal_rows, on_every_store, until_status};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Payment {
    amount: u32,
}

const PAID: Signal<Payment> = Signal::new("paid");

fn amount(amount: u32) -> Payment {
    Payment { amount }
}

/// Waits for a payment, and gives it.
fn paying() -> Workflow<(), Payment> {
    let (mut wf, _) = Workflow::builder::<()>("paying", 1);
    let paid = wf.signal("await_payment", &PAID, ());
    wf.finish(*paid).unwrap()
}

/// Waits for two payments, one after the other, once somebody has looked.
fn paying_twice() -> Workflow<(), (Payment, Payment)> {
    let (mut wf, _) = Workflow::builder::<()>("paying_twice", 1);
    let look = wf.pause("look", ());
    let first = wf.signal("first", &PAID, look);
    let second = wf.signal("second", &PAID, *first);
    wf.finish((*first, *second)).unwrap()
}

async fn running<I, O>(place: &Place, wf: &Workflow<I, O>) -> Runtime {
    place.runtime().await.workflow(wf).start().await.unwrap()
}

on_every_store! {
    async fn a10_1_a_step_ends_with_what_the_signal_carries(place) {
        let wf = paying();
        let runtime = running(place, &wf).await;
        let run = runtime.client().start(&wf.reference(), ()).await.unwrap();
        let seen = until_status(runtime.client(), run.id(), Status::Waiting).await;
        assert_eq!(seen.step("await_payment").unwrap().status, StepStatus::Waiting);
        runtime.client().signal(run.id(), &PAID, amount(5)).actor("bank").await.unwrap();
        assert_eq!(run.result().await.unwrap(), amount(5));
        let history = runtime.client().history(run.id()).await.unwrap();
        assert!(history.iter().any(|entry| entry.summary == "bank sent signal paid"), "{history:?}");
        runtime.shutdown().await;
    }

    async fn a10_2_early_signals_are_kept_and_used_oldest_first(place) {
        let wf = paying_twice();
        let runtime = running(place, &wf).await;
        let client = runtime.client();
        let run = client.start(&wf.reference(), ()).await.unwrap();
        until_status(client, run.id(), Status::Paused).await;
        for n in [1, 2, 3] {
            client.signal(run.id(), &PAID, amount(n)).await.unwrap();
        }
        let seen = run.inspect().with_payloads().await.unwrap();
        let kept: Vec<_> = seen.signals.iter().map(|kept| kept.payload.clone().unwrap()).collect();
        assert_eq!(kept, [json!({"amount": 1}), json!({"amount": 2}), json!({"amount": 3})]);
        client.resume(run.id()).await.unwrap();
        assert_eq!(run.result().await.unwrap(), (amount(1), amount(2)));
        let seen = run.inspect().await.unwrap();
        assert_eq!(seen.signals.len(), 1, "what was never used is listed");
        assert_eq!(seen.signals[0].payload, None);
        runtime.shutdown().await;
    }

    async fn a10_3_a_payload_of_another_type_is_refused_and_the_run_keeps_waiting(place) {
        let wf = paying();
        let runtime = running(place, &wf).await;
        let client = runtime.client();
        let run = client.start(&wf.reference(), ()).await.unwrap();
        until_status(client, run.id(), Status::Waiting).await;
        let rows = journal_rows(client, run.id()).await;
        for payload in [json!({"amount": "5"}), json!({}), json!(5), json!({"amount": 5, "note": "x"})] {
            let error = client.signal_json(run.id(), "paid", payload).await.unwrap_err();
            assert!(matches!(error, SignalError::InvalidPayload { .. }), "{error}");
        }
        let error = client.signal_json(run.id(), "shipped", 1).await.unwrap_err();
        assert!(error.to_string().contains("shipped"), "{error}");
        assert!(matches!(error, SignalError::Rejected(rejection) if rejection.code() == "unknown_signal"));
        assert_eq!(journal_rows(client, run.id()).await, rows);
        assert_eq!(run.status().await.unwrap(), Status::Waiting);
        runtime.shutdown().await;
    }

    async fn a10_4_a_finished_and_an_unknown_run_refuse_in_their_own_ways(place) {
        let wf = paying();
        let runtime = running(place, &wf).await;
        let client = runtime.client();
        let run = client.start(&wf.reference(), ()).await.unwrap();
        client.signal(run.id(), &PAID, amount(5)).await.unwrap();
        run.result().await.unwrap();
        let error = client.signal(run.id(), &PAID, amount(5)).await.unwrap_err();
        assert!(matches!(error, SignalError::Finished { status: Status::Completed, .. }), "{error}");
        let nobody = "0189d7a2-0000-7000-8000-000000000000".parse().unwrap();
        let error = client.signal(nobody, &PAID, amount(5)).await.unwrap_err();
        assert!(matches!(error, SignalError::UnknownRun { .. }), "{error}");
        runtime.shutdown().await;
    }

    async fn a10_5_a_signal_with_a_key_is_delivered_once_though_its_answer_is_lost(place) {
        let (mut wf, _) = Workflow::builder::<()>("paying", 1);
        let look = wf.pause("look", ());
        let paid = wf.signal("await_payment", &PAID, look);
        let again = wf.signal("await_another", &PAID, *paid);
        let end = wf.step("end", (*paid, *again), step(async |_, (a, b): (Payment, Payment)| Ok(a.amount + b.amount)));
        let wf = wf.finish(end).unwrap();
        let runtime = running(place, &wf).await;
        let run = runtime.client().start(&wf.reference(), ()).await.unwrap();
        until_status(runtime.client(), run.id(), Status::Paused).await;
        let faulty = Faulty::new(place).await;
        let client = Client::connect(faulty.shared()).await.unwrap();
        faulty.faults.submissions.store(1, Ordering::SeqCst);
        let first = client.signal(run.id(), &PAID, amount(5)).key("s1").await.unwrap();
        for _ in 0..2 {
            let again = client.signal(run.id(), &PAID, amount(5)).key("s1").await.unwrap();
            assert_eq!((again.seq, again.at), (first.seq, first.at));
        }
        assert_eq!(run.inspect().await.unwrap().signals.len(), 1);
        client.signal(run.id(), &PAID, amount(6)).key("s2").await.unwrap();
        client.resume(run.id()).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 11);
        runtime.shutdown().await;
    }
}
