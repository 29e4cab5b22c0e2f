//! Schedules: runs that are started by the calendar, each occurrence at most once.
//!
//! A schedule is a row of its own and at most one row of the agenda, due at its next occurrence. Whoever claims that does
//! nothing but say which definition to start; what is started is decided from the schedule's row as it is when the firing is
//! committed, and that same commit moves the schedule's cursor on. So an occurrence at or before the cursor starts nothing,
//! whoever fires it and however often, and an edit that came in between is what is fired.
//!
//! Invariant: the cursor never moves back but by an edit, and the task of a schedule follows from its row, leases aside.

mod entity;
mod explain;
mod id;
mod occurrence;
mod plan;
mod preview;
mod row;
mod state;
mod turn;

pub use entity::{Schedule, Standing};
pub use explain::{
    ScheduleEvidence, ScheduleExplanation, ScheduleNextAction, ScheduleReason, explain,
};
pub use id::{InvalidScheduleKey, ScheduleId, ScheduleKey};
pub use occurrence::{Occasion, Occurrence};
pub use plan::{CatchUp, DraftCatchUp, InvalidPlan, Overlap, Plan, PlanDraft, Timing};
pub use preview::PreviewedFiring;
pub use row::ScheduleRow;
pub use state::{Fired, Missed, State, Trouble};
