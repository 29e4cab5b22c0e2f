//! The reference workflows.
//!
//! Invariant: a handler's body records its effect before anything else it does, and may be executed any number of times; one
//! in a transaction has no other effect than what it writes in that.

pub mod cancellable_wait;
pub mod daily_digest;
pub mod dependency_recovery;
pub mod local_ledger_checkout;
pub mod manual_approval;
pub mod manual_pause;
pub mod nested_invite_delivery;
pub mod payment_recovery;
pub mod retry_verification;
pub mod run_deadline;
pub mod saga_checkout;
pub mod timeout_recovery;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use squid_mesh::{
    BuildError, Handler, Retry, RuntimeBuilder, StepContext, StepError, StepSpec, Workflow, step,
};

use crate::app::App;
use cancellable_wait::Reservation;
use daily_digest::Digest;
use dependency_recovery::Outage;
use local_ledger_checkout::Sale;
use manual_approval::Purchase;
use manual_pause::Import;
use nested_invite_delivery::Nested;
use payment_recovery::{Receipt, UnpaidInvoice};
use retry_verification::Flaky;
use run_deadline::Overdue;
use saga_checkout::Checkout;
use timeout_recovery::SlowReport;

/// All reference workflows, wired to one application.
#[derive(Debug, Clone)]
pub struct Workflows {
    /// A settled payment is found behind a gateway that is down at first.
    pub payment_recovery: Workflow<UnpaidInvoice, Receipt>,
    /// Two things are rebuilt side by side, then joined.
    pub dependency_recovery: Workflow<Outage, i64>,
    /// A reservation is held until somebody cancels it.
    pub cancellable_wait: Workflow<Reservation, ()>,
    /// A step fails a known number of times.
    pub retry_verification: Workflow<Flaky, u32>,
    /// A step hangs, and is tried again when its time is over.
    pub timeout_recovery: Workflow<SlowReport, u32>,
    /// A run takes too long as a whole.
    pub run_deadline: Workflow<Overdue, ()>,
    /// Somebody approves or rejects.
    pub manual_approval: Workflow<Purchase, String>,
    /// A run stands still until somebody resumes it.
    pub manual_pause: Workflow<Import, i64>,
    /// What was done is taken back when a later step fails.
    pub saga_checkout: Workflow<Checkout, String>,
    /// A row of the application is written in the transaction that settles its step.
    pub local_ledger_checkout: Workflow<Sale, i64>,
    /// A child run with a child run for each guest.
    pub nested: Nested,
    /// A digest that somebody asks for.
    pub daily_digest: Workflow<Digest, String>,
}

/// The queues that the workflows name, and the one of steps that name none.
pub const QUEUES: [&str; 2] = ["default", payment_recovery::QUEUE];

/// How many executions of one step may be lost with their process. Hosts of this application are killed on purpose, far
/// more often than the default allows for.
const MANY_LOSSES: u32 = 1_000;

impl Workflows {
    /// Wires all of them.
    ///
    /// # Errors
    /// Never, unless a workflow is wired wrongly.
    pub fn new(app: &Arc<App>) -> Result<Workflows, BuildError> {
        Ok(Workflows {
            payment_recovery: payment_recovery::workflow(app)?,
            dependency_recovery: dependency_recovery::workflow(app)?,
            cancellable_wait: cancellable_wait::workflow(app)?,
            retry_verification: retry_verification::workflow(app)?,
            timeout_recovery: timeout_recovery::workflow(app)?,
            run_deadline: run_deadline::workflow(app)?,
            manual_approval: manual_approval::workflow(app)?,
            manual_pause: manual_pause::workflow(app)?,
            saga_checkout: saga_checkout::workflow(app)?,
            local_ledger_checkout: local_ledger_checkout::workflow(app)?,
            nested: Nested::new(app)?,
            daily_digest: daily_digest::workflow(app)?,
        })
    }

    /// Registers all of them.
    pub fn register(&self, runtime: RuntimeBuilder) -> RuntimeBuilder {
        let runtime = self.nested.register(runtime);
        runtime
            .workflow(&self.payment_recovery)
            .workflow(&self.dependency_recovery)
            .workflow(&self.cancellable_wait)
            .workflow(&self.retry_verification)
            .workflow(&self.timeout_recovery)
            .workflow(&self.run_deadline)
            .workflow(&self.manual_approval)
            .workflow(&self.manual_pause)
            .workflow(&self.saga_checkout)
            .workflow(&self.local_ledger_checkout)
            .workflow(&self.daily_digest)
    }
}

/// A step of a function that takes the application too.
fn app_step<In, Out, F, Fut>(app: &Arc<App>, body: F) -> StepSpec<In, Out>
where
    F: Fn(Arc<App>, StepContext, In) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Out, StepError>> + Send + 'static,
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
{
    step(app_handler(app, body)).retry(attempts(3))
}

/// A handler of a function that takes the application too.
fn app_handler<In, Out, F, Fut>(
    app: &Arc<App>,
    body: F,
) -> impl Handler<In, Out> + use<In, Out, F, Fut>
where
    F: Fn(Arc<App>, StepContext, In) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Out, StepError>> + Send + 'static,
    In: DeserializeOwned + Send + 'static,
    Out: Serialize + Send + 'static,
{
    let app = app.clone();
    move |cx: StepContext, input: In| body(app.clone(), cx, input)
}

/// That many attempts, a short and slightly scattered pause apart.
fn attempts(max: u32) -> Retry {
    Retry::exponential(max)
        .min(Duration::from_millis(50))
        .max(Duration::from_millis(400))
        .jitter(0.2)
        .max_lost(MANY_LOSSES)
}
