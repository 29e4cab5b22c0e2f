//! The attempts that are being executed.
//!
//! Invariant: every spawned attempt is in the map until it is finished or aborted, and dropping this aborts them all.

use std::collections::BTreeMap;
use std::sync::Arc;

use squid_mesh_core::worker::{AttemptFailure, AttemptId, Execution, StopReason};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tracing::Instrument as _;

use super::transacting::{Desk, Ending};
use crate::client::{Caller, Client};
use crate::handler::{Registry, Returned, StepContext, Stopper};

/// Executes attempts, each on a task of its own.
pub(crate) struct Attempts {
    handlers: Arc<Registry>,
    desk: Arc<Desk>,
    /// By which handlers start runs.
    client: Client,
    tasks: JoinSet<Finished>,
    running: BTreeMap<AttemptId, Running>,
}

#[derive(Debug)]
struct Running {
    task: AbortHandle,
    stopper: Stopper,
}

/// An attempt whose handler has returned.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) attempt: AttemptId,
    pub(crate) ending: Ending,
}

impl Attempts {
    pub(crate) fn new(handlers: Arc<Registry>, desk: Desk, client: Client) -> Attempts {
        Attempts {
            handlers,
            client,
            desk: Arc::new(desk),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
        }
    }

    /// Begins one.
    pub(crate) fn execute(&mut self, execution: Execution) {
        let attempt = execution.attempt;
        let span = tracing::info_span!(
            "attempt",
            run = %execution.run(),
            workflow = %execution.task.brief.definition,
            step = %execution.step,
            attempt = execution.task.attempt,
            queue = %execution.task.queue,
        );
        let handler = self.handlers.find(execution.handler.as_str());
        let handler = handler
            .expect("a worker claims only what it has handlers for")
            .clone();
        let transactional = execution.transactional || handler.is_transactional();
        let caller = Caller::new(self.client.clone(), &execution, transactional);
        let (cx, stopper) = StepContext::new(&execution, caller);
        let desk = self.desk.clone();
        let body = async move {
            let ending = if transactional {
                desk.transact(&handler, cx, execution).await
            } else {
                Ending::Returned(handler.execute(cx, None, execution.input).await)
            };
            match &ending {
                Ending::Returned(Ok(Returned { label, .. })) => {
                    tracing::debug!(labelled = label.is_some(), "returned");
                }
                Ending::Returned(Err(AttemptFailure { failure, .. })) => {
                    tracing::debug!(code = %failure.code, retryable = failure.retryable, "failed");
                }
                Ending::Settled(settled) => {
                    tracing::debug!(recorded = settled.recorded.is_ok(), "settled");
                }
                Ending::Conflicted => tracing::debug!("conflicted"),
            }
            Finished { attempt, ending }
        };
        let task = self.tasks.spawn(body.instrument(span));
        self.running.insert(attempt, Running { task, stopper });
    }

    /// Fires an attempt's cancellation; nothing if it is over.
    pub(crate) fn stop(&self, attempt: AttemptId, reason: StopReason) {
        if let Some(running) = self.running.get(&attempt) {
            tracing::debug!(run = %attempt.key.run, ?reason, "attempt asked to stop");
            running.stopper.stop(reason);
        }
    }

    /// Drops an attempt's future; nothing if it is over.
    pub(crate) fn abort(&mut self, attempt: AttemptId) {
        if let Some(running) = self.running.remove(&attempt) {
            tracing::debug!(run = %attempt.key.run, "attempt aborted");
            running.task.abort();
        }
    }

    /// Waits for the next one to finish; for ever if there is none. Cancellation-safe.
    pub(crate) async fn finished(&mut self) -> Finished {
        loop {
            let Some(joined) = self.tasks.join_next().await else {
                std::future::pending().await
            };
            if let Some(finished) = self.joined(joined) {
                return finished;
            }
        }
    }

    /// The next one that has finished, if there is one.
    pub(crate) fn try_finished(&mut self) -> Option<Finished> {
        while let Some(joined) = self.tasks.try_join_next() {
            if let Some(finished) = self.joined(joined) {
                return Some(finished);
            }
        }
        None
    }

    fn joined(&mut self, joined: Result<Finished, JoinError>) -> Option<Finished> {
        match joined {
            // One that finished while it was being aborted is not reported: its worker has given it up.
            Ok(finished) => self
                .running
                .remove(&finished.attempt)
                .is_some()
                .then_some(finished),
            Err(error) => {
                debug_assert!(error.is_cancelled(), "panics are caught inside the attempt");
                None
            }
        }
    }
}
