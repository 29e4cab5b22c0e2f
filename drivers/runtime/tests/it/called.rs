//! Runs that handlers start.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use squid_mesh::core::id::RunId;
use squid_mesh::core::name::Name;
use squid_mesh::core::run::Status;
use squid_mesh::core::store::RunFilter;
use squid_mesh::{
    Client, ResultError, Retry, RunFailure, RunHandle, Runtime, StartChildError, StepContext,
    StepError, StepStatus, Tx, Undo, Workflow, WorkflowRef, step, step_tx,
};
use tokio::sync::{Mutex, Semaphore};

use crate::harness::{Place, on_every_store, until_status};

fn part() -> Workflow<String, String> {
    async fn make(_: StepContext, name: String) -> Result<String, StepError> {
        match name.as_str() {
            "bad" => Err(StepError::permanent("card_declined", "no funds")),
            _ => Ok(format!("made {name}")),
        }
    }
    let (mut wf, name) = Workflow::builder::<String>("part", 1);
    let made = wf.step("make", name, step(make));
    wf.finish(made).unwrap()
}

/// A part that waits for somebody to look at it.
fn looked_at() -> Workflow<String, String> {
    let (mut wf, name) = Workflow::builder::<String>("part", 1);
    wf.pause("look", name);
    wf.finish(name).unwrap()
}

fn part_ref() -> WorkflowRef<String, String> {
    WorkflowRef::named("part").unwrap()
}

async fn running<A, B, C, D>(place: &Place, a: &Workflow<A, B>, b: &Workflow<C, D>) -> Runtime {
    let builder = place.runtime().await.workflow(a).workflow(b);
    builder.start().await.unwrap()
}

async fn parts(client: &Client) -> Vec<RunId> {
    let mut filter = RunFilter::default();
    filter.workflow = Some(Name::new("part").unwrap());
    let page = client.list(&filter, None, 1_000).await.unwrap();
    page.runs.iter().map(|run| run.run).collect()
}

async fn failure<O: serde::de::DeserializeOwned + std::fmt::Debug>(
    run: &RunHandle<O>,
) -> RunFailure {
    match run.result().await.unwrap_err() {
        ResultError::Failed { failure, .. } => failure,
        error => panic!("{error}"),
    }
}

on_every_store! {
    async fn a16_2_a_retried_handler_gets_the_child_that_it_started_before(place) {
        let part = part();
        let seen: Arc<Mutex<Vec<(RunId, bool)>>> = Arc::default();
        let (mut wf, name) = Workflow::builder::<String>("parent", 1);
        let given = seen.clone();
        let started = wf.step("start", name, step(move |cx: StepContext, name: String| {
            let seen = given.clone();
            async move {
                let child = cx.start_child(&part_ref(), name, "k").await?;
                seen.lock().await.push((child.id(), child.existing()));
                match cx.attempt() {
                    1 => Err(StepError::retryable("down", "not yet")),
                    _ => Ok(child.id()),
                }
            }
        }).retry(Retry::immediate(2)));
        let wf = wf.finish(started).unwrap();
        let runtime = running(place, &part, &wf).await;
        let run = runtime.client().start(&wf.reference(), "wheel".to_owned()).await.unwrap();
        let child = run.result().await.unwrap();
        assert_eq!(*seen.lock().await, [(child, false), (child, true)]);
        assert_eq!(parts(runtime.client()).await, [child]);
        let of = runtime.client().inspect(child).await.unwrap();
        assert_eq!((of.status, of.key.as_deref()), (Status::Completed, Some("k")));
        let above = of.parent.unwrap();
        assert_eq!((above.run, above.step.as_str(), above.detached), (run.id(), "start", false));
        let children = run.inspect().await.unwrap().step("start").unwrap().children.clone().unwrap();
        assert_eq!((children.started, children.ended, children.runs), (1, 1, vec![child]));
        let history = runtime.client().history(run.id()).await.unwrap();
        let told: Vec<&str> = history.iter().map(|entry| entry.event.as_str()).collect();
        assert_eq!(told.iter().filter(|event| **event == "child_called").count(), 1, "{told:?}");
        runtime.shutdown().await;
    }

    async fn a16_2_a_handler_whose_process_died_gets_the_child_that_it_started_before(place) {
        let part = part();
        let hung = Arc::new(Semaphore::new(0));
        let (mut wf, name) = Workflow::builder::<String>("parent", 1);
        let given = hung.clone();
        let started = wf.step("start", name, step(move |cx: StepContext, name: String| {
            let hung = given.clone();
            async move {
                let child = cx.start_child(&part_ref(), name, "k").await?;
                if cx.attempt() == 1 {
                    hung.add_permits(1);
                    std::future::pending::<()>().await;
                }
                Ok((child.id(), child.existing()))
            }
        }));
        let wf = wf.finish(started).unwrap();
        let short = Duration::from_millis(300);
        let builder = place.runtime().await.workflow(&part).workflow(&wf);
        let runtime = builder.lease(short).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), "wheel".to_owned()).await.unwrap();
        hung.acquire().await.unwrap().forget();
        drop(runtime);
        let runtime = running(place, &part, &wf).await;
        let run: RunHandle<(RunId, bool)> = runtime.client().run(run.id());
        let (child, existing) = run.result().await.unwrap();
        assert!(existing);
        assert_eq!(parts(runtime.client()).await, [child]);
        runtime.shutdown().await;
    }

    async fn a16_3_a_key_with_another_input_is_a_conflict_and_in_another_step_it_is_another_child(place) {
        async fn twice(cx: StepContext, name: String) -> Result<RunId, StepError> {
            let first = cx.start_child(&part_ref(), name, "k").await?;
            let other = cx.start_child(&part_ref(), "other".to_owned(), "k").await;
            assert!(matches!(other, Err(StartChildError::Conflict { run }) if run == first.id()));
            let elsewhere = WorkflowRef::<String, ()>::named("parent")?;
            let other = cx.start_child(&elsewhere, "other".to_owned(), "k").await;
            assert!(matches!(other, Err(StartChildError::Conflict { run }) if run == first.id()));
            Ok(first.id())
        }
        async fn once(cx: StepContext, name: String) -> Result<RunId, StepError> {
            Ok(cx.start_child(&part_ref(), name, "k").await?.id())
        }
        async fn clash(cx: StepContext, _: RunId) -> Result<(), StepError> {
            cx.start_child(&part_ref(), "a".to_owned(), "k").await?;
            cx.start_child(&part_ref(), "b".to_owned(), "k").await?;
            Ok(())
        }
        let part = part();
        let (mut wf, name) = Workflow::builder::<String>("parent", 1);
        let first = wf.step("first", name, step(twice));
        let second = wf.step("second", name, step(once));
        let third = wf.step("third", second, step(clash).retry(Retry::immediate(5)));
        let wf = wf.finish((first, third)).unwrap();
        let runtime = running(place, &part, &wf).await;
        let run = runtime.client().start(&wf.reference(), "wheel".to_owned()).await.unwrap();
        let failed = failure(&run).await;
        assert_eq!((failed.step.unwrap().as_str(), failed.code.as_str()), ("third", "conflict"));
        let seen = run.inspect().with_payloads().await.unwrap();
        assert_eq!(seen.step("third").unwrap().executed, 1);
        let of = |step: &str| seen.step(step).unwrap().children.clone().unwrap().runs[0];
        assert_ne!(of("first"), of("second"));
        runtime.shutdown().await;
    }

    async fn a16_4_the_failure_of_a_child_is_that_of_the_step_whose_handler_started_it(place) {
        async fn both(cx: StepContext, _: ()) -> Result<(), StepError> {
            cx.start_child(&part_ref(), "wheel".to_owned(), "good").await?;
            cx.start_child(&part_ref(), "bad".to_owned(), "bad").await?;
            Ok(())
        }
        let part = part();
        let (mut wf, _) = Workflow::builder::<()>("parent", 1);
        let done = wf.step("both", (), step(both));
        let wf = wf.finish(done).unwrap();
        let runtime = running(place, &part, &wf).await;
        let run = runtime.client().start(&wf.reference(), ()).await.unwrap();
        let failed = failure(&run).await;
        assert_eq!((failed.step.unwrap().as_str(), failed.code.as_str()), ("both", "child_failed"));
        assert!(failed.details.unwrap().to_string().contains("card_declined"));
        runtime.shutdown().await;
    }

    async fn a13_8_a_cancel_reaches_what_a_handler_started_but_for_what_goes_its_own_way(place) {
        async fn two(cx: StepContext, _: ()) -> Result<(RunId, RunId), StepError> {
            let kept = cx.start_child(&part_ref(), "a".to_owned(), "kept").await?;
            let left = cx.start_child(&part_ref(), "b".to_owned(), "left").detach().await?;
            Ok((kept.id(), left.id()))
        }
        let part = looked_at();
        let (mut wf, _) = Workflow::builder::<()>("parent", 1);
        let ids = wf.step("two", (), step(two));
        let wf = wf.finish(ids).unwrap();
        let runtime = running(place, &part, &wf).await;
        let client = runtime.client();
        let run = client.start(&wf.reference(), ()).await.unwrap();
        until_status(client, run.id(), Status::Waiting).await;
        let children = run.inspect().await.unwrap().step("two").unwrap().children.clone().unwrap();
        assert_eq!(children.runs.len(), 1, "it waits for one of them");
        let kept = children.runs[0];
        let left = *parts(client).await.iter().find(|part| **part != kept).unwrap();
        run.cancel().await.unwrap();
        until_status(client, run.id(), Status::Cancelled).await;
        assert_eq!(client.status(kept).await.unwrap(), Status::Cancelled);
        until_status(client, left, Status::Paused).await;
        assert_eq!(run.inspect().await.unwrap().step("two").unwrap().status, StepStatus::Succeeded);
        runtime.shutdown().await;
    }

    async fn what_cannot_be_started_fails_the_step_for_good_with_a_code_of_its_own(place) {
        async fn bad_input(cx: StepContext, _: ()) -> Result<(), StepError> {
            let part = WorkflowRef::<u64, ()>::named("part")?;
            cx.start_child(&part, 5, "k").await?;
            Ok(())
        }
        async fn unknown(cx: StepContext, _: ()) -> Result<(), StepError> {
            let nothing = WorkflowRef::<u64, ()>::named("nothing")?;
            cx.start_child(&nothing, 5, "k").await?;
            Ok(())
        }
        async fn long_key(cx: StepContext, _: ()) -> Result<(), StepError> {
            cx.start_child(&part_ref(), "a".to_owned(), "k".repeat(257)).await?;
            Ok(())
        }
        async fn in_tx(cx: StepContext, _: &mut Tx, _: ()) -> Result<(), StepError> {
            cx.start_child(&part_ref(), "a".to_owned(), "k").await?;
            Ok(())
        }
        let part = part();
        let retry = || Retry::immediate(3);
        let cases = [
            ("bad_input", step(bad_input).retry(retry()), "invalid_input"),
            ("unknown", step(unknown).retry(retry()), "unknown_workflow"),
            ("long_key", step(long_key).retry(retry()), "limit_exceeded"),
        ];
        for (name, spec, code) in cases {
            let (mut wf, _) = Workflow::builder::<()>(name, 1);
            let done = wf.step("start", (), spec);
            let wf = wf.finish(done).unwrap();
            let runtime = running(place, &part, &wf).await;
            let run = runtime.client().start(&wf.reference(), ()).await.unwrap();
            assert_eq!(failure(&run).await.code, code);
            assert_eq!(run.inspect().await.unwrap().step("start").unwrap().executed, 1);
            runtime.shutdown().await;
        }
        let (mut wf, _) = Workflow::builder::<()>("in_tx", 1);
        let done = wf.step("start", (), step_tx(in_tx).timeout(Duration::from_secs(5)));
        let wf = wf.finish(done).unwrap();
        let runtime = running(place, &part, &wf).await;
        let run = runtime.client().start(&wf.reference(), ()).await.unwrap();
        assert_eq!(failure(&run).await.code, "unsupported");
        assert_eq!(parts(runtime.client()).await, []);
        runtime.shutdown().await;
    }

    async fn an_undo_starts_nothing(place) {
        let part = part();
        let told = Arc::new(AtomicU32::new(0));
        async fn book(_: StepContext, _: ()) -> Result<(), StepError> { Ok(()) }
        async fn refuse(_: StepContext, _: ()) -> Result<(), StepError> {
            Err(StepError::permanent("no", "never"))
        }
        let (mut wf, _) = Workflow::builder::<()>("parent", 1);
        let given = told.clone();
        let booked = wf.step("book", (), step(book).undo(move |cx: StepContext, _: Undo<(), ()>| {
            let told = given.clone();
            async move {
                let started = cx.start_child(&part_ref(), "a".to_owned(), "k").await;
                assert!(matches!(started, Err(StartChildError::Unsupported(_))));
                told.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        }));
        let done = wf.step("refuse", booked, step(refuse));
        let wf = wf.finish(done).unwrap();
        let runtime = running(place, &part, &wf).await;
        let run = runtime.client().start(&wf.reference(), ()).await.unwrap();
        assert_eq!(failure(&run).await.code, "no");
        assert_eq!(told.load(Ordering::SeqCst), 1);
        runtime.shutdown().await;
    }
}
