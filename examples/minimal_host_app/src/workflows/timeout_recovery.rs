//! Timeout recovery: a step hangs the first time it is executed; its timeout ends it, and the next attempt succeeds.
//!
//! Invariant: nothing but the step's timeout, or the end of its process, ends an execution that hangs.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::{BuildError, StepContext, StepError, Workflow};

use super::{app_step, attempts};
use crate::app::App;

/// The workflow's name.
pub const NAME: &str = "timeout_recovery";

/// How long one attempt may take: far longer than one that does not hang, on however busy a machine.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// The figure that the step writes.
pub const PAGES: &str = "pages";

/// What a run is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SlowReport {
    /// Its name.
    pub name: String,
    /// How long it is.
    pub pages: u32,
}

/// Wires the workflow.
///
/// # Errors
/// Never, unless it is wired wrongly.
pub fn workflow(app: &Arc<App>) -> Result<Workflow<SlowReport, u32>, BuildError> {
    let (mut wf, report) = Workflow::builder::<SlowReport>(NAME, 1);
    wf.label("Timeout recovery");
    let rendered = wf.step(
        "render_report",
        report,
        app_step(app, render).retry(attempts(5)).timeout(TIMEOUT),
    );
    wf.finish(rendered)
}

async fn render(app: Arc<App>, cx: StepContext, report: SlowReport) -> Result<u32, StepError> {
    if app.ledger.record_effect(&cx).await? == 1 {
        // A renderer that never answers.
        std::future::pending::<()>().await;
    }
    app.ledger
        .write_figure(&report.name, PAGES, i64::from(report.pages))
        .await?;
    Ok(report.pages)
}
