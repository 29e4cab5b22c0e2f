//! Undo handlers: what takes the effect of a step back when the run fails later on.
//!
//! Invariant: an undo handler's types are those of its step.

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::guard::StepFailure;
use super::retry::Retry;
use super::spec::StepSpec;
use crate::handler::{BoxedHandler, Handler};

/// What an undo handler is given: what its step took and gave, and why the run failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Undo<In, Out> {
    /// What the step took.
    pub input: In,
    /// What the step gave.
    pub output: Out,
    /// The run's input.
    pub run_input: serde_json::Value,
    /// Why the run failed; none if it was cancelled.
    #[serde(default)]
    pub failure: Option<StepFailure>,
}

/// A step's undo handler, with its options.
#[derive(Debug, Clone, Default)]
pub(crate) struct UndoOptions {
    pub(crate) handler: Option<BoxedHandler>,
    pub(crate) named: Option<String>,
    pub(crate) retry: Option<Retry>,
    pub(crate) timeout: Option<std::time::Duration>,
}

impl UndoOptions {
    /// Whether something was said of an undo handler that there is not.
    pub(crate) fn is_without_handler(&self) -> bool {
        let said = self.named.is_some() || self.retry.is_some() || self.timeout.is_some();
        said && self.handler.is_none()
    }
}

impl<In, Out> StepSpec<In, Out> {
    /// What takes the step's effect back. It is executed when the run fails after the step has succeeded, in reverse order
    /// of success; it may be executed more than once, like any handler.
    ///
    /// ```
    /// use squid_mesh::{BuildError, Retry, StepContext, StepError, Undo, Workflow, step};
    ///
    /// async fn reserve(_: StepContext, sku: String) -> Result<u64, StepError> {
    ///     Ok(sku.len() as u64)
    /// }
    /// async fn release(_: StepContext, undo: Undo<String, u64>) -> Result<(), StepError> {
    ///     println!("{} of {} released", undo.output, undo.input);
    ///     Ok(())
    /// }
    ///
    /// fn order() -> Result<Workflow<String, u64>, BuildError> {
    ///     let (mut wf, sku) = Workflow::builder::<String>("order", 1);
    ///     let reserving = step(reserve).undo(release).undo_retry(Retry::exponential(10));
    ///     let stock = wf.step("reserve_stock", sku, reserving);
    ///     wf.finish(stock)
    /// }
    /// ```
    pub fn undo(mut self, handler: impl Handler<Undo<In, Out>, ()>) -> Self
    where
        In: DeserializeOwned + Send + 'static,
        Out: DeserializeOwned + Send + 'static,
    {
        self.options.undo.handler = Some(BoxedHandler::new(handler));
        self
    }

    /// When a failed attempt to undo is tried again. Without it undoing is tried once.
    pub fn undo_retry(mut self, retry: Retry) -> Self {
        self.options.undo.retry = Some(retry);
        self
    }

    /// How long one attempt to undo may take.
    pub fn undo_timeout(mut self, timeout: std::time::Duration) -> Self {
        self.options.undo.timeout = Some(timeout);
        self
    }

    /// The name under which the undo handler is registered, instead of `{workflow}_{step}_undo`.
    pub fn undo_named(mut self, handler: impl Into<String>) -> Self {
        self.options.undo.named = Some(handler.into());
        self
    }
}
