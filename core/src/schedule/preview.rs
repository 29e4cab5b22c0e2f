//! What a plan is going to do, for people to look at before they trust it.
//!
//! Invariant: shows what the engine fires, found by the same search.

use chrono::{FixedOffset, SecondsFormat};
use serde::{Deserialize, Serialize};

use super::{Plan, Timing};
use crate::cron::Firing;
use crate::limits;
use crate::time::Timestamp;

/// An occurrence that is to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PreviewedFiring {
    /// The occurrence.
    pub utc: Timestamp,
    /// What the clock of the expression's zone shows then, with its offset: `2027-03-28T03:00:00+02:00`.
    pub local: String,
    /// The word of the policy that had a say in it, if the clocks change around it: see [`AppliedPolicy`](crate::cron::AppliedPolicy::as_str).
    pub policy: Option<String>,
}

impl Plan {
    /// The first occurrences that are later than `from`, in order: `count` of them, [`limits::PREVIEW`] at
    /// most, or as many as there are. One that others fire has
    /// none. Jitter is not shown; each occurrence is due up to that much later.
    ///
    /// ```
    /// use squid_mesh_core::schedule::PlanDraft;
    ///
    /// let plan = PlanDraft::cron("30 2 * * *", "Europe/Berlin").check().unwrap();
    /// let from = serde_json::from_str("\"2027-03-27T12:00:00Z\"").unwrap();
    /// let next = &plan.preview(from, 1)[0];
    /// assert_eq!(next.local, "2027-03-28T03:00:00+02:00"); // the clocks go from 02:00 to 03:00
    /// assert_eq!(next.policy.as_deref(), Some("gap_fire_after"));
    /// ```
    pub fn preview(&self, from: Timestamp, count: u32) -> Vec<PreviewedFiring> {
        let Timing::Cron(calendar) = &self.timing else {
            return Vec::new();
        };
        let mut firings = Vec::new();
        let mut after = from;
        for _ in 0..count.min(limits::PREVIEW) {
            let Some(next) = self.next_after(after) else {
                break;
            };
            after = next;
            firings.extend(calendar.last_at_or_before(next).map(PreviewedFiring::from));
        }
        firings
    }
}

impl From<Firing> for PreviewedFiring {
    fn from(firing: Firing) -> PreviewedFiring {
        let seconds = i32::try_from(firing.offset().num_seconds());
        let offset = seconds.ok().and_then(FixedOffset::east_opt);
        let local = offset.and_then(|offset| firing.local.and_local_timezone(offset).single());
        PreviewedFiring {
            utc: firing.at,
            local: local.map_or_else(
                || firing.local.to_string(),
                |local| local.to_rfc3339_opts(SecondsFormat::Secs, false),
            ),
            policy: firing.policy.map(|policy| policy.as_str().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::PlanDraft;

    fn at(text: &str) -> Timestamp {
        serde_json::from_value(text.into()).unwrap()
    }

    fn shown(draft: &PlanDraft, from: &str, count: u32) -> Vec<String> {
        let firings = draft.check().unwrap().preview(at(from), count);
        firings
            .into_iter()
            .map(|firing| {
                let policy = firing.policy.unwrap_or_default();
                format!("{} {} {policy}", firing.utc, firing.local)
            })
            .collect()
    }

    #[test]
    fn a_preview_shows_both_clocks_and_marks_where_a_policy_acted() {
        let draft = PlanDraft::cron("30 2 * * *", "Europe/Berlin");
        assert_eq!(
            shown(&draft, "2027-03-27T01:29:59Z", 3),
            [
                "2027-03-27T01:30:00.000000Z 2027-03-27T02:30:00+01:00 ",
                "2027-03-28T01:00:00.000000Z 2027-03-28T03:00:00+02:00 gap_fire_after",
                "2027-03-29T00:30:00.000000Z 2027-03-29T02:30:00+02:00 ",
            ]
        );
        assert_eq!(
            shown(&draft, "2026-10-25T00:00:00Z", 1),
            ["2026-10-25T00:30:00.000000Z 2026-10-25T02:30:00+02:00 repeated_hour_first"]
        );
    }

    #[test]
    fn a_preview_keeps_within_start_and_end_and_ends_where_the_plan_does() {
        let draft = PlanDraft {
            start: Some(at("2026-01-02T09:00:00Z")),
            end: Some(at("2026-01-04T09:00:00Z")),
            ..PlanDraft::cron("0 9 * * *", "UTC")
        };
        assert_eq!(
            shown(&draft, "2025-01-01T00:00:00Z", 10),
            [
                "2026-01-02T09:00:00.000000Z 2026-01-02T09:00:00+00:00 ",
                "2026-01-03T09:00:00.000000Z 2026-01-03T09:00:00+00:00 ",
            ]
        );
        let never = PlanDraft::cron("0 0 30 2 *", "UTC");
        assert!(shown(&never, "2025-01-01T00:00:00Z", 10).is_empty());
        assert!(shown(&PlanDraft::default(), "2025-01-01T00:00:00Z", 10).is_empty());
    }
}
