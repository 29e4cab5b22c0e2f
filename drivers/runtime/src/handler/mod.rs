//! Handlers: the host's async functions behind steps.
//!
//! Invariant: whatever a handler does, what comes out is one output or one failure; it never takes its worker down.

mod allowlist;
mod attempt;
mod context;
mod error;
pub(crate) mod json;
mod registry;
mod routed;
mod scheduled;
mod transactional;

use std::any::TypeId;
use std::fmt;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use squid_mesh_core::event::{Failure, code};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::worker::AttemptFailure;
pub(crate) use squid_mesh_core::worker::Returned;

pub use allowlist::Handlers;
pub(crate) use allowlist::RegisterError;
pub use attempt::Attempt;
pub use context::StepContext;
pub(crate) use context::Stopper;
pub use error::StepError;
pub use registry::HandlerConflict;
pub(crate) use registry::Registry;
pub use routed::Routed;
pub use scheduled::ScheduleContext;
pub use transactional::{TxCall, TxHandler, TxStateCall, TxStateHandler};

use crate::transaction::Tx;
use transactional::{ExecuteIn, Stateless, TypedTx};

/// What a step executes: any `async fn(StepContext, In) -> Result<Out, StepError>`, or a closure like one.
///
/// State is captured by a closure:
///
/// ```
/// use std::sync::Arc;
/// use squid_mesh::{StepContext, StepError, Workflow, step};
///
/// struct Shop;
/// impl Shop {
///     async fn reserve(&self, order: u64) -> Result<String, std::io::Error> { Ok(format!("stock for {order}")) }
/// }
///
/// let shop = Arc::new(Shop);
/// let (mut wf, order) = Workflow::builder::<u64>("order", 1);
/// let stock = wf.step("reserve", order, step(move |_: StepContext, order: u64| {
///     let shop = shop.clone();
///     async move { Ok(shop.reserve(order).await?) }
/// }));
/// let order = wf.finish(stock)?;
/// # Ok::<(), squid_mesh::BuildError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no step handler",
    label = "expected `async fn(StepContext, In) -> Result<Out, StepError>`",
    note = "the future has to be `Send`, and what the function captures `Send + Sync + 'static`"
)]
pub trait Handler<In, Out>: Send + Sync + 'static {
    /// What a call gives.
    type Future: Future<Output = Result<Out, StepError>> + Send;

    /// Begins one attempt.
    fn call(&self, cx: StepContext, input: In) -> Self::Future;
}

impl<F, Fut, In, Out> Handler<In, Out> for F
where
    F: Fn(StepContext, In) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Out, StepError>> + Send,
{
    type Future = Fut;

    fn call(&self, cx: StepContext, input: In) -> Fut {
        self(cx, input)
    }
}

type Outcome = Result<Returned, AttemptFailure>;

/// A handler without its types. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BoxedHandler {
    code: Code,
    identity: TypeId,
}

#[derive(Clone)]
enum Code {
    Plain(Arc<dyn Execute>),
    Transactional(Arc<dyn ExecuteIn>),
}

fn identity<H: 'static>(_: &H) -> TypeId {
    TypeId::of::<H>()
}

impl BoxedHandler {
    pub(crate) fn new<In, Out>(handler: impl Handler<In, Out>) -> BoxedHandler
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        BoxedHandler::boxed(handler, |output| unlabelled(&output))
    }

    /// A handler whose outputs have labels.
    pub(crate) fn routed<In, Out>(handler: impl Handler<In, Routed<Out>>) -> BoxedHandler
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        BoxedHandler::boxed(handler, |Routed { label, output }| {
            let output = json::encode(&output)?;
            let label = Some(label);
            Ok(Returned { output, label })
        })
    }

    fn boxed<H, In, Out>(handler: H, encode: fn(Out) -> Outcome) -> BoxedHandler
    where
        H: Handler<In, Out>,
        In: DeserializeOwned + Send + 'static,
        Out: Send + 'static,
    {
        BoxedHandler {
            identity: TypeId::of::<H>(),
            code: Code::Plain(Arc::new(Typed {
                handler,
                encode,
                ty: PhantomData,
            })),
        }
    }

    /// One that writes in the transaction that settles its step.
    pub(crate) fn transactional<In, Out>(handler: impl TxHandler<In, Out>) -> BoxedHandler
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        BoxedHandler {
            identity: identity(&handler),
            code: Code::Transactional(Arc::new(TypedTx::new((), Stateless(handler)))),
        }
    }

    /// One with state that writes in the transaction that settles its step.
    pub(crate) fn transactional_with<S, In, Out>(
        state: S,
        handler: impl TxStateHandler<S, In, Out>,
    ) -> BoxedHandler
    where
        S: Clone + Send + Sync + 'static,
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        BoxedHandler {
            identity: identity(&handler),
            code: Code::Transactional(Arc::new(TypedTx::new(state, handler))),
        }
    }

    /// Whether both are made of the same function or closure expression.
    pub(crate) fn is_same(&self, other: &BoxedHandler) -> bool {
        self.identity == other.identity
    }

    /// Whether it is executed in a transaction.
    pub(crate) fn is_transactional(&self) -> bool {
        matches!(self.code, Code::Transactional(_))
    }

    /// Executes one attempt, in a transaction if the handler takes one. A panic is an outcome. Dropping the future drops the
    /// handler's.
    ///
    /// # Panics
    /// If a handler that takes a transaction is given none.
    pub(crate) async fn execute(
        &self,
        cx: StepContext,
        tx: Option<&mut Tx>,
        input: Payload,
    ) -> Outcome {
        let handler = self.code.clone();
        // A handler that panicked is not used any further in a state the panic left behind: its future is dropped, and what
        // it shares with other attempts is the host's to guard, as with any task.
        let body = AssertUnwindSafe(async move {
            match handler {
                Code::Plain(handler) => handler.execute(cx, input).await,
                Code::Transactional(handler) => {
                    let tx = tx.expect("a transactional handler is executed in a transaction");
                    handler.execute_in(cx, tx, input).await
                }
            }
        });
        body.catch_unwind()
            .await
            .unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
    }
}

impl fmt::Debug for BoxedHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoxedHandler")
    }
}

trait Execute: Send + Sync {
    fn execute(
        &self,
        cx: StepContext,
        input: Payload,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>>;
}

struct Typed<H, In, Out> {
    handler: H,
    encode: fn(Out) -> Outcome,
    ty: PhantomData<fn(In) -> Out>,
}

impl<H, In, Out> Execute for Typed<H, In, Out>
where
    H: Handler<In, Out>,
    In: DeserializeOwned + Send,
    Out: Send,
{
    fn execute(
        &self,
        cx: StepContext,
        input: Payload,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(async move {
            let decoded = json::decode(&input)?;
            drop(input);
            let result = self.handler.call(cx, decoded).await;
            (self.encode)(result.map_err(StepError::into_failure)?)
        })
    }
}

fn unlabelled(output: &impl Serialize) -> Outcome {
    json::encode(output).map(Returned::from)
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> AttemptFailure {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let message = match text {
        Some(text) => format!("the handler panicked: {text}").replace('\0', "\u{fffd}"),
        None => "the handler panicked".to_owned(),
    };
    AttemptFailure {
        failure: Failure::new(code::PANIC, &message, true),
        details: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a handler makes of an input.
    async fn outcome(handler: BoxedHandler, input: &str) -> Outcome {
        handler
            .execute(StepContext::sample(), None, Payload::new(input.as_bytes()))
            .await
    }

    async fn assess(_: StepContext, label: String) -> Result<Routed<u64>, StepError> {
        Ok(Routed::new(label, 5))
    }

    async fn plain(_: StepContext, cents: u64) -> Result<u64, StepError> {
        Ok(cents)
    }

    #[tokio::test]
    async fn a_label_comes_beside_the_output_not_in_it() {
        let returned = outcome(BoxedHandler::routed(assess), "\"fraud\"")
            .await
            .unwrap();
        assert_eq!(returned.output, Payload::new(b"5".as_slice()));
        assert_eq!(returned.label.as_deref(), Some("fraud"));
        let returned = outcome(BoxedHandler::new(plain), "5").await.unwrap();
        assert_eq!(returned.output, Payload::new(b"5".as_slice()));
        assert_eq!(returned.label, None);
    }
}
