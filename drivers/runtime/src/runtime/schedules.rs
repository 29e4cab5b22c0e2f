//! Declaring the schedules of workflows.
//!
//! Invariant: what the store has of a workflow's declared schedules is what the highest version of its definition there says,
//! whichever process is started when, and wherever one crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use squid_mesh_core::definition::{Definition, DefinitionKey, Trigger, TriggerSchedule};
use squid_mesh_core::event::By;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Declaration, Operation, Rejection, Reply, ScheduleAction, ScheduleCommand, ScheduleReply,
};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::schedule::{ScheduleKey, ScheduleRow, Standing};
use squid_mesh_core::store::{Fetch, Inspect as _, ScheduleFilter, Store as _, StoreError};

use crate::client::{Patience, command, life};
use crate::stores::SharedStore;

/// Declares the schedules of workflows, and retires those that an older version declared.
///
/// A newer version may be registered meanwhile, or before: it is its schedules then that are declared. So it is looked for
/// again when all is done, and whoever registers it after that declares its schedules later than this did.
pub(super) async fn declare(
    store: &SharedStore,
    workflows: &BTreeMap<Name, Arc<Definition>>,
) -> Result<(), StoreError> {
    let names: BTreeSet<Name> = workflows.keys().cloned().collect();
    let mut declared: BTreeSet<DefinitionKey> = BTreeSet::new();
    loop {
        let newest = newest(store, &names).await?;
        let mut changed = false;
        for definition in newest {
            if declared.insert(definition.key().clone()) {
                changed = true;
                declare_those_of(store, &definition).await?;
            }
        }
        if !changed {
            return Ok(());
        }
    }
}

async fn newest(
    store: &SharedStore,
    names: &BTreeSet<Name>,
) -> Result<Vec<Arc<Definition>>, StoreError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let wanted = Fetch {
        newest: names.clone(),
        ..Fetch::default()
    };
    let patience = Patience::default();
    let fetched = patience.insist(|| store.fetch(wanted.clone())).await?;
    Ok(fetched.newest)
}

async fn declare_those_of(store: &SharedStore, definition: &Definition) -> Result<(), StoreError> {
    let stored = stored(store, definition.name()).await?;
    for trigger in definition.triggers() {
        let Some(schedule) = &trigger.schedule else {
            continue;
        };
        let key = key(definition, &trigger.name);
        // One version of a definition has one content, so it declares the same whenever it does.
        if stored
            .get(&key)
            .is_some_and(|row| row.version >= definition.version())
        {
            continue;
        }
        let declaration = declaration(definition, trigger, schedule);
        let action = ScheduleAction::Declare(Box::new(declaration));
        if let Some(reply) = perform(store, key, action).await?
            && reply.standing == Some(Standing::Active)
            && reply.next.is_none()
        {
            tracing::warn!(schedule = %reply.schedule, "the schedule has no further occurrence");
        }
    }
    for (key, row) in stored {
        let version = definition.version();
        if row.standing != Standing::Retired && row.version < version && !declares(definition, &key)
        {
            perform(store, key, ScheduleAction::Retire { version }).await?;
        }
    }
    Ok(())
}

/// The rows of a workflow's declared schedules.
async fn stored(
    store: &SharedStore,
    workflow: &Name,
) -> Result<BTreeMap<ScheduleKey, ScheduleRow>, StoreError> {
    let mut filter = ScheduleFilter::default();
    filter.workflow = Some(workflow.clone());
    let mut found = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let patience = Patience::default();
        let page = patience
            .insist(|| store.schedules(&filter, after.as_deref(), PAGE))
            .await?;
        let full = u32::try_from(page.len()).is_ok_and(|rows| rows >= PAGE);
        after = page.last().filter(|_| full).map(|row| row.key.clone());
        for row in page {
            let key = ScheduleKey::stored(&row.key);
            if matches!(&key, ScheduleKey::Declared { workflow: of, .. } if of == workflow) {
                found.insert(key, row);
            }
        }
        if after.is_none() {
            return Ok(found);
        }
    }
}

/// Rows read at once.
const PAGE: u32 = 500;

fn key(definition: &Definition, trigger: &Name) -> ScheduleKey {
    ScheduleKey::Declared {
        workflow: definition.name().clone(),
        trigger: trigger.clone(),
    }
}

fn declares(definition: &Definition, key: &ScheduleKey) -> bool {
    let mut triggers = definition.triggers().iter();
    triggers
        .any(|trigger| trigger.schedule.is_some() && self::key(definition, &trigger.name) == *key)
}

fn declaration(
    definition: &Definition,
    trigger: &Trigger,
    schedule: &TriggerSchedule,
) -> Declaration {
    Declaration {
        life: life(),
        version: definition.version(),
        workflow: definition.name().clone(),
        trigger: trigger.name.clone(),
        plan: schedule.plan.clone(),
        input: Payload::new(schedule.payload.to_string().into_bytes()),
    }
}

/// Performs what concerns one schedule. One whose row cannot be read keeps no process from starting.
async fn perform(
    store: &SharedStore,
    schedule: ScheduleKey,
    action: ScheduleAction,
) -> Result<Option<ScheduleReply>, StoreError> {
    let command = ScheduleCommand {
        shard: schedule.id().shard(store.shards()),
        schedule,
        action,
        command: command(),
        by: By::default(),
    };
    let operation = Operation::Schedule(Box::new(command));
    match Patience::default().perform(store, operation).await? {
        Reply::Schedule(Ok(reply)) => Ok(Some(reply)),
        Reply::Schedule(Err(Rejection::UnreadableSchedule { schedule, detail })) => {
            tracing::warn!(%schedule, %detail, "the schedule cannot be read, and is left as it is");
            Ok(None)
        }
        other => unreachable!("a declaration is answered by {other:?}"),
    }
}
