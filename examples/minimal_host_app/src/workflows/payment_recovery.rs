//! Payment recovery: a payment was made but never confirmed, because the gateway was down.
//!
//! Load the invoice, give the settlement a moment, ask the gateway until it answers, tell the customer.
//!
//! Invariant: an invoice that ends as paid has the payment that the gateway named, and its customer has one message.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::{BuildError, StepContext, StepError, Workflow};

use super::{app_step, attempts};
use crate::app::App;
use crate::gateway::Payment;
use crate::ledger::Invoice;

/// The workflow's name.
pub const NAME: &str = "payment_recovery";

/// The queue of what talks to the gateway.
pub const QUEUE: &str = "payments";

/// How long a settlement may take.
pub const SETTLEMENT: Duration = Duration::from_millis(300);

/// What a run is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnpaidInvoice {
    /// The invoice's id.
    pub invoice: String,
}

/// What a run gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The invoice.
    pub invoice: String,
    /// The payment that settled it.
    pub payment: String,
    /// How much it was.
    pub cents: i64,
}

/// Wires the workflow.
///
/// # Errors
/// Never, unless it is wired wrongly.
pub fn workflow(app: &Arc<App>) -> Result<Workflow<UnpaidInvoice, Receipt>, BuildError> {
    let (mut wf, request) = Workflow::builder::<UnpaidInvoice>(NAME, 1);
    wf.label("Payment recovery");
    let invoice = wf.step("load_invoice", request, app_step(app, load_invoice));
    let settlement = wf.wait("wait_for_settlement", SETTLEMENT, invoice);
    let payment = wf.step(
        "check_gateway",
        invoice,
        app_step(app, check_gateway)
            .retry(attempts(8))
            .timeout(Duration::from_secs(10))
            .queue(QUEUE)
            .after(&settlement),
    );
    let receipt = wf.step(
        "notify_customer",
        (invoice, payment),
        app_step(app, notify_customer),
    );
    wf.finish(receipt)
}

async fn load_invoice(
    app: Arc<App>,
    cx: StepContext,
    request: UnpaidInvoice,
) -> Result<Invoice, StepError> {
    app.ledger.record_effect(&cx).await?;
    let invoice = app.ledger.invoice(&request.invoice).await?;
    invoice.ok_or_else(|| {
        StepError::permanent(
            "unknown_invoice",
            format!("there is no invoice {}", request.invoice),
        )
    })
}

async fn check_gateway(
    app: Arc<App>,
    cx: StepContext,
    invoice: Invoice,
) -> Result<Payment, StepError> {
    app.ledger.record_effect(&cx).await?;
    let asked = app.gateway.payment(&invoice.id, cx.idempotency_key()).await;
    let payment = asked.map_err(|error| error.into_step_error())?;
    if !payment.settled {
        return Err(StepError::retryable(
            "unsettled",
            format!("payment {} is not settled", payment.reference),
        ));
    }
    app.ledger
        .pay_invoice(&invoice.id, &payment.reference)
        .await?;
    Ok(payment)
}

async fn notify_customer(
    app: Arc<App>,
    cx: StepContext,
    (invoice, payment): (Invoice, Payment),
) -> Result<Receipt, StepError> {
    app.ledger.record_effect(&cx).await?;
    let body = format!(
        "Dear {}, we have received {} cents. Thank you.",
        invoice.customer, invoice.cents
    );
    // The key is the same for every attempt of this step: a repetition sends nothing.
    app.ledger
        .notify(cx.idempotency_key(), &invoice.id, &body)
        .await?;
    Ok(Receipt {
        invoice: invoice.id,
        payment: payment.reference,
        cents: invoice.cents,
    })
}
