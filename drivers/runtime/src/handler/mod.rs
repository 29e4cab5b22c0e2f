//! Handlers: the host's async functions behind steps.
//!
//! Invariant: whatever a handler does, what comes out is one output or one failure; it never takes its worker down.

mod context;
mod error;
pub(crate) mod json;
mod registry;

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

pub use context::StepContext;
pub(crate) use context::Stopper;
pub use error::StepError;
pub use registry::HandlerConflict;
pub(crate) use registry::Registry;

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

type Outcome = Result<Payload, AttemptFailure>;

/// A handler without its types. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BoxedHandler {
    code: Arc<dyn Execute>,
    identity: TypeId,
}

impl BoxedHandler {
    pub(crate) fn new<In, Out>(handler: impl Handler<In, Out>) -> BoxedHandler
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        fn identity<H: 'static>(_: &H) -> TypeId {
            TypeId::of::<H>()
        }
        BoxedHandler {
            identity: identity(&handler),
            code: Arc::new(Typed {
                handler,
                ty: PhantomData,
            }),
        }
    }

    /// Whether both are made of the same function or closure expression.
    pub(crate) fn is_same(&self, other: &BoxedHandler) -> bool {
        self.identity == other.identity
    }

    /// Executes one attempt. A panic is an outcome. Dropping the future drops the handler's.
    pub(crate) async fn execute(&self, cx: StepContext, input: Payload) -> Outcome {
        let handler = self.code.clone();
        // A handler that panicked is not used any further in a state the panic left behind: its future is dropped, and what
        // it shares with other attempts is the host's to guard, as with any task.
        let body = AssertUnwindSafe(async move { handler.execute(cx, input).await });
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
    ty: PhantomData<fn(In) -> Out>,
}

impl<H, In, Out> Execute for Typed<H, In, Out>
where
    H: Handler<In, Out>,
    In: DeserializeOwned + Send,
    Out: Serialize + Send,
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
            let output = result.map_err(StepError::into_failure)?;
            json::encode(&output)
        })
    }
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
