//! Pauses that come while an operation waits.

use squid_mesh_core::id::{CommandId, Shard, Shards};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Operation, QueueAction, QueueCommand, Reply, Settle, SlotReply};
use squid_mesh_core::store::Store as _;

use crate::room::{Room, claim, execute, register, start, succeeded};
use sqlx::Connection as _;

/// A settle by worker 1 of the one task that it claims, with free slots for what becomes ready.
fn settle(reply: Reply) -> Operation {
    let Reply::Claimed(claimed) = reply else {
        panic!("{reply:?}")
    };
    let [task] = claimed.tasks.as_slice() else {
        panic!("{:?}", claimed.tasks)
    };
    let Operation::Claim(claim) = claim(1, 1, 8) else {
        unreachable!("a claim is a claim")
    };
    Operation::Settle(Settle {
        shard: Shard::default(),
        reports: vec![succeeded(task)],
        offer: claim.offer,
        wait: true,
    })
}

fn pause() -> Operation {
    Operation::Queue(QueueCommand {
        queue: Name::new("default").unwrap(),
        action: QueueAction::Pause,
        command: CommandId::from_u128(9),
        actor: None,
        comment: None,
    })
}

#[tokio::test]
async fn a_settle_that_waited_for_a_lock_knows_of_a_pause_that_came_meanwhile() {
    for table in ["runs", "tasks"] {
        let room = Room::fresh();
        let store = room.store(Shards::ONE).await;
        store.perform(register()).await.unwrap();
        store.perform(start(1, true)).await.unwrap();
        let settle = settle(store.perform(claim(1, 1, 8)).await.unwrap());
        let mut stranger = room.stranger().await;
        let mut holding = stranger.begin().await.unwrap();
        let lock = format!("select from mesh_0.{table} for no key update");
        execute(&mut holding, &lock).await;
        let paused = async {
            let mut watching = room.stranger().await;
            // Long enough to be told from no wait at all.
            let waits = "select exists (select from pg_stat_activity where wait_event_type = 'Lock' \
                and datname = current_database() and clock_timestamp() - query_start > interval '20 milliseconds')";
            while !sqlx::query_scalar::<_, bool>(waits)
                .fetch_one(&mut watching)
                .await
                .unwrap()
            {}
            store.perform(pause()).await.unwrap();
            holding.rollback().await.unwrap();
        };
        let (reply, ()) = tokio::join!(store.perform(settle), paused);
        match reply.unwrap() {
            Reply::Settled { slots, handed, .. } => {
                assert_eq!(slots, [SlotReply::Accepted], "{table}");
                assert_eq!(handed, [], "{table}");
            }
            other => panic!("{other:?}"),
        }
    }
}
