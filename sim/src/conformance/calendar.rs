//! What a script's clients know of schedules: enough to turn a deed into an operation.
//!
//! Invariant: as in a session, everything that is known was learnt from replies.

use std::collections::BTreeMap;
use std::sync::Arc;

use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::id::{Life, Shards};
use squid_mesh_core::operation::{
    Declaration, Operation, ScheduleAction, ScheduleCommand, ScheduleReply,
};
use squid_mesh_core::schedule::{ScheduleId, ScheduleKey};
use squid_mesh_core::time::Timestamp;

use super::cast::json;
use super::deed::{Deed, OCCURRENCES, Planned};
use super::schedules::command;
use super::script::Pick;

/// A schedule that is created at run time. There are few, so that much happens to each.
const NAMED: &str = "tenant \u{fc}";
/// A schedule that a workflow declares.
const DECLARED: &str = "chain/nightly";

/// What is known of schedules.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    known: BTreeMap<ScheduleId, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    target: DefinitionKey,
    next: Option<Timestamp>,
}

impl Calendar {
    /// The operation that a deed amounts to at a time of the store's clock, as the command of this number.
    pub(super) fn operation(
        &self,
        shards: Shards,
        workflows: &[Arc<Definition>],
        (schedule, deed): (Pick, &Deed),
        (number, now): (u32, Timestamp),
    ) -> Option<Operation> {
        let named = matches!(deed, Deed::Create(_));
        let declared = matches!(deed, Deed::Declare { .. } | Deed::Retire { .. });
        let key = match (named, declared) {
            (true, _) => NAMED,
            (_, true) => DECLARED,
            (false, false) => schedule.of(&[NAMED, DECLARED])?,
        };
        let key = ScheduleKey::stored(key);
        let id = key.id();
        let declaration = |version: u8, planned: &Planned| {
            let definition = planned.workflow.of(workflows)?;
            Some(Box::new(Declaration {
                life: Life(number.into()),
                version: version.into(),
                workflow: definition.name().clone(),
                trigger: definition.triggers().first()?.name.clone(),
                plan: planned.plan(now),
                input: json("{\"n\":1}"),
            }))
        };
        let definition = || match self.known.get(&id) {
            Some(known) => Some(known.target.clone()),
            None => Some(workflows.first()?.key().clone()),
        };
        let action = match deed {
            Deed::Create(planned) => ScheduleAction::Create(declaration(0, planned)?),
            Deed::Change(planned) => ScheduleAction::Change(declaration(0, planned)?),
            Deed::Declare { version, planned } => {
                ScheduleAction::Declare(declaration(*version, planned)?)
            }
            Deed::Retire { version } => ScheduleAction::Retire {
                version: (*version).into(),
            },
            Deed::Pause => ScheduleAction::Pause,
            Deed::Resume => ScheduleAction::Resume,
            Deed::Delete => ScheduleAction::Delete,
            Deed::Trigger => ScheduleAction::Trigger {
                definition: definition()?,
            },
            Deed::Fire { occurrence, signal } => ScheduleAction::Fire {
                occurrence: self.occurrence(id, *occurrence)?,
                signal: signal.map(|signal| format!("signal {signal}")),
                definition: definition()?,
            },
        };
        Some(command(shards, number, &key, action))
    }

    fn occurrence(&self, id: ScheduleId, pick: Pick) -> Option<Timestamp> {
        let next = self.known.get(&id).and_then(|known| known.next);
        let fixed = OCCURRENCES.map(Timestamp::from_micros);
        let all: Vec<Timestamp> = fixed.into_iter().chain(next).collect();
        pick.of(&all).copied()
    }

    /// Takes in what a command was answered.
    pub(super) fn learn(&mut self, command: &ScheduleCommand, reply: &ScheduleReply) {
        let id = command.schedule.id();
        match &command.action {
            ScheduleAction::Create(declaration)
            | ScheduleAction::Change(declaration)
            | ScheduleAction::Declare(declaration)
                if reply.changed =>
            {
                let target = DefinitionKey {
                    name: declaration.workflow.clone(),
                    version: 1,
                };
                let next = reply.next;
                self.known.insert(id, Known { target, next });
            }
            _ => {
                if let Some(known) = self.known.get_mut(&id) {
                    known.next = reply.next;
                }
            }
        }
    }
}
