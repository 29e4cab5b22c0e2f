//! Nested invite delivery: an invitation hands its guests to a batch, a child run, which delivers to each of them in a child
//! run of its own.
//!
//! Invariant: a guest who cannot be reached keeps no other from being invited.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::{
    BuildError, Outcome, RuntimeBuilder, StepContext, StepError, Workflow, WorkflowRef, each,
};

use super::app_step;
use crate::app::App;

/// The outer workflow's name.
pub const NAME: &str = "nested_invite_delivery";

/// The name of the workflow that delivers to many guests.
pub const BATCH: &str = "invite_batch";

/// The name of the workflow that delivers to one guest.
pub const DELIVERY: &str = "invite_delivery";

/// The figure that tells how many guests were invited.
pub const INVITED: &str = "invited";

/// What a run is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// To what.
    pub event: String,
    /// The guests' addresses.
    pub guests: Vec<String>,
}

/// One guest's part of an invitation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Invite {
    /// To what.
    pub event: String,
    /// The guest's address.
    pub guest: String,
}

/// The workflow with those it is made of.
#[derive(Debug, Clone)]
pub struct Nested {
    /// The whole; gives how many guests were invited.
    pub invitation: Workflow<Invitation, u32>,
    /// All guests.
    pub batch: Workflow<Invitation, u32>,
    /// One guest.
    pub delivery: Workflow<Invite, String>,
}

impl Nested {
    /// Wires the workflows.
    ///
    /// # Errors
    /// Never, unless one is wired wrongly.
    pub fn new(app: &Arc<App>) -> Result<Nested, BuildError> {
        let delivery = delivery(app)?;
        let batch = batch(app, &delivery.reference())?;
        Ok(Nested {
            invitation: invitation(app, &batch.reference())?,
            batch,
            delivery,
        })
    }

    /// Registers all of them.
    pub fn register(&self, runtime: RuntimeBuilder) -> RuntimeBuilder {
        runtime
            .workflow(&self.invitation)
            .workflow(&self.batch)
            .workflow(&self.delivery)
    }
}

/// What an invite to a guest is noted under.
pub fn subject(event: &str, guest: &str) -> String {
    format!("{event} for {guest}")
}

fn invitation(
    app: &Arc<App>,
    batch: &WorkflowRef<Invitation, u32>,
) -> Result<Workflow<Invitation, u32>, BuildError> {
    let (mut wf, invitation) = Workflow::builder::<Invitation>(NAME, 1);
    wf.label("Nested invite delivery");
    let invited = wf.child("deliver_batch", batch, invitation);
    let spec = app_step(app, note_invited);
    let noted = wf.step("note_invited", (invitation, invited), spec);
    wf.finish(noted)
}

fn batch(
    app: &Arc<App>,
    delivery: &WorkflowRef<Invite, String>,
) -> Result<Workflow<Invitation, u32>, BuildError> {
    let (mut wf, invitation) = Workflow::builder::<Invitation>(BATCH, 1);
    wf.label("Invite batch");
    let invites = wf.step("address_invites", invitation, app_step(app, address));
    let delivering = each(delivery).parallel(2).collect();
    let outcomes = wf.each("deliver_invites", delivering, invites);
    let counted = wf.step("count_invited", outcomes, app_step(app, count_invited));
    wf.finish(counted)
}

fn delivery(app: &Arc<App>) -> Result<Workflow<Invite, String>, BuildError> {
    let (mut wf, invite) = Workflow::builder::<Invite>(DELIVERY, 1);
    wf.label("Invite delivery");
    let delivered = wf.step("deliver_invite", invite, app_step(app, deliver));
    wf.finish(delivered)
}

async fn address(
    app: Arc<App>,
    cx: StepContext,
    invitation: Invitation,
) -> Result<Vec<Invite>, StepError> {
    app.ledger.record_effect(&cx).await?;
    let invites = invitation.guests.into_iter().map(|guest| Invite {
        event: invitation.event.clone(),
        guest,
    });
    Ok(invites.collect())
}

async fn deliver(app: Arc<App>, cx: StepContext, invite: Invite) -> Result<String, StepError> {
    app.ledger.record_effect(&cx).await?;
    if !invite.guest.contains('@') {
        let message = format!("{:?} is no address", invite.guest);
        return Err(StepError::permanent("no_address", message));
    }
    let subject = subject(&invite.event, &invite.guest);
    app.ledger
        .enter(cx.idempotency_key(), &subject, "invited")
        .await?;
    Ok(invite.guest)
}

async fn count_invited(
    app: Arc<App>,
    cx: StepContext,
    outcomes: Vec<Outcome<String>>,
) -> Result<u32, StepError> {
    app.ledger.record_effect(&cx).await?;
    let invited = outcomes
        .iter()
        .filter(|outcome| matches!(outcome, Outcome::Completed { .. }));
    Ok(u32::try_from(invited.count())?)
}

async fn note_invited(
    app: Arc<App>,
    cx: StepContext,
    (invitation, invited): (Invitation, u32),
) -> Result<u32, StepError> {
    app.ledger.record_effect(&cx).await?;
    app.ledger
        .write_figure(&invitation.event, INVITED, i64::from(invited))
        .await?;
    Ok(invited)
}
