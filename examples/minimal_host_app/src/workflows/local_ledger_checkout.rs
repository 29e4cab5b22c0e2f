//! Local ledger checkout: an order is booked in the application's own table, in the transaction that settles the step.
//!
//! Invariant: an order has one booking once its booking step has succeeded, and none before, however often it was tried.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::{BuildError, StepContext, StepError, Tx, Workflow, step_tx};

use super::{app_step, attempts};
use crate::app::App;
use crate::ledger::book;

/// The workflow's name.
pub const NAME: &str = "local_ledger_checkout";

/// The code of the failure after the first booking, which takes it back.
pub const STUMBLED: &str = "stumbled";

/// How long the transaction may take: below a third of the shortest lease that workers are given.
const TIMEOUT: Duration = Duration::from_millis(300);

/// What a run is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sale {
    /// The order's id.
    pub order: String,
    /// How much it is.
    pub cents: i64,
}

/// Wires the workflow.
///
/// # Errors
/// Never, unless it is wired wrongly.
pub fn workflow(app: &Arc<App>) -> Result<Workflow<Sale, i64>, BuildError> {
    let (mut wf, sale) = Workflow::builder::<Sale>(NAME, 1);
    wf.label("Local ledger checkout");
    let booking = step_tx(book_order).retry(attempts(12)).timeout(TIMEOUT);
    let booked = wf.step("book_order", sale, booking);
    let receipt = wf.step(
        "print_receipt",
        (sale, booked),
        app_step(app, print_receipt),
    );
    wf.finish(receipt)
}

/// Records no effect beside its booking: the application's other connection to an SQLite file would wait for this
/// transaction.
async fn book_order(cx: StepContext, tx: &mut Tx, sale: Sale) -> Result<i64, StepError> {
    book(tx, &sale.order, sale.cents).await?;
    if cx.attempt() == 1 {
        let message = format!("the first booking of order {} is taken back", sale.order);
        return Err(StepError::retryable(STUMBLED, message));
    }
    Ok(sale.cents)
}

async fn print_receipt(
    app: Arc<App>,
    cx: StepContext,
    (sale, booked): (Sale, i64),
) -> Result<i64, StepError> {
    app.ledger.record_effect(&cx).await?;
    let entry = format!("receipt for {booked} cents");
    app.ledger
        .enter(cx.idempotency_key(), &sale.order, &entry)
        .await?;
    Ok(booked)
}
