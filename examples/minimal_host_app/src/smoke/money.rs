//! Scenarios of money: what is paid, credited, booked and given back.
//!
//! Invariant: each compares the money itself, at the gateway and in the tables, with what its run says.

use std::sync::Arc;

use squid_mesh::core::run::Status;
use squid_mesh::{RunHandle, StepStatus, UndoStatus};

use super::{Check, Scene};
use crate::gateway::{GatewayError, Mood, Weather};
use crate::ledger::{OPEN, PAID};
use crate::workflows::local_ledger_checkout::{self, Sale};
use crate::workflows::payment_recovery::{self, Receipt, UnpaidInvoice};
use crate::workflows::saga_checkout::{self, Checkout};

pub(super) async fn payment_recovery(scene: Arc<Scene>, mut check: Check) -> anyhow::Result<Check> {
    unpaid(&scene, &mut check).await?;
    credited(&scene, &mut check).await?;
    let ledger = &scene.app.ledger;
    let invoice = format!("invoice-{}", scene.mark);
    ledger.add_invoice(&invoice, "Ada", 4_200).await?;
    let workflow = scene.workflows.payment_recovery.reference();
    let start = || {
        let unpaid = UnpaidInvoice {
            invoice: invoice.clone(),
        };
        scene.client.start(&workflow, unpaid).key(&invoice)
    };
    let (run, again) = (start().await?, start().await?);
    check.equal(
        "a second start under the same key",
        (again.id(), again.existing()),
        (run.id(), true),
    );

    let ended = scene.ended(&run).await?;
    let failures = Weather::default().failures;
    let attempts = [
        ("load_invoice", 1),
        ("check_gateway", failures + 1),
        ("notify_customer", 1),
    ];
    check.ended(&ended, Status::Completed, &attempts);
    check.failures(
        &ended.history,
        "check_gateway",
        GatewayError::UNAVAILABLE,
        failures as usize,
    );
    check.equal(
        "requests at the gateway",
        scene.gateway.requests(&invoice),
        failures + 1,
    );
    if check.duration < payment_recovery::SETTLEMENT {
        check.deviate(format!(
            "the settlement was waited for less than {:?}",
            payment_recovery::SETTLEMENT
        ));
    }
    let payment = format!("pay_{invoice}");
    let receipt = Receipt {
        invoice: invoice.clone(),
        payment: Some(payment.clone()),
        cents: 4_200,
    };
    check.equal("result", run.result().await.ok(), Some(receipt));
    let row = ledger
        .invoice(&invoice)
        .await?
        .map(|row| (row.status, row.payment));
    check.equal("invoice", row, Some((PAID.to_owned(), Some(payment))));
    check.equal(
        "messages to the customer",
        ledger.notifications(&invoice).await?.len(),
        1,
    );
    Ok(check)
}

/// An invoice that the gateway says nobody has paid.
async fn unpaid(scene: &Scene, check: &mut Check) -> anyhow::Result<()> {
    let (invoice, run) = moody(scene, "unpaid", Mood::Unpaid).await?;
    let ended = scene.ended(&run).await?;
    let attempts = [
        ("load_invoice", 1),
        ("check_gateway", Weather::default().failures + 1),
        ("remind_customer", 1),
    ];
    check.ended(&ended, Status::Completed, &attempts);
    let step = ended.inspection.step("read_answer");
    let label = step.and_then(|step| step.label.as_ref());
    let label = label.map(|label| label.as_str());
    check.equal("what the answer is taken for", label, Some("unpaid"));
    let payment = run.result().await.ok().map(|receipt| receipt.payment);
    check.equal("payment of an unpaid invoice", payment, Some(None));
    let row = scene.app.ledger.invoice(&invoice).await?;
    let status = row.map(|row| row.status);
    check.equal("unpaid invoice", status.as_deref(), Some(OPEN));
    Ok(())
}

/// An invoice about which the gateway never answers.
async fn credited(scene: &Scene, check: &mut Check) -> anyhow::Result<()> {
    let (invoice, run) = moody(scene, "dark", Mood::Down).await?;
    let ended = scene.ended(&run).await?;
    let attempts = [
        ("load_invoice", 1),
        ("check_gateway", payment_recovery::QUESTIONS),
        ("issue_gateway_credit", 1),
    ];
    check.ended(&ended, Status::Completed, &attempts);
    let credit = run.result().await.ok().and_then(|receipt| receipt.payment);
    check.equal("credit", credit, Some(format!("credit_{invoice}")));
    let entries = scene.app.ledger.entries(&invoice).await?;
    let entry = format!(
        "credit of 700 cents because of {}",
        GatewayError::UNAVAILABLE
    );
    check.equal("entries about the credit", entries, vec![entry]);
    let asked = scene.gateway.requests(&invoice);
    check.equal(
        "questions to a dark gateway",
        asked,
        payment_recovery::QUESTIONS,
    );
    Ok(())
}

async fn moody(
    scene: &Scene,
    name: &str,
    mood: Mood,
) -> anyhow::Result<(String, RunHandle<Receipt>)> {
    let invoice = format!("{name}-{}", scene.mark);
    scene.gateway.set_mood(&invoice, mood);
    scene.app.ledger.add_invoice(&invoice, "Bob", 700).await?;
    let input = UnpaidInvoice {
        invoice: invoice.clone(),
    };
    let workflow = scene.workflows.payment_recovery.reference();
    let run = scene.client.start(&workflow, input).await?;
    Ok((invoice, run))
}

pub(super) async fn saga_checkout(scene: Arc<Scene>, mut check: Check) -> anyhow::Result<Check> {
    shipped(&scene, &mut check).await?;
    let (order, run) = checkout(&scene, "stranded", false).await?;
    let ended = scene.ended(&run).await?;
    let attempts = [("reserve_stock", 1), ("charge_card", 1), ("ship_order", 1)];
    check.attempts(&ended, Status::Failed, &attempts);
    let undone = [("undo reserve_stock", 1), ("undo charge_card", 1)];
    check.effects(&ended.effects, &[attempts.as_slice(), &undone].concat());
    let failure = ended.inspection.failure.as_ref();
    let code = failure.map(|failure| failure.code.as_str());
    check.equal("failure", code, Some(saga_checkout::NO_CARRIER));
    for name in ["reserve_stock", "charge_card"] {
        let step = ended.inspection.step(name);
        let found = step.map(|step| (step.status, step.undo.as_ref().map(|undo| undo.status)));
        let expected = (StepStatus::Undone, Some(UndoStatus::Done));
        check.equal(name, found, Some(expected));
    }
    let entries = scene.app.ledger.entries(&order).await?;
    let expected = [
        "stock reserved",
        "card charged",
        "card refunded",
        "stock released",
    ];
    check.equal(
        "entries, in order",
        entries,
        expected.map(str::to_owned).to_vec(),
    );
    let moved = scene.gateway.movements(&order);
    check.equal("money that was moved", moved, vec![2_500, -2_500]);
    Ok(check)
}

/// An order that is shipped keeps everything.
async fn shipped(scene: &Scene, check: &mut Check) -> anyhow::Result<()> {
    let (order, run) = checkout(scene, "shipped", true).await?;
    let ended = scene.ended(&run).await?;
    let attempts = [("reserve_stock", 1), ("charge_card", 1), ("ship_order", 1)];
    check.ended(&ended, Status::Completed, &attempts);
    let moved = scene.gateway.movements(&order);
    check.equal("money for an order that was shipped", moved, vec![2_500]);
    Ok(())
}

async fn checkout(
    scene: &Scene,
    name: &str,
    carrier: bool,
) -> anyhow::Result<(String, RunHandle<String>)> {
    let order = format!("{name}-{}", scene.mark);
    let input = Checkout {
        order: order.clone(),
        cents: 2_500,
        carrier,
    };
    let workflow = scene.workflows.saga_checkout.reference();
    let run = scene.client.start(&workflow, input).await?;
    Ok((order, run))
}

pub(super) async fn local_ledger_checkout(
    scene: Arc<Scene>,
    mut check: Check,
) -> anyhow::Result<Check> {
    let order = format!("sale-{}", scene.mark);
    let input = Sale {
        order: order.clone(),
        cents: 1_900,
    };
    let workflow = scene.workflows.local_ledger_checkout.reference();
    let run = scene.client.start(&workflow, input).await?;
    let ended = scene.ended(&run).await?;
    let attempts = [("book_order", 2), ("print_receipt", 1)];
    check.attempts(&ended, Status::Completed, &attempts);
    check.effects(&ended.effects, &[("print_receipt", 1)]);
    let stumbled = local_ledger_checkout::STUMBLED;
    check.failures(&ended.history, "book_order", stumbled, 1);
    check.equal("result", run.result().await.ok(), Some(1_900));
    let bookings = scene.app.ledger.bookings(&order).await?;
    check.equal("bookings", bookings, vec![1_900]);
    let entries = scene.app.ledger.entries(&order).await?;
    check.equal("receipts", entries.len(), 1);
    Ok(check)
}
