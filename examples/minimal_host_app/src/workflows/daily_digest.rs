//! Daily digest: what a customer has paid, in one line, when somebody asks for it.
//!
//! Invariant: a run sends one digest.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::{BuildError, StepContext, StepError, Workflow};

use super::app_step;
use crate::app::App;

/// The workflow's name.
pub const NAME: &str = "daily_digest";

/// The trigger by which somebody asks for a digest.
pub const ON_DEMAND: &str = "on_demand";

/// What a run is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// Whose payments.
    pub customer: String,
}

/// What a customer has paid.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Paid {
    /// How many invoices.
    pub invoices: i64,
    /// How much together.
    pub cents: i64,
}

/// Wires the workflow.
///
/// # Errors
/// Never, unless it is wired wrongly.
pub fn workflow(app: &Arc<App>) -> Result<Workflow<Digest, String>, BuildError> {
    let (mut wf, digest) = Workflow::builder::<Digest>(NAME, 1);
    wf.label("Daily digest").manual(ON_DEMAND);
    let paid = wf.step("gather_payments", digest, app_step(app, gather_payments));
    let sent = wf.step("send_digest", (digest, paid), app_step(app, send_digest));
    wf.finish(sent)
}

/// What a customer's digests are noted under.
pub fn subject(customer: &str) -> String {
    format!("digest of {customer}")
}

async fn gather_payments(
    app: Arc<App>,
    cx: StepContext,
    digest: Digest,
) -> Result<Paid, StepError> {
    app.ledger.record_effect(&cx).await?;
    let (invoices, cents) = app.ledger.paid_by(&digest.customer).await?;
    Ok(Paid { invoices, cents })
}

async fn send_digest(
    app: Arc<App>,
    cx: StepContext,
    (digest, paid): (Digest, Paid),
) -> Result<String, StepError> {
    app.ledger.record_effect(&cx).await?;
    let entry = format!("{} invoices paid, {} cents", paid.invoices, paid.cents);
    app.ledger
        .enter(cx.idempotency_key(), &subject(&digest.customer), &entry)
        .await?;
    Ok(entry)
}
