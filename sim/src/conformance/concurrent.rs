//! Several connections at once: what must hold whatever the interleaving.
//!
//! Invariant: every check here ends after a bounded number of operations, also on a store that is broken.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::task::Poll;

use futures_util::future::join_all;
use squid_mesh_core::id::Shard;
use squid_mesh_core::operation::{Entry, EntryReply, GroupReply, Rejection, Reply, StartReply};
use squid_mesh_core::store::{Inspect, RunFilter, Store};
use squid_mesh_core::task::{TaskKey, TaskRow, Token};

use super::cast::{Worker, json, start, submit, workflow};
use super::failure::{Failure, perform, same, unanswered};
use super::observe::{EVERYTHING, seen};

/// Starts that compete for one key.
const RIVALS: u32 = 50;
/// Workers at once.
pub(super) const WORKERS: u8 = 4;
/// Runs that workers share out.
pub(super) const RUNS: u32 = 40;
/// Claims that a worker makes at most before a check gives up.
pub(super) const ROUNDS: u64 = 2_000;

/// Lets the others have their turn, also on a store that answers at once.
pub(super) async fn take_turns() {
    let mut waited = false;
    poll_fn(|cx| {
        if waited {
            return Poll::Ready(());
        }
        waited = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Fifty starts at once under one key make one run, and one of them is told that it made it.
pub(super) async fn one_run_per_key<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    perform(store, &Worker::able(1).register()).await?;
    let chain = workflow("chain");
    let rival = |number, input| {
        Entry::Start(Box::new(start(
            number,
            &chain,
            0,
            Some("k".to_owned()),
            json(input),
        )))
    };
    let operations = (1..=RIVALS).map(|number| submit(store.shards(), vec![rival(number, "1")]));
    let outcomes = join_all(operations.map(async |operation| {
        take_turns().await;
        perform(store, &operation).await
    }));
    let mut made = Vec::new();
    let mut runs = BTreeSet::new();
    for outcome in outcomes.await {
        match started(&outcome?) {
            Some(reply) => {
                runs.insert(reply.run);
                made.extend((!reply.existing).then_some(reply.run));
            }
            None => {
                return Err(Failure::new(
                    "a start under a key that is taken",
                    "the run of that key",
                    "a refusal",
                ));
            }
        }
    }
    same(
        "the runs that rivals under one key were told",
        &1,
        &runs.len(),
    )?;
    same("the rivals that were told they made it", &1, &made.len())?;
    let listed = store
        .list(&RunFilter::default(), None, EVERYTHING)
        .await
        .map_err(unanswered)?;
    same(
        "the runs there are",
        &made,
        &listed.iter().map(|row| row.id).collect(),
    )?;
    let journal = seen(store, made[0]).await?.map(|seen| seen.journal.len());
    same(
        "the journal rows of a run started by many",
        &Some(1),
        &journal,
    )?;
    let other = perform(store, &submit(store.shards(), vec![rival(RIVALS + 1, "2")])).await?;
    let refused = GroupReply::Refused {
        index: 0,
        rejection: Rejection::KeyConflict { run: made[0] },
    };
    same(
        "a start under a key that is taken, with another input",
        &Some(&refused),
        &groups(&other).first(),
    )
}

/// Four workers claim what is due for all of them, until each task is somebody's.
pub(super) async fn one_claim_per_task<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    let workers: Vec<Worker> = (1..=WORKERS)
        .map(|number| Worker::able(number.into()))
        .collect();
    perform(store, &workers[0].register()).await?;
    let chain = workflow("chain");
    let entries =
        (1..=RUNS).map(|number| Entry::Start(Box::new(start(number, &chain, 0, None, json("1")))));
    perform(store, &submit(store.shards(), entries.collect())).await?;
    let granted: RefCell<BTreeMap<TaskKey, Vec<Token>>> = RefCell::default();
    let outcomes = join_all(workers.iter().map(async |worker| {
        for number in 1..=ROUNDS {
            if granted.borrow().len() >= RUNS as usize {
                break;
            }
            take_turns().await;
            for task in claimed(&perform(store, &worker.claim(Shard::default(), number, 3)).await?)
            {
                granted
                    .borrow_mut()
                    .entry(task.key)
                    .or_default()
                    .extend(task.token());
            }
        }
        Ok(())
    }));
    outcomes
        .await
        .into_iter()
        .collect::<Result<(), Failure>>()?;
    let granted = granted.into_inner();
    same(
        "the tasks that four workers were granted in all",
        &(RUNS as usize),
        &granted.len(),
    )?;
    let twice = granted.iter().find(|(_, tokens)| tokens.len() != 1);
    same("a task that was granted more than once", &None, &twice)
}

pub(super) fn claimed(reply: &Reply) -> &[TaskRow] {
    match reply {
        Reply::Claimed(claimed) => &claimed.tasks,
        Reply::Registered(_)
        | Reply::Submitted { .. }
        | Reply::Leased(_)
        | Reply::Settled { .. }
        | Reply::Queue(_)
        | Reply::Schedule(_) => &[],
    }
}

pub(super) fn groups(reply: &Reply) -> &[GroupReply] {
    match reply {
        Reply::Submitted { groups, .. } => groups,
        Reply::Registered(_)
        | Reply::Claimed(_)
        | Reply::Leased(_)
        | Reply::Settled { .. }
        | Reply::Queue(_)
        | Reply::Schedule(_) => &[],
    }
}

fn started(reply: &Reply) -> Option<StartReply> {
    match groups(reply) {
        [GroupReply::Done(entries)] => match entries.as_slice() {
            [EntryReply::Started(start)] => Some(*start),
            _ => None,
        },
        _ => None,
    }
}
