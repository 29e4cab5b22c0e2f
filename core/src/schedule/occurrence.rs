//! What a run knows of the schedule that started it.

use serde::{Deserialize, Serialize};

use super::ScheduleId;
use crate::time::Timestamp;

/// The occurrence of a schedule that a run is of. No input can pretend to be one: it is kept apart from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The schedule.
    pub schedule: ScheduleId,
    /// What it is called, as text.
    pub name: String,
    /// The occurrence, where the window ends; of a run that somebody triggered or signalled, when that was.
    pub at: Timestamp,
    /// The occurrence before it, where the window begins; the schedule's first instant if there was none.
    pub window_start: Timestamp,
    /// When the engine started the run, by the database's clock.
    pub received_at: Timestamp,
    /// What made it start.
    pub occasion: Occasion,
    /// Its end is reported back to the schedule, which waits for it.
    pub reports: bool,
}

/// What made a schedule start a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// Its time came.
    Due,
    /// A scheduler of the host's own said that its time has come.
    Fired,
    /// Somebody triggered it.
    Triggered,
}
