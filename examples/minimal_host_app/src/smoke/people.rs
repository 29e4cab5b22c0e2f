//! Scenarios in which somebody has a say: `smoke` is the one who says it.
//!
//! Invariant: what follows from somebody's word is compared, and that nothing followed before it.

use std::sync::Arc;

use squid_mesh::core::run::Status;
use squid_mesh::{RunHandle, StepStatus};

use super::{Check, Scene};
use crate::workflows::daily_digest::{self, Digest};
use crate::workflows::manual_approval::{self, Purchase};
use crate::workflows::manual_pause::{self, Import};

/// Who decides.
const ACTOR: &str = "smoke";

pub(super) async fn manual_approval(scene: Arc<Scene>, mut check: Check) -> anyhow::Result<Check> {
    let (name, run) = purchase(&scene, &mut check, "refused").await?;
    scene.client.reject(run.id()).actor(ACTOR).await?;
    decided(
        &scene,
        &mut check,
        &name,
        &run,
        "refuse_purchase",
        "refused by smoke",
    )
    .await?;

    let (name, run) = purchase(&scene, &mut check, "granted").await?;
    let approving = scene.client.approve(run.id()).actor(ACTOR);
    approving.comment("it is needed").await?;
    decided(
        &scene,
        &mut check,
        &name,
        &run,
        "grant_purchase",
        "granted by smoke",
    )
    .await?;
    Ok(check)
}

/// A purchase that waits for a decision.
async fn purchase(
    scene: &Scene,
    check: &mut Check,
    name: &str,
) -> anyhow::Result<(String, RunHandle<String>)> {
    let name = format!("{name}-{}", scene.mark);
    let input = Purchase {
        name: name.clone(),
        cents: 90_000,
    };
    let workflow = scene.workflows.manual_approval.reference();
    let run = scene.client.start(&workflow, input).await?;
    scene
        .reached(&run, manual_approval::REVIEW, StepStatus::Paused)
        .await?;
    let entries = scene.app.ledger.entries(&name).await?;
    check.equal("entries before the decision", entries.len(), 1);
    Ok((name, run))
}

async fn decided(
    scene: &Scene,
    check: &mut Check,
    name: &str,
    run: &RunHandle<String>,
    step: &str,
    entry: &str,
) -> anyhow::Result<()> {
    let ended = scene.ended(run).await?;
    let attempts = [("submit_purchase", 1), (step, 1)];
    check.ended(&ended, Status::Completed, &attempts);
    let result = run.result().await.ok();
    check.equal("result", result.as_deref(), Some(entry));
    let entries = scene.app.ledger.entries(name).await?;
    let expected = ["submitted for 90000 cents".to_owned(), entry.to_owned()];
    check.equal("entries", entries, expected.to_vec());
    Ok(())
}

pub(super) async fn manual_pause(scene: Arc<Scene>, mut check: Check) -> anyhow::Result<Check> {
    let ledger = &scene.app.ledger;
    let name = format!("import-{}", scene.mark);
    let input = Import {
        name: name.clone(),
        rows: 75,
    };
    let workflow = scene.workflows.manual_pause.reference();
    let run = scene.client.start(&workflow, input).await?;
    scene
        .reached(&run, manual_pause::PAUSE, StepStatus::Paused)
        .await?;
    let before = ledger.figure(&name, manual_pause::IMPORTED).await?;
    check.equal("rows imported before the resume", before, Some(0));
    scene.client.resume(run.id()).actor(ACTOR).await?;

    let ended = scene.ended(&run).await?;
    let attempts = [("prepare_import", 1), ("import_rows", 1)];
    check.ended(&ended, Status::Completed, &attempts);
    check.equal("result", run.result().await.ok(), Some(75));
    let imported = ledger.figure(&name, manual_pause::IMPORTED).await?;
    check.equal("rows imported", imported, Some(75));
    Ok(check)
}

pub(super) async fn daily_digest(scene: Arc<Scene>, mut check: Check) -> anyhow::Result<Check> {
    let ledger = &scene.app.ledger;
    let customer = format!("Eve-{}", scene.mark);
    add_payments(&scene, &customer).await?;
    let input = Digest {
        customer: Some(customer.clone()),
    };
    let workflow = scene.workflows.daily_digest.reference();
    let starting = scene.client.start(&workflow, input);
    let run = starting.trigger(daily_digest::ON_DEMAND).await?;
    let ended = scene.ended(&run).await?;
    let attempts = [("gather_payments", 1), ("send_digest", 1)];
    check.ended(&ended, Status::Completed, &attempts);
    let trigger = ended.inspection.trigger.as_str();
    check.equal("trigger", trigger, daily_digest::ON_DEMAND);
    let expected = "2 invoices paid, 800 cents".to_owned();
    check.equal("result", run.result().await.ok(), Some(expected.clone()));
    let sent = ledger
        .entries(&daily_digest::subject(Some(&customer)))
        .await?;
    check.equal("digests sent", sent, vec![expected]);
    Ok(check)
}

/// Two invoices that a customer has paid, 800 cents together, and one that is open.
pub(super) async fn add_payments(scene: &Scene, customer: &str) -> anyhow::Result<()> {
    let ledger = &scene.app.ledger;
    for (name, cents) in [("first", 300), ("second", 500), ("open", 9_000)] {
        let invoice = format!("digest-{name}-{customer}");
        ledger.add_invoice(&invoice, customer, cents).await?;
        if name != "open" {
            ledger.pay_invoice(&invoice, "cash").await?;
        }
    }
    Ok(())
}
