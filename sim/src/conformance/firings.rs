//! Schedules that several fire at once.
//!
//! Invariant: whoever fires an occurrence and however often, it is one run.

mod changes;
mod claimer;
mod due;

use std::collections::BTreeSet;

use futures_util::future::{join_all, join3};
use squid_mesh_core::change::Change;
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Operation, Reply, ScheduleAction, SlotReply};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::Overlap;
use squid_mesh_core::store::{Inspect, Store};
use squid_mesh_core::task::{Item, TaskRow};
use squid_mesh_core::time::Timestamp;

use self::claimer::Claimer;
use self::due::{Due, told};
use super::cast::{Worker, workflow};
use super::concurrent::take_turns;
use super::failure::{Failure, holds, perform, same};
use super::observe::seen;
use super::schedules::{command, obeyed};

/// Hosts that fire one occurrence at once.
const RIVALS: u32 = 6;
/// The identity that some of them give it.
const SIGNAL: &str = "signal";
/// Schedules that are due while somebody changes them.
const CROWD: u32 = 8;

/// First one schedule that everybody fires, then many that are fired while they are changed.
pub(super) async fn check<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    perform(store, &Worker::able(1).register()).await?;
    let now = told(store).await?;
    let one = Due::create(store, 0, now, Overlap::Allow).await?;
    let mut crowd = Vec::new();
    for number in 1..=CROWD {
        let overlap = Overlap::ALL[number as usize % Overlap::ALL.len()];
        crowd.push(Due::create(store, number, now, overlap).await?);
    }
    for due in crowd.iter().chain([&one]) {
        due.outwait(store).await?;
    }
    one_run_per_occurrence(store, &one).await?;
    changes::while_they_change(store, &crowd).await
}

/// Everybody fires the first occurrence of a schedule. The others are due afterwards.
async fn one_run_per_occurrence<S: Store + Inspect>(store: &S, due: &Due) -> Result<(), Failure> {
    // Whoever creates nine schedules within two seconds leaves some due; a slow store leaves none.
    let Some(&first) = due.occurrences.first() else {
        return Ok(());
    };
    let mut worker = Claimer::new(2);
    perform(store, &worker.worker.register()).await?;
    let mut tasks = worker.claim(store, due.shard).await?;
    let others = tasks.extract_if(.., |task| task.key != due.id.task());
    let others: Vec<TaskRow> = others.collect();
    let items = tasks.iter().map(TaskRow::item).collect();
    same("what is claimed of a schedule", &vec![Item::Firing], &items)?;
    worker.hand_back(store, due.shard, &others).await?;

    let settle = worker.settle(due.shard, &tasks, true);
    let made = everybody_fires(store, due, first, &settle).await?;
    let distinct: BTreeSet<RunId> = made.iter().copied().collect();
    same("the runs that hosts made", &distinct.len(), &made.len())?;
    let signalled = due.id.signal(SIGNAL);
    let only_by_hosts = distinct.contains(&signalled);
    holds("a host made the run of a signal", only_by_hosts, &made)?;

    worker.drain(store, &[due.shard]).await?;
    let occurrences = due.occurrences.iter().map(|at| due.id.occurrence(*at));
    let expected: BTreeSet<RunId> = occurrences.chain([signalled]).collect();
    same("the runs of a schedule", &expected, &due.runs(store).await?)?;
    begun_once(store, due, first).await
}

/// The worker that claimed the task, twice at once, and several hosts fire one occurrence. Gives the runs that hosts made.
async fn everybody_fires<S: Store>(
    store: &S,
    due: &Due,
    occurrence: Timestamp,
    settle: &Operation,
) -> Result<Vec<RunId>, Failure> {
    let hosts = join_all((1..=RIVALS).map(async |number| {
        let signal = number.is_multiple_of(2).then_some(SIGNAL);
        let action = ScheduleAction::Fire {
            occurrence,
            signal: signal.map(str::to_owned),
            definition: workflow("chain"),
        };
        take_turns().await;
        let fire = command(store.shards(), 1_000 + number, &due.key, action);
        let told = obeyed(store, &fire).await?.started;
        let run = match signal {
            Some(signal) => due.id.signal(signal),
            None => due.id.occurrence(occurrence),
        };
        let told_of = told.map(|start| start.run);
        same("the run that a host is told", &Some(run), &told_of)?;
        Ok(told.filter(|start| !start.existing).map(|_| run))
    }));
    let (first, second, made) = join3(perform(store, settle), perform(store, settle), hosts).await;
    for settled in [first?, second?] {
        let slots = match settled {
            Reply::Settled { slots, .. } => slots,
            other => return Err(Failure::new("the kind of the reply", "settled", other)),
        };
        let accepted = vec![SlotReply::Accepted];
        same("the answer to a firing", &accepted, &slots)
            .map_err(|failure| failure.after(settle))?;
    }
    let made: Result<Vec<Option<RunId>>, Failure> = made.into_iter().collect();
    Ok(made?.into_iter().flatten().collect())
}

/// The run of an occurrence has one first row, which says of which occurrence it is.
async fn begun_once(store: &impl Inspect, due: &Due, occurrence: Timestamp) -> Result<(), Failure> {
    let run = due.id.occurrence(occurrence);
    let Some(seen) = seen(store, run).await? else {
        return Err(Failure::new("the run of an occurrence", "a row", "none"));
    };
    same("its schedule", &Some(due.id), &seen.row.schedule)?;
    let first = seen.journal.iter().filter(|row| row.seq == Seq::FIRST);
    let changes = first.flat_map(|row| &row.transition.changes);
    let occurrences = changes.filter_map(|change| match change {
        Change::Belong { occurrence } => Some(occurrence.at),
        _ => None,
    });
    same("its occurrence", &vec![occurrence], &occurrences.collect())
}
