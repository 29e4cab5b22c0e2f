//! A run as it stands, with the definition it is pinned to.
//!
//! Invariant: run and definition fit each other; what does not is `Unreadable`, never a panic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use squid_mesh_core::change::Cause;
use squid_mesh_core::definition::{Definition, Source, StepIndex};
use squid_mesh_core::eval;
use squid_mesh_core::event::{CancelRequested, Event, Started, code};
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::JournalRow;
use squid_mesh_core::payload::{OutputRef, Payload, PayloadRef};
use squid_mesh_core::run::{Run, Seq, Stage, Status};
use squid_mesh_core::store::{Fetch, Inspect as _, RunRecord, Store as _};

use super::{Client, InspectError, RunFailure};

/// A run's row and tasks, its snapshot, and its definition.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) record: RunRecord,
    pub(super) run: Run,
    pub(super) definition: Arc<Definition>,
}

impl Client {
    pub(super) async fn record(&self, id: RunId) -> Result<RunRecord, InspectError> {
        let record = self.insist(|| self.store().run(id)).await?;
        record.ok_or(InspectError::UnknownRun { run: id })
    }

    pub(super) async fn pinned(&self, id: RunId) -> Result<Pinned, InspectError> {
        let record = self.record(id).await?;
        let run =
            Run::decode(&record.row.state).map_err(|error| unreadable(id, &error.to_string()))?;
        let key = &record.row.definition;
        let definition = self.stored_definition(key).await?;
        let definition = definition
            .ok_or_else(|| unreadable(id, &format!("its definition {key} is not stored")))?;
        if run.steps().len() != definition.steps().len() {
            return Err(unreadable(
                id,
                &format!("its snapshot does not fit its definition {key}"),
            ));
        }
        Ok(Pinned {
            record,
            run,
            definition,
        })
    }

    /// Payloads by where they live. One that is missing makes the run unreadable.
    pub(super) async fn payloads(
        &self,
        run: RunId,
        refs: BTreeSet<PayloadRef>,
    ) -> Result<BTreeMap<PayloadRef, Payload>, InspectError> {
        if refs.is_empty() {
            return Ok(BTreeMap::new());
        }
        let wanted = Fetch {
            payloads: refs.clone(),
            ..Fetch::default()
        };
        let fetched = self.insist(|| self.store().fetch(wanted.clone())).await?;
        let found: BTreeMap<_, _> = fetched.payloads.into_iter().collect();
        match refs.iter().find(|wanted| !found.contains_key(wanted)) {
            Some(missing) => Err(unreadable(
                run,
                &format!("the payload of journal row {} is missing", missing.seq.0),
            )),
            None => Ok(found),
        }
    }

    /// One journal row.
    pub(super) async fn row(&self, run: RunId, seq: Seq) -> Result<JournalRow, InspectError> {
        let rows = self.insist(|| self.store().journal(run, seq, 1)).await?;
        let row = rows.into_iter().find(|row| row.seq == seq);
        let row =
            row.ok_or_else(|| unreadable(run, &format!("journal row {} is missing", seq.0)))?;
        row.row
            .map_err(|error| unreadable(run, &format!("journal row {}: {error}", seq.0)))
    }
}

impl Pinned {
    pub(super) fn id(&self) -> RunId {
        self.record.row.id
    }

    /// The status with what the clock says: a delayed start whose time has come is pending.
    pub(super) fn status(&self) -> Status {
        status(&self.record, &self.run)
    }

    /// How it was started.
    pub(super) async fn started(&self, client: &Client) -> Result<Started, InspectError> {
        match client.row(self.id(), Seq::FIRST).await?.transition.event {
            Event::Started(started) => Ok(*started),
            _ => Err(unreadable(self.id(), "its first journal row is no start")),
        }
    }

    /// Who cancelled it, if anybody did.
    pub(super) async fn cancel(
        &self,
        client: &Client,
    ) -> Result<Option<CancelRequested>, InspectError> {
        let Some(cancel) = self.run.cancel() else {
            return Ok(None);
        };
        match client.row(self.id(), cancel.seq).await?.transition.event {
            Event::CancelRequested(request) => Ok(Some(*request)),
            _ => Err(unreadable(
                self.id(),
                &format!("journal row {} is no cancel", cancel.seq.0),
            )),
        }
    }

    /// Why it failed, if it did or is about to.
    pub(super) async fn failure(
        &self,
        client: &Client,
    ) -> Result<Option<RunFailure>, InspectError> {
        let Some(cause) = self.run.cause() else {
            return Ok(None);
        };
        let failure = match cause {
            Cause::DeadlineExceeded => RunFailure {
                step: None,
                code: code::DEADLINE_EXCEEDED.to_owned(),
                message: "the run's deadline came before its end".to_owned(),
                details: None,
            },
            Cause::Step { step, code } if code == code::LOST => self.lost(*step),
            Cause::Step { step, .. } => {
                let failure = self.last_failure(client, *step).await?;
                failure.ok_or_else(|| {
                    unreadable(self.id(), "the failure it ended with is not in its journal")
                })?
            }
        };
        Ok(Some(failure))
    }

    /// What the step's last report said, if that was a failure.
    pub(super) async fn last_failure(
        &self,
        client: &Client,
        step: StepIndex,
    ) -> Result<Option<RunFailure>, InspectError> {
        let state = self.run.step(step);
        let Some(reported) = state.reported.filter(|_| state.stage != Stage::Succeeded) else {
            return Ok(None);
        };
        let row = client.row(self.id(), reported.seq).await?;
        let Event::Failed { failure, .. } = row.transition.event else {
            return Ok(None);
        };
        let details = row
            .payload
            .and_then(|details| serde_json::from_slice(details.bytes()).ok());
        let step = Some(self.definition.step(step).name.clone());
        Ok(Some(RunFailure {
            step,
            code: failure.code,
            message: failure.message,
            details,
        }))
    }

    fn lost(&self, step: StepIndex) -> RunFailure {
        let message = format!(
            "{} attempts were lost with the processes that ran them",
            self.run.step(step).lost
        );
        let step = Some(self.definition.step(step).name.clone());
        RunFailure {
            step,
            code: code::LOST.to_owned(),
            message,
            details: None,
        }
    }

    /// Where a source's bytes live; `None` for a constant and for the output of a wait.
    pub(super) fn place(&self, source: &Source) -> Option<PayloadRef> {
        match source {
            Source::Input => Some(
                OutputRef {
                    seq: Seq::FIRST,
                    digest: self.run.origin().input,
                }
                .of(self.id()),
            ),
            Source::Output(step) => self
                .run
                .step(*step)
                .output()
                .map(|output| output.of(self.id())),
            _ => None,
        }
    }

    /// The run's result, put together.
    pub(super) async fn result(&self, client: &Client) -> Result<Value, InspectError> {
        let binding = self.definition.result();
        let places: Vec<Option<PayloadRef>> = binding
            .sources()
            .into_iter()
            .map(|source| self.place(source))
            .collect();
        let payloads = client
            .payloads(self.id(), places.iter().flatten().copied().collect())
            .await?;
        let part =
            |place: &Option<PayloadRef>| place.and_then(|place| payloads.get(&place).cloned());
        let parts: Vec<Option<Payload>> = places.iter().map(part).collect();
        let result = eval::bind(binding, &parts)
            .map_err(|failure| unreadable(self.id(), &failure.message))?;
        self.json(&result)
    }

    pub(super) fn json(&self, payload: &Payload) -> Result<Value, InspectError> {
        serde_json::from_slice(payload.bytes())
            .map_err(|_| unreadable(self.id(), "a payload is no JSON"))
    }
}

/// The stored status, with what the clock says: a delayed start whose time has come is pending.
pub(super) fn status(record: &RunRecord, run: &Run) -> Status {
    match (record.row.status, run.origin().due) {
        (Status::Scheduled, Some(due)) if due <= record.now => Status::Pending,
        (status, _) => status,
    }
}

pub(super) fn unreadable(run: RunId, detail: &str) -> InspectError {
    InspectError::Unreadable {
        run,
        detail: detail.to_owned(),
    }
}
