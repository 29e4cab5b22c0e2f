//! One operation performed twice at once, as by a client that gave up waiting and asked again.
//!
//! Invariant: the time of the answer aside, both are told the same, and it is done once.

use futures_util::future::join;
use squid_mesh_core::event::By;
use squid_mesh_core::id::CommandId;
use squid_mesh_core::operation::{
    Cancel, Claimed, Entry, Operation, Reply, ScheduleAction, ScheduleReply,
};
use squid_mesh_core::schedule::ScheduleKey;
use squid_mesh_core::store::{Inspect, Store};
use squid_mesh_core::time::Timestamp;

use super::cast::{Worker, json, report, start, submit, workflow};
use super::concurrent::claimed;
use super::failure::{Failure, perform, same, unanswered};
use super::observe::seen;
use super::schedules::{command, declaration, external, yearly};
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
    rows(&cancel, 3).await?;
    schedules(store).await
}

/// Takes a schedule from its creation to its deletion, and one that its workflow declares until it does so no more.
async fn schedules<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    let named = ScheduleKey::Named("nightly".to_owned());
    let declared = ScheduleKey::stored("chain/nightly");
    let definition = workflow("chain");
    let trigger = ScheduleAction::Trigger {
        definition: definition.clone(),
    };
    let fire = |signal: Option<&str>| ScheduleAction::Fire {
        occurrence: Timestamp::from_micros(0),
        signal: signal.map(str::to_owned),
        definition: definition.clone(),
    };
    let (create, change) = (declaration(external(), 0), declaration(yearly("UTC"), 0));
    let (first, second) = (declaration(external(), 1), declaration(yearly("UTC"), 2));
    // Each with how often the row has been written by then. What starts a run at somebody's word does not write it.
    let table = [
        (&named, ScheduleAction::Create(create), Some(1)),
        (&named, ScheduleAction::Change(change), Some(2)),
        (&named, ScheduleAction::Pause, Some(3)),
        (&named, ScheduleAction::Resume, Some(4)),
        (&named, trigger, Some(4)),
        (&named, fire(None), Some(4)),
        (&named, fire(Some("signal")), Some(4)),
        (&named, ScheduleAction::Delete, None),
        (&declared, ScheduleAction::Declare(first), Some(1)),
        (&declared, ScheduleAction::Declare(second), Some(2)),
        (&declared, ScheduleAction::Retire { version: 3 }, Some(3)),
    ];
    for (number, (key, action, writes)) in (10..).zip(table) {
        let operation = command(store.shards(), number, key, action);
        let done = schedule_command(store, key, &operation, writes).await;
        done.map_err(|failure| failure.after(&operation))?;
    }
    Ok(())
}

async fn schedule_command<S: Store + Inspect>(
    store: &S,
    key: &ScheduleKey,
    operation: &Operation,
    writes: Option<u32>,
) -> Result<(), Failure> {
    let reply = match doubled(store, operation).await? {
        Reply::Schedule(Ok(reply)) => reply,
        other => return Err(Failure::new("the answer to a command", "done", other)),
    };
    let record = store.schedule(key.id()).await.map_err(unanswered)?;
    let found = record.as_ref().map(|record| record.row.standing);
    same("whether the schedule fires", &reply.standing, &found)?;
    let seq = record.map(|record| record.row.seq.0);
    same("the writes of the schedule", &writes, &seq)?;
    if let Some(started) = reply.started {
        let journal = seen(store, started.run).await?;
        let journal = journal.map(|seen| seen.journal.len());
        same("the journal rows of its run", &Some(1), &journal)?;
    }
    Ok(())
}

async fn doubled<S: Store>(store: &S, operation: &Operation) -> Result<Reply, Failure> {
    let (first, second) = join(perform(store, operation), perform(store, operation)).await;
    let timeless = |reply| timeless(operation, reply);
    let (first, third) = (timeless(first?), perform(store, operation).await?);
    for again in [second?, third] {
        let what = "the reply to an operation that was performed twice";
        same(what, &first, &timeless(again)).map_err(|failure| failure.after(operation))?;
    }
    Ok(first)
}

/// The reply without what depends on when it was given: the time, unless a log keeps it, and of a claim what else there was
/// then. No log knows which declaration was the first.
fn timeless(operation: &Operation, reply: Reply) -> Reply {
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
        Reply::Schedule(Ok(reply)) if !is_logged(operation) => {
            let changed = reply.changed && reply.started.is_some();
            Reply::Schedule(Ok(ScheduleReply {
                at: now,
                changed,
                ..reply
            }))
        }
        reply
        @ (Reply::Registered(_) | Reply::Leased(_) | Reply::Queue(_) | Reply::Schedule(_)) => reply,
    }
}

fn is_logged(operation: &Operation) -> bool {
    match operation {
        Operation::Schedule(command) => command.action.logged().is_some(),
        _ => false,
    }
}
