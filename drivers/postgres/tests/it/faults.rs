//! A database that is locked, read-only, gone, or answers late.

use std::time::Duration;

use crate::room::{Room, cancel, claim, execute, register, run_id, start};
use sqlx::Connection as _;
use squid_mesh_core::id::Shards;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{EntryReply, GroupReply, Operation, Rejection, Reply};
use squid_mesh_core::run::Seq;
use squid_mesh_core::store::{Fetch, Hint, Inspect as _, JournalPart, Store as _, StoreError};
use squid_mesh_core::transition::DecodeError;
use squid_mesh_postgres::{Options, PostgresStore};

fn first_group(reply: Reply) -> GroupReply {
    match reply {
        Reply::Submitted { mut groups, .. } => groups.remove(0),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_run_that_is_locked_elsewhere_is_busy_and_a_new_one_is_absent() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    store.perform(register()).await.unwrap();
    store.perform(start(1, true)).await.unwrap();
    let mut stranger = room.stranger().await;
    let mut holding = stranger.begin().await.unwrap();
    execute(&mut holding, "select from mesh_0.runs for no key update").await;
    assert_eq!(
        first_group(store.perform(cancel(1, false)).await.unwrap()),
        GroupReply::Busy
    );
    let started = first_group(store.perform(start(2, false)).await.unwrap());
    assert!(
        matches!(&started, GroupReply::Done(done) if matches!(done[0], EntryReply::Started(_))),
        "{started:?}"
    );
    holding.rollback().await.unwrap();
    assert!(matches!(
        first_group(store.perform(cancel(1, false)).await.unwrap()),
        GroupReply::Done(_)
    ));
}

#[tokio::test]
async fn an_operation_that_waits_for_a_run_decides_by_the_clock_after_the_wait() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    store.perform(register()).await.unwrap();
    store.perform(start(1, true)).await.unwrap();
    let mut stranger = room.stranger().await;
    let mut holding = stranger.begin().await.unwrap();
    execute(&mut holding, "select from mesh_0.runs for no key update").await;
    let released = async {
        // Until the cancel is seen to wait for the lock.
        let mut watching = room.stranger().await;
        loop {
            let waits = "select exists (select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database())";
            if sqlx::query_scalar::<_, bool>(waits)
                .fetch_one(&mut watching)
                .await
                .unwrap()
            {
                break;
            }
        }
        let clock = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";
        let micros: i64 = sqlx::query_scalar(clock)
            .fetch_one(&mut *holding)
            .await
            .unwrap();
        holding.rollback().await.unwrap();
        micros
    };
    let (reply, released) = tokio::join!(store.perform(cancel(1, true)), released);
    match first_group(reply.unwrap()) {
        GroupReply::Done(done) => match &done[0] {
            EntryReply::Cancelled(cancelled) => assert!(cancelled.at.as_micros() >= released),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lock_that_is_held_for_too_long_is_a_conflict() {
    let room = Room::fresh();
    let store = room
        .store_with(
            room.options()
                .lock_patience(Duration::from_millis(20))
                .connections(1),
        )
        .await;
    store.perform(register()).await.unwrap();
    store.perform(start(1, true)).await.unwrap();
    let mut stranger = room.stranger().await;
    let mut holding = stranger.begin().await.unwrap();
    execute(&mut holding, "select from mesh_0.runs for no key update").await;
    assert!(matches!(
        store.perform(cancel(1, true)).await,
        Err(StoreError::Conflict)
    ));
    holding.rollback().await.unwrap();
    assert!(matches!(
        first_group(store.perform(cancel(1, true)).await.unwrap()),
        GroupReply::Done(_)
    ));
}

#[tokio::test]
async fn a_claim_skips_tasks_that_are_locked_elsewhere() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    store.perform(register()).await.unwrap();
    for number in 1..=3 {
        store.perform(start(number, true)).await.unwrap();
    }
    let mut stranger = room.stranger().await;
    let mut holding = stranger.begin().await.unwrap();
    let id = run_id(2);
    execute(
        &mut holding,
        &format!("select from mesh_0.tasks where run_id = '{id}' for no key update"),
    )
    .await;
    let Reply::Claimed(claimed) = store.perform(claim(1, 1, 8)).await.unwrap() else {
        panic!()
    };
    let runs: Vec<_> = claimed.tasks.iter().map(|task| task.key.run).collect();
    assert_eq!(runs, [run_id(1), run_id(3)]);
    holding.rollback().await.unwrap();
    let Reply::Claimed(claimed) = store.perform(claim(1, 2, 8)).await.unwrap() else {
        panic!()
    };
    assert_eq!(claimed.tasks.len(), 1);
}

#[tokio::test]
async fn a_read_only_database_is_refused() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    store.perform(register()).await.unwrap();
    let mut stranger = room.stranger().await;
    let database: String = sqlx::query_scalar("select current_database()")
        .fetch_one(&mut stranger)
        .await
        .unwrap();
    execute(
        &mut stranger,
        &format!("alter database {database} set default_transaction_read_only = on"),
    )
    .await;
    let late = PostgresStore::connect(room.url(), Options::default().schema("mesh_0"))
        .await
        .unwrap();
    let error = late.perform(start(1, true)).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Refused(text) if text.contains("25006")),
        "{error}"
    );
    assert!(late.run(run_id(1)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_says_where_it_should_be() {
    let error = PostgresStore::connect("postgres://me:secret@127.0.0.1:1/app", Options::default())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::Unavailable(_)), "{text}");
    assert!(
        text.contains("cannot connect to 127.0.0.1:1/app") && !text.contains("secret"),
        "{text}"
    );
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_refused() {
    let room = Room::fresh();
    let url = room.url().replace("squid_mesh_test_", "no_such_database_");
    let error = PostgresStore::connect(&url, Options::default())
        .await
        .unwrap_err();
    assert!(
        matches!(&error, StoreError::Refused(text) if text.contains("does not exist")),
        "{error}"
    );
}

#[tokio::test]
async fn a_connection_that_breaks_is_unavailable_once_and_then_replaced() {
    let room = Room::fresh();
    let store = room
        .store_with(room.options().application_name("to be cut off"))
        .await;
    store.perform(register()).await.unwrap();
    let mut stranger = room.stranger().await;
    let cut = "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where application_name = 'to be cut off'";
    let ended: i64 = sqlx::query_scalar(cut)
        .fetch_one(&mut stranger)
        .await
        .unwrap();
    assert!(ended > 0);
    assert!(matches!(
        store.perform(start(1, true)).await,
        Err(StoreError::Unavailable(_))
    ));
    assert!(matches!(
        first_group(store.perform(start(1, true)).await.unwrap()),
        GroupReply::Done(_)
    ));
}

#[tokio::test]
async fn an_operation_that_is_dropped_half_way_keeps_no_lock() {
    let room = Room::fresh();
    let store = room.store_with(room.options().connections(1)).await;
    store.perform(register()).await.unwrap();
    store.perform(start(1, true)).await.unwrap();
    let mut stranger = room.stranger().await;
    let mut holding = stranger.begin().await.unwrap();
    execute(&mut holding, "select from mesh_0.tasks for no key update").await;
    // It holds the run and waits for the task.
    let waiting =
        tokio::time::timeout(Duration::from_millis(100), store.perform(cancel(1, true))).await;
    assert!(waiting.is_err());
    holding.rollback().await.unwrap();
    assert!(matches!(
        first_group(store.perform(cancel(1, true)).await.unwrap()),
        GroupReply::Done(_)
    ));
}

#[tokio::test]
async fn a_store_that_was_closed_is_unavailable() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    store.close().await;
    assert!(matches!(
        store.perform(register()).await,
        Err(StoreError::Unavailable(_))
    ));
}

#[tokio::test]
async fn a_start_is_hinted_at_to_everybody_who_listens() {
    let room = Room::fresh();
    let options = room.options();
    let (client, worker) = (
        room.store_with(options.clone()).await,
        room.store_with(options).await,
    );
    client.perform(register()).await.unwrap();
    // The first hint says that listening has begun.
    assert_eq!(worker.hint().await, Hint { queue: None });
    let neighbour = worker.clone();
    client.perform(start(1, true)).await.unwrap();
    let expected = client.run(run_id(1)).await.unwrap().unwrap().tasks[0]
        .queue
        .clone();
    assert_eq!(
        worker.hint().await,
        Hint {
            queue: Some(expected.clone())
        }
    );
    assert_eq!(
        neighbour.hint().await,
        Hint {
            queue: Some(expected)
        }
    );
}

#[tokio::test]
async fn a_task_that_cannot_be_read_halts_its_run_and_no_other() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    store.perform(register()).await.unwrap();
    store.perform(start(1, true)).await.unwrap();
    store.perform(start(2, true)).await.unwrap();
    let damage = format!(
        "update mesh_0.tasks set brief = '\\xff' where run_id = '{}'",
        run_id(1)
    );
    execute(&mut room.stranger().await, &damage).await;
    let (Operation::Submit(mut both), Operation::Submit(other)) =
        (cancel(1, true), cancel(2, true))
    else {
        panic!()
    };
    both.groups.extend(other.groups);
    let Reply::Submitted { groups, .. } = store.perform(Operation::Submit(both)).await.unwrap()
    else {
        panic!()
    };
    assert!(
        matches!(&groups[0], GroupReply::Refused { rejection: Rejection::Unreadable { run, .. }, .. } if *run == run_id(1)),
        "{groups:?}"
    );
    assert!(matches!(&groups[1], GroupReply::Done(_)), "{groups:?}");
    let Reply::Claimed(claimed) = store.perform(claim(1, 1, 8)).await.unwrap() else {
        panic!()
    };
    assert!(claimed.tasks.is_empty());
}

#[tokio::test]
async fn a_journal_row_that_cannot_be_read_is_shown_as_such() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    store.perform(register()).await.unwrap();
    store.perform(start(1, true)).await.unwrap();
    let damage = "update mesh_0.journal set transition = '\\xff00'";
    execute(&mut room.stranger().await, damage).await;
    let part = JournalPart {
        run: run_id(1),
        after: Seq(0),
        upto: Seq::FIRST,
        limit: 10,
        bytes: 10,
    };
    let wanted = Fetch {
        journal: Some(part),
        ..Fetch::default()
    };
    let journal = store.journal(run_id(1), Seq::FIRST, 10).await.unwrap();
    for rows in [journal, store.fetch(wanted).await.unwrap().journal] {
        assert!(
            matches!(rows[0].row, Err(DecodeError::Newer { format: 255, .. })),
            "{rows:?}"
        );
    }
}

#[tokio::test]
async fn a_newest_definition_that_cannot_be_read_is_corrupt_and_not_replaced_by_an_older_one() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    store.perform(register()).await.unwrap();
    let damage = "insert into mesh_0.definitions (name, version, digest, body) \
        select name, 2, digest, 'no body' from mesh_0.definitions where name = 'chain'";
    execute(&mut room.stranger().await, damage).await;
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
async fn whoever_listens_is_told_when_hints_may_have_been_lost() {
    let room = Room::fresh();
    let store = room
        .store_with(room.options().application_name("listens"))
        .await;
    assert_eq!(store.hint().await, Hint { queue: None });
    let mut stranger = room.stranger().await;
    let cut = "select count(pg_terminate_backend(pid, 5000)) from pg_stat_activity where application_name = 'listens'";
    let ended: i64 = sqlx::query_scalar(cut)
        .fetch_one(&mut stranger)
        .await
        .unwrap();
    assert!(ended > 0);
    assert_eq!(store.hint().await, Hint { queue: None });
    // Listening again.
    execute(
        &mut stranger,
        "select pg_notify('squid_mesh.mesh_0', 'mail')",
    )
    .await;
    assert_eq!(
        store.hint().await,
        Hint {
            queue: Some(Name::new("mail").unwrap())
        }
    );
}
