//! The scenario of runs that start runs.
//!
//! Invariant: every run of the family is looked at, down to the last child.

use std::sync::Arc;

use squid_mesh::core::id::RunId;
use squid_mesh::core::run::Status;
use squid_mesh::{ChildrenInspection, Inspection};

use super::{Check, Scene};
use crate::workflows::nested_invite_delivery::{self, Invitation, subject};

pub(super) async fn nested_invite_delivery(
    scene: Arc<Scene>,
    mut check: Check,
) -> anyhow::Result<Check> {
    let event = format!("feast-{}", scene.mark);
    let guests = ["ada@shop", "nowhere", "bob@shop"];
    let input = Invitation {
        event: event.clone(),
        guests: guests.map(str::to_owned).to_vec(),
    };
    let workflow = scene.workflows.nested.invitation.reference();
    let run = scene.client.start(&workflow, input).await?;
    let ended = scene.ended(&run).await?;
    // A step of children is executed by the engine: no attempt of it is an effect.
    check.attempts(&ended, Status::Completed, &[("note_invited", 1)]);
    check.effects(&ended.effects, &[("note_invited", 1)]);
    check.equal("result", run.result().await.ok(), Some(2));
    let figure = nested_invite_delivery::INVITED;
    let invited = scene.app.ledger.figure(&event, figure).await?;
    check.equal("guests invited", invited, Some(2));
    family(&scene, &mut check, &ended.inspection).await?;
    for (guest, times) in guests.into_iter().zip([1, 0, 1]) {
        let invites = scene.app.ledger.entries(&subject(&event, guest)).await?;
        check.equal(&format!("invites to {guest}"), invites.len(), times);
    }
    Ok(check)
}

/// The batch and its deliveries.
async fn family(scene: &Scene, check: &mut Check, run: &Inspection) -> anyhow::Result<()> {
    let (counts, batches) = children(run, "deliver_batch");
    check.equal("batches", counts, (1, 1));
    let mut deliveries = Default::default();
    for batch in batches {
        let batch = scene.client.inspect(batch).await?;
        check.equal("batch", batch.status, Status::Completed);
        let parent = batch.parent.as_ref().map(|parent| parent.run);
        check.equal("parent of the batch", parent, Some(run.run));
        deliveries = children(&batch, "deliver_invites");
    }
    let (counts, deliveries) = deliveries;
    check.equal("deliveries", counts, (3, 3));
    let mut statuses = Vec::new();
    for delivery in deliveries {
        statuses.push(scene.client.status(delivery).await?);
    }
    let expected = [Status::Completed, Status::Failed, Status::Completed];
    check.equal("ends of the deliveries", statuses, expected.to_vec());
    Ok(())
}

/// Children of a step: how many there are to be, how many have ended, and which; none if there is no such step.
fn children(run: &Inspection, step: &str) -> ((u32, u32), Vec<RunId>) {
    let step = run.step(step).and_then(|step| step.children.clone());
    let numbers = |all: ChildrenInspection| ((all.count, all.ended), all.runs);
    step.map(numbers).unwrap_or_default()
}
