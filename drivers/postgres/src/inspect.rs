//! Looking: what is immutable for workers, everything else for people.
//!
//! Invariant: looking locks nothing and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};
use squid_mesh_core::definition::Definition;
use squid_mesh_core::id::{RunId, Shards};
use squid_mesh_core::operation::{DefinitionRow, JournalRow, RunRow, WorkerRow};
use squid_mesh_core::payload::{Payload, PayloadRef};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::{
    Fetch, Fetched, JournalPart, QueueRecord, RunFilter, RunRecord, ScheduleFilter, ScheduleRecord,
    StoreError, StoredRow,
};
use squid_mesh_core::task::{Lane, TaskKey};
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::transition::Transition;
use uuid::Uuid;

use crate::definitions::Definitions;
use crate::error::store_error;
use crate::read::number;
use crate::rows::{self, Names};
use crate::sql;

type Looked<T> = Result<T, sqlx::Error>;

/// Reads what workers ask for, one statement for each kind of thing.
pub(crate) async fn fetch(
    connection: &mut PgConnection,
    shards: Shards,
    definitions: &Definitions,
    wanted: &Fetch,
) -> Result<Fetched, StoreError> {
    let failed = |error: sqlx::Error| store_error(&error);
    let mut fetched = Fetched::default();
    if !wanted.payloads.is_empty() {
        fetched.payloads = payloads(connection, shards, wanted).await?;
    }
    let (mut known, mut missing) = (BTreeMap::new(), Vec::new());
    for key in &wanted.definitions {
        match definitions.kept(key) {
            Some(definition) => {
                known.insert(key.clone(), definition);
            }
            None => missing.push(key.clone()),
        }
    }
    if !missing.is_empty() {
        let stored = definitions
            .read(connection, &missing)
            .await
            .map_err(failed)?;
        let read = stored.definitions.into_iter();
        known.extend(read.map(|definition| (definition.key().clone(), definition)));
    }
    fetched.definitions = known.into_values().collect();
    if !wanted.newest.is_empty() {
        fetched.newest = newest(connection, definitions, wanted).await?;
    }
    if let Some(part) = wanted.journal {
        fetched.journal = journal(connection, shards, part).await.map_err(failed)?;
    }
    Ok(fetched)
}

/// Definitions of the highest versions, in name order. One that cannot be read is no reason to take the one before it.
async fn newest(
    connection: &mut PgConnection,
    definitions: &Definitions,
    wanted: &Fetch,
) -> Result<Vec<Arc<Definition>>, StoreError> {
    let read = definitions.read_newest(connection, &wanted.newest).await;
    let mut stored = read.map_err(|error| store_error(&error))?;
    if let Some((key, detail)) = stored.unreadable.first() {
        let detail = format!("definition {key}: {detail}");
        return Err(StoreError::Corrupt { detail });
    }
    stored.definitions.sort_by(|a, b| a.key().cmp(b.key()));
    Ok(stored.definitions)
}

/// What a set of definitions needs no connection for.
pub(crate) fn fetch_kept(definitions: &Definitions, wanted: &Fetch) -> Option<Fetched> {
    if !wanted.payloads.is_empty() || !wanted.newest.is_empty() || wanted.journal.is_some() {
        return None;
    }
    let kept: Option<Vec<_>> = wanted
        .definitions
        .iter()
        .map(|key| definitions.kept(key))
        .collect();
    Some(Fetched {
        definitions: kept?,
        ..Fetched::default()
    })
}

async fn payloads(
    connection: &mut PgConnection,
    shards: Shards,
    wanted: &Fetch,
) -> Result<Vec<(PayloadRef, Payload)>, StoreError> {
    let failed = |error: sqlx::Error| store_error(&error);
    let shard: Vec<i16> = wanted
        .payloads
        .iter()
        .map(|reference| number(reference.run.shard(shards)))
        .collect();
    let runs: Vec<Uuid> = wanted
        .payloads
        .iter()
        .map(|reference| Uuid::from_u128(reference.run.as_u128()))
        .collect();
    let seqs: Vec<i32> = wanted
        .payloads
        .iter()
        .map(|reference| reference.seq.0.cast_signed())
        .collect();
    let query = sqlx::query(sql::PAYLOADS).bind(shard).bind(runs).bind(seqs);
    let stored = query.fetch_all(connection).await.map_err(failed)?;
    let mut found: BTreeMap<(RunId, Seq), Option<Payload>> = BTreeMap::new();
    for row in &stored {
        let key = (
            rows::run_id(row, 0).map_err(failed)?,
            rows::seq(row, 1).map_err(failed)?,
        );
        let bytes: Option<&[u8]> = row.try_get(2).map_err(failed)?;
        found.insert(key, bytes.map(Payload::new));
    }
    let mut fetched = Vec::with_capacity(stored.len());
    for reference in &wanted.payloads {
        match found.get(&(reference.run, reference.seq)) {
            None | Some(None) => {}
            Some(Some(payload)) if payload.digest() == reference.digest => {
                fetched.push((*reference, payload.clone()))
            }
            Some(Some(_)) => {
                let detail = format!(
                    "the payload of run {} at {} is another",
                    reference.run, reference.seq.0
                );
                return Err(StoreError::Corrupt { detail });
            }
        }
    }
    Ok(fetched)
}

/// A run's row and tasks, of one snapshot.
pub(crate) async fn run(
    connection: &mut PgConnection,
    shards: Shards,
    id: RunId,
) -> Looked<Option<RunRecord>> {
    let (shard, key) = (number(id.shard(shards)), Uuid::from_u128(id.as_u128()));
    let query = sqlx::query(sql::RUN).bind(shard).bind(key);
    let stored = query.fetch_all(connection).await?;
    let Some((found, stored)) = stored.split_first() else {
        return Ok(None);
    };
    // The task of a schedule is under an id that no run has.
    if rows::is_missing(found, 1)? {
        return Ok(None);
    }
    let mut names = Names::default();
    let (mut tasks, mut paused) = (Vec::with_capacity(stored.len()), BTreeSet::new());
    for row in stored {
        let lane: i16 = row.try_get(LANE)?;
        let key = TaskKey {
            run: id,
            lane: Lane(lane.cast_unsigned()),
        };
        match rows::task(row, LANE + 2, key, &mut names)? {
            Ok(task) => {
                if row.try_get::<Option<bool>, _>(LANE + 1)?.unwrap_or(false) {
                    paused.insert(task.queue.clone());
                }
                tasks.push(task);
            }
            Err(detail) => tracing::error!(detail, "a task cannot be read"),
        }
    }
    Ok(Some(RunRecord {
        now: rows::clock(found, 0)?,
        row: rows::run(found, 1, id, &mut names)?,
        paused,
        tasks,
    }))
}

/// The column of [`sql::RUN`] at which what it says of a task begins.
const LANE: usize = 13;

/// Journal rows of a run.
pub(crate) async fn journal(
    connection: &mut PgConnection,
    shards: Shards,
    part: JournalPart,
) -> Looked<Vec<StoredRow>> {
    // A bound beyond what the column holds is one beyond every row.
    let bound = |seq: Seq| i32::try_from(seq.0).unwrap_or(i32::MAX);
    let query = sqlx::query(sql::JOURNAL)
        .bind(number(part.run.shard(shards)))
        .bind(Uuid::from_u128(part.run.as_u128()))
        .bind(bound(part.after))
        .bind(bound(part.upto))
        .bind(i64::from(part.limit))
        .bind(i64::try_from(part.bytes).unwrap_or(i64::MAX));
    let stored = query.fetch_all(connection).await?;
    let mut journal = Vec::with_capacity(stored.len());
    for row in &stored {
        let (seq, at) = (rows::seq(row, 0)?, rows::instant(row, 1)?);
        let payload: Option<&[u8]> = row.try_get(3)?;
        let payload = payload.map(Payload::new);
        let transition = Transition::decode(row.try_get(2)?);
        let row = transition.map(|transition| JournalRow {
            run: part.run,
            seq,
            at,
            transition,
            payload,
        });
        journal.push(StoredRow { seq, row });
    }
    Ok(journal)
}

/// Runs that match a filter.
pub(crate) async fn list(
    connection: &mut PgConnection,
    shards: Shards,
    filter: &RunFilter,
    after: Option<(Timestamp, RunId)>,
    limit: u32,
) -> Looked<Vec<RunRow>> {
    let (at, id) = after.unwrap_or((Timestamp::MAX, RunId::from_u128(u128::MAX)));
    let statuses: Vec<i16> = filter
        .statuses
        .iter()
        .map(|status| status.as_i16())
        .collect();
    let labels: BTreeMap<&str, &str> = filter
        .labels
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    if labels.len() < filter.labels.len() && contradicts(&filter.labels) {
        return Ok(Vec::new());
    }
    let uuid = |id: Option<RunId>| id.map(|id| Uuid::from_u128(id.as_u128()));
    let (statement, shard) = match (filter.parent, filter.source, filter.schedule) {
        (Some(parent), ..) => (sql::LIST_OF_PARENT, Some(parent.shard(shards))),
        (None, Some(source), _) => (sql::LIST_OF_SOURCE, Some(source.shard(shards))),
        (None, None, Some(schedule)) => (sql::LIST_OF_SCHEDULE, Some(schedule.shard(shards))),
        (None, None, None) => (sql::LIST, None),
    };
    let mut query = sqlx::query(statement)
        .bind(at.as_micros())
        .bind(Uuid::from_u128(id.as_u128()))
        .bind(filter.from.unwrap_or(Timestamp::MIN).as_micros())
        .bind(filter.until.unwrap_or(Timestamp::MAX).as_micros())
        .bind(
            filter
                .workflow
                .as_ref()
                .map(|name| name.as_str().to_owned()),
        )
        .bind(Some(statuses).filter(|statuses| !statuses.is_empty()))
        .bind(Some(Json(labels)).filter(|labels| !labels.0.is_empty()))
        .bind(uuid(filter.parent))
        .bind(uuid(filter.source))
        .bind(filter.schedule.map(|id| Uuid::from_u128(id.as_u128())))
        .bind(i64::from(limit));
    if let Some(shard) = shard {
        query = query.bind(number(shard));
    }
    let stored = query.fetch_all(connection).await?;
    let mut names = Names::default();
    stored
        .iter()
        .map(|row| rows::run(row, 1, rows::run_id(row, 0)?, &mut names))
        .collect()
}

/// Whether one label is asked for with two values, which no run has.
fn contradicts(labels: &[(String, String)]) -> bool {
    labels.iter().any(|(key, value)| {
        labels
            .iter()
            .any(|(other, with)| key == other && value != with)
    })
}

/// Every worker row.
pub(crate) async fn workers(connection: &mut PgConnection) -> Looked<Vec<WorkerRow>> {
    sqlx::query(sql::WORKERS)
        .fetch_all(connection)
        .await?
        .iter()
        .map(rows::worker)
        .collect()
}

/// Every definition.
pub(crate) async fn definitions(connection: &mut PgConnection) -> Looked<Vec<DefinitionRow>> {
    let stored = sqlx::query(sql::ALL_DEFINITIONS)
        .fetch_all(connection)
        .await?;
    let mut names = Names::default();
    stored
        .iter()
        .map(|row| rows::definition(row, &mut names))
        .collect()
}

/// Every queue that has a row.
pub(crate) async fn queues(connection: &mut PgConnection) -> Looked<Vec<QueueRecord>> {
    sqlx::query(sql::QUEUES)
        .fetch_all(connection)
        .await?
        .iter()
        .map(rows::queue_record)
        .collect()
}

/// A schedule's row and task, of one snapshot.
pub(crate) async fn schedule(
    connection: &mut PgConnection,
    shards: Shards,
    id: ScheduleId,
) -> Looked<Option<ScheduleRecord>> {
    let query = sqlx::query(sql::SCHEDULE)
        .bind(number(id.shard(shards)))
        .bind(Uuid::from_u128(id.as_u128()));
    let Some(found) = query.fetch_optional(connection).await? else {
        return Ok(None);
    };
    let mut names = Names::default();
    let mut task = None;
    if !rows::is_missing(&found, TASK)? {
        match rows::task(&found, TASK, id.task(), &mut names)? {
            Ok(row) => task = Some(row),
            Err(detail) => tracing::error!(detail, "a task cannot be read"),
        }
    }
    Ok(Some(ScheduleRecord {
        now: rows::clock(&found, 0)?,
        row: rows::schedule(&found, 1, id, &mut names)?,
        task,
    }))
}

/// The column of [`sql::SCHEDULE`] at which what it says of the task begins.
const TASK: usize = 13;

/// Schedules that match a filter.
pub(crate) async fn schedules(
    connection: &mut PgConnection,
    filter: &ScheduleFilter,
    after: Option<&str>,
    limit: u32,
) -> Looked<Vec<ScheduleRow>> {
    let standings = filter.standings.iter().map(|standing| standing.as_i16());
    let standings: Vec<i16> = standings.collect();
    let statement = match filter.workflow {
        Some(_) => sql::LIST_SCHEDULES_OF_WORKFLOW,
        None => sql::LIST_SCHEDULES,
    };
    // No key is empty.
    let mut query = sqlx::query(statement)
        .bind(after.unwrap_or_default())
        .bind(Some(standings).filter(|standings| !standings.is_empty()))
        .bind(i64::from(limit));
    if let Some(workflow) = &filter.workflow {
        query = query.bind(workflow.as_str());
    }
    let stored = query.fetch_all(connection).await?;
    let mut names = Names::default();
    stored
        .iter()
        .map(|row| rows::schedule(row, 1, rows::schedule_id(row, 0)?, &mut names))
        .collect()
}
