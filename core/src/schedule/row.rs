//! The row of a schedule, as stores keep it.
//!
//! Invariant: a durable format. What is declared is JSON, what becomes of it is postcard behind a format byte.

use std::sync::Arc;

use super::{Plan, Schedule, ScheduleId, ScheduleKey, Standing, State};
use crate::id::Life;
use crate::name::Name;
use crate::payload::Payload;
use crate::run::Seq;
use crate::time::Timestamp;
use crate::transition::DecodeError;

/// One row of `schedules`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleRow {
    /// The schedule.
    pub id: ScheduleId,
    /// Its life, drawn by whoever created it: one that is created after it was deleted has another.
    pub life: Life,
    /// Counts the writes of this row, from 1.
    pub seq: Seq,
    /// What it is called.
    pub key: String,
    /// The version of the definition that declared it; 0 of one that was created at run time.
    pub version: u32,
    /// The workflow that it starts.
    pub workflow: Name,
    /// The trigger that it starts it by.
    pub trigger: Name,
    /// What was declared: a [`Plan`] as JSON.
    pub plan: String,
    /// The input of its runs, as it was declared: defaults are filled in when a run is started.
    pub input: Payload,
    /// Whether it fires.
    pub standing: Standing,
    /// What became of it so far: a [`State`] as bytes.
    pub state: Vec<u8>,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last written.
    pub updated: Timestamp,
}

impl ScheduleRow {
    /// Reads the row.
    ///
    /// # Errors
    /// If its plan or state are of a newer format, or nothing an engine wrote.
    pub fn read(&self) -> Result<Schedule, DecodeError> {
        Ok(Schedule {
            id: self.id,
            life: self.life,
            seq: self.seq,
            key: ScheduleKey::stored(&self.key),
            version: self.version,
            workflow: self.workflow.clone(),
            trigger: self.trigger.clone(),
            plan: Arc::new(Plan::stored(&self.plan)?),
            input: self.input.clone(),
            standing: self.standing,
            state: self.read_state()?,
            created: self.created,
            updated: self.updated,
        })
    }

    /// Reads what became of it so far, and not what was declared.
    ///
    /// # Errors
    /// If it is of a newer format, or nothing an engine wrote.
    pub fn read_state(&self) -> Result<State, DecodeError> {
        State::decode(&self.state)
    }
}

impl From<&Schedule> for ScheduleRow {
    fn from(schedule: &Schedule) -> ScheduleRow {
        ScheduleRow {
            id: schedule.id,
            life: schedule.life,
            seq: schedule.seq,
            key: schedule.key.to_string(),
            version: schedule.version,
            workflow: schedule.workflow.clone(),
            trigger: schedule.trigger.clone(),
            plan: schedule.plan.to_json(),
            input: schedule.input.clone(),
            standing: schedule.standing,
            state: schedule.state.encode(),
            created: schedule.created,
            updated: schedule.updated,
        }
    }
}
