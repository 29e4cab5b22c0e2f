//! Scenarios in which nobody starts a run: its time comes.
//!
//! Invariant: the run is one that the engine has started, for an occurrence of its schedule.

use std::sync::Arc;

use anyhow::Context as _;
use squid_mesh::PlanDraft;
use squid_mesh::core::run::Status;
use squid_mesh::core::schedule::Occasion;

use super::people::add_payments;
use super::{Check, Scene};
use crate::workflows::daily_digest::{self, Digest, Paid};

/// What the row of the digest by schedule is called.
pub(super) const NAME: &str = "daily_digest_nightly";

pub(super) async fn daily_digest(scene: Arc<Scene>, mut check: Check) -> anyhow::Result<Check> {
    let declared = format!("{}/{}", daily_digest::NAME, daily_digest::NIGHTLY);
    let nightly = scene.client.inspect_schedule(&declared).await?;
    let cron = nightly.plan.cron.as_deref();
    check.equal("the declared expression", cron, Some("0 6 * * *"));
    check.equal("it fires next", nightly.due, nightly.next);

    let customer = format!("Zoe-{}", scene.mark);
    add_payments(&scene, &customer).await?;
    let input = Digest {
        customer: Some(customer.clone()),
    };
    let name = format!("digest of {customer}");
    let every_second = PlanDraft::cron("* * * * * *", "Europe/Berlin");
    let workflow = scene.workflows.daily_digest.reference();
    let create = scene
        .client
        .create_schedule(&name, &workflow, every_second, input);
    create.trigger(daily_digest::NIGHTLY).actor("smoke").await?;
    let fired = scene.fired::<String>(&name).await;
    scene.client.delete_schedule(&name).actor("smoke").await?;
    let run = fired?;

    let ended = scene.ended(&run).await?;
    let attempts = [("gather_payments", 1), ("send_digest", 1)];
    check.ended(&ended, Status::Completed, &attempts);
    let trigger = ended.inspection.trigger.as_str();
    check.equal("trigger", trigger, daily_digest::NIGHTLY);
    let schedule = ended.inspection.schedule.as_ref();
    let schedule = schedule.context("the run does not know its schedule")?;
    check.equal("schedule", &schedule.schedule, &name);
    check.equal("what started it", schedule.occasion, Occasion::Due);
    let late = schedule.received_at >= schedule.occurrence;
    check.equal("not before its time", late, true);
    let paid = Paid {
        invoices: 2,
        cents: 800,
    };
    let expected = daily_digest::entry(&paid, Some(schedule.occurrence));
    check.equal("result", run.result().await.ok(), Some(expected.clone()));
    let subject = daily_digest::subject(Some(&customer));
    let sent = scene.app.ledger.entries(&subject).await?;
    check.equal("digest sent", sent.contains(&expected), true);
    Ok(check)
}
