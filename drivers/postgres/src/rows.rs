//! Rows of the tables as rows of the engine.
//!
//! Invariant: unsigned numbers are stored bit for bit in a signed column of their width, so reading back what was written
//! gives the same row, whatever the number.
//!
//! Rows of runs and tasks are read without a look at the types of their columns, which the statements fix: the look costs more
//! than the value.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sqlx::postgres::{PgRow, PgValueRef};
use sqlx::types::Json;
use sqlx::{ColumnIndex, Row as _, ValueRef as _};
use squid_mesh_core::definition::{DefinitionDigest, DefinitionKey, StepIndex};
use squid_mesh_core::id::{CommandId, Incarnation, Life, RunId, Shard};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    DefinitionRow, OperatorAction, OperatorEntry, QueueRow, RunRow, WorkerRow,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Seq, Status};
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow, Standing};
use squid_mesh_core::store::QueueRecord;
use squid_mesh_core::task::{Brief, Fence, Lane, TaskKey, TaskKind, TaskRow};
use squid_mesh_core::time::Timestamp;
use uuid::Uuid;

/// Microseconds from 1970 to 2000, from which Postgres counts.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Bytes of one key and fence in `workers.claimed`.
const CLAIMED_BYTES: usize = 26;
/// Names kept by [`Names`].
const NAMES: usize = 16;

type Decoded<T> = Result<T, sqlx::Error>;

/// Names seen before: of the few that a batch of rows has, each is allocated once, if it is not short enough to be kept in place.
#[derive(Debug, Default)]
pub(crate) struct Names(Vec<Name>);

impl Names {
    fn name(&mut self, text: &str) -> Name {
        if let Some(known) = self.0.iter().find(|name| name.as_str() == text) {
            return known.clone();
        }
        let name = Name::stored(text);
        if self.0.len() < NAMES {
            self.0.push(name.clone());
        }
        name
    }
}

/// The server's clock in column `at`: read as it is sent, because a conversion in SQL would cost more than the rest.
pub(crate) fn clock(row: &PgRow, at: impl ColumnIndex<PgRow>) -> Decoded<Timestamp> {
    let raw: PgValueRef<'_> = row.try_get_raw(at)?;
    let bytes = raw.as_bytes().map_err(sqlx::Error::Decode)?;
    let micros = bytes
        .try_into()
        .map_err(|_| corrupt("a timestamptz is not eight bytes long"))?;
    Ok(Timestamp::from_micros(
        i64::from_be_bytes(micros).saturating_add(EPOCH_MICROS),
    ))
}

/// Whether the outer join found nothing for this row: the column is one that is never null in its table.
pub(crate) fn is_missing(row: &PgRow, at: usize) -> Decoded<bool> {
    Ok(row.try_get_raw(at)?.is_null())
}

/// The run id in column `at`.
pub(crate) fn run_id(row: &PgRow, at: usize) -> Decoded<RunId> {
    Ok(RunId::from_u128(
        row.try_get_unchecked::<Uuid, _>(at)?.as_u128(),
    ))
}

/// The id of a schedule in column `at`.
pub(crate) fn schedule_id(row: &PgRow, at: usize) -> Decoded<ScheduleId> {
    let id: Uuid = row.try_get_unchecked(at)?;
    Ok(ScheduleId::from_u128(id.as_u128()))
}

fn run_id_or_null(row: &PgRow, at: usize) -> Decoded<Option<RunId>> {
    let id: Option<Uuid> = row.try_get_unchecked(at)?;
    Ok(id.map(|id| RunId::from_u128(id.as_u128())))
}

/// The task key in two columns from `at` on.
pub(crate) fn task_key(row: &PgRow, at: usize) -> Decoded<TaskKey> {
    let lane: i16 = row.try_get_unchecked(at + 1)?;
    Ok(TaskKey {
        run: run_id(row, at)?,
        lane: Lane(lane.cast_unsigned()),
    })
}

/// The row of run `id`, in the columns of [`run_columns`](crate::sql) from `at` on.
pub(crate) fn run(row: &PgRow, at: usize, id: RunId, names: &mut Names) -> Decoded<RunRow> {
    let labels: Option<Json<BTreeMap<String, String>>> = row.try_get_unchecked(at + 6)?;
    let (status, state) = match Status::from_i16(row.try_get_unchecked(at + 4)?) {
        Some(status) => (status, row.try_get_unchecked(at + 5)?),
        // No engine wrote this number. Without its state the run is unreadable to every decision, and to that run alone.
        None => (Status::Paused, Vec::new()),
    };
    Ok(RunRow {
        id,
        life: life(row, at)?,
        definition: definition_key(row, at + 1, names)?,
        seq: seq(row, at + 3)?,
        status,
        state,
        labels: labels.map(|labels| labels.0).unwrap_or_default(),
        created: instant(row, at + 7)?,
        updated: instant(row, at + 8)?,
        parent: run_id_or_null(row, at + 9)?,
        source: run_id_or_null(row, at + 10)?,
        schedule: {
            let id: Option<Uuid> = row.try_get_unchecked(at + 11)?;
            id.map(|id| ScheduleId::from_u128(id.as_u128()))
        },
    })
}

/// The row of schedule `id`, in the columns of [`schedule_columns`](crate::sql) from `at` on.
pub(crate) fn schedule(
    row: &PgRow,
    at: usize,
    id: ScheduleId,
    names: &mut Names,
) -> Decoded<ScheduleRow> {
    let (standing, state) = match Standing::from_i16(row.try_get_unchecked(at + 8)?) {
        Some(standing) => (standing, row.try_get_unchecked(at + 9)?),
        // As with a status that no engine wrote: without its state nobody can read the schedule.
        None => (Standing::Paused, Vec::new()),
    };
    Ok(ScheduleRow {
        id,
        life: life(row, at)?,
        seq: seq(row, at + 1)?,
        key: row.try_get_unchecked(at + 2)?,
        version: version(row, at + 3)?,
        workflow: names.name(row.try_get_unchecked(at + 4)?),
        trigger: names.name(row.try_get_unchecked(at + 5)?),
        plan: row.try_get_unchecked(at + 6)?,
        input: Payload::new(row.try_get_unchecked::<&[u8], _>(at + 7)?),
        standing,
        state,
        created: instant(row, at + 10)?,
        updated: instant(row, at + 11)?,
    })
}

/// A row of `tasks`, or why it is none that an engine wrote.
pub(crate) type StoredTask = Result<TaskRow, String>;

/// The row of the task with `key`, in the columns of [`task_columns`](crate::sql) from `at` on.
pub(crate) fn task(row: &PgRow, at: usize, key: TaskKey, names: &mut Names) -> Decoded<StoredTask> {
    let kind: i16 = row.try_get_unchecked(at + 1)?;
    let Some(kind) = TaskKind::from_i16(kind) else {
        return Ok(Err(format!("task {key} has the unknown kind {kind}")));
    };
    let brief = match Brief::decode(row.try_get_unchecked(at + 16)?) {
        Ok(brief) => brief,
        Err(error) => return Ok(Err(format!("the brief of task {key}: {error}"))),
    };
    let owner: Option<Uuid> = row.try_get_unchecked(at + 10)?;
    let renew_until: Option<i64> = row.try_get_unchecked(at + 15)?;
    Ok(Ok(TaskRow {
        key,
        life: life(row, at)?,
        kind,
        step: StepIndex(row.try_get_unchecked::<i16, _>(at + 2)?.cast_unsigned()),
        queue: names.name(row.try_get_unchecked(at + 3)?),
        priority: row.try_get_unchecked(at + 4)?,
        handler: names.name(row.try_get_unchecked(at + 5)?),
        due_at: instant(row, at + 6)?,
        attempt: unsigned(row, at + 7)?,
        fence: Fence {
            seq: seq(row, at + 8)?,
            claims: unsigned(row, at + 9)?,
        },
        owner: owner.map(|id| Incarnation::from_u128(id.as_u128())),
        begun: row.try_get_unchecked(at + 11)?,
        expired: row.try_get_unchecked(at + 12)?,
        hand_offs: unsigned(row, at + 13)?,
        format: row.try_get_unchecked::<i16, _>(at + 14)?.cast_unsigned(),
        renew_until: renew_until.map(Timestamp::from_micros),
        brief,
    }))
}

/// A row of `workers`.
pub(crate) fn worker(row: &PgRow) -> Decoded<WorkerRow> {
    let incarnation: Uuid = row.try_get(0)?;
    let handlers: Vec<String> = row.try_get(2)?;
    let queues: Vec<String> = row.try_get(3)?;
    let claim: i64 = row.try_get(6)?;
    let shard: i16 = row.try_get(7)?;
    Ok(WorkerRow {
        incarnation: Incarnation::from_u128(incarnation.as_u128()),
        name: row.try_get(1)?,
        handlers: Arc::new(handlers.iter().map(|name| Name::stored(name)).collect()),
        queues: queues.iter().map(|name| Name::stored(name)).collect(),
        started: instant(row, 4)?,
        seen: instant(row, 5)?,
        claim: claim.cast_unsigned(),
        claim_shard: Shard::from_u16(shard.cast_unsigned()),
        claimed: unpack_claimed(row.try_get(8)?)?,
    })
}

/// A row of `definitions`.
pub(crate) fn definition(row: &PgRow, names: &mut Names) -> Decoded<DefinitionRow> {
    let digest: &[u8] = row.try_get(2)?;
    let digest = digest
        .try_into()
        .map_err(|_| corrupt("a definition's digest is not 32 bytes long"))?;
    Ok(DefinitionRow {
        key: definition_key(row, 0, names)?,
        digest: DefinitionDigest::from_bytes(digest),
        body: row.try_get::<&str, _>(3)?.into(),
    })
}

/// The names in a column that is null where there are none.
pub(crate) fn names(row: &PgRow, at: &str) -> Decoded<BTreeSet<Name>> {
    let names: Option<Vec<String>> = row.try_get(at)?;
    let names = names.into_iter().flatten();
    Ok(names.map(|name| Name::stored(&name)).collect())
}

/// A row of `queues`.
pub(crate) fn queue(row: &PgRow) -> Decoded<QueueRow> {
    Ok(QueueRow {
        name: Name::stored(row.try_get(0)?),
        paused: row.try_get(1)?,
        by: command(row, 2)?,
    })
}

/// A row of `operator_log`, in the columns from `at` on.
pub(crate) fn entry(row: &PgRow, at: usize) -> Decoded<OperatorEntry> {
    let action = OperatorAction::named(row.try_get(at + 2)?);
    Ok(OperatorEntry {
        id: command(row, at)?,
        actor: row.try_get(at + 1)?,
        action: action.ok_or_else(|| corrupt("an operator's action has an unknown name"))?,
        target: row.try_get(at + 3)?,
        comment: row.try_get(at + 4)?,
        changed: row.try_get(at + 5)?,
        at: instant(row, at + 6)?,
    })
}

/// A queue and the row of the operator log that made it what it is.
pub(crate) fn queue_record(row: &PgRow) -> Decoded<QueueRecord> {
    Ok(QueueRecord {
        name: Name::stored(row.try_get(0)?),
        paused: row.try_get(1)?,
        last: entry(row, 2)?,
    })
}

fn command(row: &PgRow, at: usize) -> Decoded<CommandId> {
    Ok(CommandId::from_u128(row.try_get::<Uuid, _>(at)?.as_u128()))
}

/// Name and version in two columns from `at` on.
fn definition_key(row: &PgRow, at: usize, names: &mut Names) -> Decoded<DefinitionKey> {
    Ok(DefinitionKey {
        name: names.name(row.try_get_unchecked(at)?),
        version: version(row, at + 1)?,
    })
}

fn version(row: &PgRow, at: usize) -> Decoded<u32> {
    let version: i64 = row.try_get_unchecked(at)?;
    u32::try_from(version).map_err(|_| corrupt("a version is not a u32"))
}

/// The instant in column `at`.
pub(crate) fn instant(row: &PgRow, at: usize) -> Decoded<Timestamp> {
    Ok(Timestamp::from_micros(row.try_get_unchecked(at)?))
}

/// The position in a journal in column `at`.
pub(crate) fn seq(row: &PgRow, at: usize) -> Decoded<Seq> {
    Ok(Seq(unsigned(row, at)?))
}

fn unsigned(row: &PgRow, at: usize) -> Decoded<u32> {
    Ok(row.try_get_unchecked::<i32, _>(at)?.cast_unsigned())
}

fn life(row: &PgRow, at: usize) -> Decoded<Life> {
    Ok(Life(row.try_get_unchecked::<i64, _>(at)?.cast_unsigned()))
}

/// Keys and fences end to end: run, lane, and the fence's two numbers, each most significant byte first.
pub(crate) fn pack_claimed(claimed: &[(TaskKey, Fence)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(claimed.len() * CLAIMED_BYTES);
    for (key, fence) in claimed {
        bytes.extend_from_slice(&key.run.to_bytes());
        bytes.extend_from_slice(&key.lane.0.to_be_bytes());
        bytes.extend_from_slice(&fence.seq.0.to_be_bytes());
        bytes.extend_from_slice(&fence.claims.to_be_bytes());
    }
    bytes
}

fn unpack_claimed(bytes: &[u8]) -> Decoded<Vec<(TaskKey, Fence)>> {
    let (entries, rest) = bytes.as_chunks::<CLAIMED_BYTES>();
    if !rest.is_empty() {
        return Err(corrupt("a worker's last claim is cut off"));
    }
    let entry = |entry: &[u8; CLAIMED_BYTES]| {
        let [run @ .., l0, l1, s0, s1, s2, s3, c0, c1, c2, c3] = *entry;
        let key = TaskKey {
            run: RunId::from_bytes(run),
            lane: Lane(u16::from_be_bytes([l0, l1])),
        };
        let claims = u32::from_be_bytes([c0, c1, c2, c3]);
        (
            key,
            Fence {
                seq: Seq(u32::from_be_bytes([s0, s1, s2, s3])),
                claims,
            },
        )
    };
    Ok(entries.iter().map(entry).collect())
}

fn corrupt(detail: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(detail.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_unpacked_as_it_was_packed() {
        let entry = |n: u32| {
            let key = TaskKey {
                run: RunId::from_u128(u128::MAX - u128::from(n)),
                lane: Lane(u16::MAX),
            };
            (
                key,
                Fence {
                    seq: Seq(n),
                    claims: u32::MAX - n,
                },
            )
        };
        let claimed: Vec<_> = (0..3).map(entry).collect();
        let bytes = pack_claimed(&claimed);
        assert_eq!(bytes.len(), 3 * CLAIMED_BYTES);
        assert_eq!(unpack_claimed(&bytes).unwrap(), claimed);
        assert!(unpack_claimed(&bytes[1..]).is_err());
    }

    #[test]
    fn a_long_name_is_allocated_once() {
        let mut names = Names::default();
        let long = "longer_than_what_is_kept_in_place";
        let (a, b) = (names.name(long), names.name(long));
        assert_eq!(a.as_str().as_ptr(), b.as_str().as_ptr());
        let many: Vec<String> = (0..2 * NAMES).map(|n| format!("q{n}")).collect();
        assert!(many.iter().all(|text| names.name(text).as_str() == text));
        assert_eq!(names.0.len(), NAMES);
    }
}
