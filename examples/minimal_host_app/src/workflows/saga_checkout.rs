//! Saga checkout: stock is reserved and a card is charged before it is known whether the order can be shipped. If it cannot,
//! the money goes back first, then the stock.
//!
//! Invariant: of an order that was not shipped, the shop keeps neither money nor reserved stock.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::{BuildError, StepContext, StepError, Undo, Workflow};

use super::{app_handler, app_step, attempts};
use crate::app::App;

/// The workflow's name.
pub const NAME: &str = "saga_checkout";

/// The code of the failure to ship.
pub const NO_CARRIER: &str = "no_carrier";

/// What a run is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checkout {
    /// The order's id.
    pub order: String,
    /// How much it is.
    pub cents: i64,
    /// Whether there is a carrier that ships it.
    pub carrier: bool,
}

/// Wires the workflow.
///
/// # Errors
/// Never, unless it is wired wrongly.
pub fn workflow(app: &Arc<App>) -> Result<Workflow<Checkout, String>, BuildError> {
    let (mut wf, checkout) = Workflow::builder::<Checkout>(NAME, 1);
    wf.label("Saga checkout");
    let reserving = app_step(app, reserve_stock)
        .undo(app_handler(app, release_stock))
        .undo_retry(attempts(6));
    let reserved = wf.step("reserve_stock", checkout, reserving);
    let charging = app_step(app, charge_card)
        .undo(app_handler(app, refund_card))
        .undo_retry(attempts(6))
        .after(&reserved);
    let charged = wf.step("charge_card", checkout, charging);
    let shipping = app_step(app, ship_order).after(&charged);
    let shipped = wf.step("ship_order", checkout, shipping);
    wf.finish(shipped)
}

async fn reserve_stock(
    app: Arc<App>,
    cx: StepContext,
    checkout: Checkout,
) -> Result<(), StepError> {
    app.ledger.record_effect(&cx).await?;
    note(&app, &cx, &checkout, "stock reserved").await
}

async fn release_stock(
    app: Arc<App>,
    cx: StepContext,
    undo: Undo<Checkout, ()>,
) -> Result<(), StepError> {
    app.ledger.record_undo(&cx).await?;
    note(&app, &cx, &undo.input, "stock released").await
}

async fn charge_card(app: Arc<App>, cx: StepContext, checkout: Checkout) -> Result<i64, StepError> {
    app.ledger.record_effect(&cx).await?;
    move_money(&app, &cx, &checkout, checkout.cents).await?;
    note(&app, &cx, &checkout, "card charged").await?;
    Ok(checkout.cents)
}

async fn refund_card(
    app: Arc<App>,
    cx: StepContext,
    undo: Undo<Checkout, i64>,
) -> Result<(), StepError> {
    app.ledger.record_undo(&cx).await?;
    move_money(&app, &cx, &undo.input, undo.output.saturating_neg()).await?;
    note(&app, &cx, &undo.input, "card refunded").await
}

async fn ship_order(
    app: Arc<App>,
    cx: StepContext,
    checkout: Checkout,
) -> Result<String, StepError> {
    app.ledger.record_effect(&cx).await?;
    if !checkout.carrier {
        let message = format!("nobody ships order {}", checkout.order);
        return Err(StepError::permanent(NO_CARRIER, message));
    }
    note(&app, &cx, &checkout, "order shipped").await?;
    Ok(format!("parcel_{}", checkout.order))
}

async fn move_money(
    app: &App,
    cx: &StepContext,
    checkout: &Checkout,
    cents: i64,
) -> Result<(), StepError> {
    let key = cx.idempotency_key();
    let moved = app.gateway.move_money(&checkout.order, cents, key).await;
    moved.map_err(|error| error.into_step_error())
}

async fn note(
    app: &App,
    cx: &StepContext,
    checkout: &Checkout,
    entry: &str,
) -> Result<(), StepError> {
    let key = cx.idempotency_key();
    app.ledger.enter(key, &checkout.order, entry).await?;
    Ok(())
}
