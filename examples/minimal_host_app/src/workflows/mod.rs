//! The reference workflows.
//!
//! Invariant: a handler's body records its effect before anything else it does, and may be executed any number of times.

pub mod cancellable_wait;
pub mod dependency_recovery;
pub mod payment_recovery;
pub mod retry_verification;
pub mod run_deadline;
pub mod timeout_recovery;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use squid_mesh::{
    BuildError, Retry, RuntimeBuilder, StepContext, StepError, StepSpec, Workflow, step,
};

use crate::app::App;
use cancellable_wait::Reservation;
use dependency_recovery::Outage;
use payment_recovery::{Receipt, UnpaidInvoice};
use retry_verification::Flaky;
use run_deadline::Overdue;
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
}

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
        })
    }

    /// Registers all of them.
    pub fn register(&self, runtime: RuntimeBuilder) -> RuntimeBuilder {
        runtime
            .workflow(&self.payment_recovery)
            .workflow(&self.dependency_recovery)
            .workflow(&self.cancellable_wait)
            .workflow(&self.retry_verification)
            .workflow(&self.timeout_recovery)
            .workflow(&self.run_deadline)
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
    let app = app.clone();
    let handler = move |cx: StepContext, input: In| body(app.clone(), cx, input);
    step(handler).retry(attempts(3))
}

/// That many attempts, a short and slightly scattered pause apart.
fn attempts(max: u32) -> Retry {
    Retry::exponential(max)
        .min(Duration::from_millis(50))
        .max(Duration::from_millis(400))
        .jitter(0.2)
        .max_lost(MANY_LOSSES)
}
