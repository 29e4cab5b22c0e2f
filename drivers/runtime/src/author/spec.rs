//! One step's handler and options.
//!
//! Invariant: holds what was written; validation judges it together with everything else.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::retry::Retry;
use super::value::{Needs, Wired};
use crate::handler::{BoxedHandler, Handler};

/// A handler with the options of the step that will run it. Made by [`step`].
#[must_use = "a step is declared by giving this to `WorkflowBuilder::step`"]
pub struct StepSpec<In, Out> {
    pub(crate) handler: BoxedHandler,
    pub(crate) options: StepOptions,
    ty: PhantomData<fn(In) -> Out>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct StepOptions {
    pub(crate) named: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) retry: Option<Retry>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) queue: Option<String>,
    pub(crate) priority: Option<i16>,
    pub(crate) after: Vec<Wired>,
}

/// Takes a handler for [`WorkflowBuilder::step`](super::WorkflowBuilder::step); options are chained on it.
///
/// ```
/// use std::time::Duration;
/// use squid_mesh::{Retry, StepContext, StepError, step};
///
/// async fn charge(_: StepContext, cents: u64) -> Result<String, StepError> {
///     Ok(format!("receipt for {cents}"))
/// }
///
/// let charging = step(charge)
///     .retry(Retry::exponential(5))
///     .timeout(Duration::from_secs(30))
///     .queue("payments");
/// ```
pub fn step<In, Out>(handler: impl Handler<In, Out>) -> StepSpec<In, Out>
where
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
{
    StepSpec {
        handler: BoxedHandler::new(handler),
        options: StepOptions::default(),
        ty: PhantomData,
    }
}

impl<In, Out> StepSpec<In, Out> {
    /// When a failed attempt is tried again. Without it the step is tried once.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options.retry = Some(retry);
        self
    }

    /// How long one attempt may take; then its future is dropped, and it has failed with the retryable code `timeout`.
    ///
    /// A future can only be dropped where it awaits: a handler that blocks its thread goes on until it returns, unheard.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// The queue its attempts are claimed from, instead of the workflow's.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.options.queue = Some(queue.into());
        self
    }

    /// Its priority within the queue, instead of the workflow's; lower is more urgent, like `nice`.
    pub fn priority(mut self, priority: i16) -> Self {
        self.options.priority = Some(priority);
        self
    }

    /// Begin only after the step that gives `value` has ended, without taking its output.
    pub fn after<T>(mut self, value: &super::Value<T>) -> Self {
        self.options.after.extend((*value).wired());
        self
    }

    /// The name under which the handler is registered, instead of `{workflow}_{step}`.
    ///
    /// Runs in flight refer to their handlers by this name: keep it when a step or workflow is renamed.
    pub fn named(mut self, handler: impl Into<String>) -> Self {
        self.options.named = Some(handler.into());
        self
    }

    /// What people read in place of the step's name.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.options.label = Some(label.into());
        self
    }
}

impl<In, Out> fmt::Debug for StepSpec<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepSpec")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
