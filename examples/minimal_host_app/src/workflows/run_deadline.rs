//! A run deadline: an offer that nobody took in time is withdrawn by failing its run.
//!
//! Invariant: no run of it is ever completed; the wait is longer than the deadline.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::{BuildError, StepContext, StepError, Workflow};

use super::app_step;
use crate::app::App;

/// The workflow's name.
pub const NAME: &str = "run_deadline";

/// How long a run may take.
pub const DEADLINE: Duration = Duration::from_millis(500);

/// How long a run would wait.
const WAIT: Duration = Duration::from_secs(60 * 60);

/// What a run is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Overdue {
    /// The offer's name.
    pub offer: String,
}

/// Wires the workflow.
///
/// # Errors
/// Never, unless it is wired wrongly.
pub fn workflow(app: &Arc<App>) -> Result<Workflow<Overdue, ()>, BuildError> {
    let (mut wf, overdue) = Workflow::builder::<Overdue>(NAME, 1);
    wf.label("Run deadline").deadline(DEADLINE);
    let answer = wf.wait("wait_for_answer", WAIT, ());
    let taken = wf.step(
        "take_offer",
        overdue,
        app_step(app, take_offer).after(&answer),
    );
    wf.finish(taken)
}

async fn take_offer(app: Arc<App>, cx: StepContext, _: Overdue) -> Result<(), StepError> {
    app.ledger.record_effect(&cx).await?;
    Ok(())
}
