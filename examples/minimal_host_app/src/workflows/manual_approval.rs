//! Manual approval: a large purchase is made only if somebody approves it.
//!
//! Invariant: a request that ends as granted or refused names who decided so.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::{BuildError, Decision, StepContext, StepError, Workflow};

use super::app_step;
use crate::app::App;

/// The workflow's name.
pub const NAME: &str = "manual_approval";

/// The gate at which somebody decides.
pub const REVIEW: &str = "review";

/// What a run is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Purchase {
    /// Its name.
    pub name: String,
    /// How much it is.
    pub cents: i64,
}

/// Wires the workflow.
///
/// # Errors
/// Never, unless it is wired wrongly.
pub fn workflow(app: &Arc<App>) -> Result<Workflow<Purchase, String>, BuildError> {
    let (mut wf, purchase) = Workflow::builder::<Purchase>(NAME, 1);
    wf.label("Manual approval");
    let submitted = wf.step("submit_purchase", purchase, app_step(app, submit));
    let review = wf.approval(REVIEW, (purchase, submitted));
    let granted = wf.when(&review, "approved", |wf| {
        wf.step("grant_purchase", (purchase, *review), app_step(app, grant))
    });
    let refused = wf.when(&review, "rejected", |wf| {
        wf.step(
            "refuse_purchase",
            (purchase, *review),
            app_step(app, refuse),
        )
    });
    let decided = wf.either(granted, refused);
    wf.finish(decided)
}

async fn submit(app: Arc<App>, cx: StepContext, purchase: Purchase) -> Result<(), StepError> {
    app.ledger.record_effect(&cx).await?;
    let entry = format!("submitted for {} cents", purchase.cents);
    app.ledger
        .enter(cx.idempotency_key(), &purchase.name, &entry)
        .await?;
    Ok(())
}

async fn grant(
    app: Arc<App>,
    cx: StepContext,
    (purchase, decision): (Purchase, Decision),
) -> Result<String, StepError> {
    decide(&app, &cx, &purchase, &decision, "granted").await
}

async fn refuse(
    app: Arc<App>,
    cx: StepContext,
    (purchase, decision): (Purchase, Decision),
) -> Result<String, StepError> {
    decide(&app, &cx, &purchase, &decision, "refused").await
}

async fn decide(
    app: &App,
    cx: &StepContext,
    purchase: &Purchase,
    decision: &Decision,
    what: &str,
) -> Result<String, StepError> {
    app.ledger.record_effect(cx).await?;
    let actor = decision.actor.as_deref().unwrap_or("nobody");
    let entry = format!("{what} by {actor}");
    app.ledger
        .enter(cx.idempotency_key(), &purchase.name, &entry)
        .await?;
    Ok(entry)
}
