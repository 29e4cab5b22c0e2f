//! The saga as production has it: reserve, charge, have it approved, ship; and take back what was done if that fails.
//!
//! Invariant: every effect is made under the key of its attempt.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::{BuildError, Retry, StepContext, StepError, Undo, Workflow, step};
use tokio::time::sleep;

use crate::shop::Shop;

/// What is ordered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Order {
    /// Its number.
    pub id: u64,
    /// Its price.
    pub cents: i64,
}

/// How a handler of the saga is wrong, if it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// It is right.
    None,
    /// The refund is forgotten.
    ForgetsTheRefund,
    /// Each attempt charges under a key of its own.
    ChargesAgain,
}

/// Tried again for long: an attempt whose answer was lost may have charged.
fn patient() -> Retry {
    Retry::exponential(25)
        .min(Duration::from_millis(50))
        .max(Duration::from_secs(2))
        .max_lost(100)
}

/// The saga, with handlers that call this shop.
pub(crate) fn saga(shop: &Shop, flaw: Flaw) -> Result<Workflow<Order, u64>, BuildError> {
    let (mut wf, order) = Workflow::builder::<Order>("order", 1);

    let (stock, back) = (shop.stock.clone(), shop.stock.clone());
    let reserving = step(move |cx: StepContext, order: Order| {
        let stock = stock.clone();
        async move {
            sleep(Duration::from_millis(20)).await;
            stock.post(cx.idempotency_key(), 1);
            Ok(order.id)
        }
    })
    .undo(move |cx: StepContext, _: Undo<Order, u64>| {
        let stock = back.clone();
        async move {
            stock.post(cx.idempotency_key(), -1);
            Ok(())
        }
    });
    let reserved = wf.step(
        "reserve_stock",
        order,
        reserving.retry(patient()).undo_retry(patient()),
    );

    let (bank, back) = (shop.bank.clone(), shop.bank.clone());
    let charging = step(move |cx: StepContext, (order, _): (Order, u64)| {
        let bank = bank.clone();
        async move {
            sleep(Duration::from_millis(100)).await;
            let key = match flaw {
                Flaw::ChargesAgain => format!("{}/{}", cx.idempotency_key(), cx.attempt()),
                Flaw::None | Flaw::ForgetsTheRefund => cx.idempotency_key().to_owned(),
            };
            bank.post(&key, order.cents);
            sleep(Duration::from_millis(50)).await; // the answer is on its way
            Ok(order.cents)
        }
    })
    .undo(move |cx: StepContext, undo: Undo<(Order, u64), i64>| {
        let bank = back.clone();
        async move {
            if flaw != Flaw::ForgetsTheRefund {
                bank.post(cx.idempotency_key(), -undo.output);
            }
            Ok(())
        }
    });
    let charging = charging.retry(patient()).undo_retry(patient());
    let charging = charging.timeout(Duration::from_secs(30));
    let paid = wf.step("charge_card", (order, reserved), charging);

    let review = wf.approval("review", paid);
    let parcels = shop.parcels.clone();
    let shipping = step(move |cx: StepContext, order: Order| {
        let parcels = parcels.clone();
        async move {
            sleep(Duration::from_millis(30)).await;
            if order.id.is_multiple_of(4) {
                return Err(StepError::permanent(
                    "unknown_address",
                    "nobody lives there",
                ));
            }
            parcels.post(cx.idempotency_key(), 1);
            Ok(order.id)
        }
    });
    let shipped = wf.when(&review, "approved", |wf| {
        wf.step("ship", order, shipping.retry(patient()))
    });
    let refused = wf.when(&review, "rejected", |wf| {
        wf.step("refuse", order, step(refuse))
    });
    let end = wf.either_of(&[shipped, refused]);
    wf.finish(end)
}

async fn refuse(_: StepContext, order: Order) -> Result<u64, StepError> {
    let message = format!("order {} was rejected", order.id);
    Err(StepError::permanent("rejected", message))
}
