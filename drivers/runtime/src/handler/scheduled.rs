//! The schedule that started a run.
//!
//! Invariant: says what the engine recorded when it started the run; nothing that an input holds can change it.

use serde::{Deserialize, Serialize};
use squid_mesh_core::schedule::{Occasion, Occurrence};
use squid_mesh_core::time::Timestamp;

/// The schedule that started a run, and for when. A copy of a run has that of its source.
///
/// ```
/// use squid_mesh::{StepContext, StepError};
///
/// async fn sum_up(cx: StepContext, _: ()) -> Result<String, StepError> {
///     let Some(schedule) = cx.schedule() else {
///         return Ok("somebody asked for it".to_owned());
///     };
///     // Windows of one schedule follow each other without gaps: each event belongs to one of them.
///     Ok(format!("events from {} to before {}", schedule.window_start, schedule.window_end))
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScheduleContext {
    /// What the schedule is called: `workflow/trigger`, of one that is declared.
    pub schedule: String,
    /// The occurrence; of a run that somebody triggered, when that was.
    pub occurrence: Timestamp,
    /// The occurrence before, which belongs to the window; if there is none, the schedule's start, else when it was created.
    pub window_start: Timestamp,
    /// The occurrence, which does not belong to the window any more.
    pub window_end: Timestamp,
    /// When the engine started the run, by the database's clock.
    pub received_at: Timestamp,
    /// What made it start.
    pub occasion: Occasion,
}

impl From<&Occurrence> for ScheduleContext {
    fn from(occurrence: &Occurrence) -> ScheduleContext {
        ScheduleContext {
            schedule: occurrence.name.clone(),
            occurrence: occurrence.at,
            window_start: occurrence.window_start,
            window_end: occurrence.at,
            received_at: occurrence.received_at,
            occasion: occurrence.occasion,
        }
    }
}
