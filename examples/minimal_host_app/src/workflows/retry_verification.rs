//! Retry verification: a step fails as often as it is told to, then succeeds.
//!
//! Invariant: executions are counted in the application's tables, so a process that dies in between changes nothing.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::{BuildError, StepContext, StepError, Workflow};

use super::{app_step, attempts};
use crate::app::App;

/// The workflow's name.
pub const NAME: &str = "retry_verification";

/// The code of the failures that are wanted.
pub const FLAKY: &str = "flaky";

/// How often the flaky step is attempted at most.
pub const ATTEMPTS: u32 = 6;

/// The figure that the step after the flaky one writes.
pub const EXECUTIONS: &str = "executions";

/// What a run is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flaky {
    /// Its name.
    pub name: String,
    /// How often the flaky step fails.
    pub failures: u32,
}

/// Wires the workflow.
///
/// # Errors
/// Never, unless it is wired wrongly.
pub fn workflow(app: &Arc<App>) -> Result<Workflow<Flaky, u32>, BuildError> {
    let (mut wf, flaky) = Workflow::builder::<Flaky>(NAME, 1);
    wf.label("Retry verification");
    let executions = wf.step(
        "flaky_step",
        flaky,
        app_step(app, flaky_step).retry(attempts(ATTEMPTS)),
    );
    let noted = wf.step(
        "note_executions",
        (flaky, executions),
        app_step(app, note_executions).priority(5),
    );
    wf.finish(noted)
}

async fn flaky_step(app: Arc<App>, cx: StepContext, flaky: Flaky) -> Result<u32, StepError> {
    let executions = app.ledger.record_effect(&cx).await?;
    if executions <= flaky.failures {
        let message = format!(
            "execution {executions} fails, as {} are told to",
            flaky.failures
        );
        return Err(StepError::retryable(FLAKY, message)
            .details(serde_json::json!({ "execution": executions })));
    }
    Ok(executions)
}

async fn note_executions(
    app: Arc<App>,
    cx: StepContext,
    (flaky, executions): (Flaky, u32),
) -> Result<u32, StepError> {
    app.ledger.record_effect(&cx).await?;
    app.ledger
        .write_figure(&flaky.name, EXECUTIONS, i64::from(executions))
        .await?;
    Ok(executions)
}
