//! Cancelling runs.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use squid_mesh::core::run::Status;
use squid_mesh::core::worker::StopReason;
use squid_mesh::{
    CancelError, ResultError, Retry, RunHandle, Runtime, StepContext, StepError, StepStatus,
    Workflow, step,
};
use tokio::sync::Semaphore;

use crate::harness::{Place, journal_rows, on_every_store, until, until_status};
use crate::leases::Puppet;

/// `hold` runs until its gate opens, or until it is cancelled if it listens; `next` comes after it.
fn holding(gate: &Arc<Semaphore>, listens: bool) -> Workflow<u32, u32> {
    let (mut wf, input) = Workflow::builder::<u32>("holding", 1);
    let gate = gate.clone();
    let held = wf.step("hold", input, step(move |cx: StepContext, n: u32| {
        let gate = gate.clone();
        async move {
            tokio::select! {
                permit = gate.acquire() => permit.map(|_| n).map_err(Into::into),
                reason = cx.cancelled(), if listens => {
                    assert_eq!((reason, cx.is_cancelled(), cx.stop_reason()), (StopReason::RunEnding, true, Some(reason)));
                    Ok(n + 100)
                }
            }
        }
    }));
    let next = wf.step("next", held, step(async |_, n: u32| Ok(n)));
    wf.finish(next).unwrap()
}

/// A runtime that renews often, so that cancels arrive soon.
async fn runtime(place: &Place, wf: &Workflow<u32, u32>) -> Runtime {
    place
        .runtime()
        .await
        .workflow(wf)
        .lease(Duration::from_millis(300))
        .start()
        .await
        .unwrap()
}

async fn held(runtime: &Runtime, wf: &Workflow<u32, u32>) -> RunHandle<u32> {
    let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
    until(async || {
        run.inspect().await.unwrap().step("hold").unwrap().status == StepStatus::Running
    })
    .await;
    run
}

on_every_store! {
    async fn a13_1_a_run_of_which_nothing_is_claimed_is_cancelled_at_once(place) {
        let wf = holding(&Arc::new(Semaphore::new(0)), true);
        let runtime = place.runtime().await.workflow(&wf).queue("elsewhere", 1).start().await.unwrap();
        let client = runtime.client();
        let pending = client.start(&wf.reference(), 1).await.unwrap();
        let scheduled = client.start(&wf.reference(), 1).delay(Duration::from_secs(3_600)).await.unwrap();
        for run in [pending, scheduled] {
            let reply = run.cancel().await.unwrap();
            assert_eq!(reply.status, Status::Cancelled);
            let seen = run.inspect().await.unwrap();
            assert!(seen.steps.iter().all(|step| step.status == StepStatus::Cancelled && step.executed == 0), "{seen:?}");
            assert!(matches!(run.result().await, Err(ResultError::Cancelled { .. })));
        }
        runtime.shutdown().await;
    }

    async fn a13_2_a_running_handler_is_told_and_the_run_ends_with_its_report(place) {
        let wf = holding(&Arc::new(Semaphore::new(0)), true);
        let runtime = runtime(place, &wf).await;
        let run = held(&runtime, &wf).await;
        assert_eq!(run.cancel().await.unwrap().status, Status::Cancelling);
        assert_eq!(run.wait_terminal().await.unwrap(), Status::Cancelled);
        let seen = run.inspect().with_payloads().await.unwrap();
        let (hold, next) = (seen.step("hold").unwrap(), seen.step("next").unwrap());
        assert_eq!((next.status, next.executed), (StepStatus::Cancelled, 0));
        assert_eq!((hold.status, hold.output.clone()), (StepStatus::Succeeded, Some(json!(101))));
        runtime.shutdown().await;
    }

    async fn a13_3_the_output_of_a_handler_that_goes_on_is_kept_and_leads_nowhere(place) {
        let gate = Arc::new(Semaphore::new(0));
        let wf = holding(&gate, false);
        let runtime = runtime(place, &wf).await;
        let run = held(&runtime, &wf).await;
        run.cancel().await.unwrap();
        assert_eq!(run.status().await.unwrap(), Status::Cancelling);
        gate.add_permits(1);
        let seen = until_status(runtime.client(), run.id(), Status::Cancelled).await;
        assert_eq!(seen.step("hold").unwrap().output, Some(json!(1)));
        assert_eq!(seen.step("next").unwrap().executed, 0);
        runtime.shutdown().await;
    }

    async fn a13_4_a_dead_worker_does_not_keep_a_cancelled_run_from_ending(place) {
        let wf = holding(&Arc::new(Semaphore::new(1)), true);
        let runtime = place.runtime().await.workflow(&wf).queue("elsewhere", 1).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        let dead = Puppet::new(place, "holding_hold").await;
        dead.claim(Duration::from_millis(200)).await;
        assert_eq!(run.cancel().await.unwrap().status, Status::Cancelling);
        let seen = until_status(runtime.client(), run.id(), Status::Cancelled).await;
        let hold = seen.step("hold").unwrap();
        assert_eq!((hold.status, hold.executed, hold.lost), (StepStatus::Cancelled, 0, 1));
        runtime.shutdown().await;
    }

    async fn a13_5_a_run_in_backoff_or_in_a_wait_is_cancelled_at_once_with_its_agenda(place) {
        let hour = Duration::from_secs(3_600);
        let (mut wf, input) = Workflow::builder::<u32>("backing_off", 1);
        let failing = wf.step("work", input, step(async |_, _: u32| Err::<u32, _>(StepError::retryable("no", "not yet")))
            .retry(Retry::constant(2, hour)));
        let backing_off = wf.finish(failing).unwrap();
        let (mut wf, input) = Workflow::builder::<u32>("resting", 1);
        let first = wf.step("work", input, step(async |_, n: u32| Ok(n)));
        wf.wait("rest", hour, first);
        let resting = wf.finish(first).unwrap();
        let runtime = place.runtime().await.workflow(&backing_off).workflow(&resting).start().await.unwrap();
        for (wf, status) in [(backing_off, Status::Retrying), (resting, Status::Waiting)] {
            let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
            until_status(runtime.client(), run.id(), status).await;
            assert_eq!(run.cancel().await.unwrap().status, Status::Cancelled);
            let seen = run.inspect().await.unwrap();
            assert!(seen.steps.iter().all(|step| step.due.is_none()), "{seen:?}");
        }
        runtime.shutdown().await;
    }

    async fn a13_6_cancelling_again_gets_the_first_answer_and_a_finished_run_refuses(place) {
        let gate = Arc::new(Semaphore::new(0));
        let wf = holding(&gate, false);
        let runtime = runtime(place, &wf).await;
        let run = held(&runtime, &wf).await;
        let first = run.cancel().actor("ana").await.unwrap();
        let again = run.cancel().actor("ben").await.unwrap();
        assert_eq!((again.seq, again.at, again.command), (first.seq, first.at, first.command));
        gate.add_permits(1);
        run.wait_terminal().await.unwrap();
        let late = run.cancel().await.unwrap();
        assert_eq!((late.seq, late.status), (first.seq, Status::Cancelled));
        let history = runtime.client().history(run.id()).await.unwrap();
        assert_eq!(history.iter().filter(|entry| entry.event == "cancel_requested").count(), 1);

        let completed = runtime.client().start(&wf.reference(), 2).await.unwrap();
        gate.add_permits(1);
        completed.result().await.unwrap();
        let rows = journal_rows(runtime.client(), completed.id()).await;
        let error = completed.cancel().await.unwrap_err();
        assert!(matches!(error, CancelError::Finished { status: Status::Completed, .. }), "{error}");
        assert_eq!(journal_rows(runtime.client(), completed.id()).await, rows);
        runtime.shutdown().await;
    }

    async fn a13_9_a_cancel_between_claim_and_begin_reaches_the_handler(place) {
        let wf = holding(&Arc::new(Semaphore::new(0)), true);
        let runtime = runtime(place, &wf).await;
        // Nobody waits for the step to begin: the cancel may come before, between or after.
        let mut runs = Vec::new();
        for n in 0..20 {
            let run = runtime.client().start(&wf.reference(), n).await.unwrap();
            run.cancel().await.unwrap();
            runs.push(run);
        }
        for run in runs {
            assert_eq!(run.wait_terminal().await.unwrap(), Status::Cancelled);
            assert_eq!(run.inspect().await.unwrap().step("next").unwrap().executed, 0);
        }
        runtime.shutdown().await;
    }

    async fn a_forced_cancel_ends_the_run_at_once(place) {
        let wf = holding(&Arc::new(Semaphore::new(0)), false);
        let runtime = runtime(place, &wf).await;
        let run = held(&runtime, &wf).await;
        assert_eq!(run.cancel().await.unwrap().status, Status::Cancelling);
        assert_eq!(run.cancel().force(true).await.unwrap().status, Status::Cancelled);
        drop(runtime);
    }

    async fn a19_1_who_cancelled_and_why_is_in_the_journal(place) {
        let wf = holding(&Arc::new(Semaphore::new(0)), true);
        let runtime = runtime(place, &wf).await;
        let run = held(&runtime, &wf).await;
        run.cancel().actor("ana").reason("duplicate").await.unwrap();
        run.wait_terminal().await.unwrap();
        let history = runtime.client().history(run.id()).await.unwrap();
        let entry = history.iter().find(|entry| entry.event == "cancel_requested").unwrap();
        assert_eq!(entry.summary, "ana asked to cancel the run: duplicate");
        let cancel = run.inspect().await.unwrap().cancel.unwrap();
        assert_eq!((cancel.actor.as_deref(), cancel.reason.as_deref()), (Some("ana"), Some("duplicate")));
        assert_eq!(Some(cancel.at), entry.at);
        runtime.shutdown().await;
    }

    async fn cancelling_an_unknown_run_is_a_typed_error(place) {
        let client = place.client().await;
        let error = client.cancel("0189d7a2-0000-7000-8000-000000000000".parse().unwrap()).await.unwrap_err();
        assert!(matches!(error, CancelError::UnknownRun { .. }), "{error}");
    }
}
