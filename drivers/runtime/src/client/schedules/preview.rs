//! Looking at what a plan would do.
//!
//! Invariant: reads no clock and no store.

use squid_mesh_core::limits;
use squid_mesh_core::schedule::{PlanDraft, PreviewedFiring};
use squid_mesh_core::time::Timestamp;

use super::super::LimitExceeded;
use super::{ScheduleError, ScheduleProblems};

/// The first occurrences of a plan that are later than `from`, in order: `count` of them, or as many as there are. Needs no
/// database, and changes nothing.
///
/// ```
/// use squid_mesh::{PlanDraft, preview};
///
/// let plan = PlanDraft::cron("30 2 * * *", "Europe/Berlin");
/// let from = serde_json::from_str("\"2027-03-27T00:00:00Z\"")?;
/// let firings = preview(&plan, from, 3)?;
/// assert_eq!(firings[1].utc.to_string(), "2027-03-28T01:00:00.000000Z");
/// assert_eq!(firings[1].local, "2027-03-28T03:00:00+02:00");
/// assert_eq!(firings[1].policy.as_deref(), Some("gap_fire_after")); // there is no 02:30 on that day
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ScheduleError::InvalidPlan`] with everything that is wrong with the plan; [`ScheduleError::Limit`] for more than 1,000.
pub fn preview(
    plan: &PlanDraft,
    from: Timestamp,
    count: u32,
) -> Result<Vec<PreviewedFiring>, ScheduleError> {
    check_count(count)?;
    let plan = plan.check();
    let plan = plan.map_err(|all| ScheduleError::InvalidPlan(ScheduleProblems(all)))?;
    Ok(plan.preview(from, count))
}

pub(super) fn check_count(count: u32) -> Result<(), LimitExceeded> {
    let [found, limit] = [count, limits::PREVIEW].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    LimitExceeded::check("number of occurrences to preview", found, limit)
}
