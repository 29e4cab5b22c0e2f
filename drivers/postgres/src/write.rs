//! Writing what an operation decided: one statement where one can say it all.
//!
//! Invariant: every guard is asserted to have let exactly its row through; otherwise the caller rolls back.

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::types::Json;
use sqlx::{Postgres, Row as _};
use squid_mesh_core::id::Shard;
use squid_mesh_core::operation::{
    DefinitionRow, JournalRow, Memory, OperatorEntry, QueueWrite, RunRow, RunUpdate,
    ScheduleUpdate, TaskUpdate, WorkerRow, Writes,
};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::task::{Fence, TaskKey, TaskRow};
use uuid::Uuid;

use crate::read::number;
use crate::rows::pack_claimed;
use crate::sql;

/// Why writes were not made.
#[derive(Debug)]
pub(crate) enum NotWritten {
    /// A guard did not let its row through: it is not as it was read.
    Guarded,
    /// The database said no.
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for NotWritten {
    fn from(error: sqlx::Error) -> NotWritten {
        NotWritten::Failed(error)
    }
}

type Bound = Query<'static, Postgres, PgArguments>;

/// Tells the versions of a row apart: the transaction that wrote it, as its `xmin` has it.
pub(crate) type Version = u32;

/// Writes everything, and says which version its runs and tasks are, where that was told. The connection is in the transaction
/// that has read what the writes were decided on, but for what was remembered, which is compared with what there is.
pub(crate) async fn write(
    connection: &mut PgConnection,
    shard: Shard,
    writes: &Writes,
    remembered: Option<&Memory<Version>>,
) -> Result<Option<Version>, NotWritten> {
    let mut version = None;
    if !writes.definitions.is_empty() {
        insert_definitions(&writes.definitions)
            .execute(&mut *connection)
            .await?;
    }
    let mut rest = Rest {
        journal: &writes.journal,
        inserted: &writes.tasks_inserted,
        updated: &writes.tasks_updated,
    };
    if !writes.runs_inserted.is_empty() {
        let (journal, tasks) = (take(&mut rest.journal), take(&mut rest.inserted));
        let query = start_runs(shard, &writes.runs_inserted, journal, tasks);
        let row = query.fetch_one(&mut *connection).await?;
        version = Some(version_of(&row, 0)?);
    }
    if !writes.runs_updated.is_empty() {
        let (journal, updated, deleted) = (
            take(&mut rest.journal),
            take(&mut rest.updated),
            &writes.tasks_deleted,
        );
        let query = advance_runs(shard, &writes.runs_updated, journal, updated, deleted);
        let query = bind_versions(query, writes, updated, remembered);
        let row = query.fetch_one(&mut *connection).await?;
        expect(count(&row, 0)?, writes.runs_updated.len())?;
        expect(count(&row, 1)?, updated.len())?;
        expect(count(&row, 2)?, deleted.len())?;
        version = Some(version_of(&row, 3)?);
    } else if !writes.tasks_deleted.is_empty() {
        let query = bind_deletes(
            sqlx::query(sql::DELETE_TASKS).bind(number(shard)),
            &writes.tasks_deleted,
        );
        expect(
            query.execute(&mut *connection).await?.rows_affected(),
            writes.tasks_deleted.len(),
        )?;
    }
    if !rest.inserted.is_empty() {
        let rows = rest.inserted.iter();
        bind_tasks(sqlx::query(sql::INSERT_TASKS).bind(number(shard)), rows)
            .execute(&mut *connection)
            .await?;
    }
    match (&writes.worker, rest.updated) {
        (None, []) => {}
        (None, updated) => {
            let query = bind_updates(sqlx::query(sql::UPDATE_TASKS).bind(number(shard)), updated);
            expect(
                query.execute(&mut *connection).await?.rows_affected(),
                updated.len(),
            )?;
        }
        (Some(worker), []) => {
            bind_worker(sqlx::query(sql::PUT_WORKER), worker)
                .execute(&mut *connection)
                .await?;
        }
        (Some(worker), updated) => {
            let query = bind_updates(sqlx::query(sql::TAKE_TASKS).bind(number(shard)), updated);
            let row = bind_worker(query, worker)
                .fetch_one(&mut *connection)
                .await?;
            expect(count(&row, 0)?, updated.len())?;
            version = Some(version_of(&row, 1)?);
        }
    }
    if let Some(write) = &writes.queue {
        let rows = put_queue(write).execute(&mut *connection).await?;
        expect(rows.rows_affected(), 1)?;
    }
    if let Some(entry) = &writes.entry {
        insert_entry(entry).execute(&mut *connection).await?;
    }
    write_schedules(connection, shard, writes).await?;
    assert!(
        rest.journal.is_empty(),
        "every journal row is of a run that is written with it"
    );
    Ok(version)
}

async fn write_schedules(
    connection: &mut PgConnection,
    shard: Shard,
    writes: &Writes,
) -> Result<(), NotWritten> {
    if !writes.schedules_deleted.is_empty() {
        let query = delete_schedules(shard, &writes.schedules_deleted);
        let gone = query.execute(&mut *connection).await?.rows_affected();
        expect(gone, writes.schedules_deleted.len())?;
    }
    if !writes.schedules_updated.is_empty() {
        let updates = writes.schedules_updated.iter();
        let (declared, moved): (Vec<_>, Vec<_>) = updates.partition(|update| update.declared);
        for (declared, updates) in [(true, declared), (false, moved)] {
            if updates.is_empty() {
                continue;
            }
            let query = update_schedules(shard, &updates, declared);
            let updated = query.execute(&mut *connection).await?.rows_affected();
            expect(updated, updates.len())?;
        }
    }
    if !writes.schedules_inserted.is_empty() {
        insert_schedules(shard, &writes.schedules_inserted)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// What no statement has written yet.
struct Rest<'a> {
    journal: &'a [JournalRow],
    inserted: &'a [TaskRow],
    updated: &'a [TaskUpdate],
}

fn take<'a, T>(rows: &mut &'a [T]) -> &'a [T] {
    std::mem::take(rows)
}

fn expect(found: u64, wanted: usize) -> Result<(), NotWritten> {
    if u64::try_from(wanted) == Ok(found) {
        Ok(())
    } else {
        Err(NotWritten::Guarded)
    }
}

fn count(row: &PgRow, at: usize) -> Result<u64, sqlx::Error> {
    Ok(row.try_get::<i64, _>(at)?.cast_unsigned())
}

/// The low half of the transaction's number.
fn version_of(row: &PgRow, at: usize) -> Result<Version, sqlx::Error> {
    let number = row.try_get::<i64, _>(at)?.cast_unsigned();
    let low = number & u64::from(u32::MAX);
    Ok(u32::try_from(low).expect("it is masked to 32 bits"))
}

fn insert_definitions(rows: &[DefinitionRow]) -> Bound {
    let names: Vec<&str> = rows.iter().map(|row| row.key.name.as_str()).collect();
    let versions: Vec<i64> = rows.iter().map(|row| i64::from(row.key.version)).collect();
    let digests: Vec<Vec<u8>> = rows
        .iter()
        .map(|row| row.digest.to_bytes().to_vec())
        .collect();
    let bodies: Vec<&str> = rows.iter().map(|row| &*row.body).collect();
    sqlx::query(sql::INSERT_DEFINITIONS)
        .bind(names)
        .bind(versions)
        .bind(digests)
        .bind(bodies)
}

fn start_runs(shard: Shard, runs: &[RunRow], journal: &[JournalRow], tasks: &[TaskRow]) -> Bound {
    let query = bind_tasks(
        sqlx::query(sql::START_RUNS).bind(number(shard)),
        tasks.iter(),
    );
    let labels = |row: &RunRow| {
        if row.labels.is_empty() {
            None
        } else {
            Some(Json(row.labels.clone()))
        }
    };
    bind_journal(query, journal)
        .bind(column(runs, |row| uuid(row.id.as_u128())))
        .bind(column(runs, |row| row.life.0.cast_signed()))
        .bind(column(runs, |row| row.definition.name.as_str()))
        .bind(column(runs, |row| i64::from(row.definition.version)))
        .bind(column(runs, |row| row.seq.0.cast_signed()))
        .bind(column(runs, |row| row.status.as_i16()))
        .bind(column(runs, |row| row.state.as_slice()))
        .bind(column(runs, labels))
        .bind(column(runs, |row| row.created.as_micros()))
        .bind(column(runs, |row| row.updated.as_micros()))
        .bind(column(runs, |row| row.parent.map(|id| uuid(id.as_u128()))))
        .bind(column(runs, |row| row.source.map(|id| uuid(id.as_u128()))))
        .bind(column(runs, |row| {
            row.schedule.map(|id| uuid(id.as_u128()))
        }))
}

fn advance_runs(
    shard: Shard,
    runs: &[RunUpdate],
    journal: &[JournalRow],
    updated: &[TaskUpdate],
    deleted: &[(TaskKey, Fence)],
) -> Bound {
    let query = bind_updates(sqlx::query(sql::ADVANCE_RUNS).bind(number(shard)), updated);
    bind_journal(bind_deletes(query, deleted), journal)
        .bind(column(runs, |update| uuid(update.row.id.as_u128())))
        .bind(column(runs, |update| update.was.0.cast_signed()))
        .bind(column(runs, |update| update.row.seq.0.cast_signed()))
        .bind(column(runs, |update| update.row.status.as_i16()))
        .bind(column(runs, |update| update.row.state.as_slice()))
        .bind(column(runs, |update| update.row.updated.as_micros()))
}

/// Which version each row was, of those that were remembered.
fn bind_versions(
    query: Bound,
    writes: &Writes,
    updated: &[TaskUpdate],
    remembered: Option<&Memory<Version>>,
) -> Bound {
    let task = |key: &TaskKey| {
        let version = remembered.and_then(|memory| memory.tasks.get(key));
        version.map(|version| version.cast_signed())
    };
    let run = |update: &RunUpdate| {
        let version = remembered.and_then(|memory| memory.runs.get(&update.row.id));
        version.map(|version| version.cast_signed())
    };
    query
        .bind(column(updated, |update| task(&update.row.key)))
        .bind(column(&writes.tasks_deleted, |(key, _)| task(key)))
        .bind(column(&writes.runs_updated, run))
}

fn bind_journal(query: Bound, rows: &[JournalRow]) -> Bound {
    query
        .bind(column(rows, |row| uuid(row.run.as_u128())))
        .bind(column(rows, |row| row.seq.0.cast_signed()))
        .bind(column(rows, |row| row.at.as_micros()))
        .bind(column(rows, |row| row.transition.encode()))
        .bind(column(rows, |row| {
            row.payload.as_ref().map(|payload| payload.bytes())
        }))
}

fn bind_updates(query: Bound, updates: &[TaskUpdate]) -> Bound {
    bind_tasks(query, updates.iter().map(|update| &update.row))
        .bind(column(updates, |update| update.was.seq.0.cast_signed()))
        .bind(column(updates, |update| update.was.claims.cast_signed()))
}

fn bind_tasks<'a>(query: Bound, rows: impl Iterator<Item = &'a TaskRow> + Clone) -> Bound {
    let owner = |row: &TaskRow| row.owner.map(|owner| uuid(owner.as_u128()));
    query
        .bind(each(&rows, |row| uuid(row.key.run.as_u128())))
        .bind(each(&rows, |row| row.key.lane.0.cast_signed()))
        .bind(each(&rows, |row| row.life.0.cast_signed()))
        .bind(each(&rows, |row| row.kind.as_i16()))
        .bind(each(&rows, |row| row.step.0.cast_signed()))
        .bind(each(&rows, |row| row.queue.as_str()))
        .bind(each(&rows, |row| row.priority))
        .bind(each(&rows, |row| row.handler.as_str()))
        .bind(each(&rows, |row| row.due_at.as_micros()))
        .bind(each(&rows, |row| row.attempt.cast_signed()))
        .bind(each(&rows, |row| row.fence.seq.0.cast_signed()))
        .bind(each(&rows, |row| row.fence.claims.cast_signed()))
        .bind(each(&rows, owner))
        .bind(each(&rows, |row| row.begun))
        .bind(each(&rows, |row| row.expired))
        .bind(each(&rows, |row| row.hand_offs.cast_signed()))
        .bind(each(&rows, |row| row.format.cast_signed()))
        .bind(each(&rows, |row| {
            row.renew_until.map(|until| until.as_micros())
        }))
        .bind(each(&rows, |row| row.brief.encode()))
}

fn bind_deletes(query: Bound, deleted: &[(TaskKey, Fence)]) -> Bound {
    query
        .bind(column(deleted, |(key, _)| uuid(key.run.as_u128())))
        .bind(column(deleted, |(key, _)| key.lane.0.cast_signed()))
        .bind(column(deleted, |(_, was)| was.seq.0.cast_signed()))
        .bind(column(deleted, |(_, was)| was.claims.cast_signed()))
}

fn bind_worker(query: Bound, row: &WorkerRow) -> Bound {
    let handlers: Vec<&str> = row.handlers.iter().map(|name| name.as_str()).collect();
    let queues: Vec<&str> = row.queues.iter().map(|name| name.as_str()).collect();
    query
        .bind(uuid(row.incarnation.as_u128()))
        .bind(row.name.as_str().to_owned())
        .bind(handlers)
        .bind(queues)
        .bind(row.started.as_micros())
        .bind(row.seen.as_micros())
        .bind(row.claim.cast_signed())
        .bind(number(row.claim_shard))
        .bind(pack_claimed(&row.claimed))
}

fn put_queue(write: &QueueWrite) -> Bound {
    let statement = if write.is_new {
        sql::INSERT_QUEUE
    } else {
        sql::UPDATE_QUEUE
    };
    sqlx::query(statement)
        .bind(write.row.name.as_str().to_owned())
        .bind(write.row.paused)
        .bind(uuid(write.row.by.as_u128()))
}

fn insert_entry(entry: &OperatorEntry) -> Bound {
    sqlx::query(sql::INSERT_ENTRY)
        .bind(uuid(entry.id.as_u128()))
        .bind(entry.actor.clone())
        .bind(entry.action.as_str())
        .bind(entry.target.as_str().to_owned())
        .bind(entry.comment.clone())
        .bind(entry.changed)
        .bind(entry.at.as_micros())
}

fn insert_schedules(shard: Shard, rows: &[ScheduleRow]) -> Bound {
    sqlx::query(sql::INSERT_SCHEDULES)
        .bind(number(shard))
        .bind(column(rows, |row| uuid(row.id.as_u128())))
        .bind(column(rows, |row| row.life.0.cast_signed()))
        .bind(column(rows, |row| row.seq.0.cast_signed()))
        .bind(column(rows, |row| row.key.as_str()))
        .bind(column(rows, |row| i64::from(row.version)))
        .bind(column(rows, |row| row.workflow.as_str()))
        .bind(column(rows, |row| row.trigger.as_str()))
        .bind(column(rows, |row| row.plan.as_str()))
        .bind(column(rows, |row| row.input.bytes()))
        .bind(column(rows, |row| row.standing.as_i16()))
        .bind(column(rows, |row| row.state.as_slice()))
        .bind(column(rows, |row| row.created.as_micros()))
        .bind(column(rows, |row| row.updated.as_micros()))
}

fn update_schedules(shard: Shard, updates: &[&ScheduleUpdate], declared: bool) -> Bound {
    let statement = if declared {
        sql::CHANGE_SCHEDULES
    } else {
        sql::UPDATE_SCHEDULES
    };
    let query = sqlx::query(statement)
        .bind(number(shard))
        .bind(column(updates, |update| uuid(update.row.id.as_u128())))
        .bind(column(updates, |update| update.was.0.cast_signed()))
        .bind(column(updates, |update| update.row.seq.0.cast_signed()))
        .bind(column(updates, |update| update.row.standing.as_i16()))
        .bind(column(updates, |update| update.row.state.as_slice()))
        .bind(column(updates, |update| update.row.updated.as_micros()));
    if !declared {
        return query;
    }
    query
        .bind(column(updates, |update| i64::from(update.row.version)))
        .bind(column(updates, |update| update.row.workflow.as_str()))
        .bind(column(updates, |update| update.row.trigger.as_str()))
        .bind(column(updates, |update| update.row.plan.as_str()))
        .bind(column(updates, |update| update.row.input.bytes()))
}

fn delete_schedules(shard: Shard, deleted: &[(ScheduleId, Seq)]) -> Bound {
    sqlx::query(sql::DELETE_SCHEDULES)
        .bind(number(shard))
        .bind(column(deleted, |(id, _)| uuid(id.as_u128())))
        .bind(column(deleted, |(_, was)| was.0.cast_signed()))
}

/// One column of many rows.
fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

fn each<'a, R: 'a, T>(
    rows: &(impl Iterator<Item = &'a R> + Clone),
    value: impl Fn(&'a R) -> T,
) -> Vec<T> {
    rows.clone().map(value).collect()
}

fn uuid(bits: u128) -> Uuid {
    Uuid::from_u128(bits)
}
