//! One operation performed twice at once, as by a client that gave up waiting and asked again.
//!
//! Invariant: the time of the answer aside, both are told the same, and it is done once.

use futures_util::future::join;
use squid_mesh_core::event::By;
use squid_mesh_core::id::CommandId;
use squid_mesh_core::operation::{Cancel, Claimed, Entry, Operation, Reply};
use squid_mesh_core::store::{Inspect, Store};
use squid_mesh_core::time::Timestamp;

use super::cast::{Worker, json, report, start, submit, workflow};
use super::concurrent::claimed;
use super::failure::{Failure, perform, same};
use super::observe::seen;
use super::script::Ending;

/// Takes a run from its start to its cancel, each operation performed twice at once and once more afterwards.
pub(super) async fn check<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    let worker = Worker::able(1);
    let start = start(1, &workflow("chain"), 0, None, json("1"));
    let run = start.run;
    let shard = run.shard(store.shards());
    let rows = async |after: &Operation, expected: usize| {
        let journal = seen(store, run).await?.map(|seen| seen.journal.len());
        same("the journal rows of a run", &Some(expected), &journal)
            .map_err(|failure| failure.after(after))
    };

    doubled(store, &worker.register()).await?;
    let start = submit(store.shards(), vec![Entry::Start(Box::new(start))]);
    doubled(store, &start).await?;
    rows(&start, 1).await?;

    let claim = worker.claim(shard, 1, 2);
    let reply = doubled(store, &claim).await?;
    let tasks = claimed(&reply);
    same("the tasks claimed", &1, &tasks.len()).map_err(|failure| failure.after(&claim))?;

    let reports = tasks
        .iter()
        .map(|task| report(task, Ending::Succeeded(true)))
        .collect();
    let settle = worker.settle(shard, reports, 1, true);
    doubled(store, &settle).await?;
    rows(&settle, 2).await?;

    let cancel = Cancel {
        run,
        command: CommandId::from_u128(2),
        by: By::default(),
        force: false,
        undo: false,
    };
    let cancel = submit(store.shards(), vec![Entry::Cancel(cancel)]);
    doubled(store, &cancel).await?;
    rows(&cancel, 3).await
}

async fn doubled<S: Store>(store: &S, operation: &Operation) -> Result<Reply, Failure> {
    let (first, second) = join(perform(store, operation), perform(store, operation)).await;
    let (first, third) = (timeless(first?), perform(store, operation).await?);
    for again in [second?, third] {
        let what = "the reply to an operation that was performed twice";
        same(what, &first, &timeless(again)).map_err(|failure| failure.after(operation))?;
    }
    Ok(first)
}

/// The reply without what depends on when it was given: the time, and of a claim what else there was then.
fn timeless(reply: Reply) -> Reply {
    let now = Timestamp::default();
    match reply {
        Reply::Submitted { groups, handed, .. } => Reply::Submitted {
            now,
            groups,
            handed,
            next_due: None,
        },
        Reply::Settled {
            slots,
            handed,
            ended,
            ..
        } => Reply::Settled {
            now,
            slots,
            handed,
            ended,
            next_due: None,
        },
        Reply::Claimed(Claimed { tasks, .. }) => Reply::Claimed(Claimed {
            tasks,
            ..Claimed::default()
        }),
        reply
        @ (Reply::Registered(_) | Reply::Leased(_) | Reply::Queue(_) | Reply::Schedule(_)) => reply,
    }
}
