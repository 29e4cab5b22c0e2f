//! Reading what an operation asks for, under locks.
//!
//! Invariant: locks are taken in the order queue, worker, schedules, runs, tasks, one statement for each, and the clock is
//! read after the last of them, as is which queues are paused.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::id::{RunId, Shard};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Found, ReadSet, Scan, View};
use squid_mesh_core::schedule::ScheduleId;
use squid_mesh_core::task::TaskKey;
use squid_mesh_core::time::Timestamp;
use uuid::Uuid;

use crate::definitions::Definitions;
use crate::rows::{self, Names};
use crate::sql;

/// Puts a view together.
pub(crate) struct Reader<'a> {
    definitions: &'a Definitions,
    view: View,
    names: Names,
    /// Definitions that exist and are not in the view, and why.
    unreadable: Vec<(DefinitionKey, String)>,
    /// The clock, as the last statement that took locks told it.
    clock: Option<Timestamp>,
    /// Whether that statement has waited: the pauses that it told are of the time at which it began.
    waited: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(definitions: &'a Definitions) -> Reader<'a> {
        Reader {
            definitions,
            view: View::default(),
            names: Names::default(),
            unreadable: Vec::new(),
            clock: None,
            waited: false,
        }
    }

    pub(crate) fn view(&self) -> &View {
        &self.view
    }

    /// Definitions that exist but cannot be read, and why.
    pub(crate) fn unreadable(&self) -> &[(DefinitionKey, String)] {
        &self.unreadable
    }

    /// Adds to the view what a set asks for. The connection is in a transaction.
    pub(crate) async fn read(
        &mut self,
        connection: &mut PgConnection,
        set: &ReadSet,
    ) -> Result<(), sqlx::Error> {
        (self.clock, self.waited) = (None, false);
        self.lock_queue(connection, set).await?;
        self.lock_worker(connection, set).await?;
        self.lock_schedules(connection, set).await?;
        self.read_entry(connection, set).await?;
        if self.view.entry.is_some() && self.looked_too_early(set) {
            self.lock_queue(connection, set).await?;
            self.lock_schedules(connection, set).await?;
        }
        self.lock_runs(connection, set).await?;
        self.read_definitions(connection, set).await?;
        self.lock_tasks(connection, set).await?;
        self.lock_tasks_of(connection, set).await?;
        if let Some(scan) = &set.scan {
            self.scan(connection, set, scan).await?;
        }
        if self.clock.is_none() || self.waited && !set.queues.is_empty() {
            let query = sqlx::query(sql::CLOCK).bind(names(&set.queues));
            let row = query.fetch_one(connection).await?;
            self.see_clock(std::slice::from_ref(&row))?;
        }
        self.view.now = self
            .clock
            .expect("the statement that asks for nothing but the clock has one row");
        Ok(())
    }

    async fn lock_queue(
        &mut self,
        connection: &mut PgConnection,
        set: &ReadSet,
    ) -> Result<(), sqlx::Error> {
        if let Some(name) = &set.queue {
            let query = sqlx::query(sql::LOCK_QUEUE).bind(name.as_str());
            let found = query.fetch_optional(&mut *connection).await?;
            self.view.queue = found.as_ref().map(rows::queue).transpose()?;
        }
        Ok(())
    }

    /// What an operator did by this command. The same command, performed at once by somebody else, holds what is locked by
    /// then until it has written this.
    async fn read_entry(
        &mut self,
        connection: &mut PgConnection,
        set: &ReadSet,
    ) -> Result<(), sqlx::Error> {
        if let Some(id) = set.entry {
            let query = sqlx::query(sql::ENTRY).bind(Uuid::from_u128(id.as_u128()));
            let found = query.fetch_optional(connection).await?;
            self.view.entry = found.as_ref().map(|row| rows::entry(row, 0)).transpose()?;
        }
        Ok(())
    }

    /// Whether something was not there before the entry was: whoever performed the same command may have made it in between,
    /// for what is absent cannot be locked.
    fn looked_too_early(&self, set: &ReadSet) -> bool {
        let absent = |id| matches!(self.view.schedules.get(id), Some(Found::Absent));
        set.queue.is_some() && self.view.queue.is_none() || set.schedules.iter().any(absent)
    }

    async fn lock_worker(
        &mut self,
        connection: &mut PgConnection,
        set: &ReadSet,
    ) -> Result<(), sqlx::Error> {
        let Some(incarnation) = set.worker else {
            return Ok(());
        };
        let query = sqlx::query(sql::LOCK_WORKER).bind(Uuid::from_u128(incarnation.as_u128()));
        self.view.worker = query
            .fetch_optional(connection)
            .await?
            .as_ref()
            .map(rows::worker)
            .transpose()?;
        Ok(())
    }

    async fn lock_schedules(
        &mut self,
        connection: &mut PgConnection,
        set: &ReadSet,
    ) -> Result<(), sqlx::Error> {
        if set.schedules.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = set
            .schedules
            .iter()
            .map(|id| Uuid::from_u128(id.as_u128()))
            .collect();
        let statement = if set.wait {
            sql::LOCK_SCHEDULES_WAITING
        } else {
            sql::LOCK_SCHEDULES
        };
        let stored = sqlx::query(statement)
            .bind(number(set.shard))
            .bind(ids)
            .bind(names(&set.queues))
            .fetch_all(connection)
            .await?;
        for row in &stored {
            let id = rows::schedule_id(row, 1)?;
            let found = if !rows::is_missing(row, 3)? {
                Found::Row(rows::schedule(row, 3, id, &mut self.names)?)
            } else if !set.wait && !rows::is_missing(row, 2)? {
                Found::Busy
            } else {
                Found::Absent
            };
            self.view.schedules.insert(id, found);
        }
        self.see_clock(&stored)
    }

    async fn lock_runs(
        &mut self,
        connection: &mut PgConnection,
        set: &ReadSet,
    ) -> Result<(), sqlx::Error> {
        if set.runs.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = set
            .runs
            .iter()
            .map(|id| Uuid::from_u128(id.as_u128()))
            .collect();
        let statement = if set.wait {
            sql::LOCK_RUNS_WAITING
        } else {
            sql::LOCK_RUNS
        };
        let stored = sqlx::query(statement)
            .bind(number(set.shard))
            .bind(ids)
            .bind(names(&set.queues))
            .fetch_all(connection)
            .await?;
        for row in &stored {
            let id = rows::run_id(row, 1)?;
            let found = if !rows::is_missing(row, 3)? {
                Found::Row(rows::run(row, 3, id, &mut self.names)?)
            } else if !set.wait && !rows::is_missing(row, 2)? {
                Found::Busy
            } else {
                Found::Absent
            };
            self.view.runs.insert(id, found);
        }
        self.see_clock(&stored)
    }

    /// Definitions asked for by key, and those of the runs that were found.
    async fn read_definitions(
        &mut self,
        connection: &mut PgConnection,
        set: &ReadSet,
    ) -> Result<(), sqlx::Error> {
        let mut missing: BTreeSet<&DefinitionKey> = BTreeSet::new();
        let known = &mut self.view.definitions;
        let of_runs = set
            .runs
            .iter()
            .filter_map(|id| match self.view.runs.get(id) {
                Some(Found::Row(row)) => Some(&row.definition),
                Some(Found::Absent | Found::Busy) | None => None,
            });
        for key in set.definitions.iter().chain(of_runs) {
            if known.contains_key(key) {
                continue;
            }
            match self.definitions.kept(key) {
                Some(definition) => {
                    known.insert(key.clone(), definition);
                }
                None => {
                    missing.insert(key);
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<DefinitionKey> = missing.into_iter().cloned().collect();
        let stored = self.definitions.read(connection, &missing).await?;
        let read = stored
            .definitions
            .into_iter()
            .map(|definition| (definition.key().clone(), definition));
        self.view.definitions.extend(read);
        self.unreadable.extend(stored.unreadable);
        Ok(())
    }

    async fn lock_tasks(
        &mut self,
        connection: &mut PgConnection,
        set: &ReadSet,
    ) -> Result<(), sqlx::Error> {
        // Only who holds runs or schedules may wait for tasks: who holds tasks alone never waits, so nobody waits in a circle.
        let waits = !self.view.runs.is_empty() || !self.view.schedules.is_empty();
        let (mut ids, mut lanes) = (
            Vec::with_capacity(set.tasks.len()),
            Vec::with_capacity(set.tasks.len()),
        );
        for key in &set.tasks {
            // A task of a busy run or schedule may change as soon as it is read; an absent run has none.
            let schedule = self.view.schedules.get(&ScheduleId::of_task(*key));
            let found = match self.view.runs.get(&key.run) {
                _ if schedule == Some(&Found::Busy) => Found::Busy,
                Some(Found::Busy) => Found::Busy,
                Some(Found::Absent) => Found::Absent,
                Some(Found::Row(_)) | None => {
                    ids.push(Uuid::from_u128(key.run.as_u128()));
                    lanes.push(key.lane.0.cast_signed());
                    continue;
                }
            };
            self.view.tasks.insert(*key, found);
        }
        if ids.is_empty() {
            return Ok(());
        }
        let statement = if waits {
            sql::LOCK_TASKS_WAITING
        } else {
            sql::LOCK_TASKS
        };
        let query = sqlx::query(statement)
            .bind(number(set.shard))
            .bind(ids)
            .bind(lanes)
            .bind(names(&set.queues));
        let stored = query.fetch_all(connection).await?;
        for row in &stored {
            let key = rows::task_key(row, 1)?;
            if !rows::is_missing(row, 4)? {
                self.see_task(row, 4, key)?;
            } else {
                let busy = !waits && !rows::is_missing(row, 3)?;
                self.view
                    .tasks
                    .insert(key, if busy { Found::Busy } else { Found::Absent });
            }
        }
        self.see_clock(&stored)
    }

    async fn lock_tasks_of(
        &mut self,
        connection: &mut PgConnection,
        set: &ReadSet,
    ) -> Result<(), sqlx::Error> {
        let free = |id: &&RunId| !matches!(self.view.runs.get(id), Some(Found::Busy));
        let runs: Vec<RunId> = set.tasks_of.iter().filter(free).copied().collect();
        if runs.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = runs
            .iter()
            .map(|id| Uuid::from_u128(id.as_u128()))
            .collect();
        let query = sqlx::query(sql::LOCK_TASKS_OF)
            .bind(number(set.shard))
            .bind(ids)
            .bind(names(&set.queues));
        let stored = query.fetch_all(connection).await?;
        for row in stored.iter() {
            if !rows::is_missing(row, 2)? {
                self.see_task(row, 3, rows::task_key(row, 1)?)?;
            }
        }
        self.view.tasks_of.extend(runs);
        self.see_clock(&stored)
    }

    async fn scan(
        &mut self,
        connection: &mut PgConnection,
        set: &ReadSet,
        scan: &Scan,
    ) -> Result<(), sqlx::Error> {
        let queues: Vec<&str> = scan
            .queues
            .iter()
            .map(|queue| queue.queue.as_str())
            .collect();
        let most: Vec<i32> = scan
            .queues
            .iter()
            .map(|queue| i32::try_from(queue.limit).unwrap_or(i32::MAX))
            .collect();
        let (served, handlers): (Vec<&str>, Vec<&str>) = scan
            .queues
            .iter()
            .flat_map(|queue| {
                queue
                    .handlers
                    .iter()
                    .map(|handler| (queue.queue.as_str(), handler.as_str()))
            })
            .unzip();
        let query = sqlx::query(sql::SCAN)
            .bind(number(set.shard))
            .bind(queues)
            .bind(most)
            .bind(served)
            .bind(handlers)
            .bind(scan.format.cast_signed())
            .bind(names(&set.queues));
        let stored = query.fetch_all(connection).await?;
        for row in &stored {
            if rows::is_missing(row, 2)? {
                continue;
            }
            match rows::task(row, 4, rows::task_key(row, 2)?, &mut self.names)? {
                Ok(task) => self.view.due.push(task),
                Err(detail) => tracing::error!(detail, "a due task cannot be read"),
            }
        }
        if let Some(row) = stored.first()
            && !rows::is_missing(row, 1)?
        {
            self.view.next_due = Some(rows::instant(row, 1)?);
        }
        self.see_clock(&stored)?;
        // A scan waits for nobody. What it returns fits the pauses that it has seen.
        self.waited = false;
        Ok(())
    }

    /// A locked task. Of one that cannot be read, the run or schedule is made unreadable: decisions refuse that one, and no
    /// other.
    fn see_task(&mut self, row: &PgRow, at: usize, key: TaskKey) -> Result<(), sqlx::Error> {
        let found = match rows::task(row, at, key, &mut self.names)? {
            Ok(task) => Found::Row(task),
            Err(detail) => {
                tracing::error!(
                    detail,
                    "a task cannot be read: its run or schedule is halted"
                );
                if let Some(Found::Row(run)) = self.view.runs.get_mut(&key.run) {
                    run.state.clear();
                }
                let schedule = ScheduleId::of_task(key);
                if let Some(Found::Row(schedule)) = self.view.schedules.get_mut(&schedule) {
                    schedule.state.clear();
                }
                Found::Absent
            }
        };
        self.view.tasks.insert(key, found);
        Ok(())
    }

    /// Rows come out as their locks are taken, so the last one's clock is the time after the last lock.
    fn see_clock(&mut self, stored: &[PgRow]) -> Result<(), sqlx::Error> {
        if let Some(last) = stored.last() {
            let (clock, began) = (rows::clock(last, 0)?, rows::clock(last, "began")?);
            self.clock = Some(clock);
            self.waited = clock.since(began) > WAITED;
            self.view.paused = rows::names(last, "paused")?;
        }
        Ok(())
    }
}

/// A statement that took longer to take its locks has waited for one. What commits in less time meets one that did not wait
/// as if it had come after it.
pub(crate) const WAITED: Duration = Duration::from_millis(10);

pub(crate) fn names(queues: &BTreeSet<Name>) -> Vec<&str> {
    queues.iter().map(Name::as_str).collect()
}

/// The shard as its column has it.
pub(crate) fn number(shard: Shard) -> i16 {
    shard.as_u16().cast_signed()
}
