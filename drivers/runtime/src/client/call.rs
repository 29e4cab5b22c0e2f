//! Runs that handlers start.
//!
//! Invariant: a run is started under the lease of the attempt whose handler asks, and under one key once.

use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;
use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::event::{Role, code};
use squid_mesh_core::operation::{Call, Entry, Rejection};
use squid_mesh_core::task::{TaskKey, Token};
use squid_mesh_core::worker::Execution;

use super::lookup::Lookup;
use super::start::handle_of;
use super::{Client, RunHandle, StartError, StartRun};
use crate::author::WorkflowRef;
use crate::handler::StepError;

/// An attempt as far as it can start runs.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    client: Client,
    attempt: Result<(TaskKey, StepIndex, Token), &'static str>,
}

impl Caller {
    pub(crate) fn new(client: Client, execution: &Execution, transactional: bool) -> Caller {
        let attempt = execution.attempt;
        let attempt = match (execution.role(), transactional) {
            (Role::Undo, _) => Err("what takes an effect back starts no runs"),
            (Role::Step, true) => {
                Err("a transactional step starts runs in its transaction, with `StartRun::in_tx`")
            }
            (Role::Step, false) => Ok((attempt.key, execution.index(), attempt.token)),
        };
        Caller { client, attempt }
    }

    /// `trace` is that of the run whose step asks.
    pub(crate) fn start<I: Serialize, O>(
        &self,
        workflow: &WorkflowRef<I, O>,
        input: I,
        key: String,
        trace: Option<&str>,
    ) -> StartChild<O> {
        let mut start = self.client.start(workflow, input).key(key.clone());
        start.options.trace = trace.map(str::to_owned);
        StartChild {
            caller: self.clone(),
            start,
            key,
            detached: false,
        }
    }
}

/// A run that a handler starts, being put together; awaiting it starts the run. Made by
/// [`StepContext::start_child`](crate::StepContext::start_child).
///
/// Dropped while it is awaited, it has started the run or not; starting it again under the same key is safe.
#[derive(Debug)]
#[must_use = "a run is started by awaiting this"]
pub struct StartChild<O> {
    caller: Caller,
    start: StartRun<O>,
    key: String,
    detached: bool,
}

impl<O> StartChild<O> {
    /// Let the run go its own way: the step does not wait for it, its failure is its own, and a cancel is not passed on to
    /// it.
    pub fn detach(mut self) -> Self {
        self.detached = true;
        self
    }

    /// The trigger to start it by; the workflow's first, without one.
    pub fn trigger(mut self, trigger: impl Into<String>) -> Self {
        self.start = self.start.trigger(trigger);
        self
    }

    /// A label to list by; at most 32, of at most 128 bytes each for key and value.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.start = self.start.label(key, value);
        self
    }

    /// Begins that long after the start is recorded, by the database's clock.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.start = self.start.delay(delay);
        self
    }

    /// The queue of steps that name none, instead of the workflow's.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.start = self.start.queue(queue);
        self
    }

    /// The priority of steps that name none, instead of the workflow's; lower is more urgent.
    pub fn priority(mut self, priority: i16) -> Self {
        self.start = self.start.priority(priority);
        self
    }

    /// How long the run may take from its first due time on, instead of the workflow's deadline.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.start = self.start.deadline(deadline);
        self
    }

    async fn submit(self) -> Result<RunHandle<O>, StartChildError> {
        let attempt = self.caller.attempt.map_err(StartChildError::Unsupported)?;
        let (client, start) = self.start.prepare(&mut Lookup::default()).await?;
        let call = Call::new(attempt, self.key, self.detached, start);
        let reply = client.lane().submit_one(Entry::Call(Box::new(call))).await;
        Ok(handle_of(client, reply.map_err(StartError::from)?))
    }
}

impl<O: 'static> IntoFuture for StartChild<O> {
    type Output = Result<RunHandle<O>, StartChildError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.submit())
    }
}

/// A handler's run was not started.
///
/// With `?` in a handler it fails the attempt: for good where another attempt would be told the same, with a code of its own
/// (`conflict`, `invalid_input`, `unknown_workflow`, `limit_exceeded`, `unsupported`).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartChildError {
    /// Handlers of this kind start no runs. Nothing was written.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The attempt has lost its step, or its run is ending: the handler should end. Nothing was written.
    #[error("the attempt starts no runs any more: {0}")]
    Stopped(Rejection),
    /// The key was used in this step with another workflow or input. Nothing was written.
    #[error("the key was used with another workflow or input in this step, by run {run}")]
    Conflict {
        /// The run that the key started.
        run: squid_mesh_core::id::RunId,
    },
    /// It cannot be started, by a handler or by anybody.
    #[error(transparent)]
    Start(StartError),
}

impl From<StartError> for StartChildError {
    fn from(error: StartError) -> StartChildError {
        match error {
            StartError::KeyConflict { run } => StartChildError::Conflict { run },
            StartError::Rejected(
                rejection @ (Rejection::Stale { .. }
                | Rejection::Winding { .. }
                | Rejection::Finished { .. }),
            ) => StartChildError::Stopped(rejection),
            error => StartChildError::Start(error),
        }
    }
}

impl StartChildError {
    /// The failure that it is of an attempt.
    pub(crate) fn failure(&self) -> StepError {
        let permanent = |code: &str| StepError::permanent(code, self.to_string());
        match self {
            StartChildError::Unsupported(_) => permanent(code::UNSUPPORTED),
            StartChildError::Conflict { .. } => permanent(code::CONFLICT),
            StartChildError::Start(
                StartError::InvalidInput { .. }
                | StartError::Encode(_)
                | StartError::UnknownTrigger { .. }
                | StartError::Name(_)
                | StartError::NulCharacter { .. },
            ) => permanent(code::INVALID_INPUT),
            StartChildError::Start(StartError::UnknownWorkflow { .. }) => {
                permanent(code::UNKNOWN_WORKFLOW)
            }
            StartChildError::Start(
                StartError::Limit(_) | StartError::Rejected(Rejection::LimitExceeded { .. }),
            ) => permanent(code::LIMIT_EXCEEDED),
            StartChildError::Stopped(_) | StartChildError::Start(_) => {
                StepError::retryable(StepError::CODE, self.to_string())
            }
        }
    }
}
