//! Steps that run other workflows.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use squid_mesh::core::name::Name;
use squid_mesh::core::run::Status;
use squid_mesh::core::store::RunFilter;
use squid_mesh::{
    Client, Outcome, Performed, ResultError, RunHandle, Runtime, StepContext, StepError,
    StepStatus, Workflow, WorkflowRef, child, each, step,
};
use tokio::sync::Semaphore;

use crate::harness::{Place, on_every_store, run, until, until_status};

/// Gives its input, unless that is bad.
async fn make(_: StepContext, name: String) -> Result<String, StepError> {
    match name.as_str() {
        "bad" => Err(StepError::permanent("card_declined", "no funds").details(json!({"left": 3}))),
        _ => Ok(format!("made {name}")),
    }
}

fn part() -> Workflow<String, String> {
    let (mut wf, name) = Workflow::builder::<String>("part", 1);
    let made = wf.step("make", name, step(make));
    wf.finish(made).unwrap()
}

fn parent(part: &Workflow<String, String>) -> Workflow<String, String> {
    let (mut wf, name) = Workflow::builder::<String>("parent", 1);
    let made = wf.child("part", &part.reference(), name);
    wf.finish(made).unwrap()
}

/// A part that waits for somebody to look at it.
fn looked_at() -> Workflow<String, String> {
    let (mut wf, name) = Workflow::builder::<String>("part", 1);
    wf.pause("look", name);
    wf.finish(name).unwrap()
}

async fn running<A, B, C, D>(place: &Place, a: &Workflow<A, B>, b: &Workflow<C, D>) -> Runtime {
    let builder = place.runtime().await.workflow(a).workflow(b);
    builder.start().await.unwrap()
}

async fn runs_of(client: &Client, workflow: &str) -> usize {
    let mut filter = RunFilter::default();
    filter.workflow = Some(Name::new(workflow).unwrap());
    client.list(&filter, None, 1_000).await.unwrap().runs.len()
}

async fn failure<O: serde::de::DeserializeOwned + std::fmt::Debug>(
    run: &RunHandle<O>,
) -> squid_mesh::RunFailure {
    let error = run.result().await.unwrap_err();
    let ResultError::Failed { failure, .. } = error else {
        panic!("{error}")
    };
    failure
}

/// Runs a parent with so many children, and tells how long each took.
async fn time_per_child(
    client: &Client,
    parent: &WorkflowRef<Vec<String>, Vec<String>>,
    children: u32,
) -> Duration {
    let names = (0..children).map(|n| n.to_string()).collect();
    let begun = Instant::now();
    let run = client.start(parent, names).await.unwrap();
    let made = run.result().await.unwrap();
    assert_eq!(made.len(), children as usize);
    assert_eq!(made[99], "made 99");
    begun.elapsed() / children
}

#[test]
fn a16_8_the_time_per_child_does_not_grow_with_their_number() {
    async fn check(place: &Place) {
        let part = part();
        let (mut wf, names) = Workflow::builder::<Vec<String>>("parts", 1);
        let all = wf.each("part", each(&part.reference()).parallel(64), names);
        let parts = wf.finish(all).unwrap();
        let runtime = running(place, &part, &parts).await;
        // Before and after, because other tests share the machine.
        let before = time_per_child(runtime.client(), &parts.reference(), 100).await;
        let many = time_per_child(runtime.client(), &parts.reference(), 10_000).await;
        let after = time_per_child(runtime.client(), &parts.reference(), 100).await;
        let few = before.max(after);
        assert!(
            many < few * 3,
            "{few:?} each of 100, {many:?} each of 10000"
        );
        runtime.shutdown().await;
        let (commits, rollbacks, deadlocks) = transactions(place).await;
        assert_eq!(deadlocks, 0);
        // What was only looked at, or met a lock, is rolled back; a storm of conflicts would be as many as there are children.
        assert!(
            rollbacks * 20 < commits,
            "{rollbacks} of {commits} transactions were rolled back"
        );
    }
    run(Place::postgres, check);
}

/// How many transactions of a Postgres database were committed and rolled back, and how many deadlocks there were.
async fn transactions(place: &Place) -> (i64, i64, i64) {
    use sqlx::Connection as _;
    use squid_mesh::postgres::sqlx;
    let url = place.url().unwrap();
    let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
    let counted = "select xact_commit, xact_rollback, deadlocks from pg_stat_database where datname = current_database()";
    let counted = sqlx::query_as(counted).fetch_one(&mut connection).await;
    counted.unwrap()
}

on_every_store! {
    async fn a16_1_parent_and_child_name_each_other_and_the_step_gives_the_childs_result(place) {
        let part = part();
        let parent = parent(&part);
        let runtime = running(place, &part, &parent).await;
        let run = runtime.client().start(&parent.reference(), "wheel".to_owned()).await.unwrap();
        assert_eq!(run.result().await.unwrap(), "made wheel");
        let seen = run.inspect().with_payloads().await.unwrap();
        let step = seen.step("part").unwrap();
        assert_eq!(step.output, Some(json!("made wheel")));
        let children = step.children.clone().unwrap();
        assert_eq!((children.count, children.started, children.ended), (1, 1, 1));
        let child = runtime.client().inspect(children.runs[0]).await.unwrap();
        let above = child.parent.unwrap();
        assert_eq!((above.run, above.step.as_str(), above.depth, above.detached), (run.id(), "part", 1, false));
        let mut filter = RunFilter::default();
        filter.parent = Some(run.id());
        let page = runtime.client().list(&filter, None, 0).await.unwrap();
        assert_eq!(page.runs.iter().map(|run| run.run).collect::<Vec<_>>(), children.runs);
        runtime.shutdown().await;
    }

    async fn a16_4_a_failed_or_cancelled_child_fails_its_step_with_what_happened(place) {
        let part = part();
        let parent = parent(&part);
        let runtime = running(place, &part, &parent).await;
        let run = runtime.client().start(&parent.reference(), "bad".to_owned()).await.unwrap();
        let failed = failure(&run).await;
        assert_eq!((failed.step.unwrap().as_str(), failed.code.as_str()), ("part", "child_failed"));
        let details = failed.details.unwrap().to_string();
        assert!(details.contains("card_declined") && details.contains("no funds"), "{details}");
        runtime.shutdown().await;

        let (mut wf, name) = Workflow::builder::<String>("other_parent", 1);
        let (mut other, text) = Workflow::builder::<String>("other_part", 1);
        other.pause("look", text);
        let other = other.finish(text).unwrap();
        let made = wf.child("part", &other.reference(), name);
        let wf = wf.finish(made).unwrap();
        let runtime = running(place, &other, &wf).await;
        let run = runtime.client().start(&wf.reference(), "wheel".to_owned()).await.unwrap();
        until(async || runs_of(runtime.client(), "other_part").await == 1).await;
        let child = run.inspect().await.unwrap().step("part").unwrap().children.clone().unwrap().runs[0];
        runtime.client().cancel(child).await.unwrap();
        assert_eq!(failure(&run).await.code, "child_cancelled");
        runtime.shutdown().await;
    }

    async fn a16_5_at_most_so_many_children_are_active_and_results_are_in_order(place) {
        let (active, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let gate = Arc::new(Semaphore::new(0));
        let (mut wf, name) = Workflow::builder::<String>("part", 1);
        let seen = (active.clone(), most.clone());
        let made = wf.step("make", name, step(move |_: StepContext, name: String| {
            let (active, most, gate) = (seen.0.clone(), seen.1.clone(), gate.clone());
            async move {
                most.fetch_max(active.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                // The first ends after the last has.
                match name.as_str() {
                    "a" => gate.acquire().await?.forget(),
                    "c" => gate.add_permits(1),
                    _ => tokio::task::yield_now().await,
                }
                active.fetch_sub(1, Ordering::SeqCst);
                Ok(format!("made {name}"))
            }
        }));
        let part = wf.finish(made).unwrap();
        let (mut wf, names) = Workflow::builder::<Vec<String>>("parts", 1);
        let all = wf.each("part", each(&part.reference()).parallel(2), names);
        let wf = wf.finish(all).unwrap();
        let runtime = running(place, &part, &wf).await;
        let input = ["a", "b", "c"].map(str::to_owned).to_vec();
        let run = runtime.client().start(&wf.reference(), input).await.unwrap();
        assert_eq!(run.result().await.unwrap(), ["made a", "made b", "made c"]);
        assert_eq!(most.load(Ordering::SeqCst), 2);
        runtime.shutdown().await;
    }

    async fn a16_6_no_element_is_no_child_and_too_many_are_a_typed_failure(place) {
        let part = part();
        let (mut wf, names) = Workflow::builder::<Vec<String>>("parts", 1);
        let all = wf.each("part", &part.reference(), names);
        let wf = wf.finish(all).unwrap();
        let runtime = running(place, &part, &wf).await;
        let none = runtime.client().start(&wf.reference(), Vec::new()).await.unwrap();
        assert_eq!(none.result().await.unwrap(), Vec::<String>::new());
        let many = vec![String::new(); 10_001];
        let run = runtime.client().start(&wf.reference(), many).await.unwrap();
        assert_eq!(failure(&run).await.code, "limit_exceeded");
        assert_eq!(runs_of(runtime.client(), "part").await, 0);
        runtime.shutdown().await;
    }

    async fn s10_4_the_outcomes_of_all_children_can_be_gathered(place) {
        let part = part();
        let (mut wf, names) = Workflow::builder::<Vec<String>>("gathering", 1);
        let all = wf.each("part", each(&part.reference()).collect(), names);
        let wf = wf.finish(all).unwrap();
        let runtime = running(place, &part, &wf).await;
        let input = ["a", "bad"].map(str::to_owned).to_vec();
        let run = runtime.client().start(&wf.reference(), input).await.unwrap();
        let result = run.result().await.unwrap();
        assert_eq!(result[0], Outcome::Completed { result: "made a".to_owned() });
        assert!(matches!(&result[1], Outcome::Failed { failure } if failure.code == "child_failed" && failure.details["code"] == "card_declined"), "{result:?}");
        runtime.shutdown().await;
    }

    async fn a16_7_a_workflow_that_starts_itself_is_stopped_at_the_bound_of_depth(place) {
        let deep: WorkflowRef<u32, u32> = WorkflowRef::named("deep").unwrap();
        let (mut wf, n) = Workflow::builder::<u32>("deep", 1);
        let below = wf.child("below", &deep, n);
        let wf = wf.finish(below).unwrap();
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 1).await.unwrap();
        assert_eq!(failure(&run).await.code, "child_failed");
        assert_eq!(runs_of(runtime.client(), "deep").await, 33, "the root and 32 below it");
        let mut last = run.id();
        for _ in 0..32 {
            let seen = runtime.client().inspect(last).await.unwrap();
            last = seen.step("below").unwrap().children.clone().unwrap().runs[0];
        }
        let seen = runtime.client().inspect(last).await.unwrap();
        assert_eq!((seen.parent.unwrap().depth, seen.failure.unwrap().code.as_str()), (32, "limit_exceeded"));
        runtime.shutdown().await;
    }

    async fn a16_9_a_child_exists_once_though_every_task_is_done_by_another_process(place) {
        let part = part();
        let parent = parent(&part);
        let mut kinds = Vec::new();
        let mut started = None;
        loop {
            let builder = place.runtime().await.workflow(&part).workflow(&parent);
            let mut stepper = builder.manual().await.unwrap();
            if started.is_none() {
                let run = stepper.client().start(&parent.reference(), "wheel".to_owned()).await.unwrap();
                started = Some(run.id());
            }
            match stepper.execute_next().await.unwrap() {
                Some(Performed::Chore { step, .. }) => kinds.push(format!("chore {step}")),
                Some(Performed::Attempt { step, .. }) => kinds.push(format!("attempt {step}")),
                Some(Performed::Delivery { .. }) => kinds.push("delivery".to_owned()),
                Some(other) => panic!("{other:?}"),
                None => break,
            }
        }
        let client = place.client().await;
        assert_eq!(runs_of(&client, "part").await, 1);
        let run: RunHandle<String> = client.run(started.unwrap());
        assert_eq!(run.result().await.unwrap(), "made wheel");
        assert_eq!((kinds.first().unwrap().as_str(), kinds.contains(&"attempt make".to_owned())), ("chore part", true), "{kinds:?}");
        assert!(kinds.contains(&"delivery".to_owned()), "{kinds:?}");
    }

    async fn a13_8_children_are_cancelled_with_their_parent_unless_they_go_their_own_way(place) {
        let part = looked_at();
        let (mut wf, name) = Workflow::builder::<String>("parent", 1);
        let left = wf.child("left", child(&part.reference()).detach(), name);
        let made = wf.child("kept", child(&part.reference()).after(left), name);
        let wf = wf.finish((left, made)).unwrap();
        let runtime = running(place, &part, &wf).await;
        let client = runtime.client();
        let run = client.start(&wf.reference(), "wheel".to_owned()).await.unwrap();
        until(async || runs_of(client, "part").await == 2).await;
        let seen = run.inspect().with_payloads().await.unwrap();
        let kept = seen.step("kept").unwrap().children.clone().unwrap().runs[0];
        let left: Value = seen.step("left").unwrap().output.clone().unwrap();
        let left = serde_json::from_value(left).unwrap();
        until_status(client, kept, Status::Paused).await;
        run.cancel().await.unwrap();
        until_status(client, run.id(), Status::Cancelled).await;
        until_status(client, kept, Status::Cancelled).await;
        assert_eq!(client.status(left).await.unwrap(), Status::Paused);
        client.resume(left).await.unwrap();
        until_status(client, left, Status::Completed).await;
        assert_eq!(run.inspect().await.unwrap().step("left").unwrap().status, StepStatus::Succeeded);
        runtime.shutdown().await;
    }
}
