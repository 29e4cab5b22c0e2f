//! What can be seen of a schedule.
//!
//! Invariant: holds the input only if it was asked for with it.

use std::future::IntoFuture;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::schedule::{
    Fired, Missed, PlanDraft, PreviewedFiring, Schedule, ScheduleKey, Standing, Trouble,
};
use squid_mesh_core::store::ScheduleRecord;
use squid_mesh_core::time::Timestamp;

use super::super::Client;
use super::ScheduleError;
use super::preview::check_count;

/// A schedule as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScheduleInspection {
    /// What it is called.
    pub schedule: String,
    /// The version of its workflow that declares it; none of one that was created at run time.
    pub version: Option<u32>,
    /// The workflow that it starts.
    pub workflow: Name,
    /// The trigger that it starts it by.
    pub trigger: Name,
    /// What was declared, with everything that follows by default.
    pub plan: PlanDraft,
    /// Whether it fires by itself.
    pub standing: Standing,
    /// The database's clock when this was read.
    pub now: Timestamp,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last written.
    pub updated: Timestamp,
    /// When it acts next by itself, jitter included; none while it is paused.
    pub due: Option<Timestamp>,
    /// The next occurrence to come, while it is paused, too.
    pub next: Option<Timestamp>,
    /// That and the following ones: five, unless another [number](InspectSchedule::preview) was asked for.
    pub upcoming: Vec<PreviewedFiring>,
    /// What it fired last by itself.
    pub fired: Option<Fired>,
    /// What it missed last.
    pub missed: Option<Missed>,
    /// The last occurrence that started nothing because the run before was still going on.
    pub skipped: Option<Timestamp>,
    /// The occurrence that waits for the end of the run before.
    pub waiting: Option<Timestamp>,
    /// The run that further ones must not overlap with.
    pub previous: Option<RunId>,
    /// Why it could not start a run when it last tried, until it can.
    pub trouble: Option<Trouble>,
    /// The input of its runs, if asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub input: Option<Value>,
}

/// An inspection that is being put together; awaiting it looks. Cancellation-safe: looking changes nothing.
#[derive(Debug)]
#[must_use = "a schedule is inspected by awaiting this"]
pub struct InspectSchedule {
    client: Client,
    schedule: String,
    preview: u32,
    payloads: bool,
}

/// How many occurrences are shown to somebody who names no number.
const SHOWN: u32 = 5;

impl InspectSchedule {
    pub(super) fn new(client: Client, schedule: String) -> InspectSchedule {
        InspectSchedule {
            client,
            schedule,
            preview: SHOWN,
            payloads: false,
        }
    }

    /// How many of the occurrences to come to show; 1,000 at most.
    pub fn preview(mut self, occurrences: u32) -> Self {
        self.preview = occurrences;
        self
    }

    /// With the input of its runs.
    pub fn with_payloads(mut self) -> Self {
        self.payloads = true;
        self
    }

    async fn look(self) -> Result<ScheduleInspection, ScheduleError> {
        check_count(self.preview)?;
        let key: ScheduleKey = self.schedule.parse()?;
        let (record, schedule) = self.client.schedule(&key).await?;
        let mut inspection = inspection(&record, &schedule, self.preview);
        if self.payloads {
            let mut input = input(&schedule)?;
            let (name, workflow) = (&inspection.schedule, &inspection.workflow);
            self.client.redaction().schedule(name, workflow, &mut input);
            inspection.input = Some(input);
        }
        Ok(inspection)
    }
}

impl Client {
    /// A schedule that is there and can be read.
    async fn schedule(
        &self,
        key: &ScheduleKey,
    ) -> Result<(ScheduleRecord, Schedule), ScheduleError> {
        let found = self.schedule_record(key).await?;
        let record = found.ok_or_else(|| ScheduleError::UnknownSchedule {
            schedule: key.to_string(),
        })?;
        let schedule = record
            .row
            .read()
            .map_err(|error| ScheduleError::Unreadable {
                schedule: key.to_string(),
                detail: error.to_string(),
            })?;
        Ok((record, schedule))
    }
}

fn inspection(record: &ScheduleRecord, schedule: &Schedule, count: u32) -> ScheduleInspection {
    let state = schedule.state.clone();
    let after = state.cursor.max(record.now);
    let declared = matches!(schedule.key, ScheduleKey::Declared { .. });
    ScheduleInspection {
        schedule: schedule.key.to_string(),
        version: declared.then_some(schedule.version),
        workflow: schedule.workflow.clone(),
        trigger: schedule.trigger.clone(),
        plan: PlanDraft::from(&*schedule.plan),
        standing: schedule.standing,
        now: record.now,
        created: schedule.created,
        updated: schedule.updated,
        due: schedule.next_firing(),
        next: schedule.next_occurrence(record.now),
        upcoming: schedule.plan.preview(after, count),
        fired: state.fired,
        missed: state.missed,
        skipped: state.skipped,
        waiting: state.waiting,
        previous: state.previous,
        trouble: state.trouble,
        input: None,
    }
}

fn input(schedule: &Schedule) -> Result<Value, ScheduleError> {
    let read = serde_json::from_slice(schedule.input.bytes());
    read.map_err(|_| ScheduleError::Unreadable {
        schedule: schedule.key.to_string(),
        detail: "its input is no JSON".to_owned(),
    })
}

impl IntoFuture for InspectSchedule {
    type Output = Result<ScheduleInspection, ScheduleError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.look())
    }
}
