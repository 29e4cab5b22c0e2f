//! Transactional steps whose process dies, or does not hear what became of its transaction.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use squid_mesh::core::run::Status;
use squid_mesh::core::store::RunFilter;
use squid_mesh::{Client, Retry, Runtime, StepContext, StepError, Tx, Workflow, step_tx};

use crate::faulty::{Faults, Faulty, Stop};
use crate::harness::{journal_rows, on_every_store, until};
use crate::host::{Desk, First, Seen, booking, end_leases, insert, look, make_table, of};

/// Sees as many rows as successes, however far what a process sent before it died has come.
async fn consistent(client: &Client) -> Seen {
    let seen = look(client).await;
    assert_eq!(seen.rows, seen.successes, "{seen:?}");
    seen
}

/// A fault, how often it strikes, and how often the body runs all the same.
type Fault = (&'static str, fn(&Faults), u32);

const FAULTS: [Fault; 3] = [
    (
        "committed without an answer",
        |faults| faults.commits.store(1, Ordering::SeqCst),
        1,
    ),
    (
        "rolled back without an answer",
        |faults| faults.rollbacks.store(1, Ordering::SeqCst),
        2,
    ),
    (
        "lost against another one",
        |faults| faults.conflicts.store(1, Ordering::SeqCst),
        2,
    ),
];

on_every_store! {
    async fn a7_2_a_step_whose_process_died_before_the_commit_has_left_nothing_and_runs_again(place) {
        let desk = Arc::<Desk>::default();
        let wf = booking(&desk, First::Hangs);
        let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
        let client = place.client().await;
        make_table(&client).await;
        let run = client.start(&wf.reference(), 5).await.unwrap();
        until(async || desk.written.load(Ordering::SeqCst) == 1).await;
        drop(runtime);
        assert_eq!(look(&client).await, Seen { rows: 0, successes: 0 });
        end_leases(&client).await;
        let other = place.runtime().await.workflow(&wf).start().await.unwrap();
        assert_eq!(run.result().await.unwrap(), 5);
        assert_eq!(look(&client).await, Seen { rows: 1, successes: 1 });
        assert_eq!(run.inspect().await.unwrap().steps[0].lost, 1);
        other.shutdown().await;
    }

    async fn a_process_that_dies_at_any_point_of_a_transaction_leaves_all_of_it_or_nothing(place) {
        for (number, (stop, lost)) in (1..).zip([(Stop::Begun, 1), (Stop::Returned, 1), (Stop::Committed, 0)]) {
            let desk = Arc::<Desk>::default();
            let wf = booking(&desk, First::Succeeds);
            let faulty = Faulty::new(place).await;
            let builder = Runtime::builder(faulty.shared()).workflow(&wf);
            let runtime = builder.poll(Duration::from_millis(50)).start().await.unwrap();
            let client = place.client().await;
            if number == 1 {
                make_table(&client).await;
            }
            *faulty.faults.stop.lock().unwrap() = Some(stop);
            let run = client.start(&wf.reference(), number).await.unwrap();
            until(async || faulty.faults.stopped.load(Ordering::SeqCst) == 1).await;
            drop(runtime);
            consistent(&client).await;
            end_leases(&client).await;
            let other = place.runtime().await.workflow(&wf).start().await.unwrap();
            assert_eq!(run.result().await.unwrap(), number);
            assert_eq!(look(&client).await, Seen { rows: number, successes: number }, "{stop:?}");
            assert_eq!(run.inspect().await.unwrap().steps[0].lost, lost, "{stop:?}");
            other.shutdown().await;
        }
    }

    async fn a_process_that_dies_in_the_middle_of_a_settle_leaves_all_of_it_or_nothing(place) {
        let client = place.client().await;
        make_table(&client).await;
        let (mut turns, mut rows) = (0, 0);
        loop {
            let desk = Arc::<Desk>::default();
            let wf = booking(&desk, First::Succeeds);
            let faulty = Faulty::new(place).await;
            let builder = Runtime::builder(faulty.shared()).workflow(&wf);
            let runtime = builder.poll(Duration::from_millis(50)).start().await.unwrap();
            *faulty.faults.stop.lock().unwrap() = Some(Stop::Settling(turns));
            let run = client.start(&wf.reference(), rows).await.unwrap();
            let faults = &faulty.faults;
            let reached = |count: &AtomicU32| count.load(Ordering::SeqCst) == 1;
            until(async || reached(&faults.stopped) || reached(&faults.settled)).await;
            drop(runtime);
            rows += 1;
            if reached(&faults.settled) {
                assert_eq!(consistent(&client).await.rows, rows);
                // So many turns are enough: there is nothing in the middle of them that was not tried. In memory, where no
                // process dies alone, one may be; a database seldom answers that fast.
                if turns > 1 || place.url().is_none() {
                    break;
                }
                assert!(rows < 100, "some die after the first turn");
                continue;
            }
            consistent(&client).await;
            end_leases(&client).await;
            let other = place.runtime().await.workflow(&wf).start().await.unwrap();
            assert_eq!(run.wait_terminal().await.unwrap(), Status::Completed);
            assert_eq!(consistent(&client).await.rows, rows);
            other.shutdown().await;
            turns += 1;
        }
    }

    async fn an_attempt_that_does_not_hear_of_its_commit_finds_out_and_is_repeated_only_if_it_must(place) {
        let client = place.client().await;
        make_table(&client).await;
        for (number, (what, strike, bodies)) in (1..).zip(FAULTS) {
            let desk = Arc::<Desk>::default();
            let wf = booking(&desk, First::Succeeds);
            let faulty = Faulty::new(place).await;
            let builder = Runtime::builder(faulty.shared()).workflow(&wf);
            let runtime = builder.poll(Duration::from_millis(50)).start().await.unwrap();
            strike(&faulty.faults);
            let run = runtime.client().start(&wf.reference(), number).await.unwrap();
            assert_eq!(run.result().await.unwrap(), number, "{what}");
            runtime.shutdown().await;
            assert_eq!(desk.written.load(Ordering::SeqCst), bodies, "{what}");
            let step = &client.inspect(run.id()).await.unwrap().steps[0];
            assert_eq!((step.executed, step.conflicts), (1, bodies - 1), "{what}");
            assert_eq!(look(&client).await, Seen { rows: number, successes: number }, "{what}");
            let rows = usize::try_from(bodies).unwrap() + 1;
            assert_eq!(journal_rows(&client, run.id()).await, rows, "{what}");
        }
    }

    async fn a7_2_runs_survive_any_number_of_killed_processes_with_one_row_each(place) {
        let Some(url) = place.url() else { return };
        let wf = slow_booking();
        let idle = place.runtime().await.workflow(&wf).queue("elsewhere", 1).start().await.unwrap();
        let client = idle.client();
        make_table(client).await;
        let runs = client.start_many(&wf.reference(), 0..RUNS).await.unwrap();
        for round in 0..ROUNDS {
            let before = completed(client).await;
            let mut worker = worker(url);
            // It is at work, and the kill strikes wherever it is by then: each time a little later.
            until(async || completed(client).await > before + round).await;
            worker.kill().unwrap();
            worker.wait().unwrap();
            consistent(client).await;
            end_leases(client).await;
        }
        assert!(consistent(client).await.rows < RUNS, "something is left to do after the last kill");
        let last = place.runtime().await.workflow(&wf).start().await.unwrap();
        let mut lost = 0;
        for run in &runs {
            assert_eq!(run.wait_terminal().await.unwrap(), Status::Completed);
            lost += run.inspect().await.unwrap().steps[0].lost;
        }
        assert!(lost > 0, "a kill struck in the middle of an attempt");
        assert_eq!(look(client).await, Seen { rows: RUNS, successes: RUNS });
        last.shutdown().await;
        idle.shutdown().await;
    }
}

const RUNS: i64 = 500;
const ROUNDS: usize = 8;
/// Where a worker that is to be killed finds its store.
const WORKER: &str = "SQUID_MESH_TEST_WORKER";

/// How many runs are completed; asked without a lock, which would keep a worker on SQLite from its work.
async fn completed(client: &Client) -> usize {
    let mut filter = RunFilter::default();
    filter.statuses.insert(Status::Completed);
    client.list(&filter, None, 1_000).await.unwrap().runs.len()
}

async fn book_slowly(_: StepContext, tx: &mut Tx, value: i64) -> Result<i64, StepError> {
    insert(tx, value).await?;
    tokio::time::sleep(Duration::from_millis(10)).await;
    Ok(value)
}

fn slow_booking() -> Workflow<i64, i64> {
    let retry = Retry::immediate(3).max_lost(u32::try_from(ROUNDS).unwrap());
    of(
        "slow_booking",
        step_tx(book_slowly)
            .retry(retry)
            .timeout(crate::host::TIMEOUT),
    )
}

/// A process of its own that executes until it is killed.
fn worker(url: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "host_crash::a_worker_that_is_to_be_killed",
        ])
        .env(WORKER, url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "it is what another test kills"]
fn a_worker_that_is_to_be_killed() {
    let Ok(url) = std::env::var(WORKER) else {
        return;
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let builder = Runtime::builder(url)
            .workflow(slow_booking())
            .queue("default", 4);
        let runtime = builder
            .poll(Duration::from_millis(20))
            .start()
            .await
            .unwrap();
        std::future::pending::<()>().await;
        drop(runtime);
    });
}
