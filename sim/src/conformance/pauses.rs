//! Pausing queues: what is held back, what is not, and what operators are told.
//!
//! Invariant: nothing is expected of a paused queue but what was decided after its pause was answered.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use squid_mesh_core::id::{CommandId, Shard};
use squid_mesh_core::limits;
use squid_mesh_core::name::{DEFAULT_QUEUE, ENGINE_QUEUE, Name};
use squid_mesh_core::operation::{
    Claim, Entry, Group, Operation, QueueAction, QueueCommand, QueueReply, Rejection, Reply, Submit,
};
use squid_mesh_core::store::{Inspect, Store};
use squid_mesh_core::task::{Item, TaskRow};

use super::cast::{Worker, json, report, start, submit, workflow};
use super::concurrent::claimed;
use super::failure::{Failure, perform, same, unanswered};
use super::script::Ending;
use super::workflows::name;

/// Operators who pause one queue at once.
const RIVALS: u128 = 4;
/// How long a lease of the shortest kind may seem to last.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(number: u128, queue: Name, action: QueueAction) -> Operation {
    Operation::Queue(QueueCommand {
        queue,
        action,
        command: CommandId::from_u128(number),
        actor: Some("ana".to_owned()),
        comment: Some("because".to_owned()),
    })
}

fn default_queue() -> Name {
    name(DEFAULT_QUEUE)
}

async fn set(store: &impl Store, number: u128, action: QueueAction) -> Result<QueueReply, Failure> {
    let operation = command(number, default_queue(), action);
    match perform(store, &operation).await? {
        Reply::Queue(Ok(reply)) => Ok(reply),
        other => {
            Err(Failure::new("the answer to an operator", "an answer", other).after(&operation))
        }
    }
}

fn handed(reply: &Reply) -> &[TaskRow] {
    match reply {
        Reply::Submitted { handed, .. } | Reply::Settled { handed, .. } => handed,
        Reply::Registered(_)
        | Reply::Claimed(_)
        | Reply::Leased(_)
        | Reply::Queue(_)
        | Reply::Schedule(_) => &[],
    }
}

/// What a paused queue holds back from claims and hand-offs, what it does not, and what goes on after it.
pub(super) async fn holds_back<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    let worker = Worker::able(1);
    perform(store, &worker.register()).await?;
    let begin = |number| {
        Entry::Start(Box::new(start(
            number,
            &workflow("chain"),
            0,
            None,
            json("1"),
        )))
    };
    let entries = vec![begin(1), begin(2)];
    let shard = entries[0].run().shard(store.shards());
    let third = begin(3);
    perform(store, &submit(store.shards(), entries)).await?;
    let held = claimed(&perform(store, &worker.claim(shard, 1, 1)).await?).to_vec();
    same("the tasks claimed before the pause", &1, &held.len())?;

    set(store, 1, QueueAction::Pause).await?;
    let none = perform(store, &worker.claim(shard, 2, 4)).await?;
    same(
        "the tasks claimed of a paused queue",
        &0,
        &claimed(&none).len(),
    )?;
    let Reply::Claimed(answer) = &none else {
        return Err(Failure::new(
            "the kind of the reply",
            "that of a claim",
            &none,
        ));
    };
    same(
        "what a claim of a paused queue leaves behind",
        &(false, 0),
        &(answer.more, answer.left.len()),
    )?;
    let settle = worker.settle(
        shard,
        vec![report(&held[0], Ending::Succeeded(true))],
        4,
        true,
    );
    let settled = perform(store, &settle).await?;
    same(
        "the tasks of a paused queue handed to who reports",
        &0,
        &handed(&settled).len(),
    )?;
    let starting = Operation::Submit(Submit {
        shard,
        groups: vec![Group {
            entries: vec![third],
        }],
        offer: Some(worker.offer(4, 4, super::cast::LEASE)),
        wait: true,
    });
    let started = perform(store, &starting).await?;
    same(
        "the tasks of a paused queue handed to who starts",
        &0,
        &handed(&started).len(),
    )?;
    let record = store.run(held[0].key.run).await.map_err(unanswered)?;
    let paused = record.map(|record| record.paused);
    same(
        "the paused queues of a run",
        &Some([default_queue()].into()),
        &paused,
    )?;

    set(store, 2, QueueAction::Resume).await?;
    let all = perform(store, &worker.claim(shard, 3, 4)).await?;
    same(
        "the tasks claimed after the resume",
        &3,
        &claimed(&all).len(),
    )
}

/// A lease that ends in a paused queue is recorded as a loss, and its step waits for the resume.
pub(super) async fn losses<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    let worker = Worker::able(1);
    perform(store, &worker.register()).await?;
    let entry = Entry::Start(Box::new(start(
        1,
        &workflow("stubborn"),
        0,
        None,
        json("1"),
    )));
    let shard = entry.run().shard(store.shards());
    perform(store, &submit(store.shards(), vec![entry])).await?;
    let short = claim(&worker, shard, 1, limits::LEASE_MIN);
    let held = claimed(&perform(store, &short).await?).to_vec();
    same("the tasks claimed before the pause", &1, &held.len())?;
    set(store, 1, QueueAction::Pause).await?;

    let begun = Instant::now();
    let mut number = 1;
    let lost = loop {
        number += 1;
        let again = claim(&worker, shard, number, super::cast::LEASE);
        let found = claimed(&perform(store, &again).await?).to_vec();
        if !found.is_empty() || begun.elapsed() > PATIENCE {
            break found;
        }
    };
    let items: Vec<Item> = lost.iter().map(TaskRow::item).collect();
    same(
        "what is claimed of a paused queue",
        &vec![Item::Loss],
        &items,
    )?;
    let settle = worker.settle(shard, vec![report(&lost[0], Ending::Failed)], 4, true);
    let settled = perform(store, &settle).await?;
    same(
        "the lost tasks handed to who records the loss",
        &0,
        &handed(&settled).len(),
    )?;
    set(store, 2, QueueAction::Resume).await?;
    let next = claim(&worker, shard, number + 1, super::cast::LEASE);
    let attempts: Vec<u32> = claimed(&perform(store, &next).await?)
        .iter()
        .map(|row| row.attempt)
        .collect();
    same("the attempts claimed after the resume", &vec![2], &attempts)
}

fn claim(worker: &Worker, shard: Shard, number: u64, lease: Duration) -> Operation {
    Operation::Claim(Claim {
        shard,
        number,
        offer: worker.offer(4, 4, lease),
    })
}

/// Several operators at once, one of them twice: one changes something, and each is told the same again.
pub(super) async fn operators<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    let pauses = (0..RIVALS).map(|number| set(store, 1 + number / 2 * 2, QueueAction::Pause));
    let replies = join_all(pauses)
        .await
        .into_iter()
        .collect::<Result<Vec<QueueReply>, Failure>>()?;
    same(
        "a command that was performed twice at once",
        &replies[0],
        &replies[1],
    )?;
    let changed = replies.iter().filter(|reply| reply.changed).count();
    same(
        "the answers of two rivals, each asked twice, that say so",
        &2,
        &changed,
    )?;
    let first = replies.iter().position(|reply| reply.changed);
    let first = 1 + first.unwrap_or_default() as u128 / 2 * 2;

    let queues = store.queues().await.map_err(unanswered)?;
    let shown: Vec<_> = queues
        .iter()
        .map(|queue| {
            (
                queue.name.clone(),
                queue.paused,
                queue.last.id,
                queue.last.actor.clone(),
            )
        })
        .collect();
    let expected = (
        default_queue(),
        true,
        CommandId::from_u128(first),
        Some("ana".to_owned()),
    );
    same("the queues", &vec![expected], &shown)?;

    let resumed = set(store, 10, QueueAction::Resume).await?;
    same(
        "a resume of a paused queue",
        &(false, true),
        &(resumed.paused, resumed.changed),
    )?;
    let again = set(store, first, QueueAction::Pause).await?;
    same(
        "a pause that is repeated after a resume",
        &replies.iter().find(|reply| reply.changed),
        &Some(&again),
    )?;
    let queues = store.queues().await.map_err(unanswered)?;
    same(
        "whether the queue is paused by it",
        &vec![false],
        &queues.iter().map(|queue| queue.paused).collect(),
    )?;

    let queue = Name::stored(ENGINE_QUEUE);
    let refused = Reply::Queue(Err(Rejection::ReservedQueue {
        queue: queue.clone(),
    }));
    let reply = perform(store, &command(11, queue, QueueAction::Pause)).await?;
    same("a pause of the engine's queue", &refused, &reply)
}
