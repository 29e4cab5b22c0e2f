//! Sending signals to runs.
//!
//! Invariant: what a signal carries fits what every step of the run's definition that waits for it expects.

use std::future::IntoFuture;
use std::pin::Pin;

use serde::Serialize;
use serde_json::Value;
use squid_mesh_core::definition::{Definition, InputViolations, StepKind};
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::{InvalidName, Name};
use squid_mesh_core::operation::{CommandReply, Entry, Rejection, Signal as Sent};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Status;

use super::resolve::obeyed;
use super::word::{Word, lookup_errors, rejections, submit_errors, word_options};
use super::{Client, InspectError, LimitExceeded};
use crate::author::Signal;

/// A signal that is being put together; awaiting it sends it.
///
/// Dropped while it is awaited, it was sent or not; sending it again under the same [key](SendSignal::key) is safe.
#[derive(Debug)]
#[must_use = "a signal is sent by awaiting this"]
pub struct SendSignal {
    pub(super) client: Client,
    pub(super) run: RunId,
    pub(super) signal: String,
    pub(super) payload: Result<Value, String>,
    pub(super) word: Word,
}

impl Client {
    /// Sends a signal to a run; awaiting it sends. The signal is durable when it returns: a step that waits for it ends with
    /// what it carries, and one that no step waits for yet is kept for the next that does.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// use squid_mesh::{Runtime, Signal, Workflow};
    ///
    /// const PAID: Signal<u64> = Signal::new("paid");
    ///
    /// let (mut wf, _) = Workflow::builder::<()>("order", 1);
    /// let cents = wf.signal("await_payment", &PAID, ());
    /// let order = wf.finish(*cents)?;
    /// let runtime = Runtime::builder("sqlite::memory:").workflow(&order).start().await?;
    ///
    /// let run = runtime.client().start(&order.reference(), ()).await?;
    /// runtime.client().signal(run.id(), &PAID, 4_900).key("transfer-7").await?;
    /// assert_eq!(run.result().await?, 4_900);
    /// # runtime.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn signal<T: Serialize>(&self, run: RunId, signal: &Signal<T>, payload: T) -> SendSignal {
        self.signal_json(run, signal.name(), payload)
    }

    /// Sends a signal that is known by name only: see [`signal`](Client::signal).
    pub fn signal_json(
        &self,
        run: RunId,
        signal: impl Into<String>,
        payload: impl Serialize,
    ) -> SendSignal {
        SendSignal {
            client: self.clone(),
            run,
            signal: signal.into(),
            payload: serde_json::to_value(payload).map_err(|error| error.to_string()),
            word: Word::default(),
        }
    }
}

impl SendSignal {
    word_options!(key);

    async fn submit(self) -> Result<CommandReply, SignalError> {
        let signal = Name::new(&self.signal)?;
        let payload = self.payload.map_err(SignalError::Encode)?;
        let record = self.client.record(self.run).await?;
        let definition = self.client.pinned_definition(&record).await?;
        let fitted = fitted(self.run, &definition, &signal, &payload)?;
        let text = fitted.to_string();
        LimitExceeded::check(
            "bytes of the payload",
            text.len(),
            self.client.payload_limit(),
        )?;
        let sent = Sent {
            run: self.run,
            command: self.word.command(self.run)?,
            signal,
            payload: Payload::new(text.into_bytes()),
            by: self.word.by()?,
        };
        obeyed(&self.client, Entry::Signal(Box::new(sent))).await
    }
}

/// The payload with the defaults of the contract, once every step that waits for the signal would take it.
fn fitted(
    run: RunId,
    definition: &Definition,
    signal: &Name,
    payload: &Value,
) -> Result<Value, SignalError> {
    let mut fitted = None;
    for step in definition.steps() {
        let StepKind::Signal {
            signal: awaited,
            contract,
            ..
        } = &step.kind
        else {
            continue;
        };
        if awaited != signal {
            continue;
        }
        let checked = contract.check(payload);
        let filled = checked.map_err(|violations| SignalError::InvalidPayload {
            run,
            signal: signal.clone(),
            violations,
        })?;
        fitted.get_or_insert(filled);
    }
    fitted.ok_or_else(|| {
        SignalError::Rejected(Rejection::UnknownSignal {
            run,
            signal: signal.clone(),
        })
    })
}

impl IntoFuture for SendSignal {
    type Output = Result<CommandReply, SignalError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.submit())
    }
}

/// A signal was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignalError {
    /// No run has this id.
    #[error("run {run} does not exist")]
    UnknownRun {
        /// The id.
        run: RunId,
    },
    /// The run has ended.
    #[error("run {run} has ended as {status}")]
    Finished {
        /// The run.
        run: RunId,
        /// How it ended.
        status: Status,
    },
    /// What it carries does not fit the type of the signal. Nothing was written.
    #[error("the payload does not fit signal {signal} of run {run}: {violations}")]
    InvalidPayload {
        /// The run.
        run: RunId,
        /// The signal.
        signal: Name,
        /// Every violation.
        violations: InputViolations,
    },
    /// The payload cannot be written as JSON. Nothing was written.
    #[error("the payload cannot be written as JSON: {0}")]
    Encode(String),
    /// The text is no name of a signal. Nothing was written.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The engine refused it. Nothing was written.
    #[error(transparent)]
    Rejected(Rejection),
    /// Something is too large. Nothing was written.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// The run cannot be looked at. Nothing was written; sending again is safe.
    #[error("the run cannot be looked up")]
    Lookup(#[source] InspectError),
    /// The store refused it. Nothing was written.
    #[error("the store did not take the signal: {0}")]
    Refused(String),
    /// The store did not answer: the signal may have been sent or not. Sending it again under the same key is safe.
    #[error("the store did not answer, and the signal may have been sent or not: {0}")]
    Unknown(String),
}

submit_errors!(SignalError);

lookup_errors!(SignalError);
rejections!(SignalError: UnknownRun { run }, Finished { run, status });
