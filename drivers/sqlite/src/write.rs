//! Writing what an operation decided.
//!
//! Every row is a statement of its own: in SQLite that is faster than any way of handing many rows to one statement, as
//! long as the statements cross to its thread together.
//!
//! Invariant: each statement changes exactly one row, or the operation is undone.

use sqlx::sqlite::SqliteConnection;
use squid_mesh_core::operation::{
    DefinitionRow, JournalRow, OperatorEntry, QueueWrite, RunRow, RunUpdate, ScheduleUpdate,
    TaskUpdate, WorkerRow, Writes,
};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::StoreError;
use squid_mesh_core::task::{Fence, TaskKey, TaskRow};

use crate::error::{Failure, corrupt};
use crate::rows;
use crate::script::Script;
use crate::sql;

/// Writes everything, or fails.
pub(crate) async fn write(
    connection: &mut SqliteConnection,
    writes: &Writes,
) -> Result<(), Failure> {
    let rows = rows_of(writes);
    for trip in trips(&rows) {
        let mut script = Script::default();
        for row in trip {
            row.put(&mut script)?;
        }
        let answers = script.run(connection).await?;
        if answers.iter().any(|answer| answer.changed != 1) {
            return Err(Failure::Operation(StoreError::Conflict));
        }
    }
    Ok(())
}

/// One row to write.
#[derive(Debug, Clone, Copy)]
enum Row<'w> {
    Definition(&'w DefinitionRow),
    Run(&'w RunRow),
    RunUpdate(&'w RunUpdate),
    Journal(&'w JournalRow),
    TaskDelete(&'w (TaskKey, Fence)),
    TaskUpdate(&'w TaskUpdate),
    Task(&'w TaskRow),
    Worker(&'w WorkerRow),
    Queue(&'w QueueWrite),
    Entry(&'w OperatorEntry),
    ScheduleDelete(&'w (ScheduleId, Seq)),
    ScheduleUpdate(&'w ScheduleUpdate),
    Schedule(&'w ScheduleRow),
}

/// In an order in which no row stands in the way of another: a lane is freed before it is taken.
fn rows_of(writes: &Writes) -> Vec<Row<'_>> {
    let (moved, kept): (Vec<_>, Vec<_>) = writes
        .tasks_updated
        .iter()
        .partition(|update| update.indexed);
    let mut rows = Vec::new();
    rows.extend(writes.definitions.iter().map(Row::Definition));
    rows.extend(writes.runs_inserted.iter().map(Row::Run));
    rows.extend(writes.runs_updated.iter().map(Row::RunUpdate));
    rows.extend(writes.journal.iter().map(Row::Journal));
    rows.extend(writes.tasks_deleted.iter().map(Row::TaskDelete));
    rows.extend(kept.into_iter().map(Row::TaskUpdate));
    rows.extend(moved.into_iter().map(Row::TaskUpdate));
    rows.extend(writes.tasks_inserted.iter().map(Row::Task));
    rows.extend(writes.worker.iter().map(Row::Worker));
    rows.extend(writes.queue.iter().map(Row::Queue));
    rows.extend(writes.entry.iter().map(Row::Entry));
    rows.extend(writes.schedules_deleted.iter().map(Row::ScheduleDelete));
    rows.extend(writes.schedules_updated.iter().map(Row::ScheduleUpdate));
    rows.extend(writes.schedules_inserted.iter().map(Row::Schedule));
    rows
}

/// Up to so many rows cross together, whatever they are. SQLite prepares each mixture once.
const SMALL: usize = 8;
/// Most rows of one kind that cross together.
const LARGE: usize = 32;

/// Cuts rows into scripts of few different texts: a small mixture, or a power of two of rows of one kind.
fn trips<'r, 'w>(rows: &'r [Row<'w>]) -> impl Iterator<Item = &'r [Row<'w>]> {
    let mut rest = rows;
    let mixed = rows.len() <= SMALL;
    std::iter::from_fn(move || {
        let first = rest.first()?;
        let same = rest
            .iter()
            .take(LARGE)
            .take_while(|row| row.sql() == first.sql())
            .count();
        let (trip, after) = rest.split_at(if mixed { rest.len() } else { 1 << same.ilog2() });
        rest = after;
        Some(trip)
    })
}

impl Row<'_> {
    fn sql(&self) -> &'static str {
        match self {
            Row::Definition(_) => sql::INSERT_DEFINITION,
            Row::Run(_) => sql::INSERT_RUN,
            Row::RunUpdate(_) => sql::UPDATE_RUN,
            Row::Journal(_) => sql::INSERT_JOURNAL,
            Row::TaskDelete(_) => sql::DELETE_TASK,
            Row::TaskUpdate(update) if update.indexed => sql::MOVE_TASK,
            Row::TaskUpdate(_) => sql::UPDATE_TASK,
            Row::Task(_) => sql::INSERT_TASK,
            Row::Worker(_) => sql::PUT_WORKER,
            Row::Queue(write) if write.is_new => sql::INSERT_QUEUE,
            Row::Queue(_) => sql::UPDATE_QUEUE,
            Row::Entry(_) => sql::INSERT_ENTRY,
            Row::ScheduleDelete(_) => sql::DELETE_SCHEDULE,
            Row::ScheduleUpdate(update) if update.declared => sql::CHANGE_SCHEDULE,
            Row::ScheduleUpdate(_) => sql::UPDATE_SCHEDULE,
            Row::Schedule(_) => sql::INSERT_SCHEDULE,
        }
    }

    fn put(&self, script: &mut Script) -> Result<(), StoreError> {
        script.statement(self.sql());
        match self {
            Row::Definition(row) => put_definition(script, row),
            Row::Run(row) => put_run(script, row)?,
            Row::RunUpdate(update) => put_run_update(script, update),
            Row::Journal(row) => put_journal(script, row),
            Row::TaskDelete((key, was)) => put_task_guard(script, key, was),
            Row::TaskUpdate(update) => {
                put_task_content(script, &update.row);
                if update.indexed {
                    put_task_place(script, &update.row);
                }
                put_task_guard(script, &update.row.key, &update.was);
            }
            Row::Task(row) => {
                put_task_content(script, row);
                put_task_place(script, row);
                put_task_key(script, &row.key);
            }
            Row::Worker(row) => put_worker(script, row)?,
            Row::Queue(write) => put_queue(script, write),
            Row::Entry(entry) => put_entry(script, entry),
            Row::ScheduleDelete((id, was)) => put_schedule_guard(script, *id, *was),
            Row::ScheduleUpdate(update) => {
                put_schedule_course(script, &update.row);
                if update.declared {
                    put_schedule_content(script, &update.row);
                }
                put_schedule_guard(script, update.row.id, update.was);
            }
            Row::Schedule(row) => {
                put_schedule_course(script, row);
                put_schedule_content(script, row);
                script
                    .bind(row.key.as_str())
                    .bind(row.life.0.cast_signed())
                    .bind(row.created.as_micros())
                    .bind(rows::schedule_bytes(row.id));
            }
        }
        Ok(())
    }
}

fn put_definition(script: &mut Script, row: &DefinitionRow) {
    script.bind(row.key.name.as_str()).bind(row.key.version);
    script
        .bind(row.digest.to_bytes().as_slice())
        .bind(&*row.body);
}

fn put_run(script: &mut Script, row: &RunRow) -> Result<(), StoreError> {
    script
        .bind(row.id.to_bytes().as_slice())
        .bind(row.life.0.cast_signed());
    script
        .bind(row.definition.name.as_str())
        .bind(row.definition.version);
    script
        .bind(row.seq.0)
        .bind(row.status.as_i16())
        .bind(row.state.as_slice())
        .bind(json(&row.labels)?);
    script
        .bind(row.created.as_micros())
        .bind(row.updated.as_micros());
    for run in [row.parent, row.source] {
        script.bind(run.map(|run| run.to_bytes().to_vec()));
    }
    script.bind(row.schedule.map(rows::schedule_bytes));
    Ok(())
}

fn put_run_update(script: &mut Script, update: &RunUpdate) {
    let row = &update.row;
    script
        .bind(row.seq.0)
        .bind(row.status.as_i16())
        .bind(row.state.as_slice())
        .bind(row.updated.as_micros());
    script.bind(row.id.to_bytes().as_slice()).bind(update.was.0);
}

fn put_journal(script: &mut Script, row: &JournalRow) {
    script
        .bind(row.run.to_bytes().as_slice())
        .bind(row.seq.0)
        .bind(row.at.as_micros());
    script
        .bind(row.transition.encode())
        .bind(row.payload.as_ref().map(|payload| payload.bytes()));
}

fn put_task_content(script: &mut Script, row: &TaskRow) {
    script
        .bind(row.life.0.cast_signed())
        .bind(row.kind.as_i16())
        .bind(row.step.0)
        .bind(row.attempt);
    script.bind(row.fence.seq.0).bind(row.fence.claims);
    script.bind(row.owner.map(|owner| owner.to_bytes().to_vec()));
    script
        .bind(i32::from(row.begun))
        .bind(i32::from(row.expired))
        .bind(row.hand_offs)
        .bind(row.format);
    script
        .bind(row.renew_until.map(|until| until.as_micros()))
        .bind(row.brief.encode());
}

fn put_task_place(script: &mut Script, row: &TaskRow) {
    script
        .bind(row.queue.as_str())
        .bind(row.priority)
        .bind(row.handler.as_str())
        .bind(row.due_at.as_micros());
}

fn put_task_key(script: &mut Script, key: &TaskKey) {
    script.bind(key.run.to_bytes().as_slice()).bind(key.lane.0);
}

fn put_task_guard(script: &mut Script, key: &TaskKey, was: &Fence) {
    put_task_key(script, key);
    script.bind(was.seq.0).bind(was.claims);
}

fn put_worker(script: &mut Script, row: &WorkerRow) -> Result<(), StoreError> {
    script
        .bind(row.incarnation.to_bytes().as_slice())
        .bind(row.name.as_str());
    script.bind(json(&*row.handlers)?).bind(json(&row.queues)?);
    script
        .bind(row.started.as_micros())
        .bind(row.seen.as_micros());
    script
        .bind(row.claim.cast_signed())
        .bind(row.claim_shard.as_u16())
        .bind(rows::encode_claimed(&row.claimed));
    Ok(())
}

fn put_queue(script: &mut Script, write: &QueueWrite) {
    script
        .bind(i32::from(write.row.paused))
        .bind(write.row.by.to_bytes().as_slice())
        .bind(write.row.name.as_str());
}

fn put_entry(script: &mut Script, entry: &OperatorEntry) {
    script
        .bind(entry.id.to_bytes().as_slice())
        .bind(entry.actor.as_deref())
        .bind(entry.action.as_str())
        .bind(entry.target.as_str());
    script
        .bind(entry.comment.as_deref())
        .bind(i32::from(entry.changed))
        .bind(entry.at.as_micros());
}

/// What became of a schedule.
fn put_schedule_course(script: &mut Script, row: &ScheduleRow) {
    script
        .bind(row.seq.0)
        .bind(row.standing.as_i16())
        .bind(row.state.as_slice())
        .bind(row.updated.as_micros());
}

/// What was declared of it.
fn put_schedule_content(script: &mut Script, row: &ScheduleRow) {
    script
        .bind(row.version)
        .bind(row.workflow.as_str())
        .bind(row.trigger.as_str())
        .bind(row.plan.as_str())
        .bind(row.input.bytes());
}

fn put_schedule_guard(script: &mut Script, id: ScheduleId, was: Seq) {
    script.bind(rows::schedule_bytes(id)).bind(was.0);
}

fn json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| corrupt(format!("a list of texts is not serialisable: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_mixture_crosses_at_once_and_a_large_one_by_powers_of_two() {
        let gone = (
            TaskKey {
                run: squid_mesh_core::id::RunId::from_u128(1),
                lane: Default::default(),
            },
            {
                Fence {
                    seq: Seq::FIRST,
                    claims: 0,
                }
            },
        );
        let lengths = |count| -> Vec<usize> {
            let rows = vec![Row::TaskDelete(&gone); count];
            trips(&rows).map(<[Row<'_>]>::len).collect()
        };
        assert_eq!(lengths(0), Vec::<usize>::new());
        assert_eq!(lengths(7), [7]);
        assert_eq!(lengths(8), [8]);
        assert_eq!(lengths(9), [8, 1]);
        assert_eq!(lengths(77), [32, 32, 8, 4, 1]);
    }
}
