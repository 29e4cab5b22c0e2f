//! Reading what an operation asks for, within the transaction that will write its answer.
//!
//! Invariant: the transaction holds the only write lock from its first statement on, so whatever is read stays true until
//! it ends, nothing is ever `Busy`, and the clock is read after the last lock.

use std::collections::BTreeSet;

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Found, QueueScan, ReadSet, Scan, View};
use squid_mesh_core::store::StoreError;
use squid_mesh_core::time::Timestamp;

use crate::definitions::Definitions;
use crate::error::{Failure, corrupt};
use crate::options::Clock;
use crate::rows::{self, Columns};
use crate::script::{Answer, Script};
use crate::sql;

/// What reading needs besides the connection.
pub(crate) struct Sources<'s> {
    pub(crate) definitions: &'s Definitions,
    pub(crate) clock: &'s dyn Clock,
}

/// Adds to `view` what `set` asks for. `script` holds what is to be sent before: the beginning of the transaction.
pub(crate) async fn read(
    connection: &mut SqliteConnection,
    sources: &Sources<'_>,
    mut script: Script,
    set: &ReadSet,
    view: &mut View,
) -> Result<(), Failure> {
    let before = script.len();
    let unknown = take_known(sources.definitions, &set.definitions, view);
    ask(&mut script, set, &unknown);
    let answers = script.run(connection).await?;
    view.now = sources.clock.now();
    let mut answers = answers.into_iter().skip(before);
    let pairs = take(
        &mut answers,
        sources.definitions,
        set,
        !unknown.is_empty(),
        view,
    )?;
    read_further(connection, sources, set, &pairs, view).await
}

/// What needs no other answer first.
fn ask(script: &mut Script, set: &ReadSet, unknown: &BTreeSet<DefinitionKey>) {
    if let Some(worker) = set.worker {
        script
            .statement(sql::WORKER)
            .bind(worker.to_bytes().as_slice());
    }
    if !set.queues.is_empty() {
        script.statement(sql::PAUSED).bind(rows::names(&set.queues));
    }
    if let Some(queue) = &set.queue {
        script.statement(sql::QUEUE).bind(queue.as_str());
    }
    if let Some(entry) = set.entry {
        script
            .statement(sql::ENTRY)
            .bind(entry.to_bytes().as_slice());
    }
    if !set.schedules.is_empty() {
        script
            .statement(sql::SCHEDULES)
            .bind(rows::schedule_keys(&set.schedules));
    }
    if !set.runs.is_empty() {
        script.statement(sql::RUNS).bind(rows::run_keys(&set.runs));
    }
    if !set.tasks.is_empty() {
        let keys = set.tasks.iter().map(|key| (key.run, u32::from(key.lane.0)));
        script.statement(sql::TASKS).bind(rows::numbered_keys(keys));
    }
    if !set.tasks_of.is_empty() {
        script
            .statement(sql::TASKS_OF)
            .bind(rows::run_keys(&set.tasks_of));
    }
    if !unknown.is_empty() {
        script
            .statement(sql::DEFINITIONS)
            .bind(rows::definition_keys(unknown));
    }
    for queue in set.scan.iter().flat_map(|scan| &scan.queues) {
        script.statement(sql::PAIRS).bind(queue.queue.as_str());
    }
}

/// One index range of a due scan.
struct Range<'s> {
    queue: &'s QueueScan,
    paused: bool,
    priority: i16,
    handler: Name,
}

/// Takes the answers to [`ask`], in its order, and returns the ranges to scan.
fn take<'s>(
    answers: &mut impl Iterator<Item = Answer>,
    definitions: &Definitions,
    set: &'s ReadSet,
    asked_definitions: bool,
    view: &mut View,
) -> Result<Vec<Range<'s>>, StoreError> {
    let mut next = || {
        answers
            .next()
            .expect("each statement of a script answers once")
            .rows
    };
    if set.worker.is_some() {
        view.worker = next().first().map(rows::worker).transpose()?;
    }
    if !set.queues.is_empty() {
        view.paused = next().iter().map(rows::name).collect::<Result<_, _>>()?;
    }
    if set.queue.is_some() {
        view.queue = next().first().map(rows::queue).transpose()?;
    }
    if set.entry.is_some() {
        view.entry = next().first().map(rows::entry).transpose()?;
    }
    if !set.schedules.is_empty() {
        view.schedules
            .extend(set.schedules.iter().map(|id| (*id, Found::Absent)));
        for row in next() {
            let schedule = rows::schedule(&row)?;
            view.schedules.insert(schedule.id, Found::Row(schedule));
        }
    }
    if !set.runs.is_empty() {
        view.runs
            .extend(set.runs.iter().map(|run| (*run, Found::Absent)));
        for row in next() {
            let run = rows::run(&row)?;
            view.runs.insert(run.id, Found::Row(run));
        }
    }
    if !set.tasks.is_empty() {
        view.tasks
            .extend(set.tasks.iter().map(|key| (*key, Found::Absent)));
        take_tasks(&next(), view)?;
    }
    if !set.tasks_of.is_empty() {
        view.tasks_of.extend(&set.tasks_of);
        take_tasks(&next(), view)?;
    }
    if asked_definitions {
        for row in next() {
            let definition = definitions.learn(&row)?;
            view.definitions
                .insert(definition.key().clone(), definition);
        }
    }
    let mut ranges = Vec::new();
    for queue in set.scan.iter().flat_map(|scan| &scan.queues) {
        for row in next() {
            let mut columns = Columns::of("tasks", &row);
            let range = Range {
                queue,
                paused: view.paused.contains(&queue.queue),
                priority: columns.number()?,
                handler: columns.name()?,
            };
            if queue.handlers.contains(&range.handler) {
                ranges.push(range);
            }
        }
    }
    Ok(ranges)
}

fn take_tasks(rows: &[SqliteRow], view: &mut View) -> Result<(), StoreError> {
    for row in rows {
        let task = rows::task(row)?;
        view.tasks.insert(task.key, Found::Row(task));
    }
    Ok(())
}

/// Puts what is known into the view, and returns what is not.
fn take_known<'k>(
    definitions: &Definitions,
    wanted: impl IntoIterator<Item = &'k DefinitionKey>,
    view: &mut View,
) -> BTreeSet<DefinitionKey> {
    let (found, unknown) = definitions.look_up(wanted);
    view.definitions.extend(
        found
            .into_iter()
            .map(|definition| (definition.key().clone(), definition)),
    );
    unknown
}

/// Most ranges to scan in one script: each number of ranges is a text of its own that SQLite prepares.
const RANGES: usize = 16;

/// What only the first answers ask for: the definitions of the runs, and the ranges of the scan.
async fn read_further(
    connection: &mut SqliteConnection,
    sources: &Sources<'_>,
    set: &ReadSet,
    ranges: &[Range<'_>],
    view: &mut View,
) -> Result<(), Failure> {
    let pinned: BTreeSet<DefinitionKey> = set
        .runs
        .iter()
        .filter_map(|run| pinned(view, run))
        .collect();
    let unknown = take_known(sources.definitions, &pinned, view);
    if !unknown.is_empty() {
        let script = Script::of(sql::DEFINITIONS).with(rows::definition_keys(&unknown));
        for row in script.rows(connection).await? {
            match sources.definitions.learn(&row) {
                Ok(definition) => drop(
                    view.definitions
                        .insert(definition.key().clone(), definition),
                ),
                // Its runs are unreadable; their neighbours are not.
                Err(error) => tracing::error!(%error, "a definition is left out"),
            }
        }
    }
    let Some(scan) = &set.scan else { return Ok(()) };
    for ranges in ranges.chunks(RANGES) {
        let mut script = Script::default();
        for range in ranges {
            ask_range(&mut script, scan, range, view.now);
        }
        take_ranges(ranges, script.run(connection).await?, view)?;
    }
    Ok(())
}

fn pinned(view: &View, run: &squid_mesh_core::id::RunId) -> Option<DefinitionKey> {
    match view.runs.get(run) {
        Some(Found::Row(row)) => Some(row.definition.clone()),
        Some(Found::Absent | Found::Busy) | None => None,
    }
}

/// Of a paused queue, only what somebody owns: nothing else of it may be taken, and nothing is waited for.
fn ask_range(script: &mut Script, scan: &Scan, range: &Range<'_>, now: Timestamp) {
    let (due, next) = if range.paused {
        (sql::DUE_OWNED, None)
    } else {
        (sql::DUE, Some(sql::NEXT_DUE))
    };
    for sql in [Some(due), next].into_iter().flatten() {
        script
            .statement(sql)
            .bind(range.queue.queue.as_str())
            .bind(range.priority)
            .bind(range.handler.as_str());
        script.bind(now.as_micros()).bind(scan.format);
        if sql == due {
            script.bind(range.queue.limit);
        }
    }
}

/// Takes the answers to [`ask_range`] for each range.
fn take_ranges(
    ranges: &[Range<'_>],
    answers: Vec<Answer>,
    view: &mut View,
) -> Result<(), StoreError> {
    let mut answers = answers.into_iter();
    let mut next = || {
        answers
            .next()
            .ok_or_else(|| corrupt("a range was not answered"))
    };
    for range in ranges {
        for row in &next()?.rows {
            match rows::task(row) {
                Ok(task) => view.due.push(task),
                // Nobody can act on it, and it must not stand in the way of what is due behind it.
                Err(error) => tracing::error!(%error, "a due task is left out"),
            }
        }
        if range.paused {
            continue;
        }
        if let Some(row) = next()?.rows.first() {
            let next = Columns::of("tasks", row).instant()?;
            view.next_due = Some(view.next_due.map_or(next, |least| least.min(next)));
        }
    }
    Ok(())
}
