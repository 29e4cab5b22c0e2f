//! Executing steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use squid_mesh::core::event::code;
use squid_mesh::core::run::Status;
use squid_mesh::{
    ResultError, Retry, RunFailure, StepContext, StepError, StepStatus, Workflow, constant, step,
};
use tokio::sync::{Mutex, Semaphore};

use crate::harness::{on_every_store, until, until_status};

/// The failure that a run ended with.
fn failure<T: std::fmt::Debug>(result: Result<T, ResultError>) -> RunFailure {
    match result {
        Err(ResultError::Failed { failure, .. }) => failure,
        other => panic!("{other:?}"),
    }
}

/// A workflow of one step `work`.
macro_rules! one_step {
    ($spec:expr) => {{
        let (mut wf, input) = Workflow::builder::<u32>("single", 1);
        let output = wf.step("work", input, $spec);
        wf.finish(output).unwrap()
    }};
}

async fn echo(_: StepContext, n: u32) -> Result<u32, StepError> {
    Ok(n)
}

on_every_store! {
    async fn a5_1_a_join_begins_after_all_it_needs_and_gets_them_in_the_declared_order(place) {
        let (mut wf, input) = Workflow::builder::<u32>("join", 1);
        let a = wf.step("a", (), step(async |_, ()| Ok("from a".to_owned())));
        let b = wf.step("b", input, step(echo));
        let joined = wf.step("c", (b, a, constant(true)), step(async |_, (b, a, yes): (u32, String, bool)| {
            Ok(format!("{b} {a} {yes}"))
        }));
        let join = wf.finish(joined).unwrap();
        let runtime = place.runtime().await.workflow(&join).start().await.unwrap();
        let run = runtime.client().start(&join.reference(), 7).await.unwrap();
        assert_eq!(run.result().await.unwrap(), "7 from a true");
        let events: Vec<_> = runtime.client().history(run.id()).await.unwrap();
        assert_eq!(events.last().unwrap().step.as_deref(), Some("c"));
        runtime.shutdown().await;
    }

    async fn a5_2_a_chain_does_not_wait_for_a_slow_neighbour(place) {
        let gate = Arc::new(Semaphore::new(0));
        let (mut wf, input) = Workflow::builder::<u32>("chain", 1);
        let open = gate.clone();
        let slow = wf.step("slow", input, step(move |_, n: u32| {
            let open = open.clone();
            async move { open.acquire().await.map(|_| n).map_err(Into::into) }
        }));
        let x = wf.step("x", input, step(echo).named("echo"));
        let y = wf.step("y", x, step(echo).named("echo"));
        let z = wf.step("z", y, step(echo).named("echo"));
        let chain = wf.finish((slow, z)).unwrap();
        let runtime = place.runtime().await.workflow(&chain).start().await.unwrap();
        let run = runtime.client().start(&chain.reference(), 3).await.unwrap();
        let z_is_done = async || {
            let seen = run.inspect().await.unwrap();
            let status = |step: &str| seen.step(step).unwrap().status;
            status("z") == StepStatus::Succeeded && status("slow") == StepStatus::Running
        };
        until(z_is_done).await;
        gate.add_permits(1);
        assert_eq!(run.result().await.unwrap(), (3, 3));
        runtime.shutdown().await;
    }

    async fn a5_5_a_panic_is_a_retryable_failure_and_the_worker_goes_on(place) {
        let calls = Arc::new(AtomicU32::new(0));
        let count = calls.clone();
        let wf = one_step!(step(move |_, n: u32| {
            let before = count.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(before > 0, "boom");
                Ok(n)
            }
        }).retry(Retry::immediate(2)));
        let always = {
            let (mut wf, input) = Workflow::builder::<u32>("always", 1);
            let never = wf.step("work", input, step(async |_, n: u32| -> Result<u32, StepError> { panic!("boom {n}") }));
            wf.finish(never).unwrap()
        };
        let runtime = place.runtime().await.workflow(&wf).workflow(&always).start().await.unwrap();
        let run = runtime.client().start(&always.reference(), 9).await.unwrap();
        let failure = failure(run.result().await);
        assert_eq!(failure.code, code::PANIC);
        assert!(failure.message.contains("boom 9"), "{failure}");
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 1);
        assert_eq!(run.inspect().await.unwrap().steps[0].executed, 2);
        runtime.shutdown().await;
    }

    async fn a5_6_an_attempt_beyond_its_timeout_is_dropped_and_fails_retryably(place) {
        struct Dropped(Arc<AtomicU32>);
        impl Drop for Dropped {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let drops = Arc::new(AtomicU32::new(0));
        let count = drops.clone();
        let wf = one_step!(step(move |cx: StepContext, _: u32| {
            let dropped = Dropped(count.clone());
            async move {
                assert!(cx.deadline().is_some());
                std::future::pending::<()>().await;
                drop(dropped);
                Ok(0_u32)
            }
        }).timeout(Duration::from_millis(50)).retry(Retry::immediate(2)));
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        assert_eq!(failure(run.result().await).code, code::TIMEOUT);
        assert_eq!(run.inspect().await.unwrap().steps[0].executed, 2);
        until(async || drops.load(Ordering::SeqCst) == 2).await;
        runtime.shutdown().await;
    }

    async fn a5_7_an_input_that_does_not_decode_fails_at_once(place) {
        let draft = json!({
            "name": "misfit", "version": 1, "input": "any",
            "steps": [{"name": "work", "handler": "needs_a_number", "input": "input",
                       "retry": {"max_attempts": 5}}],
            "result": "output(work)",
        });
        let runtime = place.runtime().await.draft(draft).handler("needs_a_number", echo).start().await.unwrap();
        let run = runtime.client().start_json("misfit", None, json!("SECRET")).await.unwrap();
        let failure = failure(run.result().await);
        assert_eq!(failure.code, code::INVALID_INPUT);
        assert!(!failure.message.contains("SECRET"), "{failure}");
        assert_eq!(run.inspect().await.unwrap().steps[0].executed, 1);
        runtime.shutdown().await;
    }

    async fn a5_8_an_output_is_accepted_at_the_limit_and_above_it_fails_for_good(place) {
        let (mut wf, input) = Workflow::builder::<usize>("large", 1);
        // Two quotes belong to the output.
        let output = wf.step("work", input, step(async |_, bytes: usize| Ok("x".repeat(bytes - 2)))
            .retry(Retry::immediate(5)));
        let wf = wf.finish(output).unwrap();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let limit = 1 << 20;
        let run = runtime.client().start(&wf.reference(), limit).await.unwrap();
        assert_eq!(run.result().await.unwrap().len(), limit - 2);
        let run = runtime.client().start(&wf.reference(), limit + 1).await.unwrap();
        assert_eq!(failure(run.result().await).code, code::PAYLOAD_TOO_LARGE);
        assert_eq!(run.inspect().await.unwrap().steps[0].executed, 1);
        runtime.shutdown().await;
    }

    async fn an_output_with_a_nul_character_fails_for_good(place) {
        let wf = one_step!(step(async |_, _: u32| Ok("a\0b".to_owned())).retry(Retry::immediate(5)));
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        assert_eq!(failure(run.result().await).code, code::INVALID_OUTPUT);
        assert_eq!(run.inspect().await.unwrap().steps[0].executed, 1);
        runtime.shutdown().await;
    }

    async fn a5_9_every_attempt_sees_the_same_idempotency_key_and_its_own_number(place) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let notes = seen.clone();
        let wf = one_step!(step(move |cx: StepContext, n: u32| {
            let notes = notes.clone();
            async move {
                notes.lock().await.push((cx.attempt(), cx.idempotency_key().to_owned()));
                if cx.attempt() < 3 { Err(StepError::retryable("again", "not yet")) } else { Ok(n) }
            }
        }).retry(Retry::immediate(3)));
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        run.result().await.unwrap();
        let key = format!("{}:work", run.id());
        assert_eq!(*seen.lock().await, [(1, key.clone()), (2, key.clone()), (3, key)]);
        runtime.shutdown().await;
    }

    async fn a5_10_a_run_completes_only_when_its_side_steps_have_ended_too(place) {
        let gate = Arc::new(Semaphore::new(0));
        let (mut wf, input) = Workflow::builder::<u32>("side", 1);
        let open = gate.clone();
        wf.step("side", input, step(move |_, n: u32| {
            let open = open.clone();
            async move { open.acquire().await.map(|_| n).map_err(Into::into) }
        }));
        let main = wf.step("main", input, step(echo));
        let wf = wf.finish(main).unwrap();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 3).await.unwrap();
        until(async || run.inspect().await.unwrap().step("main").unwrap().status == StepStatus::Succeeded).await;
        assert_eq!(run.status().await.unwrap(), Status::Running);
        gate.add_permits(1);
        assert_eq!(run.result().await.unwrap(), 3);
        runtime.shutdown().await;
    }

    async fn a6_1_attempts_are_counted_and_never_exceeded(place) {
        for (retry, attempts) in [(None, 1), (Some(Retry::immediate(3)), 3)] {
            let begun = Arc::new(AtomicU32::new(0));
            let count = begun.clone();
            let mut spec = step(move |_, n: u32| {
                count.fetch_add(1, Ordering::SeqCst);
                async move { Err::<u32, _>(StepError::retryable("declined", format!("no {n}")).details(json!({"n": n}))) }
            });
            if let Some(retry) = retry {
                spec = spec.retry(retry);
            }
            let (mut wf, input) = Workflow::builder::<u32>(&format!("declined_{attempts}"), 1);
            let output = wf.step("work", input, spec);
            let wf = wf.finish(output).unwrap();
            let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
            let run = runtime.client().start(&wf.reference(), 4).await.unwrap();
            let failure = failure(run.result().await);
            assert_eq!((failure.code.as_str(), failure.message.as_str()), ("declined", "no 4"));
            assert_eq!((failure.step.unwrap().as_str(), failure.details), ("work", Some(json!({"n": 4}))));
            runtime.shutdown().await;
            let seen = place.client().await.inspect(run.id()).await.unwrap();
            assert_eq!((seen.steps[0].executed, begun.load(Ordering::SeqCst)), (attempts, attempts));
            assert_eq!(seen.failure.unwrap().details, None, "details are payloads");
        }
    }

    async fn a6_3_a_failure_can_say_when_to_try_again(place) {
        let pause = Duration::from_millis(400);
        let wf = one_step!(step(move |cx: StepContext, n: u32| async move {
            match cx.attempt() {
                1 => Err(StepError::retryable("busy", "later").retry_after(pause)),
                _ => Ok(n),
            }
        }).retry(Retry::constant(2, Duration::from_millis(1))));
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        let waiting = until_status(runtime.client(), run.id(), Status::Retrying).await;
        let failed = runtime.client().history(run.id()).await.unwrap()[1].at.unwrap();
        assert_eq!(waiting.steps[0].due, Some(failed.plus(pause)));
        assert_eq!(waiting.steps[0].status, StepStatus::Retrying);
        assert_eq!(waiting.steps[0].failure.as_ref().unwrap().code, "busy");
        run.result().await.unwrap();
        assert!(run.inspect().await.unwrap().updated >= failed.plus(pause));
        runtime.shutdown().await;
    }

    async fn a6_4_a_permanent_failure_is_not_tried_again(place) {
        let wf = one_step!(step(async |_, _: u32| Err::<u32, _>(StepError::permanent("fraud", "never")))
            .retry(Retry::immediate(5)));
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        assert_eq!(failure(run.result().await).code, "fraud");
        assert_eq!(run.inspect().await.unwrap().steps[0].executed, 1);
        runtime.shutdown().await;
    }

    async fn a8_1_a_wait_ends_in_its_time_and_not_before(place) {
        let pause = Duration::from_millis(300);
        let (mut wf, input) = Workflow::builder::<u32>("patient", 1);
        let first = wf.step("first", input, step(echo).named("echo"));
        let rested = wf.wait("rest", pause, first);
        let last = wf.step("last", first, step(echo).named("echo").after(&rested));
        let wf = wf.finish((last, rested)).unwrap();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
        let waiting = until_status(runtime.client(), run.id(), Status::Waiting).await;
        assert_eq!(waiting.step("rest").unwrap().status, StepStatus::Waiting);
        assert_eq!(waiting.step("last").unwrap().status, StepStatus::Blocked);
        assert_eq!(run.result().await.unwrap(), (5, ()));
        let history = runtime.client().history(run.id()).await.unwrap();
        let at = |event: &str| history.iter().find(|entry| entry.event == event).unwrap().at.unwrap();
        assert!(at("due") >= at("succeeded").plus(pause), "{history:?}");
        runtime.shutdown().await;
    }

    async fn a_run_beyond_its_deadline_fails(place) {
        let (mut wf, input) = Workflow::builder::<u32>("late", 1);
        wf.deadline(Duration::from_millis(100));
        let stuck = wf.step("stuck", input, step(async |cx: StepContext, n: u32| {
            cx.cancelled().await;
            Ok(n)
        }));
        let wf = wf.finish(stuck).unwrap();
        let lease = Duration::from_millis(300);
        let runtime = place.runtime().await.workflow(&wf).lease(lease).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        let failure = failure(run.result().await);
        assert_eq!((failure.code.as_str(), failure.step), (code::DEADLINE_EXCEEDED, None));
        runtime.shutdown().await;
    }
}
