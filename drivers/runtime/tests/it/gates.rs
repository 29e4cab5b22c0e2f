//! Pauses, approvals, attempts of unknown outcome: what people decide.

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use squid_mesh::core::explain::Reason;
use squid_mesh::core::operation::Wants;
use squid_mesh::core::run::Status;
use squid_mesh::{
    Decision, ResolveError, Retry, RunHandle, Runtime, StepContext, StepError, StepStatus, Undo,
    Workflow, step,
};

use crate::harness::{Place, journal_rows, on_every_store, until_status};
use crate::schedules::{Bench, at};

async fn outcome(_: StepContext, decision: Decision) -> Result<String, StepError> {
    Ok(format!(
        "{} by {}",
        decision.decision,
        decision.actor.unwrap_or_default()
    ))
}

/// An approval, with a step for each way it can go.
fn review(deadline: Option<Duration>) -> Workflow<u32, String> {
    let (mut wf, order) = Workflow::builder::<u32>("order", 1);
    let mut review = wf.approval("review", order);
    if let Some(deadline) = deadline {
        review = review.deadline(deadline);
    }
    let mut ends = Vec::new();
    for (label, name) in [
        ("approved", "ship"),
        ("rejected", "refund"),
        ("expired", "late"),
    ] {
        if label != "expired" || deadline.is_some() {
            ends.push(wf.when(&review, label, |wf| {
                wf.step(name, *review, step(outcome).named("outcome"))
            }));
        }
    }
    let end = wf.either_of(&ends);
    wf.finish(end).unwrap()
}

/// A pause between two steps.
fn pausing() -> Workflow<u32, u32> {
    let (mut wf, n) = Workflow::builder::<u32>("pausing", 1);
    let first = wf.step("first", n, step(async |_, n: u32| Ok(n + 1)));
    let pause = wf.pause("look", first);
    let last = wf.step(
        "last",
        first,
        step(async |_, n: u32| Ok(n * 10)).after(&pause),
    );
    wf.finish(last).unwrap()
}

async fn at_gate<I: serde::Serialize, O: 'static>(
    runtime: &Runtime,
    wf: &Workflow<I, O>,
    input: I,
) -> RunHandle<O> {
    let run = runtime
        .client()
        .start(&wf.reference(), input)
        .await
        .unwrap();
    until_status(runtime.client(), run.id(), Status::Paused).await;
    run
}

async fn running<I, O>(place: &Place, wf: &Workflow<I, O>) -> Runtime {
    place.runtime().await.workflow(wf).start().await.unwrap()
}

on_every_store! {
    async fn a9_1_a_paused_run_goes_on_when_it_is_resumed(place) {
        let wf = pausing();
        let runtime = running(place, &wf).await;
        let run = at_gate(&runtime, &wf, 1).await;
        let seen = run.inspect().await.unwrap();
        let status = |name: &str| seen.step(name).unwrap().status;
        assert_eq!((status("look"), status("last")), (StepStatus::Paused, StepStatus::Blocked));
        assert_eq!(seen.waits.len(), 1);
        assert_eq!((seen.waits[0].step.as_str(), seen.waits[0].wants), ("look", Wants::Resume));
        assert!(seen.steps.iter().all(|step| step.due.is_none()), "nothing is claimable: {seen:?}");
        runtime.client().resume(run.id()).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 20);
        runtime.shutdown().await;
    }

    async fn a9_2_an_approval_gives_who_and_why_and_only_its_route_is_taken(place) {
        let wf = review(None);
        let runtime = running(place, &wf).await;
        let client = runtime.client();
        let run = at_gate(&runtime, &wf, 1).await;
        client.approve(run.id()).actor("ana").comment("ok").metadata(json!({"ticket": 7})).await.unwrap();
        assert_eq!(run.result().await.unwrap(), "approved by ana");
        let seen = run.inspect().with_payloads().await.unwrap();
        let gate = seen.step("review").unwrap();
        let output = gate.output.clone().unwrap();
        assert_eq!(gate.label.as_ref().unwrap().as_str(), "approved");
        assert_eq!((&output["decision"], &output["actor"], &output["comment"]), (&json!("approved"), &json!("ana"), &json!("ok")));
        assert_eq!((&output["metadata"], output["decided_at"].is_string()), (&json!({"ticket": 7}), true));
        assert_eq!(seen.step("refund").unwrap().status, StepStatus::Skipped);

        let refused = at_gate(&runtime, &wf, 2).await;
        client.reject(refused.id()).actor("ben").await.unwrap();
        assert_eq!(refused.result().await.unwrap(), "rejected by ben");
        assert_eq!(refused.inspect().await.unwrap().step("ship").unwrap().status, StepStatus::Skipped);
        let history = client.history(run.id()).await.unwrap();
        let entry = history.iter().find(|entry| entry.event == "resolved").unwrap();
        assert_eq!(entry.summary, "ana approved review: ok");
        assert_eq!((entry.actor.as_deref(), entry.metadata.clone()), (Some("ana"), Some(json!({"ticket": 7}))));
        runtime.shutdown().await;
    }

    async fn a9_3_a_decision_without_a_proper_word_is_refused_and_changes_nothing(place) {
        let wf = review(None);
        let runtime = running(place, &wf).await;
        let client = runtime.client();
        let run = at_gate(&runtime, &wf, 1).await;
        let rows = journal_rows(client, run.id()).await;
        let approve = || client.approve(run.id());
        for bad in [approve(), approve().actor(" "), approve().actor("ana").metadata("x")] {
            let error = bad.await.unwrap_err();
            assert!(matches!(error, ResolveError::Rejected(_)), "{error}");
        }
        let command = json!({"type": "approve", "run": run.id(), "actor": "ana", "comment": 5});
        assert!(serde_json::from_value::<squid_mesh::Command>(command).is_err());
        assert_eq!(journal_rows(client, run.id()).await, rows);
        assert_eq!(run.status().await.unwrap(), Status::Paused);
        runtime.shutdown().await;
    }

    async fn a9_4_a_decision_of_the_wrong_kind_is_told_what_the_run_waits_for(place) {
        let (approving, pausing) = (review(None), pausing());
        let builder = place.runtime().await.workflow(&approving).workflow(&pausing);
        let runtime = builder.start().await.unwrap();
        let client = runtime.client();
        let review = at_gate(&runtime, &approving, 1).await;
        let error = client.resume(review.id()).await.unwrap_err();
        let ResolveError::NotWaiting(not) = error else { panic!("{error}") };
        assert_eq!((not.waits[0].step.as_str(), not.waits[0].wants), ("review", Wants::Approval));
        let pause = at_gate(&runtime, &pausing, 1).await;
        let error = client.approve(pause.id()).actor("ana").await.unwrap_err();
        let ResolveError::NotWaiting(not) = error else { panic!("{error}") };
        assert_eq!((not.waits[0].step.as_str(), not.waits[0].wants), ("look", Wants::Resume));
        runtime.shutdown().await;
    }

    async fn a9_5_the_same_command_key_gets_the_first_answer_and_another_is_refused(place) {
        let wf = review(None);
        let runtime = running(place, &wf).await;
        let client = runtime.client();
        let run = at_gate(&runtime, &wf, 1).await;
        let first = client.approve(run.id()).actor("ana").key("c1").await.unwrap();
        run.result().await.unwrap();
        let rows = journal_rows(client, run.id()).await;
        let again = client.approve(run.id()).actor("ana").key("c1").await.unwrap();
        assert_eq!((again.seq, again.at), (first.seq, first.at));
        let error = client.approve(run.id()).actor("ana").key("c2").await.unwrap_err();
        assert!(matches!(error, ResolveError::Finished { status: Status::Completed, .. }), "{error}");
        assert_eq!(journal_rows(client, run.id()).await, rows);
        runtime.shutdown().await;
    }

    async fn s5_2_a_gate_closes_at_its_deadline_on_every_store(place) {
        let days = Duration::from_secs(2 * 86_400);
        let short = review(Some(Duration::from_millis(80)));
        let runtime = running(place, &short).await;
        let run = runtime.client().start(&short.reference(), 1).await.unwrap();
        assert_eq!(run.result().await.unwrap(), "expired by ");
        let seen = run.inspect().await.unwrap();
        assert_eq!(seen.step("review").unwrap().label.as_ref().unwrap().as_str(), "expired");
        assert!(seen.updated >= seen.created.plus(Duration::from_millis(80)));
        let history = runtime.client().history(run.id()).await.unwrap();
        assert!(history.iter().any(|entry| entry.summary == "gate review expired"), "{history:?}");
        runtime.shutdown().await;

        let (mut wf, order) = Workflow::builder::<u32>("patient", 1);
        let pause = wf.pause("look", order).deadline(days);
        let end = wf.step("end", order, step(async |_, n: u32| Ok(n)).after(&pause));
        let patient = wf.finish(end).unwrap();
        let runtime = running(place, &patient).await;
        let run = at_gate(&runtime, &patient, 1).await;
        let seen = run.inspect().await.unwrap();
        assert_eq!(seen.step("look").unwrap().due, Some(seen.updated.plus(days)));
        runtime.shutdown().await;
    }

    async fn a9_7_an_open_gate_in_one_branch_does_not_stop_the_other(place) {
        let (mut wf, n) = Workflow::builder::<u32>("branches", 1);
        let pause = wf.pause("look", n);
        let mut last = wf.step("one", n, step(async |_, n: u32| Ok(n + 1)));
        last = wf.step("two", last, step(async |_, n: u32| Ok(n + 1)));
        last = wf.step("three", last, step(async |_, n: u32| Ok(n + 1)));
        let end = wf.step("end", last, step(async |_, n: u32| Ok(n)).after(&pause));
        let wf = wf.finish(end).unwrap();
        let runtime = running(place, &wf).await;
        let run = at_gate(&runtime, &wf, 0).await;
        let seen = run.inspect().with_payloads().await.unwrap();
        assert_eq!(seen.step("three").unwrap().output, Some(json!(3)));
        assert_eq!(seen.step("look").unwrap().status, StepStatus::Paused);
        runtime.client().resume(run.id()).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 3);
        runtime.shutdown().await;
    }

    async fn a9_8_of_approve_and_reject_at_once_exactly_one_wins_a_thousand_times_over(place) {
        let wf = review(None);
        running(place, &wf).await.shutdown().await;
        // Each has connections of its own, and nobody executes what a decision leads to.
        let (ana, ben) = (place.client().await, place.client().await);
        let gates = ana.start_many(&wf.reference(), vec![1; 1_000]).await.unwrap();
        let mut won = [0, 0];
        for gates in gates.chunks(8) {
            let races = gates.iter().map(|gate| {
                let yes = tokio::spawn(ana.approve(gate.id()).actor("ana").into_future());
                let no = tokio::spawn(ben.reject(gate.id()).actor("ben").into_future());
                (gate.id(), yes, no)
            });
            let races: Vec<_> = races.collect();
            for (run, yes, no) in races {
                let (winner, error) = match (yes.await.unwrap(), no.await.unwrap()) {
                    (Ok(_), Err(error)) => (0, error),
                    (Err(error), Ok(_)) => (1, error),
                    both => panic!("{both:?}"),
                };
                won[winner] += 1;
                let ResolveError::NotWaiting(told) = &error else { panic!("{error}") };
                assert_eq!(told.waits, [], "nothing waits any more");
                let (label, summary) = [
                    ("approved", "ana approved review"),
                    ("rejected", "ben rejected review"),
                ][winner];
                let seen = ana.inspect(run).await.unwrap();
                assert_eq!(seen.step("review").unwrap().label.as_ref().unwrap().as_str(), label);
                let history = ana.history(run).await.unwrap();
                let decided: Vec<&str> =
                    history.iter().filter(|entry| entry.event == "resolved").map(|entry| entry.summary.as_str()).collect();
                assert_eq!(decided, [summary]);
            }
        }
        assert_eq!(won[0] + won[1], 1_000);
    }

    async fn a6_7_and_a6_8_an_operator_says_what_came_of_an_attempt_of_unknown_outcome(place) {
        let begun = Arc::new(AtomicU32::new(0));
        let counter = begun.clone();
        let (mut wf, n) = Workflow::builder::<u32>("shipping", 1);
        let shipped = wf.step("ship", n, step(move |cx: StepContext, n: u32| {
            counter.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(cx.attempt() > 1, "the first attempt dies half way");
                Ok::<_, StepError>(json!({ "id": n }))
            }
        }).irreversible());
        let told = wf.step("tell", shipped, step(async |_, parcel: Value| Ok(parcel)));
        let wf = wf.finish(told).unwrap();
        let runtime = running(place, &wf).await;
        let client = runtime.client();
        let held = at_gate(&runtime, &wf, 1).await;
        let step = held.inspect().await.unwrap().steps.remove(0);
        assert_eq!((step.status, step.doubtful, step.failure.unwrap().code.as_str()), (StepStatus::Held, true, "panic"));
        let why = client.explain(held.id()).await.unwrap();
        assert_eq!(why.reason, Reason::UnknownOutcome);
        let offered: Vec<Value> = why.next_actions.iter().map(|action| serde_json::to_value(action).unwrap()).collect();
        for action in ["resolve_succeeded", "resolve_retry", "resolve_fail"] {
            assert!(offered.iter().any(|offer| offer["action"] == action), "{action} is not in {offered:?}");
        }
        client.resolve_unknown(held.id()).succeeded(json!({"id": 7})).actor("ana").await.unwrap();
        assert_eq!(held.result().await.unwrap(), json!({"id": 7}));
        assert_eq!(begun.swap(0, Ordering::SeqCst), 1, "it was not executed again");
        let history = client.history(held.id()).await.unwrap();
        let entry = history.iter().find(|entry| entry.event == "resolved").unwrap();
        assert_eq!((entry.step.as_deref(), entry.actor.as_deref()), (Some("ship"), Some("ana")));
        let held = at_gate(&runtime, &wf, 2).await;
        client.resolve_unknown(held.id()).retry().await.unwrap();
        assert_eq!(held.result().await.unwrap(), json!({"id": 2}));
        assert_eq!(begun.load(Ordering::SeqCst), 2, "once more");
        let held = at_gate(&runtime, &wf, 3).await;
        client.resolve_unknown(held.id()).fail("stolen", "the parcel is gone").await.unwrap();
        let error = held.result().await.unwrap_err();
        assert!(error.to_string().contains("stolen: the parcel is gone"), "{error}");
        runtime.shutdown().await;
    }

    async fn s6_5_an_undo_that_does_not_end_can_be_given_up(place) {
        let (mut wf, n) = Workflow::builder::<u32>("stuck", 1);
        let stock = wf.step("reserve", n, step(async |_, n: u32| Ok(n))
            .undo(async |_, _: Undo<u32, u32>| Err::<(), _>(StepError::retryable("down", "later")))
            .undo_retry(Retry::constant(3, Duration::from_secs(3_600))));
        let paid = wf.step("charge", stock, step(async |_, _: u32| Err::<u32, _>(StepError::permanent("declined", "no"))));
        let wf = wf.finish(paid).unwrap();
        let runtime = running(place, &wf).await;
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        crate::harness::until(async || {
            let seen = run.inspect().await.unwrap();
            seen.step("reserve").unwrap().undo.as_ref().is_some_and(|undo| undo.executed == 1)
        })
        .await;
        let seen = run.inspect().await.unwrap();
        assert_eq!(seen.status, Status::Compensating);
        assert_eq!(seen.step("reserve").unwrap().undo.as_ref().unwrap().failure.as_ref().unwrap().code, "down");
        runtime.client().skip_undo(run.id()).actor("ana").await.unwrap();
        let seen = until_status(runtime.client(), run.id(), Status::Failed).await;
        assert_eq!(seen.step("reserve").unwrap().status, StepStatus::UndoFailed);
        assert_eq!(seen.failure.unwrap().code, "declined");
        runtime.shutdown().await;
    }
}

#[tokio::test]
async fn a9_6_nothing_happens_before_the_deadline_and_at_it_the_route_of_the_expiry_is_taken() {
    let wf = review(Some(Duration::from_secs(2 * 86_400)));
    let mut bench = Bench::new("2026-01-01T00:00:00Z", &[&wf]).await;
    let run = bench.client.start(&wf.reference(), 1).await.unwrap();
    bench.settle().await;
    let rows = journal_rows(&bench.client, run.id()).await;
    bench.at("2026-01-02T23:59:00Z").await;
    assert_eq!(journal_rows(&bench.client, run.id()).await, rows);
    let seen = run.inspect().await.unwrap();
    assert_eq!(seen.status, Status::Paused);
    assert_eq!(
        seen.step("review").unwrap().due,
        Some(at("2026-01-03T00:00:00Z"))
    );
    bench.at("2026-01-03T00:00:00Z").await;
    assert_eq!(run.result().await.unwrap(), "expired by ");
    let seen = run.inspect().await.unwrap();
    let review = seen.step("review").unwrap();
    assert_eq!(review.label.as_ref().unwrap().as_str(), "expired");
    for (step, status) in [
        ("late", StepStatus::Succeeded),
        ("ship", StepStatus::Skipped),
        ("refund", StepStatus::Skipped),
    ] {
        assert_eq!(seen.step(step).unwrap().status, status, "{step}");
    }
    let history = bench.client.history(run.id()).await.unwrap();
    let expired = history
        .iter()
        .find(|entry| entry.summary == "gate review expired");
    assert_eq!(expired.unwrap().at.unwrap(), at("2026-01-03T00:00:00Z"));
    let error = bench
        .client
        .approve(run.id())
        .actor("ana")
        .await
        .unwrap_err();
    assert!(matches!(error, ResolveError::Finished { .. }), "{error}");
}
