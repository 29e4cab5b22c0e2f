//! Handlers that write in the transaction that settles their step.
//!
//! Invariant: a handler is given the transaction, never its end.

use std::marker::PhantomData;
use std::pin::Pin;

use serde::Serialize;
use serde::de::DeserializeOwned;
use squid_mesh_core::payload::Payload;

use super::{Outcome, StepContext, StepError, json, unlabelled};
use crate::transaction::Tx;

/// What a transactional step executes: any `async fn(StepContext, &mut Tx, In) -> Result<Out, StepError>`.
///
/// See [`step_tx`](crate::step_tx), and [`step_tx_with`](crate::step_tx_with) for one that needs state.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of a transactional step",
    label = "expected `async fn(StepContext, &mut Tx, In) -> Result<Out, StepError>`",
    note = "the future has to be `Send`; a closure cannot borrow the transaction, an async function can"
)]
pub trait TxHandler<In, Out>: for<'t> TxCall<'t, In, Out> + Send + Sync + 'static {}

impl<H, In, Out> TxHandler<In, Out> for H where
    H: for<'t> TxCall<'t, In, Out> + Send + Sync + 'static
{
}

/// One call of a [`TxHandler`], for one lifetime of its transaction.
pub trait TxCall<'t, In, Out> {
    /// What a call gives.
    type Future: Future<Output = Result<Out, StepError>> + Send + 't;

    /// Begins one attempt.
    fn call(&self, cx: StepContext, tx: &'t mut Tx, input: In) -> Self::Future;
}

impl<'t, F, Fut, In, Out> TxCall<'t, In, Out> for F
where
    F: Fn(StepContext, &'t mut Tx, In) -> Fut,
    Fut: Future<Output = Result<Out, StepError>> + Send + 't,
{
    type Future = Fut;

    fn call(&self, cx: StepContext, tx: &'t mut Tx, input: In) -> Fut {
        self(cx, tx, input)
    }
}

/// What a transactional step with state executes: any
/// `async fn(State, StepContext, &mut Tx, In) -> Result<Out, StepError>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of a transactional step with state",
    label = "expected `async fn(State, StepContext, &mut Tx, In) -> Result<Out, StepError>`"
)]
pub trait TxStateHandler<S, In, Out>:
    for<'t> TxStateCall<'t, S, In, Out> + Send + Sync + 'static
{
}

impl<H, S, In, Out> TxStateHandler<S, In, Out> for H where
    H: for<'t> TxStateCall<'t, S, In, Out> + Send + Sync + 'static
{
}

/// One call of a [`TxStateHandler`], for one lifetime of its transaction.
pub trait TxStateCall<'t, S, In, Out> {
    /// What a call gives.
    type Future: Future<Output = Result<Out, StepError>> + Send + 't;

    /// Begins one attempt.
    fn call(&self, state: S, cx: StepContext, tx: &'t mut Tx, input: In) -> Self::Future;
}

impl<'t, F, Fut, S, In, Out> TxStateCall<'t, S, In, Out> for F
where
    F: Fn(S, StepContext, &'t mut Tx, In) -> Fut,
    Fut: Future<Output = Result<Out, StepError>> + Send + 't,
{
    type Future = Fut;

    fn call(&self, state: S, cx: StepContext, tx: &'t mut Tx, input: In) -> Fut {
        self(state, cx, tx, input)
    }
}

/// A handler without its types.
pub(super) trait ExecuteIn: Send + Sync {
    fn execute_in<'t>(
        &'t self,
        cx: StepContext,
        tx: &'t mut Tx,
        input: Payload,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + 't>>;
}

/// A handler without state, as one with none.
pub(super) struct Stateless<H>(pub(super) H);

impl<'t, H, In, Out> TxStateCall<'t, (), In, Out> for Stateless<H>
where
    H: TxCall<'t, In, Out>,
{
    type Future = H::Future;

    fn call(&self, (): (), cx: StepContext, tx: &'t mut Tx, input: In) -> Self::Future {
        self.0.call(cx, tx, input)
    }
}

/// A handler with its types and its state.
pub(super) struct TypedTx<H, S, In, Out> {
    handler: H,
    state: S,
    ty: PhantomData<fn(In) -> Out>,
}

impl<H, S, In, Out> TypedTx<H, S, In, Out> {
    pub(super) fn new(state: S, handler: H) -> TypedTx<H, S, In, Out> {
        TypedTx {
            handler,
            state,
            ty: PhantomData,
        }
    }
}

impl<H, S, In, Out> ExecuteIn for TypedTx<H, S, In, Out>
where
    H: TxStateHandler<S, In, Out>,
    S: Clone + Send + Sync + 'static,
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
{
    fn execute_in<'t>(
        &'t self,
        cx: StepContext,
        tx: &'t mut Tx,
        input: Payload,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + 't>> {
        Box::pin(async move {
            let decoded = json::decode(&input)?;
            drop(input);
            let result = self.handler.call(self.state.clone(), cx, tx, decoded).await;
            unlabelled(&result.map_err(StepError::into_failure)?)
        })
    }
}
