//! Payment recovery: a payment was made but never confirmed, because the gateway was down.
//!
//! Load the invoice, give the settlement a moment, ask the gateway until it answers. What it answers decides: who has paid is
//! told so, who has not is reminded. If it does not answer, or refuses to, the customer is given a credit, which makes good for a
//! payment that may have been made.
//!
//! Invariant: an invoice that ends as paid has the payment that the gateway named, and its customer has one message.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::route::{Routes, equals, routes};
use squid_mesh::{BuildError, RouteMark, StepContext, StepError, StepFailure, Workflow};

use super::{app_step, attempts};
use crate::app::App;
use crate::gateway::Answer;
use crate::ledger::Invoice;

/// The workflow's name.
pub const NAME: &str = "payment_recovery";

/// The queue of what talks to the gateway.
pub const QUEUE: &str = "payments";

/// How long a settlement may take.
pub const SETTLEMENT: Duration = Duration::from_millis(300);

/// How often the gateway is asked before it is taken to be gone.
pub const QUESTIONS: u32 = 8;

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
    /// The payment or the credit that settled it; none if it is still open.
    pub payment: Option<String>,
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
    let answer = wf.step(
        "check_gateway",
        invoice,
        app_step(app, check_gateway)
            .retry(attempts(QUESTIONS))
            .timeout(Duration::from_secs(10))
            .queue(QUEUE)
            .after(&settlement),
    );
    let code = wf.route("read_answer", answer, codes());
    let thanked = wf.when(&code, "settled", |wf| {
        let spec = app_step(app, notify_customer);
        wf.step("notify_customer", (invoice, answer), spec)
    });
    let reminded = wf.when(&code, "unpaid", |wf| {
        wf.step("remind_customer", invoice, app_step(app, remind_customer))
    });
    let credited = wf.on_failure(&answer, |wf, failure| {
        let spec = app_step(app, issue_gateway_credit).mark(RouteMark::Compensation);
        wf.step("issue_gateway_credit", (invoice, failure), spec)
    });
    let receipt = wf.either_of(&[thanked, reminded, credited]);
    wf.finish(receipt)
}

/// What the gateway's status codes mean; any other one fails the run.
fn codes() -> Routes {
    routes()
        .when("settled", "code", equals(200))
        .when("unpaid", "code", equals(402))
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
) -> Result<Answer, StepError> {
    app.ledger.record_effect(&cx).await?;
    let asked = app.gateway.payment(&invoice.id, cx.idempotency_key()).await;
    let answer = asked.map_err(|error| error.into_step_error())?;
    if let Some(payment) = &answer.payment {
        if !payment.settled {
            let message = format!("payment {} is not settled", payment.reference);
            return Err(StepError::retryable("unsettled", message));
        }
        let paid = app.ledger.pay_invoice(&invoice.id, &payment.reference);
        paid.await?;
    }
    Ok(answer)
}

async fn notify_customer(
    app: Arc<App>,
    cx: StepContext,
    (invoice, answer): (Invoice, Answer),
) -> Result<Receipt, StepError> {
    app.ledger.record_effect(&cx).await?;
    let body = format!(
        "Dear {}, we have received {} cents. Thank you.",
        invoice.customer, invoice.cents
    );
    let payment = answer.payment.map(|payment| payment.reference);
    tell(&app, &cx, invoice, payment, &body).await
}

async fn remind_customer(
    app: Arc<App>,
    cx: StepContext,
    invoice: Invoice,
) -> Result<Receipt, StepError> {
    app.ledger.record_effect(&cx).await?;
    let body = format!(
        "Dear {}, you owe us {} cents.",
        invoice.customer, invoice.cents
    );
    tell(&app, &cx, invoice, None, &body).await
}

async fn issue_gateway_credit(
    app: Arc<App>,
    cx: StepContext,
    (invoice, failure): (Invoice, StepFailure),
) -> Result<Receipt, StepError> {
    app.ledger.record_effect(&cx).await?;
    let credit = format!("credit_{}", invoice.id);
    let entry = format!(
        "credit of {} cents because of {}",
        invoice.cents, failure.code
    );
    app.ledger
        .enter(cx.idempotency_key(), &invoice.id, &entry)
        .await?;
    let body = format!(
        "Dear {}, we give you a credit of {} cents.",
        invoice.customer, invoice.cents
    );
    tell(&app, &cx, invoice, Some(credit), &body).await
}

/// Tells the customer. The key is the same for every attempt of the step: a repetition sends nothing.
async fn tell(
    app: &App,
    cx: &StepContext,
    invoice: Invoice,
    payment: Option<String>,
    body: &str,
) -> Result<Receipt, StepError> {
    let sent = app.ledger.notify(cx.idempotency_key(), &invoice.id, body);
    sent.await?;
    Ok(Receipt {
        invoice: invoice.id,
        payment,
        cents: invoice.cents,
    })
}
