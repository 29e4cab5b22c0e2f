//! Schedules that are locked elsewhere.

use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, Life, Shard, Shards};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Declaration, Operation, Outcome, Reply, Report, ScheduleAction, ScheduleCommand, Settle,
    SlotReply,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::schedule::{PlanDraft, ScheduleKey, Standing};
use squid_mesh_core::store::{Inspect as _, Store as _, StoreError};
use squid_mesh_core::task::TaskRow;
use squid_mesh_postgres::PostgresStore;

use crate::room::{Room, claim, execute, register};

fn key() -> ScheduleKey {
    ScheduleKey::Named("nightly".to_owned())
}

fn doing(number: u128, action: ScheduleAction) -> Operation {
    Operation::Schedule(Box::new(ScheduleCommand {
        shard: Shard::default(),
        schedule: key(),
        action,
        command: CommandId::from_u128(number),
        by: By::default(),
    }))
}

fn creating() -> Operation {
    let declaration = Declaration {
        life: Life(1),
        version: 0,
        workflow: Name::new("chain").unwrap(),
        trigger: Name::new("manual").unwrap(),
        plan: PlanDraft::cron("0 0 1 1 *", "UTC").check().unwrap(),
        input: Payload::new(*b"1"),
    };
    doing(1, ScheduleAction::Create(Box::new(declaration)))
}

/// A store with a schedule whose task is claimed, and a connection of somebody else.
async fn claimed(room: &Room, store: &PostgresStore) -> (TaskRow, PgConnection) {
    store.perform(register()).await.unwrap();
    store.perform(creating()).await.unwrap();
    let mut stranger = room.stranger().await;
    execute(&mut stranger, "update mesh_0.tasks set due_at = 1").await;
    let Operation::Claim(mut claim) = claim(1, 1, 1) else {
        unreachable!("a claim is one")
    };
    claim.offer.engine = 1;
    let Reply::Claimed(mut claimed) = store.perform(Operation::Claim(claim)).await.unwrap() else {
        panic!("a claim is answered as one")
    };
    (claimed.tasks.remove(0), stranger)
}

fn firing(task: &TaskRow, wait: bool) -> Operation {
    let Operation::Claim(claim) = claim(1, 1, 0) else {
        unreachable!("a claim is one")
    };
    let report = Report {
        key: task.key,
        step: task.step,
        token: task.token().unwrap(),
        outcome: Outcome::Fired { definition: None },
    };
    Operation::Settle(Settle {
        shard: Shard::default(),
        reports: vec![report],
        offer: claim.offer,
        wait,
    })
}

fn slots(reply: Reply) -> Vec<SlotReply> {
    match reply {
        Reply::Settled { slots, .. } => slots,
        reply => panic!("{reply:?}"),
    }
}

const LOCK: &str = "select from mesh_0.schedules for no key update";

#[tokio::test]
async fn a_schedule_that_is_locked_elsewhere_is_busy_for_a_report_that_does_not_wait() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    let (task, mut stranger) = claimed(&room, &store).await;
    let mut holding = stranger.begin().await.unwrap();
    execute(&mut holding, LOCK).await;
    let busy = store.perform(firing(&task, false)).await.unwrap();
    assert_eq!(slots(busy), [SlotReply::Busy]);
    holding.rollback().await.unwrap();
    let fired = store.perform(firing(&task, false)).await.unwrap();
    assert_eq!(slots(fired), [SlotReply::Accepted]);
    let record = store.schedule(key().id()).await.unwrap().unwrap();
    assert_eq!(record.row.seq.0, 2);
}

#[tokio::test]
async fn a_command_waits_for_a_locked_schedule_and_for_no_longer_than_its_patience() {
    let room = Room::fresh();
    let patience = Duration::from_millis(20);
    let options = room.options().lock_patience(patience).connections(1);
    let store = room.store_with(options).await;
    let (task, mut stranger) = claimed(&room, &store).await;
    let mut holding = stranger.begin().await.unwrap();
    execute(&mut holding, LOCK).await;
    for waiting in [doing(2, ScheduleAction::Pause), firing(&task, true)] {
        let answer = store.perform(waiting).await;
        assert!(matches!(answer, Err(StoreError::Conflict)), "{answer:?}");
    }
    holding.rollback().await.unwrap();
    store
        .perform(doing(2, ScheduleAction::Pause))
        .await
        .unwrap();
    let record = store.schedule(key().id()).await.unwrap().unwrap();
    assert_eq!((record.row.standing, record.task), (Standing::Paused, None));
    // The report comes too late, and finds nothing left to do.
    let late = store.perform(firing(&task, true)).await.unwrap();
    assert_eq!(slots(late), [SlotReply::Accepted]);
}

/// Both have looked for the schedule before either finds out what the other has done.
#[tokio::test]
async fn a_deletion_that_is_performed_twice_at_once_is_answered_twice_alike() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    store.perform(register()).await.unwrap();
    store.perform(creating()).await.unwrap();
    let mut stranger = room.stranger().await;
    let mut holding = stranger.begin().await.unwrap();
    execute(&mut holding, LOCK).await;
    let released = async {
        let mut watching = room.stranger().await;
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' \
            and datname = current_database()";
        while sqlx::query_scalar::<_, i64>(waiting)
            .fetch_one(&mut watching)
            .await
            .unwrap()
            < 2
        {}
        holding.rollback().await.unwrap();
    };
    let deleting = || store.perform(doing(2, ScheduleAction::Delete));
    let (first, second, ()) = tokio::join!(deleting(), deleting(), released);
    let first = first.unwrap();
    assert_eq!(second.unwrap(), first);
    let Reply::Schedule(Ok(deleted)) = first else {
        panic!("{first:?}")
    };
    assert_eq!((deleted.changed, deleted.standing), (true, None));
}

#[tokio::test]
async fn who_holds_a_schedule_waits_for_its_task() {
    let room = Room::fresh();
    let patience = Duration::from_millis(20);
    let options = room.options().lock_patience(patience).connections(1);
    let store = room.store_with(options).await;
    let (task, mut stranger) = claimed(&room, &store).await;
    let mut holding = stranger.begin().await.unwrap();
    execute(&mut holding, "select from mesh_0.tasks for no key update").await;
    let answer = store.perform(firing(&task, false)).await;
    assert!(matches!(answer, Err(StoreError::Conflict)), "{answer:?}");
    holding.rollback().await.unwrap();
    let fired = store.perform(firing(&task, false)).await.unwrap();
    assert_eq!(slots(fired), [SlotReply::Accepted]);
}

/// What no engine of this version has written is refused, and stands in nobody's way.
#[tokio::test]
async fn a_schedule_that_cannot_be_read_is_refused_by_name_and_its_task_is_put_aside() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    let (task, mut stranger) = claimed(&room, &store).await;
    execute(&mut stranger, "update mesh_0.schedules set standing = 9").await;
    let refused = store
        .perform(doing(2, ScheduleAction::Pause))
        .await
        .unwrap();
    let Reply::Schedule(Err(rejection)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(rejection.code(), "unreadable_schedule");
    let parked = store.perform(firing(&task, true)).await.unwrap();
    assert_eq!(slots(parked), [SlotReply::Accepted]);
    let record = store.schedule(key().id()).await.unwrap().unwrap();
    assert!(record.row.read().is_err());
    let owner = record.task.map(|task| task.owner);
    assert_eq!(owner, Some(None));
}

#[tokio::test]
async fn the_id_of_a_schedule_is_that_of_no_run() {
    let room = Room::fresh();
    let store = room.store(Shards::ONE).await;
    store.perform(register()).await.unwrap();
    store.perform(creating()).await.unwrap();
    let task = key().id().task();
    assert_eq!(store.run(task.run).await.unwrap(), None);
}
