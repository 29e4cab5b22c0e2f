//! A run that somebody holds on to.
//!
//! Invariant: waiting needs no notice to arrive; one that does makes it shorter.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;
use squid_mesh_core::id::RunId;
use squid_mesh_core::run::Status;
use tokio::sync::oneshot;

use super::{CancelRun, Client, InspectError, InspectRun, ResultError};
use crate::handler::json;
use crate::runtime::{Message, Watch};

/// A run of a workflow that gives an `O`. Cheap to clone; dropping it does nothing to the run.
pub struct RunHandle<O> {
    client: Client,
    id: RunId,
    existing: bool,
    ty: PhantomData<fn() -> O>,
}

/// The first pause between two looks at a run that is waited for.
const FIRST_LOOK: Duration = Duration::from_millis(5);

impl<O> RunHandle<O> {
    pub(super) fn new(client: Client, id: RunId, existing: bool) -> RunHandle<O> {
        RunHandle {
            client,
            id,
            existing,
            ty: PhantomData,
        }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Whether an earlier start under the same idempotency key had started it.
    pub fn existing(&self) -> bool {
        self.existing
    }

    /// The run's status. Cancellation-safe: looking changes nothing.
    ///
    /// # Errors
    /// If it cannot be looked at; asking again is safe.
    pub async fn status(&self) -> Result<Status, InspectError> {
        self.client.status(self.id).await
    }

    /// Looks at the run.
    pub fn inspect(&self) -> InspectRun {
        self.client.inspect(self.id)
    }

    /// Cancels the run.
    pub fn cancel(&self) -> CancelRun {
        self.client.cancel(self.id)
    }

    /// Waits until the run has ended, and says how. Cancellation-safe; waits as long as the run takes.
    ///
    /// # Errors
    /// If the run cannot be looked at; waiting again is safe.
    pub async fn wait_terminal(&self) -> Result<Status, InspectError> {
        let watch = self.watch().await;
        let held = watch.as_ref().is_some_and(|watch| watch.held);
        let mut notice = watch.map(|watch| watch.ended);
        // What the worker of this process has in hand has hardly ended: it will tell. With thousands of runs that are waited for,
        // looks would cost more than the runs.
        if let Some(watch) = notice.as_mut().filter(|_| held) {
            let told = tokio::time::timeout(self.client.poll(), watch).await;
            match told {
                Ok(Ok(ended)) => return Ok(ended.status),
                Ok(Err(_)) => notice = None,
                Err(_) => {}
            }
        }
        let mut pause = if notice.is_some() {
            self.client.poll()
        } else {
            FIRST_LOOK
        };
        loop {
            let status = self.status().await?;
            if status.is_terminal() {
                return Ok(status);
            }
            let Some(watch) = &mut notice else {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(self.client.poll());
                continue;
            };
            match tokio::time::timeout(pause, watch).await {
                // Another process may end the run, so silence means nothing.
                Err(_) => {}
                Ok(Ok(ended)) => return Ok(ended.status),
                Ok(Err(_)) => notice = None,
            }
        }
    }

    /// Waits until the run has ended, and gives its result. Cancellation-safe.
    ///
    /// # Errors
    /// If the run failed or was cancelled, or cannot be looked at.
    pub async fn result(&self) -> Result<O, ResultError>
    where
        O: DeserializeOwned,
    {
        self.wait_terminal().await?;
        let pinned = self.client.pinned(self.id).await?;
        if let Some(failure) = pinned.failure(&self.client).await? {
            return Err(ResultError::Failed {
                run: self.id,
                failure,
            });
        }
        if pinned.status() == Status::Cancelled {
            return Err(ResultError::Cancelled { run: self.id });
        }
        let result = pinned.result(&self.client).await?;
        serde_json::from_value(result).map_err(|error| ResultError::Decode {
            run: self.id,
            ty: std::any::type_name::<O>(),
            detail: json::unquoted(&error),
        })
    }

    /// Asks the runtime of this process, if there is one, to say when the run ends.
    async fn watch(&self) -> Option<Watch> {
        let (kept, keeping) = oneshot::channel();
        self.client
            .worker()?
            .send(Message::Watch { run: self.id, kept })
            .await
            .ok()?;
        keeping.await.ok()
    }
}

impl<O> Clone for RunHandle<O> {
    fn clone(&self) -> RunHandle<O> {
        RunHandle {
            client: self.client.clone(),
            id: self.id,
            existing: self.existing,
            ty: PhantomData,
        }
    }
}

impl<O> fmt::Debug for RunHandle<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunHandle({})", self.id)
    }
}
