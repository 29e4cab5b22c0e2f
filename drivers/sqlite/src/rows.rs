//! Rows, to and from their columns.
//!
//! Invariant: what is read is what was written, or the row is reported as corrupt; no value is cut or guessed.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;
use sqlx::sqlite::{SqliteRow, SqliteValueRef};
use sqlx::{Decode, Row as _, Sqlite, ValueRef as _};
use squid_mesh_core::definition::{DefinitionDigest, DefinitionKey, StepIndex};
use squid_mesh_core::id::{CommandId, Incarnation, Life, RunId, Shard};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    DefinitionRow, OperatorAction, OperatorEntry, QueueRow, RunRow, WorkerRow,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Seq, Status};
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow, Standing};
use squid_mesh_core::store::{QueueRecord, StoreError};
use squid_mesh_core::task::{Brief, Fence, Lane, TaskKey, TaskKind, TaskRow};
use squid_mesh_core::time::Timestamp;

use crate::error::corrupt;

/// The columns of one row, taken from left to right.
pub(crate) struct Columns<'r> {
    row: &'r SqliteRow,
    what: &'static str,
    next: usize,
}

impl<'r> Columns<'r> {
    /// The columns of a row of `what`.
    pub(crate) fn of(what: &'static str, row: &'r SqliteRow) -> Columns<'r> {
        Columns { row, what, next: 0 }
    }

    /// The next column, whatever its declared type: the tables are strict.
    fn raw<T: Decode<'r, Sqlite>>(&mut self) -> Result<Option<T>, StoreError> {
        let index = self.next;
        self.next += 1;
        let value: SqliteValueRef<'r> = self
            .row
            .try_get_raw(index)
            .map_err(|error| self.bad(index, &error))?;
        if value.is_null() {
            return Ok(None);
        }
        T::decode(value)
            .map(Some)
            .map_err(|error| self.bad(index, &error))
    }

    fn some<T: Decode<'r, Sqlite>>(&mut self) -> Result<T, StoreError> {
        let index = self.next;
        self.raw()?.ok_or_else(|| self.bad(index, &"null"))
    }

    fn bad(&self, index: usize, why: &dyn std::fmt::Display) -> StoreError {
        corrupt(format!("column {index} of a row of {}: {why}", self.what))
    }

    /// Reports the column that was taken last.
    fn last_bad(&self, why: &dyn std::fmt::Display) -> StoreError {
        self.bad(self.next.saturating_sub(1), why)
    }

    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> Result<T, StoreError> {
        let number: i64 = self.some()?;
        T::try_from(number).map_err(|_| self.last_bad(&format_args!("{number} is out of range")))
    }

    pub(crate) fn text(&mut self) -> Result<&'r str, StoreError> {
        self.some()
    }

    pub(crate) fn blob(&mut self) -> Result<&'r [u8], StoreError> {
        self.some()
    }

    pub(crate) fn blob_or_null(&mut self) -> Result<Option<&'r [u8]>, StoreError> {
        self.raw()
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let blob = self.blob()?;
        blob.try_into()
            .map_err(|_| self.last_bad(&format_args!("{} bytes, not {N}", blob.len())))
    }

    fn id_or_null(&mut self) -> Result<Option<[u8; 16]>, StoreError> {
        let bytes = self.blob_or_null()?.map(TryInto::try_into);
        bytes.transpose().map_err(|_| self.last_bad(&"no 16 bytes"))
    }

    pub(crate) fn instant(&mut self) -> Result<Timestamp, StoreError> {
        self.number().map(Timestamp::from_micros)
    }

    fn instant_or_null(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.raw()?.map(Timestamp::from_micros))
    }

    pub(crate) fn run_id(&mut self) -> Result<RunId, StoreError> {
        self.bytes().map(RunId::from_bytes)
    }

    fn schedule(&mut self) -> Result<ScheduleId, StoreError> {
        self.bytes().map(schedule_id)
    }

    fn schedule_or_null(&mut self) -> Result<Option<ScheduleId>, StoreError> {
        Ok(self.id_or_null()?.map(schedule_id))
    }

    fn life(&mut self) -> Result<Life, StoreError> {
        let stored: i64 = self.number()?;
        Ok(Life(stored.cast_unsigned()))
    }

    pub(crate) fn seq(&mut self) -> Result<Seq, StoreError> {
        self.number().map(Seq)
    }

    pub(crate) fn name(&mut self) -> Result<Name, StoreError> {
        self.text().map(Name::stored)
    }

    fn flag(&mut self) -> Result<bool, StoreError> {
        self.number::<i64>().map(|number| number != 0)
    }

    fn text_or_null(&mut self) -> Result<Option<String>, StoreError> {
        Ok(self.raw::<&str>()?.map(str::to_owned))
    }

    fn command(&mut self) -> Result<CommandId, StoreError> {
        self.bytes().map(CommandId::from_bytes)
    }

    fn entry(&mut self) -> Result<OperatorEntry, StoreError> {
        Ok(OperatorEntry {
            id: self.command()?,
            actor: self.text_or_null()?,
            action: {
                let text = self.text()?;
                OperatorAction::named(text)
                    .ok_or_else(|| self.last_bad(&"no action of an operator has this name"))?
            },
            target: self.text()?.to_owned(),
            comment: self.text_or_null()?,
            changed: self.flag()?,
            at: self.instant()?,
        })
    }

    fn json<T: serde::de::DeserializeOwned>(&mut self) -> Result<T, StoreError> {
        let text = self.text()?;
        serde_json::from_str(text).map_err(|error| self.last_bad(&error))
    }

    fn definition_key(&mut self) -> Result<DefinitionKey, StoreError> {
        Ok(DefinitionKey {
            name: self.name()?,
            version: self.number()?,
        })
    }
}

fn schedule_id(bytes: [u8; 16]) -> ScheduleId {
    ScheduleId::from_u128(u128::from_be_bytes(bytes))
}

/// The bytes by which a schedule is known.
pub(crate) fn schedule_bytes(id: ScheduleId) -> Vec<u8> {
    id.as_u128().to_be_bytes().to_vec()
}

pub(crate) fn run(row: &SqliteRow) -> Result<RunRow, StoreError> {
    let mut columns = Columns::of("runs", row);
    Ok(RunRow {
        id: columns.run_id()?,
        life: columns.life()?,
        definition: columns.definition_key()?,
        seq: columns.seq()?,
        status: {
            let number = columns.number()?;
            Status::from_i16(number)
                .ok_or_else(|| columns.last_bad(&"no status has this number"))?
        },
        state: columns.blob()?.to_vec(),
        labels: columns.json()?,
        created: columns.instant()?,
        updated: columns.instant()?,
        parent: columns.id_or_null()?.map(RunId::from_bytes),
        source: columns.id_or_null()?.map(RunId::from_bytes),
        schedule: columns.schedule_or_null()?,
    })
}

pub(crate) fn schedule(row: &SqliteRow) -> Result<ScheduleRow, StoreError> {
    let mut columns = Columns::of("schedules", row);
    Ok(ScheduleRow {
        id: columns.schedule()?,
        life: columns.life()?,
        seq: columns.seq()?,
        key: columns.text()?.to_owned(),
        version: columns.number()?,
        workflow: columns.name()?,
        trigger: columns.name()?,
        plan: columns.text()?.to_owned(),
        input: Payload::new(columns.blob()?),
        standing: {
            let number = columns.number()?;
            Standing::from_i16(number)
                .ok_or_else(|| columns.last_bad(&"no standing has this number"))?
        },
        state: columns.blob()?.to_vec(),
        created: columns.instant()?,
        updated: columns.instant()?,
    })
}

pub(crate) fn task(row: &SqliteRow) -> Result<TaskRow, StoreError> {
    let mut columns = Columns::of("tasks", row);
    Ok(TaskRow {
        key: TaskKey {
            run: columns.run_id()?,
            lane: Lane(columns.number()?),
        },
        life: columns.life()?,
        kind: {
            let number = columns.number()?;
            TaskKind::from_i16(number)
                .ok_or_else(|| columns.last_bad(&"no kind has this number"))?
        },
        step: StepIndex(columns.number()?),
        queue: columns.name()?,
        priority: columns.number()?,
        handler: columns.name()?,
        due_at: columns.instant()?,
        attempt: columns.number()?,
        fence: Fence {
            seq: columns.seq()?,
            claims: columns.number()?,
        },
        owner: columns.id_or_null()?.map(Incarnation::from_bytes),
        begun: columns.flag()?,
        expired: columns.flag()?,
        hand_offs: columns.number()?,
        format: columns.number()?,
        renew_until: columns.instant_or_null()?,
        brief: {
            let bytes = columns.blob()?;
            Brief::decode(bytes).map_err(|error| columns.last_bad(&error))?
        },
    })
}

pub(crate) fn worker(row: &SqliteRow) -> Result<WorkerRow, StoreError> {
    let mut columns = Columns::of("workers", row);
    Ok(WorkerRow {
        incarnation: columns.bytes().map(Incarnation::from_bytes)?,
        name: columns.text()?.to_owned(),
        handlers: Arc::new(columns.json()?),
        queues: columns.json()?,
        started: columns.instant()?,
        seen: columns.instant()?,
        claim: columns.number()?,
        claim_shard: columns.number().map(Shard::from_u16)?,
        claimed: {
            let bytes = columns.blob()?;
            decode_claimed(bytes).ok_or_else(|| columns.last_bad(&"no list of claims"))?
        },
    })
}

pub(crate) fn definition(row: &SqliteRow) -> Result<DefinitionRow, StoreError> {
    let mut columns = Columns::of("definitions", row);
    Ok(DefinitionRow {
        key: columns.definition_key()?,
        digest: columns.bytes().map(DefinitionDigest::from_bytes)?,
        body: columns.text()?.into(),
    })
}

/// The name in a row of nothing else.
pub(crate) fn name(row: &SqliteRow) -> Result<Name, StoreError> {
    Columns::of("queues", row).name()
}

pub(crate) fn queue(row: &SqliteRow) -> Result<QueueRow, StoreError> {
    let mut columns = Columns::of("queues", row);
    Ok(QueueRow {
        name: columns.name()?,
        paused: columns.flag()?,
        by: columns.command()?,
    })
}

pub(crate) fn entry(row: &SqliteRow) -> Result<OperatorEntry, StoreError> {
    Columns::of("operator_log", row).entry()
}

pub(crate) fn queue_record(row: &SqliteRow) -> Result<QueueRecord, StoreError> {
    let mut columns = Columns::of("queues", row);
    Ok(QueueRecord {
        name: columns.name()?,
        paused: columns.flag()?,
        last: columns.entry()?,
    })
}

/// Bytes of one claimed task: run, lane, and the two halves of its fence.
const CLAIMED_BYTES: usize = 16 + 2 + 4 + 4;

/// What a claim took, as the bytes of its column.
pub(crate) fn encode_claimed(claimed: &[(TaskKey, Fence)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(claimed.len() * CLAIMED_BYTES);
    for (key, fence) in claimed {
        bytes.extend_from_slice(&key.run.to_bytes());
        bytes.extend_from_slice(&key.lane.0.to_be_bytes());
        bytes.extend_from_slice(&fence.seq.0.to_be_bytes());
        bytes.extend_from_slice(&fence.claims.to_be_bytes());
    }
    bytes
}

fn decode_claimed(bytes: &[u8]) -> Option<Vec<(TaskKey, Fence)>> {
    let (entries, rest) = bytes.as_chunks::<CLAIMED_BYTES>();
    let entry = |entry: &[u8; CLAIMED_BYTES]| {
        let (run, rest) = entry.split_first_chunk()?;
        let (lane, rest) = rest.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (claims, _) = rest.split_first_chunk()?;
        let key = TaskKey {
            run: RunId::from_bytes(*run),
            lane: Lane(u16::from_be_bytes(*lane)),
        };
        let fence = Fence {
            seq: Seq(u32::from_be_bytes(*seq)),
            claims: u32::from_be_bytes(*claims),
        };
        Some((key, fence))
    };
    if rest.is_empty() {
        entries.iter().map(entry).collect()
    } else {
        None
    }
}

/// The JSON array by which rows are asked for by run.
pub(crate) fn run_keys<'k>(runs: impl IntoIterator<Item = &'k RunId>) -> String {
    array(runs, |text, run| write!(text, "\"{:032x}\"", run.as_u128()))
}

/// The JSON array by which schedules are asked for.
pub(crate) fn schedule_keys<'k>(schedules: impl IntoIterator<Item = &'k ScheduleId>) -> String {
    array(schedules, |text, id| {
        write!(text, "\"{:032x}\"", id.as_u128())
    })
}

/// The JSON array by which rows are asked for by run and a number.
pub(crate) fn numbered_keys(keys: impl IntoIterator<Item = (RunId, u32)>) -> String {
    array(keys, |text, (run, number)| {
        write!(text, "[\"{:032x}\",{number}]", run.as_u128())
    })
}

/// The JSON array by which queues and workflows are asked for. Names need no escapes.
pub(crate) fn names<'k>(names: impl IntoIterator<Item = &'k Name>) -> String {
    array(names, |text, name| write!(text, "\"{name}\""))
}

/// The JSON array by which definitions are asked for.
pub(crate) fn definition_keys<'k>(keys: impl IntoIterator<Item = &'k DefinitionKey>) -> String {
    let pairs = keys.into_iter().map(|key| {
        Value::from(vec![
            Value::from(key.name.as_str()),
            Value::from(key.version),
        ])
    });
    Value::Array(pairs.collect()).to_string()
}

fn array<T>(
    items: impl IntoIterator<Item = T>,
    put: impl Fn(&mut String, T) -> std::fmt::Result,
) -> String {
    let mut text = String::from("[");
    for item in items {
        if text.len() > 1 {
            text.push(',');
        }
        put(&mut text, item).expect("writing into memory cannot fail");
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_read_back_from_their_bytes() {
        let key = TaskKey {
            run: RunId::from_u128(7 << 100),
            lane: Lane(513),
        };
        let fence = Fence {
            seq: Seq(70_000),
            claims: 3,
        };
        let claimed = vec![
            (key, fence),
            (
                TaskKey {
                    lane: Lane(0),
                    ..key
                },
                fence,
            ),
        ];
        let bytes = encode_claimed(&claimed);
        assert_eq!(decode_claimed(&bytes), Some(claimed));
        assert_eq!(decode_claimed(&[]), Some(vec![]));
        assert_eq!(decode_claimed(&bytes[1..]), None);
    }

    #[test]
    fn keys_are_json() {
        let run = RunId::from_u128(0xff);
        assert_eq!(run_keys([]), "[]");
        assert_eq!(
            run_keys([&run, &run]),
            format!("[\"{0}ff\",\"{0}ff\"]", "0".repeat(30))
        );
        assert_eq!(
            numbered_keys([(run, 9)]),
            format!("[[\"{}ff\",9]]", "0".repeat(30))
        );
        let key = DefinitionKey {
            name: Name::new("order").unwrap(),
            version: 2,
        };
        assert_eq!(definition_keys([&key]), "[[\"order\",2]]");
        assert_eq!(names([&key.name]), "[\"order\"]");
    }
}
