//! A run as it stands, with the definition it is pinned to.
//!
//! Invariant: run and definition fit each other; what does not is `Unreadable`, never a panic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;
use squid_mesh_core::change::Cause;
use squid_mesh_core::definition::{Definition, Origin, StepIndex};
use squid_mesh_core::eval;
use squid_mesh_core::event::{CancelRequested, Event, Started};
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::JournalRow;
use squid_mesh_core::payload::{OutputRef, Payload, PayloadRef};
use squid_mesh_core::run::{Run, Seq, Stage, Status, UndoStage};
use squid_mesh_core::store::{Fetch, Inspect as _, RunRecord, Store as _};

use super::{Client, InspectError, RunFailure};
use crate::author::StepFailure;

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
        let definition = self.pinned_definition(&record).await?;
        if run.steps().len() != definition.steps().len() {
            let key = &record.row.definition;
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

    /// The definition that a run is pinned to.
    pub(super) async fn pinned_definition(
        &self,
        record: &RunRecord,
    ) -> Result<Arc<Definition>, InspectError> {
        let key = &record.row.definition;
        let definition = self.insist(|| self.stored_definition(key)).await?;
        definition.ok_or_else(|| {
            unreadable(
                record.row.id,
                &format!("its definition {key} is not stored"),
            )
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
        let failure = match (cause, self.run.failure()) {
            (Cause::Step { step, .. }, Some(place)) => {
                self.failure_at(client, Some(*step), place).await?
            }
            (Cause::DeadlineExceeded { .. }, Some(place)) => {
                self.failure_at(client, None, place).await?
            }
            (Cause::NoResult, _) => RunFailure {
                step: None,
                code: cause.code().to_owned(),
                message: "none of the steps that its result comes from succeeded".to_owned(),
                details: None,
            },
            (Cause::Step { .. } | Cause::DeadlineExceeded { .. }, None) => {
                let what = "the failure it ended with is not in its journal";
                return Err(unreadable(self.id(), what));
            }
        };
        Ok(Some(failure))
    }

    /// What the step failed with; while it has not failed for good, what its last report or loss said.
    pub(super) async fn last_failure(
        &self,
        client: &Client,
        step: StepIndex,
    ) -> Result<Option<RunFailure>, InspectError> {
        let state = self.run.step(step);
        if let Some(place) = state.failure() {
            return self.failure_at(client, Some(step), place).await.map(Some);
        }
        let seq = match state.stage {
            Stage::Succeeded | Stage::Skipped => None,
            Stage::Held { since, .. } => Some(since),
            Stage::Blocked
            | Stage::Scheduled(_)
            | Stage::Evaluating(_)
            | Stage::Waiting(_)
            | Stage::Open { .. }
            | Stage::Listening { .. }
            | Stage::Spawning(_)
            | Stage::Resting
            | Stage::Collecting(_)
            | Stage::Recalling(_)
            | Stage::Stopping(_)
            | Stage::Failed
            | Stage::Cancelled => state.tries.reported.map(|reported| reported.seq),
        };
        match seq {
            Some(seq) => self.failure_in(client, step, seq).await,
            None => Ok(None),
        }
    }

    /// What the last attempt to take the step's effect back said, if that was a failure.
    pub(super) async fn undo_failure(
        &self,
        client: &Client,
        step: StepIndex,
    ) -> Result<Option<RunFailure>, InspectError> {
        let undo = self.run.step(step).undo.as_ref();
        let done = undo.is_none_or(|undo| matches!(undo.stage, UndoStage::Done));
        match undo.and_then(|undo| undo.tries.reported) {
            Some(reported) if !done => self.failure_in(client, step, reported.seq).await,
            Some(_) | None => Ok(None),
        }
    }

    /// The failure that a journal row records, if it does.
    async fn failure_in(
        &self,
        client: &Client,
        step: StepIndex,
        seq: Seq,
    ) -> Result<Option<RunFailure>, InspectError> {
        let row = client.row(self.id(), seq).await?;
        let (Event::Failed { .. } | Event::Lost { .. }) = row.transition.event else {
            return Ok(None);
        };
        let payload = row.payload.unwrap_or_else(Payload::null);
        self.read_failure(Some(step), &payload).map(Some)
    }

    async fn failure_at(
        &self,
        client: &Client,
        step: Option<StepIndex>,
        place: OutputRef,
    ) -> Result<RunFailure, InspectError> {
        let place = place.of(self.id());
        let found = client
            .payloads(self.id(), BTreeSet::from([place]))
            .await?
            .remove(&place);
        self.read_failure(step, &found.unwrap_or_else(Payload::null))
    }

    fn read_failure(
        &self,
        step: Option<StepIndex>,
        payload: &Payload,
    ) -> Result<RunFailure, InspectError> {
        let failure: StepFailure = serde_json::from_slice(payload.bytes())
            .map_err(|_| unreadable(self.id(), "a failure is not what the engine writes"))?;
        Ok(RunFailure {
            step: step.map(|step| self.definition.step(step).name.clone()),
            code: failure.code,
            message: failure.message,
            details: Some(failure.details).filter(|details| !details.is_null()),
        })
    }

    /// Where a source's bytes live; `None` for a constant and for the output of a wait.
    pub(super) fn place(&self, origin: &Origin) -> Option<PayloadRef> {
        self.run.place(origin).map(|place| place.of(self.id()))
    }

    /// The run's result, put together.
    pub(super) async fn result(&self, client: &Client) -> Result<Value, InspectError> {
        let binding = self.definition.result();
        let places: Vec<Option<PayloadRef>> = binding
            .sources()
            .into_iter()
            .map(|source| self.place(&source.origin))
            .collect();
        let payloads = client
            .payloads(self.id(), places.iter().flatten().copied().collect())
            .await?;
        let part =
            |place: &Option<PayloadRef>| place.and_then(|place| payloads.get(&place).cloned());
        let parts: Vec<Option<Payload>> = places.iter().map(part).collect();
        let names = eval::Names {
            target: "result",
            step: &|index| self.definition.step(index).name.to_string(),
        };
        let result = eval::bind(binding, &parts, names)
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
