//! Schedules that are changed while they are fired.
//!
//! Invariant: whatever comes first, no run is started that nobody asked for, and the task of a schedule follows from its row.

use std::cell::RefCell;
use std::collections::BTreeSet;

use futures_util::future::{join, join_all};
use squid_mesh_core::id::{CommandId, RunId, Shard};
use squid_mesh_core::operation::ScheduleAction;
use squid_mesh_core::store::{Inspect, Store};
use squid_mesh_core::verify;

use super::claimer::Claimer;
use super::due::Due;
use crate::conformance::cast::workflow;
use crate::conformance::concurrent::take_turns;
use crate::conformance::failure::{Failure, holds, perform, same, unanswered};
use crate::conformance::schedules::{command, declaration, external, obeyed};

/// Workers that fire them.
const WORKERS: u128 = 3;

/// Workers fire what is due while an operator pauses, resumes, changes, triggers and deletes.
pub(super) async fn while_they_change<S: Store + Inspect>(
    store: &S,
    crowd: &[Due],
) -> Result<(), Failure> {
    let shards: BTreeSet<Shard> = crowd.iter().map(|due| due.shard).collect();
    let shards: Vec<Shard> = shards.into_iter().collect();
    let workers = join_all((0..WORKERS).map(async |number| {
        let mut worker = Claimer::new(10 + number);
        perform(store, &worker.worker.register()).await?;
        worker.drain(store, &shards).await
    }));
    let triggered = RefCell::new(BTreeSet::new());
    let (worked, interfered) = join(workers, interfere(store, crowd, &triggered)).await;
    interfered?;
    worked.into_iter().collect::<Result<(), Failure>>()?;
    let mut last = Claimer::new(99);
    perform(store, &last.worker.register()).await?;
    last.drain(store, &shards).await?;
    let triggered = triggered.into_inner();
    for due in crowd {
        follows(store, due).await?;
        let runs = due.runs(store).await?;
        let own: BTreeSet<RunId> = due
            .occurrences
            .iter()
            .map(|at| due.id.occurrence(*at))
            .collect();
        let strange = runs
            .iter()
            .find(|run| !own.contains(run) && !triggered.contains(run));
        same("a run of a schedule that nobody asked for", &None, &strange)?;
    }
    for run in &triggered {
        let found = store.run(*run).await.map_err(unanswered)?.is_some();
        holds("a run that was triggered is there", found, run)?;
    }
    Ok(())
}

async fn interfere<S: Store>(
    store: &S,
    crowd: &[Due],
    triggered: &RefCell<BTreeSet<RunId>>,
) -> Result<(), Failure> {
    for (at, due) in (0_u32..).zip(crowd) {
        let number = 2_000 + at * 10;
        let definition = workflow("chain");
        let actions = match at % 4 {
            0 => vec![ScheduleAction::Pause, ScheduleAction::Resume],
            1 => vec![ScheduleAction::Trigger { definition }],
            2 => vec![ScheduleAction::Change(declaration(external(), 0))],
            _ => vec![
                ScheduleAction::Trigger { definition },
                ScheduleAction::Delete,
            ],
        };
        for (number, action) in (number..).zip(actions) {
            if let ScheduleAction::Trigger { .. } = action {
                let run = due.id.triggered(CommandId::from_u128(number.into()));
                triggered.borrow_mut().insert(run);
            }
            take_turns().await;
            let operation = command(store.shards(), number, &due.key, action);
            obeyed(store, &operation).await?;
        }
    }
    Ok(())
}

/// The task of a schedule follows from its row.
async fn follows(store: &impl Inspect, due: &Due) -> Result<(), Failure> {
    let Some(record) = store.schedule(due.id).await.map_err(unanswered)? else {
        return Ok(());
    };
    let schedule = record.row.read();
    let schedule = schedule.map_err(|error| {
        Failure::new(
            format!("the row of schedule {}", due.key),
            "to be read",
            error,
        )
    })?;
    let found = verify::schedule(&schedule, record.task.as_ref());
    let what = format!("what of schedule {} does not follow from its row", due.key);
    same(what, &Vec::new(), &found)
}
