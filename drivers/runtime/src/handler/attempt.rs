//! One attempt that is driven by whoever asked for it, instead of by a runtime: a simulator, or a test of a handler.
//!
//! Invariant: the handler is called exactly as a runtime calls it: input decoded, panic caught, output encoded.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use squid_mesh_core::worker::{AttemptFailure, Execution, Returned, StopReason};

use super::{BoxedHandler, Handlers, Outcome, StepContext, Stopper};
use crate::author::Workflow;
use crate::client::{Caller, Client};

/// One attempt of a handler, as a future of what it returns. Made by [`Workflow::attempt`] and [`Handlers::attempt`].
///
/// Nothing happens until it is polled; dropping it drops the handler's future where it awaits. It needs whatever the handler
/// needs: one that sleeps needs the time driver of a tokio runtime.
#[must_use = "an attempt does nothing unless it is polled"]
pub struct Attempt {
    body: Pin<Box<dyn Future<Output = Outcome> + Send>>,
    stopper: Stopper,
}

impl Attempt {
    fn new(handler: &BoxedHandler, execution: &Execution, client: &Client) -> Attempt {
        let caller = Caller::new(client.clone(), execution, false);
        let (cx, stopper) = StepContext::new(execution, caller);
        let (handler, input) = (handler.clone(), execution.input.clone());
        let body = Box::pin(async move { handler.execute(cx, None, input).await });
        Attempt { body, stopper }
    }

    /// Fires the cancellation of the attempt's [`StepContext`]; the first reason stays. The future may still finish.
    pub fn stop(&self, reason: StopReason) {
        self.stopper.stop(reason);
    }
}

impl Future for Attempt {
    type Output = Result<Returned, AttemptFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.body.as_mut().poll(cx)
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").finish_non_exhaustive()
    }
}

fn attempt(
    handler: Option<&BoxedHandler>,
    execution: &Execution,
    client: &Client,
) -> Option<Attempt> {
    let handler = handler.filter(|handler| !handler.is_transactional())?;
    Some(Attempt::new(handler, execution, client))
}

impl<I, O> Workflow<I, O> {
    /// One attempt of the handler that an execution names, an undo handler or another; runs that the handler starts are
    /// started by `client`. `None` if the workflow has no handler of this name, or one that takes a transaction.
    ///
    /// A [`Runtime`](crate::Runtime) makes attempts by itself; this is for whatever drives workers in another way.
    pub fn attempt(&self, execution: &Execution, client: &Client) -> Option<Attempt> {
        attempt(
            self.handlers().find(execution.handler.as_str()),
            execution,
            client,
        )
    }
}

impl Handlers {
    /// One attempt of the handler that an execution names, as [`Workflow::attempt`] makes it.
    pub fn attempt(&self, execution: &Execution, client: &Client) -> Option<Attempt> {
        attempt(self.find(execution.handler.as_str()), execution, client)
    }
}
