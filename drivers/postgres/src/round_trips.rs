//! Rows written and read back.
//!
//! Invariant: every value that the engine's types can hold comes back as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use squid_mesh_core::definition::{DefinitionKey, StepIndex};
use squid_mesh_core::id::{Incarnation, Life, RunId, Shard, Shards};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Found, Memory, QueueScan, ReadSet, RunRow, RunUpdate, Scan, ScheduleUpdate, TaskUpdate, View,
    WorkerRow, Writes,
};
use squid_mesh_core::payload::{OutputRef, Payload, PayloadDigest};
use squid_mesh_core::run::{Seq, Status};
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow, Standing};
use squid_mesh_core::task::{Brief, Fence, Lane, TaskKey, TaskKind, TaskRow, Work};
use squid_mesh_core::time::Timestamp;
use squid_mesh_test_support::TestDatabase;

use crate::definitions::Definitions;
use crate::options::Options;
use crate::read::Reader;
use crate::write::{NotWritten, write};
use crate::{inspect, ledger};

const SHARD: Shard = Shard::from_u16(1_023);

fn id() -> RunId {
    RunId::from_u128(u128::MAX).with_slot(1_023)
}

fn key() -> DefinitionKey {
    DefinitionKey {
        name: Name::new("order").unwrap(),
        version: u32::MAX,
    }
}

/// A run with the largest numbers there are.
fn run() -> RunRow {
    RunRow {
        id: id(),
        life: Life(u64::MAX),
        definition: key(),
        seq: Seq(u32::MAX),
        status: Status::Cancelled,
        state: vec![0, 255],
        parent: Some(RunId::from_u128(u128::MAX)),
        source: Some(RunId::from_u128(u128::MAX - 1)),
        schedule: Some(ScheduleId::from_u128(u128::MAX - 2)),
        labels: BTreeMap::from([("a \"key\"".to_owned(), "ü\n".to_owned())]),
        created: Timestamp::MIN,
        updated: Timestamp::MAX,
    }
}

/// A task with the largest numbers there are.
fn task() -> TaskRow {
    let output = OutputRef {
        run: Some(id()),
        seq: Seq(u32::MAX),
        digest: PayloadDigest([255; 8]),
    };
    TaskRow {
        key: TaskKey {
            run: id(),
            lane: Lane(u16::MAX),
        },
        life: Life(u64::MAX),
        kind: TaskKind::Stopping,
        step: StepIndex(u16::MAX),
        queue: Name::stored("$engine"),
        priority: i16::MIN,
        handler: Name::new("ship").unwrap(),
        due_at: Timestamp::MIN,
        attempt: u32::MAX,
        fence: Fence {
            seq: Seq(u32::MAX),
            claims: u32::MAX,
        },
        owner: Some(Incarnation::from_u128(u128::MAX)),
        begun: true,
        expired: true,
        hand_offs: u32::MAX,
        format: 1,
        renew_until: Some(Timestamp::MAX),
        brief: Brief {
            definition: key(),
            handler: Name::new("ship").unwrap(),
            timeout: Some(Duration::from_micros(u64::MAX)),
            sources: vec![None, Some(output)],
            trace: Some("trace".to_owned()),
            occurrence: None,
            work: Work::Collect {
                count: u32::MAX,
                after: Seq(0),
                upto: Seq(u32::MAX),
            },
        },
    }
}

/// A schedule with the largest numbers there are.
fn schedule() -> ScheduleRow {
    ScheduleRow {
        id: ScheduleId::from_u128(id().as_u128()),
        life: Life(u64::MAX),
        seq: Seq(u32::MAX),
        key: "tenant 42: \"nightly\" ü".to_owned(),
        version: u32::MAX,
        workflow: key().name,
        trigger: Name::new("nightly").unwrap(),
        plan: "{ \"cron\" : \"0 0 * * *\" }".to_owned(),
        input: Payload::new(&b"\x00\xff"[..]),
        standing: Standing::Retired,
        state: vec![0, 255],
        created: Timestamp::MIN,
        updated: Timestamp::MAX,
    }
}

fn worker() -> WorkerRow {
    WorkerRow {
        incarnation: Incarnation::from_u128(u128::MAX),
        name: "a worker".to_owned(),
        handlers: Arc::new([Name::new("a").unwrap(), Name::new("b").unwrap()].into()),
        queues: vec![Name::new("q").unwrap()],
        started: Timestamp::MIN,
        seen: Timestamp::MAX,
        claim: u64::MAX,
        claim_shard: SHARD,
        claimed: vec![(task().key, task().fence)],
    }
}

async fn migrated(database: &TestDatabase) -> PgConnection {
    let options = Options::default().connect_options(database.url()).unwrap();
    let mut connection = PgConnection::connect_with(&options).await.unwrap();
    ledger::migrate(&mut connection, Shards::new(1_024).unwrap())
        .await
        .unwrap();
    connection
}

#[tokio::test]
async fn the_largest_and_smallest_values_come_back() {
    let database = TestDatabase::fresh();
    let mut connection = migrated(&database).await;
    let writes = Writes {
        runs_inserted: vec![run()],
        tasks_inserted: vec![task()],
        worker: Some(worker()),
        schedules_inserted: vec![schedule()],
        ..Writes::default()
    };
    write(&mut connection, SHARD, &writes, None).await.unwrap();

    let shards = Shards::new(1_024).unwrap();
    let seen = inspect::run(&mut connection, shards, id())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((&seen.row, seen.tasks), (&run(), vec![task()]));

    let queue = QueueScan {
        queue: Name::stored("$engine"),
        handlers: Arc::new([Name::new("ship").unwrap()].into()),
        limit: u32::MAX,
    };
    let set = ReadSet {
        shard: SHARD,
        worker: Some(worker().incarnation),
        schedules: BTreeSet::from([schedule().id]),
        runs: BTreeSet::from([id()]),
        tasks: BTreeSet::from([task().key]),
        tasks_of: BTreeSet::from([id()]),
        scan: Some(Scan {
            queues: vec![queue],
            format: u16::MAX >> 1,
        }),
        ..ReadSet::default()
    };
    let definitions = Definitions::default();
    let mut reader = Reader::new(&definitions);
    reader.read(&mut connection, &set).await.unwrap();
    let view = reader.view();
    assert_eq!(view.worker, Some(worker()));
    assert_eq!(view.schedules[&schedule().id], Found::Row(schedule()));
    assert_eq!(view.runs[&id()], Found::Row(run()));
    assert_eq!(view.tasks[&task().key], Found::Row(task()));
    assert_eq!(view.due, [task()]);
    assert!(view.now > Timestamp::from_micros(1_700_000_000_000_000));
}

#[tokio::test]
async fn a_row_that_is_not_as_it_was_read_is_not_written() {
    let database = TestDatabase::fresh();
    let mut connection = migrated(&database).await;
    let there = Writes {
        runs_inserted: vec![run()],
        tasks_inserted: vec![task()],
        schedules_inserted: vec![schedule()],
        ..Writes::default()
    };
    write(&mut connection, SHARD, &there, None).await.unwrap();

    let (was, other) = (
        task().fence,
        Fence {
            claims: 7,
            ..task().fence
        },
    );
    let update = |was| TaskUpdate {
        row: task(),
        was,
        indexed: false,
    };
    let moved = |was| RunUpdate { row: run(), was };
    let none = Writes::default;
    let put = |was, declared| ScheduleUpdate {
        row: schedule(),
        was,
        declared,
    };
    for guarded in [
        Writes {
            schedules_updated: vec![put(Seq(1), false)],
            ..none()
        },
        Writes {
            schedules_updated: vec![put(Seq(1), true)],
            ..none()
        },
        Writes {
            schedules_deleted: vec![(schedule().id, Seq(1))],
            ..none()
        },
        Writes {
            runs_updated: vec![moved(Seq(1))],
            ..none()
        },
        Writes {
            tasks_updated: vec![update(other)],
            ..none()
        },
        Writes {
            tasks_updated: vec![update(other)],
            worker: Some(worker()),
            ..none()
        },
        Writes {
            tasks_deleted: vec![(task().key, other)],
            ..none()
        },
        Writes {
            runs_updated: vec![moved(run().seq)],
            tasks_updated: vec![update(other)],
            ..none()
        },
        Writes {
            runs_updated: vec![moved(run().seq)],
            tasks_deleted: vec![(task().key, other)],
            ..none()
        },
    ] {
        let refused = write(&mut connection, SHARD, &guarded, None).await;
        assert!(matches!(refused, Err(NotWritten::Guarded)), "{guarded:?}");
    }
    let held = Writes {
        runs_updated: vec![moved(run().seq)],
        tasks_deleted: vec![(task().key, was)],
        schedules_deleted: vec![(schedule().id, schedule().seq)],
        ..none()
    };
    write(&mut connection, SHARD, &held, None).await.unwrap();
}

#[tokio::test]
async fn a_row_that_is_another_version_than_is_remembered_is_not_written() {
    let database = TestDatabase::fresh();
    let mut connection = migrated(&database).await;
    let there = Writes {
        runs_inserted: vec![run()],
        tasks_inserted: vec![task()],
        ..Writes::default()
    };
    let started = write(&mut connection, SHARD, &there, None).await.unwrap();
    let started = started.expect("who starts runs is told their version");
    let run_update = RunUpdate {
        row: run(),
        was: run().seq,
    };
    let task_update = TaskUpdate {
        row: task(),
        was: task().fence,
        indexed: false,
    };
    let moves = Writes {
        runs_updated: vec![run_update.clone()],
        tasks_updated: vec![task_update],
        ..Writes::default()
    };
    let ends = Writes {
        runs_updated: vec![run_update],
        tasks_deleted: vec![(task().key, task().fence)],
        ..Writes::default()
    };
    let remembered = |run_version, task_version| Memory {
        view: View::default(),
        runs: [(run().id, run_version)].into_iter().collect(),
        tasks: [(task().key, task_version)].into_iter().collect(),
    };
    let first = remembered(started, started);
    let moved = write(&mut connection, SHARD, &moves, Some(&first)).await;
    let moved = moved
        .unwrap()
        .expect("who moves runs on is told their version");
    assert_ne!(moved, started);
    for writes in [&moves, &ends] {
        for stale in [remembered(started, moved), remembered(moved, started)] {
            let mut tx = connection.begin().await.unwrap();
            let refused = write(&mut tx, SHARD, writes, Some(&stale)).await;
            assert!(matches!(refused, Err(NotWritten::Guarded)), "{stale:?}");
            tx.rollback().await.unwrap();
        }
    }
    let last = remembered(moved, moved);
    write(&mut connection, SHARD, &ends, Some(&last))
        .await
        .unwrap();
}

/// What a firing writes, and what a declaration does; the rest stays as it was.
#[tokio::test]
async fn of_a_schedule_that_fires_nothing_is_written_that_was_declared() {
    let database = TestDatabase::fresh();
    let mut connection = migrated(&database).await;
    let there = Writes {
        schedules_inserted: vec![schedule()],
        ..Writes::default()
    };
    write(&mut connection, SHARD, &there, None).await.unwrap();
    let next = ScheduleRow {
        seq: Seq(7),
        version: 7,
        workflow: Name::new("other").unwrap(),
        trigger: Name::new("weekly").unwrap(),
        plan: "{}".to_owned(),
        input: Payload::new(&b"1"[..]),
        standing: Standing::Active,
        state: vec![7],
        updated: Timestamp::MIN,
        ..schedule()
    };
    let fired = ScheduleRow {
        seq: next.seq,
        standing: next.standing,
        state: next.state.clone(),
        updated: next.updated,
        ..schedule()
    };
    for (declared, was, expected) in [
        (false, schedule().seq, fired),
        (true, next.seq, next.clone()),
    ] {
        let row = next.clone();
        let writes = Writes {
            schedules_updated: vec![ScheduleUpdate { row, was, declared }],
            ..Writes::default()
        };
        write(&mut connection, SHARD, &writes, None).await.unwrap();
        let shards = Shards::new(1_024).unwrap();
        let seen = inspect::schedule(&mut connection, shards, schedule().id).await;
        assert_eq!(seen.unwrap().unwrap().row, expected);
    }
}

/// Writes a schedule within a transaction, and says how many versions of rows that made, and how many of them no index knows of.
async fn versions(connection: &mut PgConnection, update: ScheduleUpdate) -> (i64, i64) {
    let mut tx = connection.begin().await.unwrap();
    let writes = Writes {
        schedules_updated: vec![update],
        ..Writes::default()
    };
    let before = counts(&mut tx).await;
    write(&mut tx, SHARD, &writes, None).await.unwrap();
    let after = counts(&mut tx).await;
    tx.rollback().await.unwrap();
    (after.0 - before.0, after.1 - before.1)
}

/// What the session has written of schedules and not reported yet.
async fn counts(connection: &mut PgConnection) -> (i64, i64) {
    let counts =
        "select n_tup_upd, n_tup_hot_upd from pg_stat_xact_user_tables where relname = 'schedules'";
    sqlx::query_as(counts).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn a_firing_touches_no_index() {
    let database = TestDatabase::fresh();
    let mut connection = migrated(&database).await;
    let there = Writes {
        schedules_inserted: vec![schedule()],
        ..Writes::default()
    };
    write(&mut connection, SHARD, &there, None).await.unwrap();
    let update = |declared, workflow: &str| ScheduleUpdate {
        row: ScheduleRow {
            seq: Seq(7),
            workflow: Name::new(workflow).unwrap(),
            state: vec![7; 100],
            updated: Timestamp::MIN,
            ..schedule()
        },
        was: schedule().seq,
        declared,
    };
    assert_eq!(
        versions(&mut connection, update(false, "other")).await,
        (1, 1)
    );
    assert_eq!(
        versions(&mut connection, update(true, "other")).await,
        (1, 0)
    );
}
