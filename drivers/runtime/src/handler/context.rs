//! What a handler is told beside its input.
//!
//! Invariant: a context belongs to one attempt; when that attempt is over, for whatever reason, its cancellation has fired.

use std::sync::Arc;
use std::time::Instant;

use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::worker::{Execution, StopReason};
use tokio::sync::watch;

/// What a handler is told beside its input. Cheap to clone.
///
/// ```
/// use squid_mesh::{StepContext, StepError};
///
/// async fn charge(cx: StepContext, cents: u64) -> Result<String, StepError> {
///     // The same for every attempt of this step: whoever is called can recognise a repetition.
///     let key = cx.idempotency_key();
///     tokio::select! {
///         receipt = gateway(key, cents) => Ok(receipt),
///         reason = cx.cancelled() => Err(StepError::permanent("cancelled", format!("{reason:?}"))),
///     }
/// }
/// # async fn gateway(_: &str, _: u64) -> String { String::new() }
/// ```
#[derive(Debug, Clone)]
pub struct StepContext {
    attempt: Arc<Attempt>,
    deadline: Option<Instant>,
    stop: watch::Receiver<Option<StopReason>>,
}

#[derive(Debug)]
struct Attempt {
    run: RunId,
    definition: DefinitionKey,
    step: Name,
    number: u32,
    idempotency_key: String,
    trace: Option<String>,
}

impl StepContext {
    pub(crate) fn new(execution: &Execution) -> (StepContext, Stopper) {
        let (sender, stop) = watch::channel(None);
        let attempt = Attempt {
            run: execution.run(),
            definition: execution.task.brief.definition.clone(),
            step: execution.step.clone(),
            number: execution.task.attempt,
            idempotency_key: execution.idempotency_key(),
            trace: execution.task.brief.trace.clone(),
        };
        let timeout = execution.timeout;
        let cx = StepContext {
            attempt: Arc::new(attempt),
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            stop,
        };
        (cx, Stopper(sender))
    }

    /// The same of an attempt whose time begins later than it was made.
    pub(crate) fn with_deadline(self, deadline: Option<Instant>) -> StepContext {
        StepContext { deadline, ..self }
    }

    /// Of no attempt that there is.
    #[cfg(test)]
    pub(crate) fn sample() -> StepContext {
        let attempt = Attempt {
            run: RunId::from_u128(1),
            definition: DefinitionKey {
                name: Name::stored("order"),
                version: 1,
            },
            step: Name::stored("charge"),
            number: 1,
            idempotency_key: "order:charge".to_owned(),
            trace: None,
        };
        StepContext {
            attempt: Arc::new(attempt),
            deadline: None,
            stop: watch::channel(None).1,
        }
    }

    /// The run this attempt belongs to.
    pub fn run_id(&self) -> RunId {
        self.attempt.run
    }

    /// The workflow's name.
    pub fn workflow(&self) -> &str {
        self.attempt.definition.name.as_str()
    }

    /// The version of the definition that the run is pinned to.
    pub fn version(&self) -> u32 {
        self.attempt.definition.version
    }

    /// The step's name.
    pub fn step(&self) -> &str {
        self.attempt.step.as_str()
    }

    /// Which attempt of the step this is, from 1; lost attempts count too.
    pub fn attempt(&self) -> u32 {
        self.attempt.number
    }

    /// Run id and step name: the same for every attempt of this step, and different for every other step.
    pub fn idempotency_key(&self) -> &str {
        &self.attempt.idempotency_key
    }

    /// The W3C trace context (`traceparent`) that the run was started with.
    pub fn trace(&self) -> Option<&str> {
        self.attempt.trace.as_deref()
    }

    /// When this attempt is dropped because its step's timeout is over; `None` without a timeout. Of a transactional step, the
    /// timeout begins when the transaction has begun.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the attempt was asked to stop. It may still finish, and its result is still reported.
    pub fn is_cancelled(&self) -> bool {
        self.stop_reason().is_some()
    }

    /// Why the attempt was asked to stop, if it was.
    pub fn stop_reason(&self) -> Option<StopReason> {
        let asked = *self.stop.borrow();
        // Without its sender the attempt is over; only a task that outlived its handler can see that.
        asked.or_else(|| {
            self.stop
                .has_changed()
                .is_err()
                .then_some(StopReason::LeaseLost)
        })
    }

    /// Waits until the attempt is asked to stop, and says why. Cancellation-safe.
    ///
    /// In a task that outlived its handler it answers [`StopReason::LeaseLost`]: nobody holds the step for it any more.
    pub async fn cancelled(&self) -> StopReason {
        let mut stop = self.stop.clone();
        let reason = stop.wait_for(Option::is_some).await;
        reason
            .ok()
            .and_then(|reason| *reason)
            .unwrap_or(StopReason::LeaseLost)
    }
}

/// Fires the cancellation of one attempt.
#[derive(Debug)]
pub(crate) struct Stopper(watch::Sender<Option<StopReason>>);

impl Stopper {
    /// Asks the attempt to stop. The first reason stays.
    pub(crate) fn stop(&self, reason: StopReason) {
        self.0.send_if_modified(|stop| {
            let first = stop.is_none();
            if first {
                *stop = Some(reason);
            }
            first
        });
    }
}
