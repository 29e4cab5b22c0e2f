//! Schedules: their tasks follow from their rows.
//!
//! Invariant: whatever was written of a schedule, its row implies the task that the agenda has for it, leases aside.

use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::verify;

use super::Landing;
use crate::store::Tables;
use crate::violation::{Check, Promise, broken};

impl Landing<'_> {
    /// Every schedule that was written, or whose task was.
    pub(super) fn schedules(&self) -> Check {
        let touched = &self.landed.touched;
        let by_task = touched.tasks.iter().map(|key| ScheduleId::of_task(*key));
        for id in touched.schedules.iter().copied().chain(by_task) {
            match self.tables.schedule(id) {
                Some(row) => schedule_matches(self.tables, row)?,
                None if touched.schedules.contains(&id) => gone(self.tables, id)?,
                None => {}
            }
        }
        Ok(())
    }
}

/// Compares the task of a schedule with the one that its row implies.
pub(super) fn schedule_matches(tables: &Tables, row: &ScheduleRow) -> Check {
    let found = match row.read() {
        Ok(schedule) => {
            let found = verify::schedule(&schedule, tables.task(&schedule.id.task()));
            found.first().map(ToString::to_string)
        }
        Err(error) => Some(error.to_string()),
    };
    match found {
        Some(found) => broken(
            Promise::JournalIsTruth,
            format!("schedule {:?}: {found}", row.key),
        ),
        None => Ok(()),
    }
}

fn gone(tables: &Tables, id: ScheduleId) -> Check {
    match tables.task(&id.task()) {
        Some(task) => broken(
            Promise::JournalIsTruth,
            format!("schedule {id} is gone, and its task {} is left", task.key),
        ),
        None => Ok(()),
    }
}
