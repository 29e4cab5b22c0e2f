//! Why a client's wish was not granted.
//!
//! Invariant: each error says whether anything was written, and holds no payload.

use squid_mesh_core::definition::{DefinitionKey, InputViolations};
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::{InvalidName, Name};
use squid_mesh_core::operation::Rejection;
use squid_mesh_core::run::Status;
use squid_mesh_core::store::StoreError;

use super::word::{rejections, submit_errors};

/// Something is larger than the engine takes. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {found} is above the limit of {limit}")]
#[non_exhaustive]
pub struct LimitExceeded {
    /// What is bounded.
    pub what: &'static str,
    /// The bound.
    pub limit: u64,
    /// What was given.
    pub found: u64,
}

impl LimitExceeded {
    pub(crate) fn check(
        what: &'static str,
        found: usize,
        limit: usize,
    ) -> Result<(), LimitExceeded> {
        if found <= limit {
            return Ok(());
        }
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Err(LimitExceeded {
            what,
            limit: wide(limit),
            found: wide(found),
        })
    }
}

/// A run was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The input does not fit the workflow's contract; lists everything that does not. Nothing was written.
    #[error("the input does not fit workflow {workflow}: {violations}")]
    InvalidInput {
        /// The workflow.
        workflow: Name,
        /// Every violation.
        violations: InputViolations,
    },
    /// The input cannot be written as JSON. Nothing was written.
    #[error("the input cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// No such workflow, or no such version of it, is registered or stored. Nothing was written.
    #[error("workflow {name}{} is not known", .version.map(|version| format!("@{version}")).unwrap_or_default())]
    UnknownWorkflow {
        /// The workflow.
        name: String,
        /// The version asked for; the highest there is, if none was.
        version: Option<u32>,
    },
    /// The workflow has no trigger of this name. Nothing was written.
    #[error("workflow {workflow} has no trigger {trigger:?}")]
    UnknownTrigger {
        /// The workflow, with its version.
        workflow: DefinitionKey,
        /// The name asked for.
        trigger: String,
    },
    /// A queue has no proper name. Nothing was written.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Something is too large. Nothing was written.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// A label, key or trace context has a NUL character, which not every store can hold. Nothing was written.
    #[error("{what} has a NUL character, which not every store can hold")]
    NulCharacter {
        /// What has it.
        what: &'static str,
    },
    /// The idempotency key was used with another input. Nothing was written.
    #[error("the idempotency key was used with another input, by run {run}")]
    KeyConflict {
        /// The run that the key started.
        run: RunId,
    },
    /// In a transaction of the host: somebody else started a run under the same key, or held its lock, meanwhile. Nothing was
    /// written, and the transaction is as it was before: it may go on, and start again.
    #[error("the start met another one, or a lock, and was not made")]
    Conflict,
    /// The engine refused it. Nothing was written.
    #[error(transparent)]
    Rejected(Rejection),
    /// The store refused it. Nothing was written.
    #[error("the store did not take the start: {0}")]
    Refused(String),
    /// The store did not answer: the run may have been started or not. Starting again under the same idempotency key is
    /// safe.
    #[error("the store did not answer, and the run may have been started or not: {0}")]
    Unknown(String),
    /// The workflow could not be looked up. Nothing was written.
    #[error("the workflow cannot be looked up")]
    Lookup(#[source] StoreError),
}

impl From<Rejection> for StartError {
    fn from(rejection: Rejection) -> StartError {
        match rejection {
            Rejection::KeyConflict { run } => StartError::KeyConflict { run },
            Rejection::UnknownWorkflow { definition } => StartError::UnknownWorkflow {
                name: definition.name.to_string(),
                version: Some(definition.version),
            },
            rejection => StartError::Rejected(rejection),
        }
    }
}

/// A run was not cancelled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CancelError {
    /// No run has this id.
    #[error("run {run} does not exist")]
    UnknownRun {
        /// The id.
        run: RunId,
    },
    /// The run has ended otherwise.
    #[error("run {run} has ended as {status}")]
    Finished {
        /// The run.
        run: RunId,
        /// How it ended.
        status: Status,
    },
    /// The engine refused it. Nothing was written.
    #[error(transparent)]
    Rejected(Rejection),
    /// Something is too large. Nothing was written.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// The store refused it. Nothing was written.
    #[error("the store did not take the cancel: {0}")]
    Refused(String),
    /// The store did not answer: the run may have been cancelled or not. Cancelling again is safe.
    #[error("the store did not answer, and the run may have been cancelled or not: {0}")]
    Unknown(String),
}

submit_errors!(StartError, CancelError);

rejections!(CancelError: UnknownRun { run }, Finished { run, status });

/// A run could not be looked at. Looking changes nothing, so trying again is safe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// No run has this id.
    #[error("run {run} does not exist")]
    UnknownRun {
        /// The id.
        run: RunId,
    },
    /// The run, or something it refers to, cannot be read: corrupt, or written by a newer engine.
    #[error("run {run} cannot be read: {detail}")]
    Unreadable {
        /// The run.
        run: RunId,
        /// What is wrong.
        detail: String,
    },
    /// A cursor that no listing gave.
    #[error("{cursor:?} is no cursor of a listing")]
    MalformedCursor {
        /// What was given.
        cursor: String,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a run failed.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[error("{}{code}: {message}", .step.as_ref().map(|step| format!("step {step} failed with ")).unwrap_or_default())]
#[non_exhaustive]
pub struct RunFailure {
    /// The step that failed for good; none if the run's deadline came, or it has no result.
    pub step: Option<Name>,
    /// A stable code, for programs.
    pub code: String,
    /// A message, for people.
    pub message: String,
    /// What the handler recorded with it, as JSON.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub details: Option<serde_json::Value>,
}

/// A run gave no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// The run failed.
    #[error("run {run} failed: {failure}")]
    Failed {
        /// The run.
        run: RunId,
        /// How.
        #[source]
        failure: RunFailure,
    },
    /// The run was cancelled.
    #[error("run {run} was cancelled")]
    Cancelled {
        /// The run.
        run: RunId,
    },
    /// The result does not decode into the type asked for.
    #[error("the result of run {run} is no {ty}: {detail}")]
    Decode {
        /// The run.
        run: RunId,
        /// The type.
        ty: &'static str,
        /// What the decoder says about the type.
        detail: String,
    },
    /// The run cannot be looked at. Asking again is safe.
    #[error(transparent)]
    Inspect(#[from] InspectError),
}
