//! Listing schedules, page by page.
//!
//! Invariant: a cursor names a place between two names, so pages neither repeat nor skip a schedule, whatever is created
//! meanwhile.

use serde::{Deserialize, Serialize};
use squid_mesh_core::name::Name;
use squid_mesh_core::schedule::{PlanDraft, ScheduleKey, ScheduleRow, Standing};
use squid_mesh_core::store::{Inspect as _, ScheduleFilter};
use squid_mesh_core::time::Timestamp;

use super::super::{Client, InspectError, listing};

/// One page of a listing of schedules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SchedulePage {
    /// The schedules, by name.
    pub schedules: Vec<ScheduleSummary>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<String>,
}

/// A schedule in a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScheduleSummary {
    /// What it is called.
    pub schedule: String,
    /// The workflow that it starts.
    pub workflow: Name,
    /// The trigger that it starts it by.
    pub trigger: Name,
    /// Whether it fires by itself.
    pub standing: Standing,
    /// What was declared; none if the row cannot be read: corrupt, or written by a newer engine.
    pub plan: Option<PlanDraft>,
    /// When it acts next by itself, if it does.
    pub due: Option<Timestamp>,
    /// The code of what keeps it from starting runs, until it can.
    pub trouble: Option<String>,
}

impl Client {
    /// Schedules that match, by name: the page after `cursor`, which an earlier page gave as its `next`. `limit` is 1,000 at
    /// most; 0 stands for 100.
    ///
    /// Cancellation-safe: looking changes nothing.
    ///
    /// # Errors
    /// [`InspectError::MalformedCursor`] for a text that no page gave; else as the store has it. Asking again is safe.
    pub async fn schedules(
        &self,
        filter: &ScheduleFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<SchedulePage, InspectError> {
        let after = cursor.map(place).transpose()?;
        let limit = match limit {
            0 => listing::PAGE,
            limit => limit.min(listing::PAGE_MAX),
        };
        let rows = self.insist(|| self.store().schedules(filter, after, limit));
        let rows = rows.await?;
        let full = u32::try_from(rows.len()).is_ok_and(|found| found >= limit);
        let last = rows.last().filter(|_| full);
        Ok(SchedulePage {
            next: last.map(|row| format!("{PREFIX}{}", row.key)),
            schedules: rows.into_iter().map(ScheduleSummary::from).collect(),
        })
    }
}

/// What a cursor begins with.
const PREFIX: &str = "s1-";

fn place(cursor: &str) -> Result<&str, InspectError> {
    let place = cursor.strip_prefix(PREFIX);
    let place = place.filter(|key| key.parse::<ScheduleKey>().is_ok());
    place.ok_or_else(|| InspectError::MalformedCursor {
        cursor: cursor.chars().take(80).collect(),
    })
}

impl From<ScheduleRow> for ScheduleSummary {
    fn from(row: ScheduleRow) -> ScheduleSummary {
        let read = row.read().ok();
        let trouble = read.as_ref().and_then(|it| it.state.trouble.as_ref());
        ScheduleSummary {
            schedule: row.key,
            workflow: row.workflow,
            trigger: row.trigger,
            standing: row.standing,
            plan: read.as_ref().map(|it| PlanDraft::from(&*it.plan)),
            due: read.as_ref().and_then(|it| it.next_firing()),
            trouble: trouble.map(|trouble| trouble.code.clone()),
        }
    }
}
