//! Transactional steps whose process dies, or does not hear what became of its transaction.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use squid_mesh::core::run::Status;
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
        let runs = 40_u32;
        for number in 0..runs {
            let desk = Arc::<Desk>::default();
            let wf = booking(&desk, First::Succeeds);
            let runtime = place.runtime().await.workflow(&wf).start().await.unwrap();
            let run = client.start(&wf.reference(), number.into()).await.unwrap();
            until(async || desk.written.load(Ordering::SeqCst) == 1).await;
            // Each time a little later, from the handler's last statement to after the commit.
            tokio::time::sleep(Duration::from_micros(u64::from(number) * 100)).await;
            drop(runtime);
            consistent(&client).await;
            end_leases(&client).await;
            let other = place.runtime().await.workflow(&wf).start().await.unwrap();
            assert_eq!(run.wait_terminal().await.unwrap(), Status::Completed);
            assert_eq!(consistent(&client).await.rows, i64::from(number) + 1);
            other.shutdown().await;
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
            let before = look(client).await.rows;
            let mut worker = worker(url);
            until(async || look(client).await.rows > before).await;
            // It is at work, and the kill strikes wherever it is by then: each time a little later.
            tokio::time::sleep(Duration::from_millis(3 * round)).await;
            worker.kill().unwrap();
            worker.wait().unwrap();
            consistent(client).await;
            end_leases(client).await;
        }
        assert!(consistent(client).await.rows < RUNS, "something is left to do after the last kill");
        let last = place.runtime().await.workflow(&wf).start().await.unwrap();
        for run in &runs {
            assert_eq!(run.wait_terminal().await.unwrap(), Status::Completed);
        }
        assert_eq!(look(client).await, Seen { rows: RUNS, successes: RUNS });
        last.shutdown().await;
        idle.shutdown().await;
    }
}

const RUNS: i64 = 500;
const ROUNDS: u64 = 8;
/// Where a worker that is to be killed finds its store.
const WORKER: &str = "SQUID_MESH_TEST_WORKER";

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
