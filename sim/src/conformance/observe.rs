//! What a store shows of a run, beside what the memory store shows.
//!
//! Invariant: everything of a run is compared, byte by byte where it is bytes; nothing is normalised.

use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{JournalRow, RunRow};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::{Inspect, RunFilter, ScheduleFilter};
use squid_mesh_core::task::TaskRow;

use super::failure::{Failure, same, same_rows, unanswered};
use crate::store::Tables;

/// More rows than any run or store of the suite has.
pub(super) const EVERYTHING: u32 = 100_000;

/// Everything of one run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) row: RunRow,
    pub(super) tasks: Vec<TaskRow>,
    pub(super) journal: Vec<JournalRow>,
}

/// Everything a store shows of one run.
pub(super) async fn seen(store: &impl Inspect, id: RunId) -> Result<Option<Seen>, Failure> {
    let Some(record) = store.run(id).await.map_err(unanswered)? else {
        return Ok(None);
    };
    let rows = store
        .journal(id, Seq::FIRST, EVERYTHING)
        .await
        .map_err(unanswered)?;
    let mut journal = Vec::with_capacity(rows.len());
    for row in rows {
        let what = || format!("the journal of run {id} at {}", row.seq.0);
        journal.push(
            row.row
                .map_err(|error| Failure::new(what(), "a row that can be read", error))?,
        );
    }
    Ok(Some(Seen {
        row: record.row,
        tasks: record.tasks,
        journal,
    }))
}

/// Compares one run.
pub(super) async fn compare_run(
    store: &impl Inspect,
    tables: &Tables,
    id: RunId,
) -> Result<(), Failure> {
    let expected = tables.run(id).map(|row| Seen {
        row: row.clone(),
        tasks: tables.tasks_of(id).cloned().collect(),
        journal: tables.journal(id, Seq::FIRST).cloned().collect(),
    });
    match (expected, seen(store, id).await?) {
        (Some(expected), Some(found)) => {
            same_rows(
                &format!("the journal of run {id}"),
                &expected.journal,
                &found.journal,
            )?;
            same(format!("the row of run {id}"), &expected.row, &found.row)?;
            same_rows(
                &format!("the tasks of run {id}"),
                &expected.tasks,
                &found.tasks,
            )
        }
        (expected, found) => same(
            format!("whether run {id} exists"),
            &expected.is_some(),
            &found.is_some(),
        ),
    }
}

/// Compares one schedule, and its task.
pub(super) async fn compare_schedule(
    store: &impl Inspect,
    tables: &Tables,
    id: ScheduleId,
) -> Result<(), Failure> {
    let expected = tables.schedule(id);
    let expected = expected.map(|row| (row.clone(), tables.task(&id.task()).cloned()));
    let found = store.schedule(id).await.map_err(unanswered)?;
    let found = found.map(|record| (record.row, record.task));
    same(
        format!("the row and the task of schedule {id}"),
        &expected,
        &found,
    )
}

/// Compares every row that can be seen.
pub(super) async fn compare_all(store: &impl Inspect, tables: &Tables) -> Result<(), Failure> {
    let everything = RunFilter::default();
    let found = store
        .list(&everything, None, EVERYTHING)
        .await
        .map_err(unanswered)?;
    let expected: Vec<RunRow> = tables
        .list(&everything, None, EVERYTHING)
        .into_iter()
        .cloned()
        .collect();
    same_rows("the runs listed", &expected, &found)?;
    for row in &expected {
        compare_run(store, tables, row.id).await?;
    }
    let found = store.definitions().await.map_err(unanswered)?;
    same_rows(
        "the definitions",
        &tables.definitions().cloned().collect::<Vec<_>>(),
        &found,
    )?;
    let everything = ScheduleFilter::default();
    let found = store
        .schedules(&everything, None, EVERYTHING)
        .await
        .map_err(unanswered)?;
    let expected: Vec<ScheduleRow> = tables
        .list_schedules(&everything, None, EVERYTHING)
        .into_iter()
        .cloned()
        .collect();
    same_rows("the schedules", &expected, &found)?;
    for row in &expected {
        compare_schedule(store, tables, row.id).await?;
    }
    compare_queues(store, tables).await?;
    let found = store.workers().await.map_err(unanswered)?;
    same_rows(
        "the workers",
        &tables.workers().into_iter().cloned().collect::<Vec<_>>(),
        &found,
    )
}

/// Compares every queue.
pub(super) async fn compare_queues(store: &impl Inspect, tables: &Tables) -> Result<(), Failure> {
    let found = store.queues().await.map_err(unanswered)?;
    same_rows("the queues", &tables.queues().collect::<Vec<_>>(), &found)
}
