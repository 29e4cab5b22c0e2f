//! Queues, priorities, and the end of a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use squid_mesh::core::explain::Reason;
use squid_mesh::core::run::Status;
use squid_mesh::{Performed, Retry, Runtime, StepContext, StepError, StepStatus, Workflow, step};
use tokio::sync::{Mutex, Semaphore};

use crate::faulty::Faulty;
use crate::harness::{on_every_store, until};
use crate::leases::Puppet;

/// One step that notes its input.
fn noting(notes: &Arc<Mutex<Vec<u32>>>) -> Workflow<u32, u32> {
    let (mut wf, input) = Workflow::builder::<u32>("noting", 1);
    let notes = notes.clone();
    let output = wf.step(
        "note",
        input,
        step(move |_: StepContext, n: u32| {
            let notes = notes.clone();
            async move {
                notes.lock().await.push(n);
                Ok(n)
            }
        }),
    );
    wf.finish(output).unwrap()
}

on_every_store! {
    async fn a17_1_the_more_urgent_come_first_then_the_earlier_due(place) {
        let notes = Arc::default();
        let wf = noting(&notes);
        let idle = place.runtime().await.workflow(&wf).queue("elsewhere", 1).start().await.unwrap();
        for (n, priority) in [(4, 5), (5, 5), (1, -5), (2, -5), (3, 0)] {
            idle.client().start(&wf.reference(), n).priority(priority).await.unwrap();
        }
        let runtime = place.runtime().await.workflow(&wf).queue("default", 1).start().await.unwrap();
        until(async || notes.lock().await.len() == 5).await;
        assert_eq!(*notes.lock().await, [1, 2, 3, 4, 5]);
        runtime.shutdown().await;
        idle.shutdown().await;
    }

    async fn a_run_goes_to_the_queue_it_was_started_on(place) {
        let notes = Arc::default();
        let wf = noting(&notes);
        let runtime = place.runtime().await.workflow(&wf).queue("mail", 1).start().await.unwrap();
        let other = runtime.client().start(&wf.reference(), 1).await.unwrap();
        let run = runtime.client().start(&wf.reference(), 2).queue("mail").await.unwrap();
        run.result().await.unwrap();
        assert_eq!((other.status().await.unwrap(), &*notes.lock().await), (Status::Pending, &vec![2]));
        runtime.shutdown().await;
    }

    async fn a17_7_a_graceful_shutdown_lets_handlers_finish_and_claims_nothing(place) {
        let gate = Arc::new(Semaphore::new(0));
        let (mut wf, input) = Workflow::builder::<u32>("slow", 1);
        let open = gate.clone();
        let output = wf.step("work", input, step(move |_, n: u32| {
            let open = open.clone();
            async move { open.acquire().await.map(|_| n).map_err(Into::into) }
        }));
        let wf = wf.finish(output).unwrap();
        let runtime = place.runtime().await.workflow(&wf).queue("default", 2).start().await.unwrap();
        let client = place.client().await;
        let mut runs = Vec::new();
        for n in 0..4 {
            runs.push(runtime.client().start(&wf.reference(), n).await.unwrap().id());
        }
        let count = async |status: StepStatus| {
            let mut count = 0;
            for run in &runs {
                count += usize::from(client.inspect(*run).await.unwrap().steps[0].status == status);
            }
            count
        };
        until(async || count(StepStatus::Running).await == 2).await;
        let stopping = tokio::spawn(runtime.shutdown());
        gate.add_permits(10);
        stopping.await.unwrap();
        assert_eq!((count(StepStatus::Succeeded).await, count(StepStatus::Ready).await), (2, 2));
        for run in runs {
            assert_eq!(client.inspect(run).await.unwrap().steps[0].lost, 0);
        }
    }

    async fn a_handler_beyond_the_grace_of_a_shutdown_is_lost_and_executed_elsewhere(place) {
        let calls = Arc::new(AtomicU32::new(0));
        let count = calls.clone();
        let (mut wf, input) = Workflow::builder::<u32>("stubborn", 1);
        let output = wf.step("work", input, step(move |_: StepContext, n: u32| {
            let count = count.clone();
            async move {
                if count.fetch_add(1, Ordering::SeqCst) == 0 {
                    std::future::pending::<()>().await;
                }
                Ok(n)
            }
        }));
        let wf = wf.finish(output).unwrap();
        let (grace, lease) = (Duration::from_millis(50), Duration::from_millis(500));
        let runtime = place.runtime().await.workflow(&wf).grace(grace).lease(lease).start().await.unwrap();
        let run = place.client().await.start(&wf.reference(), 1).await.unwrap();
        until(async || calls.load(Ordering::SeqCst) == 1).await;
        runtime.shutdown().await;
        let other = place.runtime().await.workflow(&wf).start().await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
        assert_eq!(run.inspect().await.unwrap().steps[0].lost, 1);
        other.shutdown().await;
    }

    async fn a22_8_two_runtimes_share_the_work_and_each_step_settles_once(place) {
        let notes = Arc::default();
        let wf = noting(&notes);
        let one = place.runtime().await.workflow(&wf).queue("default", 2).start().await.unwrap();
        let two = place.runtime().await.workflow(&wf).queue("default", 2).start().await.unwrap();
        let client = place.client().await;
        let mut runs = Vec::new();
        for n in 0..40 {
            runs.push(client.start(&wf.reference(), n).await.unwrap());
        }
        for run in runs {
            run.result().await.unwrap();
            let events: Vec<_> = client.history(run.id()).await.unwrap().into_iter().map(|row| row.event).collect();
            assert_eq!(events, ["started", "succeeded"]);
        }
        let mut noted = notes.lock().await.clone();
        noted.sort_unstable();
        assert_eq!(noted, (0..40).collect::<Vec<_>>());
        one.shutdown().await;
        two.shutdown().await;
    }

    async fn a17_9_execute_next_performs_one_task_and_says_which(place) {
        let notes = Arc::default();
        let wf = noting(&notes);
        let mut stepper = place.runtime().await.workflow(&wf).manual().await.unwrap();
        assert_eq!(stepper.execute_next().await.unwrap(), None);
        let mut runs = Vec::new();
        for n in 0..3 {
            runs.push(stepper.client().start(&wf.reference(), n).await.unwrap().id());
        }
        for (n, expected) in runs.into_iter().enumerate() {
            let performed = stepper.execute_next().await.unwrap();
            let Some(Performed::Attempt { run, step, attempt, failure, .. }) = performed else {
                panic!("{performed:?}")
            };
            assert_eq!((run, step.as_str(), attempt, failure), (expected, "note", 1, None));
            assert_eq!(notes.lock().await.len(), n + 1);
            assert_eq!(stepper.client().status(run).await.unwrap(), Status::Completed);
        }
        assert_eq!(stepper.execute_next().await.unwrap(), None);
    }

    async fn execute_next_ends_waits_records_losses_and_tries_again(place) {
        let (mut wf, input) = Workflow::builder::<u32>("winding", 1);
        let rested = wf.wait("rest", Duration::from_millis(1), input);
        let output = wf.step("work", input, step(async |cx: StepContext, n: u32| {
            if cx.attempt() < 3 { Err(StepError::retryable("again", "not yet")) } else { Ok(n) }
        }).retry(Retry::immediate(2)).after(&rested));
        let wf = wf.finish(output).unwrap();
        let mut stepper = place.runtime().await.workflow(&wf).manual().await.unwrap();
        let run = stepper.client().start(&wf.reference(), 1).await.unwrap();
        let mut next = async || loop {
            if let Some(performed) = stepper.execute_next().await.unwrap() {
                return performed;
            }
        };
        assert_eq!(next().await, Performed::Wait { run: run.id() });
        Puppet::new(place, "winding_work").await.claim(Duration::from_millis(100)).await;
        assert_eq!(next().await, Performed::Loss { run: run.id() });
        let Performed::Attempt { attempt: 2, failure: Some(failure), .. } = next().await else { panic!("it fails") };
        assert_eq!(failure.code, "again");
        assert!(matches!(next().await, Performed::Attempt { attempt: 3, failure: None, rejection: None, .. }));
        assert_eq!(run.result().await.unwrap(), 1);
    }

    async fn execute_next_that_is_dropped_leaves_its_lease_to_run_out(place) {
        let (mut wf, input) = Workflow::builder::<u32>("dropped", 1);
        let output = wf.step("work", input, step(async |cx: StepContext, n: u32| {
            if cx.attempt() == 1 { std::future::pending().await } else { Ok(n) }
        }));
        let wf = wf.finish(output).unwrap();
        let builder = place.runtime().await.workflow(&wf).lease(Duration::from_millis(200));
        let mut stepper = builder.manual().await.unwrap();
        let run = stepper.client().start(&wf.reference(), 1).await.unwrap();
        let begun = async || run.inspect().await.unwrap().steps[0].status == StepStatus::Running;
        tokio::select! {
            performed = stepper.execute_next() => panic!("{performed:?}"),
            () = until(begun) => {}
        }
        let performed = loop {
            if let Some(performed) = stepper.execute_next().await.unwrap() {
                break performed;
            }
        };
        assert_eq!(performed, Performed::Loss { run: run.id() });
        assert!(matches!(stepper.execute_next().await.unwrap(), Some(Performed::Attempt { attempt: 2, .. })));
        assert_eq!(run.result().await.unwrap(), 1);
    }

    async fn a17_10_a_worker_without_the_handler_leaves_the_step_to_others(place) {
        let notes = Arc::default();
        let wf = noting(&notes);
        place.runtime().await.workflow(&wf).queue("elsewhere", 1).start().await.unwrap().shutdown().await;
        let client = place.client().await;
        let run = client.start(&wf.reference(), 1).await.unwrap();
        let lacking = place.runtime().await.start().await.unwrap();
        until(async || {
            let explanation = client.explain(run.id()).await.unwrap();
            explanation.reason == Reason::NoWorkerForHandler && explanation.summary.contains("noting_note")
        }).await;
        assert_eq!(run.status().await.unwrap(), Status::Pending);
        let having = place.runtime().await.workflow(&wf).start().await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
        having.shutdown().await;
        lacking.shutdown().await;
    }

    async fn a20_3_all_runs_finish_when_every_hint_is_lost(place) {
        let notes = Arc::default();
        let wf = noting(&notes);
        let faulty = Faulty::new(place).await;
        faulty.faults.hints.store(true, Ordering::SeqCst);
        let builder = Runtime::builder(faulty.shared()).poll(Duration::from_millis(20));
        let runtime = builder.workflow(&wf).start().await.unwrap();
        let other = place.client().await;
        for n in 0..5 {
            let run = other.start(&wf.reference(), n).await.unwrap();
            assert_eq!(run.result().await.unwrap(), n);
        }
        runtime.shutdown().await;
    }
}
