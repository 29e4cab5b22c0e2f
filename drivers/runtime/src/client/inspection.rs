//! What can be seen of a run.
//!
//! Invariant: holds payloads only if it was asked for with them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::IntoFuture;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use squid_mesh_core::definition::Origin;
use squid_mesh_core::event::{By, CopyKind};
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::Waiting;
use squid_mesh_core::payload::{OutputRef, PayloadRef};
use squid_mesh_core::run::{Seq, Status};
use squid_mesh_core::store::{Inspect as _, RunFilter};
use squid_mesh_core::time::Timestamp;

use super::record::Pinned;
use super::step_inspection::StepInspection;
use super::{Client, InspectError, RunFailure};
use crate::handler::ScheduleContext;

/// How many copies of a run, and children of a step, an inspection lists.
pub(super) const SHOWN: u32 = 100;

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
    /// The trigger it was started by.
    pub trigger: Name,
    /// Who started it, and what they said.
    pub by: SaidBy,
    /// The run whose step started it.
    pub parent: Option<ParentInspection>,
    /// The run it is a copy of.
    pub source: Option<SourceInspection>,
    /// The schedule that started it, or the run it is a copy of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schedule: Option<ScheduleContext>,
    /// Copies of it, newest first; at most 100, the others are found by listing.
    pub copies: Vec<RunId>,
    /// What it waits for from outside.
    pub waits: Vec<Waiting>,
    /// Signals that no step has waited for, oldest first. Of a run that has ended: those that were never used.
    pub signals: Vec<SignalInspection>,
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
    /// Whatever else was given with it, secrets aside.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metadata: Option<Value>,
    /// Whether running attempts were not waited for.
    pub force: bool,
    /// Whether what was done is taken back.
    pub undo: bool,
}

/// Who asked for something, and what they said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SaidBy {
    /// Who.
    pub actor: Option<String>,
    /// Why.
    pub comment: Option<String>,
    /// Whatever else was given, secrets aside.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metadata: Option<Value>,
}

/// The run whose step started another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ParentInspection {
    /// The run.
    pub run: RunId,
    /// The step; its number, should the parent be gone.
    pub step: Name,
    /// Which of the step's children this is, from 0.
    pub child: u32,
    /// How many runs are above it.
    pub depth: u16,
    /// Whether it goes its own way.
    pub detached: bool,
}

/// The run that another is a copy of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SourceInspection {
    /// The run.
    pub run: RunId,
    /// What of it was taken over.
    pub kind: CopyKind,
}

/// A signal that no step has waited for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SignalInspection {
    /// Its name.
    pub signal: Name,
    /// The journal row that brought it.
    pub seq: Seq,
    /// What it carries, if asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub payload: Option<Value>,
}

/// An inspection that is being put together; awaiting it looks. Cancellation-safe: looking changes nothing.
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
            self.client.redaction().inspection(&mut inspection);
        } else {
            failures(&mut inspection).for_each(|failure| failure.details = None);
        }
        Ok(inspection)
    }
}

/// Every failure that an inspection shows.
pub(super) fn failures(inspection: &mut Inspection) -> impl Iterator<Item = &mut RunFailure> {
    let steps = inspection.steps.iter_mut().flat_map(|step| {
        let undo = step.undo.as_mut().and_then(|undo| undo.failure.as_mut());
        step.failure.as_mut().into_iter().chain(undo)
    });
    steps.chain(&mut inspection.failure)
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
        let said = |by| self.said(client, by);
        let mut steps = Vec::new();
        for index in self.definition.indexes() {
            steps.push(self.step(client, index).await?);
        }
        let row = &self.record.row;
        let origin = self.run.origin();
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
            trigger: started.trigger,
            by: said(started.by),
            parent: self.parent(client).await?,
            source: started.copy.map(|copied| SourceInspection {
                run: copied.run,
                kind: copied.kind,
            }),
            schedule: origin.occurrence.as_deref().map(ScheduleContext::from),
            copies: match row.status.is_terminal() {
                true => client.copies(row.id).await?,
                // Only what has ended can be copied.
                false => Vec::new(),
            },
            waits: self.waits(),
            signals: self.signals(),
            cancel: cancel.map(|(request, record)| {
                let by = said(request.by);
                CancelInspection {
                    at: record.at,
                    actor: by.actor,
                    reason: by.comment,
                    metadata: by.metadata,
                    force: record.force,
                    undo: record.undo,
                }
            }),
            failure: self.failure(client).await?,
            input: None,
            steps,
        })
    }

    /// What somebody said, secrets aside.
    pub(super) fn said(&self, client: &Client, by: By) -> SaidBy {
        let metadata = by.metadata.as_deref().map(|text| {
            let redaction = client.redaction();
            redaction.metadata(self.id(), Some(self.definition.name()), text)
        });
        SaidBy {
            actor: by.actor,
            comment: by.comment,
            metadata,
        }
    }

    async fn parent(&self, client: &Client) -> Result<Option<ParentInspection>, InspectError> {
        let Some(parent) = &self.run.origin().parent else {
            return Ok(None);
        };
        let definition = client.insist(|| client.store().run(parent.run)).await?;
        let step = match definition {
            Some(record) => {
                client
                    .step_name(&record.row.definition, parent.step)
                    .await?
            }
            None => Name::stored(&format!("#{}", parent.step.0)),
        };
        Ok(Some(ParentInspection {
            run: parent.run,
            step,
            child: parent.child,
            depth: parent.depth,
            detached: parent.detached,
        }))
    }

    fn waits(&self) -> Vec<Waiting> {
        let waits = self.run.waits(&self.definition).into_iter();
        waits
            .map(|(step, wants)| Waiting {
                step: self.definition.step(step).name.clone(),
                wants,
            })
            .collect()
    }

    fn signals(&self) -> Vec<SignalInspection> {
        let kept = self.run.kept().iter();
        kept.map(|kept| SignalInspection {
            signal: kept.signal.clone(),
            seq: kept.seq,
            payload: None,
        })
        .collect()
    }

    /// Puts the payloads in.
    async fn fill(&self, client: &Client, inspection: &mut Inspection) -> Result<(), InspectError> {
        let input = self.place(&Origin::Input);
        let outputs: Vec<Option<PayloadRef>> = self
            .definition
            .indexes()
            .map(|step| self.place(&Origin::Output(step)))
            .collect();
        let kept = self.run.kept().iter();
        let signals: Vec<Option<PayloadRef>> = kept
            .map(|kept| Some(OutputRef::here(kept.seq, kept.payload).of(self.id())))
            .collect();
        let all = outputs.iter().chain(&signals).chain([&input]);
        let wanted: BTreeSet<PayloadRef> = all.flatten().copied().collect();
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
        for (signal, place) in inspection.signals.iter_mut().zip(signals) {
            signal.payload = read(place)?;
        }
        Ok(())
    }
}

impl Client {
    /// The newest copies of a run.
    async fn copies(&self, run: RunId) -> Result<Vec<RunId>, InspectError> {
        let mut filter = RunFilter::default();
        filter.source = Some(run);
        let rows = self
            .insist(|| self.store().list(&filter, None, SHOWN))
            .await?;
        Ok(rows.into_iter().map(|row| row.id).collect())
    }
}
