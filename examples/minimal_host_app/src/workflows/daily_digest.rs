//! Daily digest: what has been paid, in one line: every morning, and when somebody asks for it.
//!
//! Invariant: a run sends one digest.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::core::time::Timestamp;
use squid_mesh::{BuildError, CatchUp, Overlap, StepContext, StepError, Workflow};

use super::app_step;
use crate::app::App;

/// The workflow's name.
pub const NAME: &str = "daily_digest";

/// The trigger by which somebody asks for a digest.
pub const ON_DEMAND: &str = "on_demand";

/// The trigger that sends the digest of all customers every morning. Schedules for single customers go by it, too.
pub const NIGHTLY: &str = "nightly";

/// What a run is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// Whose payments; everybody's, if nobody is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
}

/// What has been paid.
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
    wf.cron(NIGHTLY, "0 6 * * *", "Europe/Berlin")
        .payload(Digest { customer: None })
        .catch_up(CatchUp::Latest)
        .overlap(Overlap::Skip);
    let paid = wf.step("gather_payments", digest, app_step(app, gather_payments));
    let sent = wf.step("send_digest", (digest, paid), app_step(app, send_digest));
    wf.finish(sent)
}

/// What a customer's digests are noted under, or those of everybody.
pub fn subject(customer: Option<&str>) -> String {
    match customer {
        Some(customer) => format!("digest of {customer}"),
        None => "digest of everybody".to_owned(),
    }
}

/// What a digest says; one that is sent by schedule says when it was due.
pub fn entry(paid: &Paid, due: Option<Timestamp>) -> String {
    let Paid { invoices, cents } = paid;
    let due = due.map_or_else(String::new, |due| format!(" by {due}"));
    format!("{invoices} invoices paid, {cents} cents{due}")
}

async fn gather_payments(
    app: Arc<App>,
    cx: StepContext,
    digest: Digest,
) -> Result<Paid, StepError> {
    app.ledger.record_effect(&cx).await?;
    let (invoices, cents) = app.ledger.paid_by(digest.customer.as_deref()).await?;
    Ok(Paid { invoices, cents })
}

async fn send_digest(
    app: Arc<App>,
    cx: StepContext,
    (digest, paid): (Digest, Paid),
) -> Result<String, StepError> {
    app.ledger.record_effect(&cx).await?;
    let entry = entry(&paid, cx.schedule().map(|schedule| schedule.window_end));
    let subject = subject(digest.customer.as_deref());
    app.ledger
        .enter(cx.idempotency_key(), &subject, &entry)
        .await?;
    Ok(entry)
}
