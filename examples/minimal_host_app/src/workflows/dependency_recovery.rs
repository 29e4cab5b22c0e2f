//! Dependency recovery: a shop opens again once both things it depends on have been rebuilt.
//!
//! Two roots that do not need each other run side by side; the join begins when the later one has ended.
//!
//! Invariant: the shop's total is the sum of what both roots wrote.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::{BuildError, StepContext, StepError, Workflow};

use super::app_step;
use crate::app::App;

/// The workflow's name.
pub const NAME: &str = "dependency_recovery";

/// What a run is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// The shop.
    pub shop: String,
    /// How many products it had.
    pub products: i64,
    /// How many prices it had.
    pub prices: i64,
}

/// The figure that the catalogue's root writes.
pub const CATALOGUE: &str = "catalogue";

/// The figure that the prices' root writes.
pub const PRICES: &str = "prices";

/// The figure that the join writes.
pub const TOTAL: &str = "total";

/// Wires the workflow.
///
/// # Errors
/// Never, unless it is wired wrongly.
pub fn workflow(app: &Arc<App>) -> Result<Workflow<Outage, i64>, BuildError> {
    let (mut wf, outage) = Workflow::builder::<Outage>(NAME, 1);
    wf.label("Dependency recovery");
    let catalogue = wf.step(
        "rebuild_catalogue",
        outage,
        app_step(app, rebuild_catalogue),
    );
    let prices = wf.step("rebuild_prices", outage, app_step(app, rebuild_prices));
    let total = wf.step(
        "reopen_shop",
        (outage, catalogue, prices),
        app_step(app, reopen_shop),
    );
    wf.finish(total)
}

async fn rebuild_catalogue(
    app: Arc<App>,
    cx: StepContext,
    outage: Outage,
) -> Result<i64, StepError> {
    app.ledger.record_effect(&cx).await?;
    app.ledger
        .write_figure(&outage.shop, CATALOGUE, outage.products)
        .await?;
    Ok(outage.products)
}

async fn rebuild_prices(app: Arc<App>, cx: StepContext, outage: Outage) -> Result<i64, StepError> {
    app.ledger.record_effect(&cx).await?;
    app.ledger
        .write_figure(&outage.shop, PRICES, outage.prices)
        .await?;
    Ok(outage.prices)
}

async fn reopen_shop(
    app: Arc<App>,
    cx: StepContext,
    (outage, catalogue, prices): (Outage, i64, i64),
) -> Result<i64, StepError> {
    app.ledger.record_effect(&cx).await?;
    let written = (
        app.ledger.figure(&outage.shop, CATALOGUE).await?,
        app.ledger.figure(&outage.shop, PRICES).await?,
    );
    if written != (Some(catalogue), Some(prices)) {
        let message =
            format!("the roots gave {catalogue} and {prices}, the tables hold {written:?}");
        return Err(StepError::permanent("not_rebuilt", message));
    }
    let total = catalogue.saturating_add(prices);
    app.ledger.write_figure(&outage.shop, TOTAL, total).await?;
    Ok(total)
}
