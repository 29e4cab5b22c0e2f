//! Reads for people, on connections that cannot write.
//!
//! Invariant: each call sees one snapshot of the database.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::Acquire as _;
use sqlx::sqlite::SqliteRow;
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{DefinitionRow, JournalRow, RunRow, WorkerRow};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::{
    Inspect, JournalPart, QueueRecord, RunFilter, RunRecord, ScheduleFilter, ScheduleRecord,
    StoreError, StoredRow,
};
use squid_mesh_core::task::TaskRow;
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::transition::Transition;

use crate::error::store_error;
use crate::rows::{self, Columns};
use crate::script::Script;
use crate::sql;
use crate::store::SqliteStore;

impl Inspect for SqliteStore {
    async fn run(&self, id: RunId) -> Result<Option<RunRecord>, StoreError> {
        let key = rows::run_keys([&id]);
        let failed = |error: sqlx::Error| store_error(&error);
        let mut connection = self.reader().await?;
        let mut tx = connection.begin().await.map_err(failed)?;
        let run = Script::of(sql::RUNS)
            .with(key.as_str())
            .rows(&mut tx)
            .await
            .map_err(failed)?;
        let tasks = Script::of(sql::TASKS_OF)
            .with(key.as_str())
            .rows(&mut tx)
            .await
            .map_err(failed)?;
        let tasks: Vec<TaskRow> = tasks.iter().map(rows::task).collect::<Result<_, _>>()?;
        let queues = tasks.iter().map(|task| &task.queue);
        // The engine's own is never paused.
        let queues: BTreeSet<&Name> = queues.filter(|queue| !queue.is_engine()).collect();
        let paused = match queues.is_empty() {
            true => Vec::new(),
            false => {
                let paused = Script::of(sql::PAUSED).with(rows::names(queues));
                paused.rows(&mut tx).await.map_err(failed)?
            }
        };
        tx.commit().await.map_err(failed)?;
        let Some(run) = run.first() else {
            return Ok(None);
        };
        Ok(Some(RunRecord {
            now: self.now(),
            row: rows::run(run)?,
            paused: paused.iter().map(rows::name).collect::<Result<_, _>>()?,
            tasks,
        }))
    }

    async fn journal(
        &self,
        id: RunId,
        from: Seq,
        limit: u32,
    ) -> Result<Vec<StoredRow>, StoreError> {
        self.fetch_journal(&JournalPart {
            run: id,
            after: Seq(from.0.saturating_sub(1)),
            upto: Seq(u32::MAX),
            limit,
            bytes: u64::MAX,
        })
        .await
    }

    async fn list(
        &self,
        filter: &RunFilter,
        after: Option<(Timestamp, RunId)>,
        limit: u32,
    ) -> Result<Vec<RunRow>, StoreError> {
        let found = self.query(page(filter, after, limit)).await?;
        found.iter().map(rows::run).collect()
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        let found = self.query(Script::of(sql::WORKERS)).await?;
        found.iter().map(rows::worker).collect()
    }

    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
        let found = self.query(Script::of(sql::ALL_DEFINITIONS)).await?;
        found.iter().map(rows::definition).collect()
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, StoreError> {
        let found = self.query(Script::of(sql::QUEUES)).await?;
        found.iter().map(rows::queue_record).collect()
    }

    async fn schedule(&self, id: ScheduleId) -> Result<Option<ScheduleRecord>, StoreError> {
        let failed = |error: sqlx::Error| store_error(&error);
        let mut connection = self.reader().await?;
        let mut tx = connection.begin().await.map_err(failed)?;
        let found = Script::of(sql::SCHEDULES).with(rows::schedule_keys([&id]));
        let found = found.rows(&mut tx).await.map_err(failed)?;
        let key = id.task();
        let key = rows::numbered_keys([(key.run, u32::from(key.lane.0))]);
        let task = Script::of(sql::TASKS).with(key).rows(&mut tx).await;
        let task = task.map_err(failed)?;
        tx.commit().await.map_err(failed)?;
        let Some(row) = found.first() else {
            return Ok(None);
        };
        Ok(Some(ScheduleRecord {
            now: self.now(),
            row: rows::schedule(row)?,
            task: task.first().map(rows::task).transpose()?,
        }))
    }

    async fn schedules(
        &self,
        filter: &ScheduleFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, StoreError> {
        let standings = filter.standings.iter().map(|standing| standing.as_i16());
        let standings = Value::from(standings.collect::<Vec<i16>>()).to_string();
        let script = match &filter.workflow {
            Some(name) => Script::of(sql::LIST_SCHEDULES_OF_WORKFLOW).with(name.as_str()),
            None => Script::of(sql::LIST_SCHEDULES),
        };
        // No key is empty.
        let script = script
            .with(after.unwrap_or_default())
            .with(standings.as_str())
            .with(standings.as_str())
            .with(limit);
        let found = self.query(script).await?;
        found.iter().map(rows::schedule).collect()
    }
}

impl SqliteStore {
    pub(crate) async fn fetch_journal(
        &self,
        part: &JournalPart,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let script = Script::of(sql::JOURNAL)
            .with(part.run.to_bytes().as_slice())
            .with(part.after.0)
            .with(part.upto.0)
            .with(part.limit)
            .with(i64::try_from(part.bytes).unwrap_or(i64::MAX));
        let found = self.query(script).await?;
        found.iter().map(|row| stored_row(part.run, row)).collect()
    }
}

fn stored_row(run: RunId, row: &SqliteRow) -> Result<StoredRow, StoreError> {
    let mut columns = Columns::of("journal", row);
    let (seq, at) = (columns.seq()?, columns.instant()?);
    let transition = Transition::decode(columns.blob()?);
    let payload = columns.blob_or_null()?.map(Payload::new);
    let row = transition.map(|transition| JournalRow {
        run,
        seq,
        at,
        transition,
        payload,
    });
    Ok(StoredRow { seq, row })
}

fn page(filter: &RunFilter, after: Option<(Timestamp, RunId)>, limit: u32) -> Script {
    let (created, run) = after.unwrap_or((Timestamp::MAX, RunId::from_u128(u128::MAX)));
    let statuses: Vec<i16> = filter
        .statuses
        .iter()
        .map(|status| status.as_i16())
        .collect();
    let statuses = Value::from(statuses).to_string();
    let labels = filter
        .labels
        .iter()
        .map(|(key, value)| Value::from(vec![key.as_str(), value.as_str()]));
    let labels = Value::Array(labels.collect()).to_string();
    let workflow = filter.workflow.as_ref().map(|name| name.as_str());
    let bytes = |run: RunId| run.to_bytes().to_vec();
    let script = match (filter.parent, filter.source, filter.schedule, workflow) {
        (Some(parent), ..) => Script::of(sql::LIST_OF_PARENT).with(bytes(parent)),
        (None, Some(source), ..) => Script::of(sql::LIST_OF_SOURCE).with(bytes(source)),
        (None, None, Some(schedule), _) => {
            Script::of(sql::LIST_OF_SCHEDULE).with(rows::schedule_bytes(schedule))
        }
        (None, None, None, Some(workflow)) => Script::of(sql::LIST_OF_WORKFLOW).with(workflow),
        (None, None, None, None) => Script::of(sql::LIST),
    };
    script
        .with(filter.from.unwrap_or(Timestamp::MIN).as_micros())
        .with(filter.until.unwrap_or(Timestamp::MAX).as_micros())
        .with(created.as_micros())
        .with(run.to_bytes().as_slice())
        .with(statuses.as_str())
        .with(statuses.as_str())
        .with(labels)
        .with(workflow)
        .with(filter.source.map(bytes))
        .with(filter.schedule.map(rows::schedule_bytes))
        .with(limit)
}
