//! Campaigns over workflows of one's own, with their real handlers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use squid_mesh::{
    BuildError, Handlers, Retry, StepContext, StepError, Tx, Workflow, WorkflowRef, step, step_tx,
};
use squid_mesh_core::run::Status;
use squid_mesh_sim::env::Ledger;
use squid_mesh_sim::fault::Fault;
use squid_mesh_sim::user::CampaignError;
use squid_mesh_sim::{self as sim, Commands, Faults, Scripted};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// A workflow of one step, which runs this handler and is tried again for long.
fn single<H>(handler: H) -> Result<Workflow<u64, u64>, BuildError>
where
    H: squid_mesh::Handler<u64, u64>,
{
    let (mut wf, n) = Workflow::builder::<u64>("single", 1);
    let retry = Retry::exponential(20).max_lost(50);
    let done = wf.step("work", n, step(handler).retry(retry));
    wf.finish(done)
}

/// No process ends before its time.
fn no_deaths() -> Faults {
    Faults::none()
}

#[test]
fn a_handler_sleeps_in_virtual_time_as_long_as_it_says() {
    let begun = Instant::now();
    async fn hours(_: StepContext, n: u64) -> Result<u64, StepError> {
        let before = tokio::time::Instant::now();
        sleep(Duration::from_secs(3_600 * n)).await;
        let slept = before.elapsed();
        assert!(slept >= Duration::from_secs(3_600 * n), "{slept:?}");
        Ok(slept.as_secs() / 3_600)
    }
    sim::campaign("hours")
        .workflow(single(hours).unwrap())
        .real_handlers()
        .start(|n| n % 3)
        .runs(3..=3)
        .faults(no_deaths())
        .commands(Commands::starts_only())
        .attempts_take_at_most(Duration::from_secs(7_300))
        .without_regressions()
        .eventually("each has slept for so many hours", |world| {
            let mut runs = world.runs();
            runs.all(|run| run.result::<u64>() == Some(run.input::<u64>()))
        })
        .eventually("two hours are over", |world| {
            let longest = world.runs().map(|run| run.input::<u64>()).max();
            world.now() >= Duration::from_secs(3_600) * u32::try_from(longest.unwrap()).unwrap()
        })
        .run(6)
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(300));
}

#[tokio::test]
async fn a_campaign_can_be_run_in_a_task_of_another_runtime() {
    async fn double(_: StepContext, n: u64) -> Result<u64, StepError> {
        sleep(Duration::from_millis(1)).await;
        Ok(2 * n)
    }
    sim::campaign("inner")
        .workflow(single(double).unwrap())
        .real_handlers()
        .start(|n| n)
        .without_regressions()
        .run(2)
        .unwrap();
}

#[test]
fn a_handler_is_woken_by_whoever_else_wakes_it() {
    async fn woken(_: StepContext, n: u64) -> Result<u64, StepError> {
        let (answer, answered) = oneshot::channel();
        tokio::spawn(async move {
            sleep(Duration::from_millis(5)).await;
            let _ = answer.send(n + 1);
        });
        Ok(timeout(Duration::from_secs(1), answered).await??)
    }
    sim::campaign("woken")
        .workflow(single(woken).unwrap())
        .real_handlers()
        .start(|n| n)
        .without_regressions()
        .sometimes("it completes", |world| {
            world.runs().any(|run| run.status() == Status::Completed)
        })
        .eventually("it is answered", |world| {
            let mut ended = world.runs().filter(|run| run.status() == Status::Completed);
            ended.all(|run| run.result::<u64>() == Some(run.input::<u64>() + 1))
        })
        .run(30)
        .unwrap();
}

/// Counts the futures of a handler that began, and those that are gone.
#[derive(Debug, Clone, Default)]
struct Living {
    begun: Arc<AtomicU64>,
    gone: Arc<AtomicU64>,
    told: Arc<AtomicU64>,
}

struct Life(Living);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.gone.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_process_that_dies_drops_its_futures_and_one_that_is_told_to_stop_hears_it() {
    sim::campaign("living")
        // Nobody waits for the attempts of a run that cannot be read.
        .faults(Faults::all().except([Fault::Unreadable]))
        .environment(Living::default)
        .workflow_with(|living: &Living| {
            let living = living.clone();
            single(move |cx: StepContext, n: u64| {
                let living = living.clone();
                async move {
                    living.begun.fetch_add(1, Ordering::Relaxed);
                    let life = Life(living);
                    tokio::select! {
                        biased;
                        _ = cx.cancelled() => {
                            life.0.told.fetch_add(1, Ordering::Relaxed);
                            Err(StepError::retryable("stopped", "told to stop"))
                        }
                        () = sleep(Duration::from_secs(3)) => Ok(n),
                    }
                }
            })
        })
        .start(|n| n)
        .without_regressions()
        .sometimes("a process dies with a handler in it", |world| {
            world.fired(Fault::Crash) + world.fired(Fault::CrashAtEffect) > 0
                && world.env().begun.load(Ordering::Relaxed) > 0
        })
        .sometimes("a handler hears that it should stop", |world| {
            world.env().told.load(Ordering::Relaxed) > 0
        })
        .eventually("none lives on", |world| {
            let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let (begun, gone) = (count(&world.env().begun), count(&world.env().gone));
            let frozen = world.fired(Fault::Freeze) > 0;
            (begun == gone || frozen && begun > gone)
                .then_some(())
                .ok_or(format!("{begun} began, {gone} are gone"))
        })
        .run(60)
        .unwrap();
}

#[test]
fn a_panic_of_a_handler_is_a_failure_of_its_attempt() {
    async fn panics(cx: StepContext, n: u64) -> Result<u64, StepError> {
        assert!(cx.attempt() > 1, "the first attempt panics");
        Ok(n)
    }
    sim::campaign("panics")
        .workflow(single(panics).unwrap())
        .real_handlers()
        .start(|n| n)
        .faults(Faults::none())
        .commands(Commands::starts_only())
        .without_regressions()
        .eventually("the second attempt completes", |world| {
            world
                .runs()
                .all(|run| run.status() == Status::Completed && run.step("work").attempts() == 2)
        })
        .run(5)
        .unwrap();
}

#[test]
fn handlers_that_are_not_deterministic_are_found_and_told_so() {
    let calls = Arc::new(AtomicU64::new(0));
    let counting = move |_: StepContext, n: u64| {
        let calls = calls.clone();
        async move {
            sleep(Duration::from_millis(calls.fetch_add(1, Ordering::Relaxed))).await;
            Ok(n)
        }
    };
    let error = sim::campaign("counting")
        .workflow(single(counting).unwrap())
        .real_handlers()
        .start(|n| n)
        .without_regressions()
        .run(20)
        .unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("the handlers are not deterministic"),
        "{told}"
    );
    assert!(told.contains("first it was"), "{told}");
}

#[test]
fn a_handler_starts_runs_through_the_world_like_any_client() {
    async fn print(_: StepContext, page: u64) -> Result<u64, StepError> {
        Ok(page)
    }
    async fn pages(cx: StepContext, count: u64) -> Result<u64, StepError> {
        let printing = WorkflowRef::<u64, u64>::named("printing")?;
        for page in 0..count {
            cx.start_child(&printing, page, format!("page-{page}"))
                .await?;
        }
        Ok(count)
    }
    let printing = || {
        let (mut wf, page) = Workflow::builder::<u64>("printing", 1);
        let printed = wf.step("print", page, step(print).retry(Retry::exponential(20)));
        wf.finish(printed)
    };
    sim::campaign("pages")
        .workflow(single(pages).unwrap())
        .start(|n| n % 4)
        .workflow(printing().unwrap())
        .real_handlers()
        .runs(1..=4)
        .without_regressions()
        .sometimes("three pages are printed", |world| {
            world
                .runs_of("printing")
                .filter(|run| run.is_ended())
                .count()
                >= 3
        })
        .eventually("a book that is complete has its pages", |world| {
            let books = world.runs_of("single");
            books
                .filter(|book| book.status() == Status::Completed)
                .all(|book| {
                    let pages = world.runs_of("printing");
                    let own = pages.filter(|page| page.parent() == Some(book.id()));
                    own.count() as u64 == book.input::<u64>()
                })
        })
        .run(60)
        .unwrap();
}

#[test]
fn a_real_handler_that_writes_in_a_transaction_has_to_be_scripted() {
    async fn book(_: StepContext, _: &mut Tx, n: u64) -> Result<u64, StepError> {
        Ok(n)
    }
    let booking = || {
        let (mut wf, n) = Workflow::builder::<u64>("booking", 1);
        let booked = wf.step("book", n, step_tx(book));
        wf.finish(booked).unwrap()
    };
    let campaign = || {
        let campaign = sim::campaign("booking").workflow(booking()).start(|n| n);
        campaign.real_handlers().without_regressions()
    };
    let error = campaign().run(1).unwrap_err();
    let CampaignError::SetUp(why) = &error else {
        panic!("{error}")
    };
    assert!(
        why.contains("handler booking_book of step \"book\""),
        "{why}"
    );
    campaign()
        .handler("booking_book", Scripted::effect("bookings"))
        .sometimes("it is booked", |world| world.ledger("bookings").sum() > 0)
        .run(10)
        .unwrap();
}

#[test]
fn a_handler_of_a_list_replaces_that_of_the_workflow_and_has_the_environment() {
    async fn production(_: StepContext, _: u64) -> Result<u64, StepError> {
        panic!("it is never called")
    }
    sim::campaign("listed")
        .environment(Ledger::new)
        .workflow(single(production).unwrap())
        .real_handlers()
        .handlers(|ledger: &Ledger| {
            let ledger = ledger.clone();
            Handlers::new().add("single_work", move |cx: StepContext, n: u64| {
                let ledger = ledger.clone();
                async move {
                    ledger.post(cx.idempotency_key(), 1);
                    Ok::<u64, StepError>(n)
                }
            })
        })
        .start(|n| n)
        .without_regressions()
        .eventually("whoever has completed has booked", |world| {
            let completed = world.runs().filter(|run| run.status() == Status::Completed);
            let mut keys = completed.map(|run| run.step("work").idempotency_key());
            keys.all(|key| world.env().count(&key) == 1)
        })
        .run(30)
        .unwrap();
}

#[test]
fn each_world_has_an_environment_of_its_own() {
    let made = Arc::new(Mutex::new(0_u32));
    let counted = Arc::clone(&made);
    let passed = sim::campaign("environments")
        .environment(move || {
            *counted.lock().unwrap() += 1;
            Ledger::new()
        })
        .workflow_with(|ledger: &Ledger| {
            let ledger = ledger.clone();
            single(move |cx: StepContext, n: u64| {
                let ledger = ledger.clone();
                async move {
                    ledger.post(cx.idempotency_key(), 1);
                    Ok(n)
                }
            })
        })
        .start(|n| n)
        .without_regressions()
        .always("it began empty", |world| {
            world.env().entries().len() <= world.runs().count()
        })
        .twice_one_in(0)
        .run(10)
        .unwrap();
    // One more was made to see what the workflow looks like, and one to see its handlers.
    assert!(*made.lock().unwrap() >= 11 && passed.seeds == 10);
}

#[test]
fn each_release_executes_its_own_handlers_also_for_runs_of_the_version_before() {
    async fn old(_: StepContext, n: u64) -> Result<u64, StepError> {
        Ok(n)
    }
    async fn new(_: StepContext, n: u64) -> Result<u64, StepError> {
        Ok(n + 100)
    }
    let second = || {
        let (mut wf, n) = Workflow::builder::<u64>("single", 2);
        let done = wf.step("work", n, step(new).retry(Retry::exponential(20)));
        wf.finish(done).unwrap()
    };
    sim::campaign("releases")
        .workflow(single(old).unwrap())
        .start(|n| n)
        .deploy(second())
        .start(|n| n)
        .real_handlers()
        .without_regressions()
        .sometimes("the old release goes on with the old version", |world| {
            let mut runs = world.runs().filter(|run| run.version() == 1);
            runs.any(|run| run.result::<u64>() == Some(run.input()))
        })
        .sometimes("the new release goes on with the old version", |world| {
            let mut runs = world.runs().filter(|run| run.version() == 1);
            runs.any(|run| run.result::<u64>() == Some(run.input::<u64>() + 100))
        })
        .sometimes("the new version is executed by the new release", |world| {
            let mut runs = world.runs().filter(|run| run.version() == 2);
            runs.any(|run| run.result::<u64>() == Some(run.input::<u64>() + 100))
        })
        .run(60)
        .unwrap();
}
