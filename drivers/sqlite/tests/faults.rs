//! Locks held elsewhere, and rows that no engine wrote.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use futures_util::future::join_all;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use squid_mesh_core::id::{RunId, Shard};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Claim, HandlerSet, Offer, Operation};
use squid_mesh_core::payload::{Payload, PayloadRef};
use squid_mesh_core::run::{Seq, Status};
use squid_mesh_core::store::{Fetch, Inspect as _, JournalPart, Store as _, StoreError};
use squid_mesh_core::transition::DecodeError;
use squid_mesh_sqlite::{Options, SqliteStore};
use squid_mesh_test_support::{SqliteFile, sqlite_url};

use common::{Process, tally};

/// A store in a file, a process that registered, and somebody else's connection to the same file.
async fn setting(options: Options) -> (SqliteFile, SqliteStore, Process, SqliteConnection) {
    let file = sqlite_url().unwrap();
    let store = SqliteStore::connect(file.url(), options).await.unwrap();
    store.migrate().await.unwrap();
    let process = Process::new(1, 8);
    process.register(&store).await.unwrap();
    let other = SqliteConnectOptions::new()
        .filename(file.path())
        .connect()
        .await
        .unwrap();
    (file, store, process, other)
}

async fn vandalise(other: &mut SqliteConnection, sql: &'static str) {
    assert_eq!(
        sqlx::query(sql)
            .execute(other)
            .await
            .unwrap()
            .rows_affected(),
        1
    );
}

#[tokio::test]
async fn an_operation_that_waits_too_long_for_another_process_meets_a_conflict_and_may_be_repeated()
{
    let options = Options::default().busy_timeout(Duration::from_millis(20));
    let (_file, store, process, mut other) = setting(options).await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let (one, two) = tokio::join!(process.start(&store, [7]), process.start(&store, [8]));
    assert!(matches!(
        (one, two),
        (Err(StoreError::Conflict), Err(StoreError::Conflict))
    ));
    lock.rollback().await.unwrap();
    process.start(&store, [7, 8]).await.unwrap();
    assert_eq!(tally(&store).await.get(&Status::Pending), Some(&2));
}

#[tokio::test]
async fn an_operation_that_cannot_be_performed_leaves_those_beside_it_alone() {
    let (_file, store, process, mut other) = setting(Options::default()).await;
    process.start(&store, [7]).await.unwrap();
    vandalise(&mut other, "UPDATE squid_mesh_runs SET labels = 'no json'").await;
    let starts =
        |runs: std::ops::Range<u128>| join_all(runs.map(|run| process.start(&store, [run])));
    for (round, before) in [(1_u128, 0_u128), (2, 1), (3, 5)] {
        let first = round * 100;
        let (earlier, corrupt, later) = tokio::join!(
            starts(first..first + before),
            process.cancel(&store, 7),
            starts(first + before..first + 6),
        );
        assert!(earlier.into_iter().chain(later).all(|reply| reply.is_ok()));
        let told =
            matches!(&corrupt, Err(StoreError::Corrupt { detail }) if detail.contains("runs"));
        assert!(told, "{corrupt:?}");
    }
    vandalise(
        &mut other,
        "UPDATE squid_mesh_runs SET labels = '{}' WHERE labels = 'no json'",
    )
    .await;
    assert_eq!(tally(&store).await.get(&Status::Pending), Some(&19));
}

#[tokio::test]
async fn a_task_that_cannot_be_read_does_not_stand_in_the_way_of_others() {
    let (_file, store, mut process, mut other) = setting(Options::default()).await;
    process.start(&store, [7]).await.unwrap();
    vandalise(&mut other, "UPDATE squid_mesh_tasks SET brief = x'ff00'").await;
    process.start(&store, [8]).await.unwrap();
    let tasks = process.claim(&store).await.unwrap();
    assert_eq!(
        tasks
            .iter()
            .map(|task| task.key.run.as_u128())
            .collect::<Vec<_>>(),
        [8]
    );
}

#[tokio::test]
async fn a_journal_row_that_cannot_be_read_is_shown_as_such() {
    let (_file, store, process, mut other) = setting(Options::default()).await;
    process.start(&store, [7]).await.unwrap();
    vandalise(
        &mut other,
        "UPDATE squid_mesh_journal SET transition = x'ff00'",
    )
    .await;
    let run = RunId::from_u128(7);
    let journal = store.journal(run, Seq::FIRST, 10).await.unwrap();
    let (after, upto, limit, bytes) = (Seq(0), Seq::FIRST, 10, 10);
    let wanted = Fetch {
        journal: Some(JournalPart {
            run,
            after,
            upto,
            limit,
            bytes,
        }),
        ..Fetch::default()
    };
    let part = store.fetch(wanted).await.unwrap().journal;
    for rows in [journal, part] {
        assert!(
            matches!(rows[0].row, Err(DecodeError::Newer { format: 255, .. })),
            "{rows:?}"
        );
    }
}

#[tokio::test]
async fn a_newest_definition_that_cannot_be_read_is_corrupt_and_not_replaced_by_an_older_one() {
    let (_file, store, _, mut other) = setting(Options::default()).await;
    vandalise(
        &mut other,
        "INSERT INTO squid_mesh_definitions SELECT name, 2, digest, 'no body' FROM squid_mesh_definitions",
    )
    .await;
    let wanted = Fetch {
        newest: [Name::new("chain").unwrap()].into(),
        ..Fetch::default()
    };
    let corrupt = store.fetch(wanted).await;
    assert!(
        matches!(&corrupt, Err(StoreError::Corrupt { detail }) if detail.contains("chain@2")),
        "{corrupt:?}"
    );
}

#[tokio::test]
async fn a_payload_that_is_another_is_corrupt() {
    let (_file, store, process, mut other) = setting(Options::default()).await;
    process.start(&store, [7]).await.unwrap();
    let input = Payload::new(*b"{\"order\":\"o-4711\",\"amount\":12}");
    let run = RunId::from_u128(7);
    let reference = PayloadRef {
        run,
        seq: Seq::FIRST,
        digest: input.digest(),
    };
    let wanted = Fetch {
        payloads: [reference].into(),
        ..Fetch::default()
    };
    assert_eq!(
        store.fetch(wanted.clone()).await.unwrap().payloads,
        [(reference, input)]
    );
    vandalise(&mut other, "UPDATE squid_mesh_journal SET payload = x'00'").await;
    let corrupt = store.fetch(wanted).await;
    assert!(
        matches!(corrupt, Err(StoreError::Corrupt { .. })),
        "{corrupt:?}"
    );
}

#[tokio::test]
async fn an_operation_on_another_shard_is_refused() {
    let (_file, store, process, _) = setting(Options::default()).await;
    let offer = Offer {
        worker: process.incarnation,
        handlers: HandlerSet::new().into(),
        queues: Vec::new(),
        engine: 1,
        lease: Duration::from_secs(30),
    };
    let claim = Claim {
        shard: Shard::from_u16(1),
        number: 1,
        offer,
    };
    let refused = store.perform(Operation::Claim(claim)).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the store refuses: an SQLite store has one shard, there is no shard 1"
    );
}
