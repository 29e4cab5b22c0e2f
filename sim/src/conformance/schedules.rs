//! Schedules of checks, and what is done to them.
//!
//! Invariant: as with runs, ids are numbers that a check gives out.

use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, Life, Shards};
use squid_mesh_core::operation::{
    Declaration, Operation, Reply, ScheduleAction, ScheduleCommand, ScheduleReply,
};
use squid_mesh_core::schedule::{Plan, PlanDraft, ScheduleKey};
use squid_mesh_core::store::Store;

use super::cast::{json, workflow};
use super::failure::{Failure, perform};
use super::workflows::name;

/// The plan that a draft without problems amounts to.
pub(crate) fn plan(draft: PlanDraft) -> Plan {
    draft.check().expect("the suite's plans are valid")
}

/// A schedule that fires when it is told to.
pub(crate) fn external() -> Plan {
    plan(PlanDraft::default())
}

/// A schedule that does nothing by itself for up to a year.
pub(crate) fn yearly(zone: &str) -> Plan {
    plan(PlanDraft::cron("0 0 1 1 *", zone))
}

/// What a schedule that starts `chain` is declared to be, by a version of its workflow or, with 0, at run time.
pub(crate) fn declaration(plan: Plan, version: u32) -> Box<Declaration> {
    Box::new(Declaration {
        life: Life(7),
        version,
        workflow: workflow("chain").name,
        trigger: name("manual"),
        plan,
        input: json("{\"n\":1}"),
    })
}

/// The command of this number.
pub(crate) fn command(
    shards: Shards,
    number: u32,
    schedule: &ScheduleKey,
    action: ScheduleAction,
) -> Operation {
    Operation::Schedule(Box::new(ScheduleCommand {
        shard: schedule.id().shard(shards),
        schedule: schedule.clone(),
        action,
        command: CommandId::from_u128(number.into()),
        by: By {
            actor: Some("somebody".to_owned()),
            ..By::default()
        },
    }))
}

/// Performs a command, which is not to be refused.
pub(super) async fn obeyed(
    store: &impl Store,
    operation: &Operation,
) -> Result<ScheduleReply, Failure> {
    match perform(store, operation).await? {
        Reply::Schedule(Ok(reply)) => Ok(reply),
        other => Err(Failure::new("the answer to a command", "done", other).after(operation)),
    }
}
