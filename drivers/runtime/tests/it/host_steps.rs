//! Steps whose outcome and whose host's writes are one transaction.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use squid_mesh::core::event::code;
use squid_mesh::core::limits;
use squid_mesh::core::run::Status;
use squid_mesh::{
    Handlers, LaunchError, Performed, ResultError, Retry, Runtime, StepContext, StepError,
    StepStatus, Tx, Workflow, step, step_tx, step_tx_with,
};
use tokio::sync::Semaphore;

use crate::faulty::Faulty;
use crate::harness::{journal_rows, on_every_store, until};
use crate::host::{
    Desk, First, Seen, TIMEOUT, booker, booking, end_leases, execute, insert, look, make_table, of,
};

async fn commits(_: StepContext, tx: &mut Tx, value: i64) -> Result<i64, StepError> {
    insert(tx, value).await?;
    execute(tx, "commit").await?;
    Ok(value)
}

async fn commits_and_begins(_: StepContext, tx: &mut Tx, value: i64) -> Result<i64, StepError> {
    insert(tx, value).await?;
    execute(tx, "commit; begin").await?;
    Ok(value)
}

async fn rolls_back(_: StepContext, tx: &mut Tx, value: i64) -> Result<i64, StepError> {
    insert(tx, value).await?;
    execute(tx, "rollback").await?;
    Ok(value)
}

async fn orphans(_: StepContext, tx: &mut Tx, value: i64) -> Result<i64, StepError> {
    execute(tx, "insert into children (parent) values (7)").await?;
    Ok(value)
}

async fn nests(_: StepContext, tx: &mut Tx, value: i64) -> Result<i64, StepError> {
    use squid_mesh::postgres::sqlx::Connection as _;
    if let Ok(connection) = tx.postgres() {
        connection.begin().await?.rollback().await?;
        drop(connection.begin().await?);
    } else {
        let connection = tx.sqlite()?;
        connection.begin().await?.rollback().await?;
        drop(connection.begin().await?);
    }
    insert(tx, value).await?;
    Ok(value)
}

/// When a body was told that it would be dropped, and when it was.
#[derive(Debug, Default)]
struct Times {
    deadline: OnceLock<Instant>,
    dropped: OnceLock<Instant>,
}

struct Dropped(Arc<Times>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.dropped.set(Instant::now()).unwrap();
    }
}

async fn hangs(times: Arc<Times>, cx: StepContext, _: &mut Tx, _: i64) -> Result<i64, StepError> {
    times.deadline.set(cx.deadline().unwrap()).unwrap();
    let _dropped = Dropped(times);
    std::future::pending().await
}

async fn large(_: StepContext, tx: &mut Tx, value: i64) -> Result<String, StepError> {
    insert(tx, value).await?;
    Ok("x".repeat(200))
}

on_every_store! {
    async fn a7_1_row_and_outcome_are_seen_together_or_not_at_all(place) {
        let desk = Arc::default();
        let wf = booking(&desk, First::Succeeds);
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let client = runtime.client();
        make_table(client).await;
        let outside = place.client().await;
        let runs = client.start_many(&wf.reference(), 0..20).await.unwrap();
        until(async || {
            let seen = look(&outside).await;
            assert_eq!(seen.rows, seen.successes, "{seen:?}");
            seen.rows == 20
        })
        .await;
        for run in &runs {
            assert_eq!(run.wait_terminal().await.unwrap(), Status::Completed);
            assert_eq!(journal_rows(client, run.id()).await, 2);
        }
        runtime.shutdown().await;
    }

    async fn a7_3_a_failure_takes_the_row_back_and_is_retried_as_any_other(place) {
        for (first, code) in [(First::Fails, "refused"), (First::Panics, code::PANIC)] {
            let desk = Arc::<Desk>::default();
            let wf = booking(&desk, first);
            let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
            if first == First::Fails {
                make_table(runtime.client()).await;
            }
            let before = look(runtime.client()).await.rows;
            let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
            assert_eq!(run.result().await.unwrap(), 5);
            let seen = run.inspect().await.unwrap();
            assert_eq!(seen.steps[0].executed, 2);
            let history = runtime.client().history(run.id()).await.unwrap();
            assert!(history[1].summary.contains(code), "{}", history[1].summary);
            assert_eq!(look(runtime.client()).await.rows, before + 1);
            runtime.shutdown().await;
        }
    }

    async fn a7_3_a_failure_for_good_leaves_no_row(place) {
        let desk = Arc::<Desk>::default();
        let wf = booking(&desk, First::FailsForGood);
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        make_table(runtime.client()).await;
        let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
        let Err(ResultError::Failed { failure, .. }) = run.result().await else { panic!("it fails") };
        assert_eq!((failure.code.as_str(), desk.written.load(Ordering::SeqCst)), ("refused", 1));
        assert_eq!(look(runtime.client()).await, Seen { rows: 0, successes: 0 });
        runtime.shutdown().await;
    }

    async fn a_timeout_takes_the_row_back(place) {
        let desk = Arc::<Desk>::default();
        let spec = booker(&desk, First::Hangs).retry(Retry::immediate(2));
        let wf = of("booking", spec.timeout(Duration::from_millis(300)));
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        make_table(runtime.client()).await;
        let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 5);
        assert_eq!(desk.written.load(Ordering::SeqCst), 2);
        assert_eq!(look(runtime.client()).await.rows, 1);
        runtime.shutdown().await;
    }

    async fn the_timeout_begins_with_the_body_which_is_told_when_it_ends(place) {
        let times = Arc::<Times>::default();
        let timeout = Duration::from_millis(300);
        let spec = step_tx_with(times.clone(), hangs).timeout(timeout);
        let wf = of("hanging", spec);
        let faulty = Faulty::new(place).await;
        faulty.faults.gate.set(Semaphore::new(0)).unwrap();
        let runtime = Runtime::builder(faulty.shared()).workflow(&wf).start().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
        until(async || faulty.faults.stopped.load(Ordering::SeqCst) == 1).await;
        let waited_until = Instant::now();
        faulty.faults.gate.get().unwrap().add_permits(1);
        let Err(ResultError::Failed { failure, .. }) = run.result().await else { panic!("it fails") };
        assert_eq!(failure.code, code::TIMEOUT);
        let (deadline, dropped) = (*times.deadline.get().unwrap(), *times.dropped.get().unwrap());
        assert!(deadline >= waited_until + timeout, "{:?}", deadline - waited_until);
        assert!(dropped >= deadline, "{:?} early", deadline - dropped);
        runtime.shutdown().await;
    }

    async fn a_step_that_meets_others_too_often_fails_and_leaves_no_row(place) {
        let desk = Arc::<Desk>::default();
        let wf = of("booking", booker(&desk, First::Succeeds));
        let faulty = Faulty::new(place).await;
        faulty.faults.conflicts.store(limits::CONFLICTS + 1, Ordering::SeqCst);
        let runtime = Runtime::builder(faulty.shared()).workflow(&wf).start().await.unwrap();
        let client = place.client().await;
        make_table(&client).await;
        let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
        let Err(ResultError::Failed { failure, .. }) = run.result().await else { panic!("it fails") };
        let bodies = desk.written.load(Ordering::SeqCst);
        assert_eq!((failure.code.as_str(), bodies), ("conflict", limits::CONFLICTS + 1));
        assert_eq!(look(&client).await, Seen { rows: 0, successes: 0 });
        runtime.shutdown().await;
    }

    async fn a7_4_a_zombie_that_thaws_leaves_no_row(place) {
        let desk = Arc::<Desk>::default();
        let wf = booking(&desk, First::Succeeds);
        let faulty = Faulty::new(place).await;
        faulty.faults.gate.set(Semaphore::new(0)).unwrap();
        let frozen = Runtime::builder(faulty.shared()).workflow(&wf).start().await.unwrap();
        make_table(&place.client().await).await;
        let run = frozen.client().start(&wf.reference(), 5).await.unwrap();
        until(async || faulty.faults.stopped.load(Ordering::SeqCst) == 1).await;
        faulty.faults.frozen.store(true, Ordering::SeqCst);
        let other = place.runtime().await.workflow(&wf).start().await.unwrap();
        let run = other.client().run::<i64>(run.id());
        end_leases(other.client()).await;
        assert_eq!(run.result().await.unwrap(), 5);
        assert_eq!(look(other.client()).await, Seen { rows: 1, successes: 1 });
        let rows = journal_rows(other.client(), run.id()).await;
        faulty.faults.frozen.store(false, Ordering::SeqCst);
        faulty.faults.gate.get().unwrap().add_permits(1);
        until(async || desk.written.load(Ordering::SeqCst) == 2).await;
        frozen.shutdown().await;
        assert_eq!(look(other.client()).await, Seen { rows: 1, successes: 1 });
        assert_eq!(journal_rows(other.client(), run.id()).await, rows);
        let seen = run.inspect().await.unwrap();
        assert_eq!((seen.steps[0].executed, seen.steps[0].lost), (1, 1));
        other.shutdown().await;
    }

    async fn a_handler_that_ends_its_transaction_fails_for_good(place) {
        let table = [
            ("commits", step_tx(commits), 1),
            ("commits_and_begins", step_tx(commits_and_begins), 1),
            ("rolls_back", step_tx(rolls_back), 0),
        ];
        let mut before = 0;
        for (name, spec, left) in table {
            let wf = of(name, spec.retry(Retry::immediate(3)).timeout(TIMEOUT));
            let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
            if name == "commits" {
                make_table(runtime.client()).await;
            }
            let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
            let Err(ResultError::Failed { failure, .. }) = run.result().await else { panic!("{name} fails") };
            assert_eq!(failure.code, code::TRANSACTION_ENDED, "{name}");
            assert_eq!(run.inspect().await.unwrap().steps[0].executed, 1);
            before += left;
            assert_eq!(look(runtime.client()).await.rows, before, "{name}");
            runtime.shutdown().await;
        }
    }

    async fn a_constraint_that_fails_at_the_commit_is_a_failure_of_the_step(place) {
        let wf = of("orphaning", step_tx(orphans).timeout(TIMEOUT));
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let mut tx = runtime.client().begin().await.unwrap();
        execute(
            &mut tx,
            "create table parents (id bigint primary key); create table children \
             (parent bigint references parents (id) deferrable initially deferred)",
        )
        .await
        .unwrap();
        tx.commit().await.unwrap();
        let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
        let Err(ResultError::Failed { failure, .. }) = run.result().await else { panic!("it fails") };
        assert_eq!(failure.code, code::TRANSACTION_ABORTED, "{failure}");
        let seen = run.inspect().await.unwrap();
        assert_eq!((seen.steps[0].status, seen.steps[0].executed), (StepStatus::Failed, 1));
        runtime.shutdown().await;
    }

    async fn savepoints_are_the_handlers_to_use(place) {
        let wf = of("nesting", step_tx(nests).timeout(TIMEOUT));
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        make_table(runtime.client()).await;
        let runs = runtime.client().start_many(&wf.reference(), 0..3).await.unwrap();
        for run in runs {
            run.result().await.unwrap();
        }
        assert_eq!(look(runtime.client()).await, Seen { rows: 3, successes: 3 });
        runtime.shutdown().await;
    }

    async fn an_output_that_cannot_be_stored_takes_the_row_back(place) {
        let (mut wf, value) = Workflow::builder::<i64>("large", 1);
        let booked = wf.step("book", value, step_tx(large).timeout(TIMEOUT));
        let wf = wf.finish(booked).unwrap();
        let runtime = place.runtime().await.workflow(&wf).payload_limit(200).start().await.unwrap();
        make_table(runtime.client()).await;
        let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
        let Err(ResultError::Failed { failure, .. }) = run.result().await else { panic!("it fails") };
        assert_eq!(failure.code, code::PAYLOAD_TOO_LARGE);
        assert_eq!(look(runtime.client()).await.rows, 0);
        runtime.shutdown().await;
    }

    async fn a_step_after_a_transactional_one_begins_without_waiting_for_a_poll(place) {
        let desk = Arc::<Desk>::default();
        let (mut wf, value) = Workflow::builder::<i64>("chain", 1);
        let booked = wf.step("book", value, booker(&desk, First::Succeeds));
        let doubled = wf.step("double", booked, step(async |_, n: i64| Ok(2 * n)));
        let wf = wf.finish(doubled).unwrap();
        let builder = place.runtime().await.workflow(&wf).poll(Duration::from_secs(600));
        let runtime = builder.start().await.unwrap();
        make_table(runtime.client()).await;
        let run = runtime.client().start(&wf.reference(), 5).await.unwrap();
        assert_eq!(run.result().await.unwrap(), 10);
        runtime.shutdown().await;
    }

    async fn a_stepper_executes_transactional_steps_too(place) {
        let desk = Arc::<Desk>::default();
        let wf = booking(&desk, First::Fails);
        let mut stepper = place.runtime().await.workflow(&wf).manual().await.unwrap();
        make_table(stepper.client()).await;
        let run = stepper.client().start(&wf.reference(), 5).await.unwrap();
        for (number, failed) in [(1, true), (2, false)] {
            let performed = stepper.execute_next().await.unwrap();
            let Some(Performed::Attempt { attempt, failure, rejection, .. }) = performed else {
                panic!("{performed:?}")
            };
            assert_eq!((attempt, failure.is_some(), rejection), (number, failed, None));
        }
        assert_eq!(run.result().await.unwrap(), 5);
        assert_eq!(look(stepper.client()).await, Seen { rows: 1, successes: 1 });
    }

    async fn a_step_that_would_keep_the_only_writer_from_renewing_is_refused_at_the_start(place) {
        let desk = Arc::<Desk>::default();
        let lease = Duration::from_secs(9);
        let start = async |name: &str, spec: squid_mesh::StepSpec<i64, i64>| {
            let wf = of(name, spec);
            let started = place.runtime().await.workflow(&wf).lease(lease).start().await;
            started.map(drop)
        };
        let spec = || booker(&desk, First::Succeeds);
        start("short", spec().timeout(Duration::from_millis(2_999))).await.unwrap();
        let refused = start("long", spec().timeout(Duration::from_secs(3))).await;
        match refused {
            Err(LaunchError::Transactional { step, why, .. }) => {
                assert!(place.is_sqlite(), "{why}");
                assert!(step.as_str() == "book" && why.contains("below 3s"), "{why}");
            }
            Err(error) => panic!("{error}"),
            Ok(()) => assert!(!place.is_sqlite()),
        }
    }

    async fn a_handler_of_the_other_kind_is_refused_at_the_start(place) {
        let draft = serde_json::json!({"name": "drafted", "version": 1, "result": "output(book)", "steps": [
            {"name": "book", "handler": "booker", "input": "input", "transactional": true, "timeout": "1s"},
        ]});
        let mut undone = draft.clone();
        let step = undone["steps"][0].as_object_mut().unwrap();
        step.remove("transactional");
        step.extend([("handler".to_owned(), "plain".into()), ("undo".to_owned(), serde_json::json!({"handler": "booker"}))]);
        let plain = async |_: StepContext, n: i64| Ok(n);
        let handlers = Handlers::new().add("plain", plain).add_tx("booker", nests);
        let others = place.runtime().await.handler("booker", plain).draft(draft.clone());
        let undo = place.runtime().await.handlers(&handlers).draft(undone);
        for refused in [others.start().await, undo.start().await] {
            assert!(matches!(refused, Err(LaunchError::Transactional { .. })), "{refused:?}");
        }
        make_table(&place.client().await).await;
        let listed = place.runtime().await.handlers(&handlers).draft(draft.clone());
        let single = place.runtime().await.handler_tx("booker", nests).draft(draft);
        for (runs, builder) in [(1, listed), (2, single)] {
            let runtime = builder.start().await.unwrap();
            let run = runtime.client().start_json("drafted", None, serde_json::json!(5)).await.unwrap();
            assert_eq!(run.result().await.unwrap(), serde_json::json!(5));
            assert_eq!(look(runtime.client()).await, Seen { rows: runs, successes: runs });
            runtime.shutdown().await;
        }
    }
}
