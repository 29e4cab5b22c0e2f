//! One step's handler and options.
//!
//! Invariant: holds what was written; validation judges it together with everything else.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use squid_mesh_core::definition::{OnLost, RouteMark};

use super::options::Common;
use super::retry::Retry;
use super::undo::UndoOptions;
use super::wire::Needs;
use crate::handler::{BoxedHandler, Handler, Routed, TxHandler, TxStateHandler};

/// A handler with the options of the step that will run it. Made by [`step`].
#[must_use = "a step is declared by giving this to `WorkflowBuilder::step`"]
pub struct StepSpec<In, Out> {
    pub(crate) handler: BoxedHandler,
    pub(crate) options: StepOptions,
    ty: PhantomData<fn(In) -> Out>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct StepOptions {
    pub(crate) common: Common,
    pub(crate) named: Option<String>,
    pub(crate) retry: Option<Retry>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) labels: Vec<String>,
    pub(crate) undo: UndoOptions,
    pub(crate) irreversible: Option<bool>,
    pub(crate) compensatable: Option<bool>,
    pub(crate) on_lost: Option<OnLost>,
    pub(crate) transactional: bool,
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

/// Takes a handler that returns its output with one of these labels, for [`WorkflowBuilder::when`](super::WorkflowBuilder::when)
/// to branch on. Otherwise like [`step`]: the step's value is the output without the label.
///
/// See [`Routed`] and [`WorkflowBuilder::when`](super::WorkflowBuilder::when) for examples.
pub fn step_routed<In, Out, L: Into<String>>(
    handler: impl Handler<In, Routed<Out>>,
    labels: impl IntoIterator<Item = L>,
) -> StepSpec<In, Out>
where
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
{
    StepSpec {
        handler: BoxedHandler::routed(handler),
        options: StepOptions {
            labels: labels.into_iter().map(Into::into).collect(),
            ..StepOptions::default()
        },
        ty: PhantomData,
    }
}

/// Takes a handler that writes to the database in the transaction that settles its step: what it writes and the outcome that
/// is recorded are committed together, or not at all, whatever crashes.
///
/// A failure, a panic, a timeout or a lost lease rolls back what was written, and is then recorded as for any other step. A
/// transaction that loses against another one when it is settled is rolled back, and the handler executed again. So effects
/// inside of the transaction happen exactly once; for any effect outside of it there is the
/// [idempotency key](crate::StepContext::idempotency_key), as ever.
///
/// Locks that the handler's writes take are held until the step is settled: leave what takes long to a step before it.
///
/// In SQLite, which has one writer, nothing else is written while the handler executes, renewals of leases included. There
/// such a step needs a timeout below a third of the lease. The timeout begins with the transaction, so waiting for a turn does
/// not count; a queue of its own with one slot keeps attempts that wait from taking the slots of other steps. In a handler, a plain call to a
/// [`Client`](crate::Client) that writes would wait for the handler itself: start runs
/// [in the transaction](crate::StartRun::in_tx).
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use std::time::Duration;
/// use squid_mesh::{Runtime, StepContext, StepError, Tx, Workflow, step_tx};
/// use squid_mesh::sqlite::sqlx; // the host's own, of the same version
///
/// async fn book(_: StepContext, tx: &mut Tx, cents: i64) -> Result<i64, StepError> {
///     // `tx.postgres()?` with a store in Postgres
///     sqlx::query("insert into bookings (cents) values (?)").bind(cents).execute(tx.sqlite()?).await?;
///     Ok(cents)
/// }
///
/// let (mut wf, cents) = Workflow::builder::<i64>("booking", 1);
/// let booked = wf.step("book", cents, step_tx(book).timeout(Duration::from_secs(5)));
/// let booking = wf.finish(booked)?;
/// let runtime = Runtime::builder("sqlite::memory:").workflow(&booking).start().await?;
/// # let mut tx = runtime.client().begin().await?;
/// # sqlx::query("create table bookings (cents integer)").execute(tx.sqlite()?).await?;
/// # tx.commit().await?;
///
/// let run = runtime.client().start(&booking.reference(), 4_900).await?;
/// assert_eq!(run.result().await?, 4_900); // and there is one booking
/// # let mut tx = runtime.client().begin().await?;
/// # let bookings: i64 = sqlx::query_scalar("select count(*) from bookings").fetch_one(tx.sqlite()?).await?;
/// # assert_eq!(bookings, 1);
/// # tx.rollback().await;
/// # runtime.shutdown().await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn step_tx<In, Out>(handler: impl TxHandler<In, Out>) -> StepSpec<In, Out>
where
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
{
    transactional(BoxedHandler::transactional(handler))
}

/// Takes a handler as [`step_tx`] does, with state of the host that each attempt is given a clone of.
///
/// ```
/// use std::sync::Arc;
/// use squid_mesh::{StepContext, StepError, Tx, step_tx_with};
///
/// struct Shop { table: &'static str }
///
/// async fn book(shop: Arc<Shop>, _: StepContext, tx: &mut Tx, cents: i64) -> Result<String, StepError> {
///     Ok(format!("{cents} into {}", shop.table))
/// }
///
/// let booking = step_tx_with(Arc::new(Shop { table: "bookings" }), book);
/// ```
pub fn step_tx_with<S, In, Out>(
    state: S,
    handler: impl TxStateHandler<S, In, Out>,
) -> StepSpec<In, Out>
where
    S: Clone + Send + Sync + 'static,
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
{
    transactional(BoxedHandler::transactional_with(state, handler))
}

fn transactional<In, Out>(handler: BoxedHandler) -> StepSpec<In, Out> {
    StepSpec {
        handler,
        options: StepOptions {
            transactional: true,
            ..StepOptions::default()
        },
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
        self.options.common.queue = Some(queue.into());
        self
    }

    /// Its priority within the queue, instead of the workflow's; lower is more urgent, like `nice`.
    pub fn priority(mut self, priority: i16) -> Self {
        self.options.common.priority = Some(priority);
        self
    }

    /// Begin only after the step that gives `value` has ended, in whatever way, without taking its output.
    pub fn after<T>(mut self, value: &super::Value<T>) -> Self {
        self.options.common.after.extend((*value).wired());
        self
    }

    /// The step's effect cannot be taken back. An attempt of unknown outcome (lost after it began, timed out, panicked) is
    /// not repeated until somebody has said what its outcome was, unless [`on_lost`](StepSpec::on_lost) says otherwise.
    pub fn irreversible(mut self) -> Self {
        self.options.irreversible = Some(true);
        self
    }

    /// The step's effect cannot be compensated for: a copy of the run does not repeat it unasked.
    pub fn not_compensatable(mut self) -> Self {
        self.options.compensatable = Some(false);
        self
    }

    /// What becomes of an attempt of unknown outcome: `Hold` by default for [irreversible](StepSpec::irreversible) steps,
    /// `Retry` for others.
    pub fn on_lost(mut self, on_lost: OnLost) -> Self {
        self.options.on_lost = Some(on_lost);
        self
    }

    /// What the audit trail calls the failure route that leads to this step. See
    /// [`WorkflowBuilder::on_failure`](super::WorkflowBuilder::on_failure).
    pub fn mark(mut self, mark: RouteMark) -> Self {
        self.options.common.mark = Some(mark);
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
        self.options.common.label = Some(label.into());
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
