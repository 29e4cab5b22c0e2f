//! Saying why schedules fire, or do not.
//!
//! Invariant: decides nothing; the core explains what the store has.

use squid_mesh_core::schedule::{ScheduleExplanation, ScheduleKey, explain};

use super::super::Client;
use super::ScheduleError;

impl Client {
    /// Why a schedule fires when it does, or does not fire, and what could be done about it.
    ///
    /// Cancellation-safe: looking changes nothing.
    ///
    /// # Errors
    /// If the schedule does not exist or cannot be looked at; asking again is safe.
    pub async fn explain_schedule(
        &self,
        schedule: impl Into<String>,
    ) -> Result<ScheduleExplanation, ScheduleError> {
        let key: ScheduleKey = schedule.into().parse()?;
        let found = self.schedule_record(&key).await?;
        let record = found.ok_or_else(|| ScheduleError::UnknownSchedule {
            schedule: key.to_string(),
        })?;
        let (workflow, trigger) = (&record.row.workflow, &record.row.trigger);
        let definition = self.target(workflow, trigger).await?;
        Ok(explain(&record, definition.as_deref()))
    }
}
