//! What can be seen of a run.
//!
//! Invariant: holds payloads only if it was asked for with them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::IntoFuture;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use squid_mesh_core::definition::{Source, StepIndex};
use squid_mesh_core::id::{Incarnation, RunId};
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::PayloadRef;
use squid_mesh_core::run::{Stage, Status};
use squid_mesh_core::task::TaskRow;
use squid_mesh_core::time::Timestamp;

use super::record::Pinned;
use super::{Client, InspectError, RunFailure};

/// A run as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Inspection {
    /// The run.
    pub run: RunId,
    /// Its workflow.
    pub workflow: Name,
    /// The version it is pinned to.
    pub version: u32,
    /// Its status; a delayed start whose time has come is `pending`.
    pub status: Status,
    /// The database's clock when this was read.
    pub now: Timestamp,
    /// When it was started.
    pub created: Timestamp,
    /// When its journal last grew.
    pub updated: Timestamp,
    /// When its first steps are due, of a delayed start.
    pub due: Option<Timestamp>,
    /// When it must have ended.
    pub deadline: Option<Timestamp>,
    /// The idempotency key it was started under.
    pub key: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The cancel that came first.
    pub cancel: Option<CancelInspection>,
    /// Why it failed, or is about to.
    pub failure: Option<RunFailure>,
    /// Its input, if asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub input: Option<Value>,
    /// Its steps, in declaration order.
    pub steps: Vec<StepInspection>,
}

impl Inspection {
    /// The step of this name.
    pub fn step(&self, name: &str) -> Option<&StepInspection> {
        self.steps.iter().find(|step| step.name.as_str() == name)
    }
}

/// A request to cancel, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CancelInspection {
    /// When.
    pub at: Timestamp,
    /// Who asked.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Whether running attempts were not waited for.
    pub force: bool,
}

/// A step as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepInspection {
    /// Its name.
    pub name: Name,
    /// Where it stands.
    pub status: StepStatus,
    /// Attempts that reported.
    pub executed: u32,
    /// Attempts that were lost with their process.
    pub lost: u32,
    /// When its task is due: the next attempt, the end of the wait, or the end of the lease.
    pub due: Option<Timestamp>,
    /// The process that holds it under lease.
    pub worker: Option<Incarnation>,
    /// What its last report said, if that was a failure.
    pub failure: Option<RunFailure>,
    /// Its output, if asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub output: Option<Value>,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepStatus {
    /// Something it needs is not there yet.
    Blocked,
    /// It may be claimed from its due time on.
    Ready,
    /// A worker holds it, and its lease lives.
    Running,
    /// It waits for its next attempt.
    Retrying,
    /// It is a wait that has not ended.
    Waiting,
    /// The run is ending, and the attempt was told to stop.
    Stopping,
    /// It ended with an output.
    Succeeded,
    /// It failed for good.
    Failed,
    /// It was ended with the run.
    Cancelled,
}

/// An inspection that is being put together; awaiting it looks.
#[derive(Debug)]
#[must_use = "a run is inspected by awaiting this"]
pub struct InspectRun {
    client: Client,
    run: RunId,
    payloads: bool,
}

impl InspectRun {
    pub(super) fn new(client: Client, run: RunId) -> InspectRun {
        InspectRun {
            client,
            run,
            payloads: false,
        }
    }

    /// With input, outputs and the details of failures.
    pub fn with_payloads(mut self) -> Self {
        self.payloads = true;
        self
    }

    async fn look(self) -> Result<Inspection, InspectError> {
        let pinned = self.client.pinned(self.run).await?;
        let mut inspection = pinned.inspection(&self.client).await?;
        if self.payloads {
            pinned.fill(&self.client, &mut inspection).await?;
        } else {
            let failures = inspection
                .steps
                .iter_mut()
                .filter_map(|step| step.failure.as_mut());
            failures
                .chain(&mut inspection.failure)
                .for_each(|failure| failure.details = None);
        }
        Ok(inspection)
    }
}

impl IntoFuture for InspectRun {
    type Output = Result<Inspection, InspectError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.look())
    }
}

impl Pinned {
    async fn inspection(&self, client: &Client) -> Result<Inspection, InspectError> {
        let started = self.started(client).await?;
        let cancel = self.cancel(client).await?.zip(self.run.cancel());
        let mut steps = Vec::new();
        for index in self.definition.indexes() {
            steps.push(self.step(client, index).await?);
        }
        let row = &self.record.row;
        Ok(Inspection {
            run: row.id,
            workflow: row.definition.name.clone(),
            version: row.definition.version,
            status: self.status(),
            now: self.record.now,
            created: row.created,
            updated: row.updated,
            due: started.due,
            deadline: started.deadline,
            key: started.key,
            labels: row.labels.clone(),
            cancel: cancel.map(|(request, record)| CancelInspection {
                at: record.at,
                actor: request.actor,
                reason: request.reason,
                force: request.force,
            }),
            failure: self.failure(client).await?,
            input: None,
            steps,
        })
    }

    async fn step(
        &self,
        client: &Client,
        index: StepIndex,
    ) -> Result<StepInspection, InspectError> {
        let state = self.run.step(index);
        let lane = state.stage.armed().map(|armed| armed.lane);
        let task = self
            .record
            .tasks
            .iter()
            .find(|task| Some(task.key.lane) == lane);
        Ok(StepInspection {
            name: self.definition.step(index).name.clone(),
            status: self.step_status(index, task),
            executed: state.executed,
            lost: state.lost,
            due: task.map(|task| task.due_at),
            worker: task.and_then(|task| task.owner),
            failure: self.last_failure(client, index).await?,
            output: None,
        })
    }

    fn step_status(&self, index: StepIndex, task: Option<&TaskRow>) -> StepStatus {
        let state = self.run.step(index);
        match state.stage {
            Stage::Blocked => StepStatus::Blocked,
            Stage::Scheduled(armed) => {
                let held =
                    task.is_some_and(|task| task.owner.is_some() && task.due_at > self.record.now);
                let tried = state.executed > 0 || state.lost > 0;
                match (held, tried && armed.due > self.record.now) {
                    (true, _) => StepStatus::Running,
                    (false, true) => StepStatus::Retrying,
                    (false, false) => StepStatus::Ready,
                }
            }
            Stage::Waiting(_) => StepStatus::Waiting,
            Stage::Stopping(_) => StepStatus::Stopping,
            Stage::Succeeded => StepStatus::Succeeded,
            Stage::Failed => StepStatus::Failed,
            Stage::Cancelled => StepStatus::Cancelled,
        }
    }

    /// Puts the payloads in.
    async fn fill(&self, client: &Client, inspection: &mut Inspection) -> Result<(), InspectError> {
        let input = self.place(&Source::Input);
        let outputs: Vec<Option<PayloadRef>> = self
            .definition
            .indexes()
            .map(|step| self.place(&Source::Output(step)))
            .collect();
        let wanted: BTreeSet<PayloadRef> =
            outputs.iter().chain([&input]).flatten().copied().collect();
        let found = client.payloads(self.id(), wanted).await?;
        let read = |place: Option<PayloadRef>| {
            place
                .and_then(|place| found.get(&place))
                .map(|payload| self.json(payload))
                .transpose()
        };
        inspection.input = read(input)?;
        for (step, place) in inspection.steps.iter_mut().zip(outputs) {
            step.output = read(place)?;
        }
        Ok(())
    }
}
