//! One file, several stores; one store, many operations at once; and ends in the middle of something.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use squid_mesh_core::run::Status;
use squid_mesh_core::store::{Store as _, StoreError};
use squid_mesh_core::time::Timestamp;
use squid_mesh_sqlite::{Clock, Options, SqliteStore};
use squid_mesh_test_support::sqlite_url;

use common::{Process, tally};

async fn opened(url: &str) -> SqliteStore {
    let store = SqliteStore::connect(url, Options::default()).await.unwrap();
    store.migrate().await.unwrap();
    store
}

/// Performs again what met a conflict.
async fn persist<T>(mut attempt: impl AsyncFnMut() -> Result<T, StoreError>) -> T {
    loop {
        match attempt().await {
            Ok(value) => return value,
            Err(StoreError::Conflict) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Starts runs and works until nothing is due; how many steps it settled.
async fn work(
    store: &SqliteStore,
    mut process: Process,
    runs: std::ops::Range<u128>,
    performed: impl Fn(),
) -> usize {
    persist(async || process.register(store).await).await;
    for run in runs {
        persist(async || process.start(store, [run]).await).await;
        performed();
    }
    let mut settled = 0;
    loop {
        let mut tasks = persist(async || process.claim(store).await).await;
        if tasks.is_empty() {
            return settled;
        }
        while !tasks.is_empty() {
            settled += tasks.len();
            tasks = persist(async || process.settle(store, &tasks).await).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a22_8_two_stores_on_one_file_both_make_progress_and_each_step_settles_once() {
    let file = sqlite_url().unwrap();
    let (one, other) = (opened(file.url()).await, opened(file.url()).await);
    let (first, second) = (Process::new(1, 4), Process::new(2, 4));
    let both = tokio::join!(
        work(&one, first, 1..51, || ()),
        work(&other, second, 51..101, || ())
    );
    assert_eq!(both.0 + both.1, 300);
    assert!(both.0 > 0 && both.1 > 0, "{both:?}");
    assert_eq!(
        tally(&one).await,
        BTreeMap::from([(Status::Completed, 100)])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_that_share_a_transaction_are_answered_each_for_itself() {
    let store = opened("sqlite::memory:").await;
    Process::new(1, 4).register(&store).await.unwrap();
    let process = Process::new(1, 4);
    let starts: Vec<_> = (1..=200).map(|run| process.start(&store, [run])).collect();
    for reply in join_all(starts).await {
        reply.unwrap();
    }
    assert_eq!(
        tally(&store).await,
        BTreeMap::from([(Status::Pending, 200)])
    );
}

#[tokio::test]
async fn an_operation_whose_future_is_dropped_is_done_or_not_and_nothing_between() {
    let file = sqlite_url().unwrap();
    let store = opened(file.url()).await;
    let mut process = Process::new(1, 8);
    process.register(&store).await.unwrap();
    for run in 1..=40 {
        let mut start = pin!(process.start(&store, [run, run + 1_000, run + 2_000]));
        for _ in 0..run {
            if poll_fn(|cx| Poll::Ready(start.as_mut().poll(cx).is_ready())).await {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let started = tally(&store)
        .await
        .get(&Status::Pending)
        .copied()
        .unwrap_or_default();
    // Starting again is harmless, and finds out.
    for run in 1..=40 {
        process
            .start(&store, [run, run + 1_000, run + 2_000])
            .await
            .unwrap();
    }
    assert!(started <= 120);
    assert_eq!(
        tally(&store).await,
        BTreeMap::from([(Status::Pending, 120)])
    );
    let mut tasks = process.claim(&store).await.unwrap();
    tasks.truncate(3);
    process.settle(&store, &tasks).await.unwrap();
}

#[test]
fn a_store_that_is_torn_down_in_the_middle_leaves_whole_operations_behind() {
    let file = sqlite_url().unwrap();
    for round in 0..8_u32 {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let store = runtime.block_on(opened(file.url()));
        let first = u128::from(round) * 10_000 + 1;
        let (performed, mut count) = tokio::sync::mpsc::unbounded_channel();
        let working = work(
            &store,
            Process::new(first, 8),
            first..first + 10_000,
            || performed.send(()).unwrap(),
        );
        runtime.block_on(async {
            let enough = async {
                for _ in 0..=round {
                    count.recv().await.unwrap();
                }
            };
            tokio::select! {
                () = enough => {}
                _ = working => {}
            }
        });
        runtime.shutdown_background();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = opened(file.url()).await;
        tally(&store).await;
        let mut process = Process::new(1 << 90, 64);
        process.register(&store).await.unwrap();
        let tasks = process.claim(&store).await.unwrap();
        process.settle(&store, &tasks).await.unwrap();
        tally(&store).await;
    });
}

#[derive(Debug)]
struct Frozen(Timestamp);

impl Clock for Frozen {
    fn now(&self) -> Timestamp {
        self.0
    }
}

#[tokio::test]
async fn operations_take_the_time_from_the_clock_they_are_given() {
    let now = Timestamp::from_micros(1_000_000);
    let options = Options::default().clock(Arc::new(Frozen(now)));
    let store = SqliteStore::connect("sqlite::memory:", options)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let mut process = Process::new(1, 4);
    process.register(&store).await.unwrap();
    process.start(&store, [7]).await.unwrap();
    let tasks = process.claim(&store).await.unwrap();
    assert_eq!(tasks[0].due_at, now.plus(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_start_that_is_not_handed_on_sends_a_hint() {
    let store = opened("sqlite::memory:").await;
    let process = Process::new(1, 4);
    process.register(&store).await.unwrap();
    process.start(&store, [7]).await.unwrap();
    assert_eq!(store.hint().await.queue.unwrap().as_str(), "default");
}

#[tokio::test]
async fn closing_performs_what_is_queued() {
    let file = sqlite_url().unwrap();
    let store = opened(file.url()).await;
    let process = Process::new(1, 4);
    process.register(&store).await.unwrap();
    drop(join_all((1..=20).map(|run| process.start(&store, [run]))).await);
    store.close().await;
    assert_eq!(
        tally(&opened(file.url()).await).await,
        BTreeMap::from([(Status::Pending, 20)])
    );
}
