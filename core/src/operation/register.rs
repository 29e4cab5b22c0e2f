//! Declaring definitions and the process that serves them.
//!
//! Invariant: a stored definition never changes; the same name and version with another digest is refused, all at once.

use std::sync::Arc;

use super::{
    Decision, DefinitionConflict, DefinitionRow, HandlerSet, ReadSet, Reply, View, WorkerRow,
    Writes,
};
use crate::definition::Definition;
use crate::id::{Incarnation, Shard};
use crate::name::Name;

/// Declares definitions, and a worker if there is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Register {
    /// The process; none for a client that executes nothing.
    pub worker: Option<Registration>,
    /// What it declares.
    pub definitions: Vec<Arc<Definition>>,
}

/// The process that registers.
#[derive(Debug, Clone, PartialEq)]
pub struct Registration {
    /// This start of it.
    pub incarnation: Incarnation,
    /// What the host calls it.
    pub name: String,
    /// What it can execute.
    pub handlers: Arc<HandlerSet>,
    /// What it serves.
    pub queues: Vec<Name>,
}

impl Register {
    pub(super) fn reads(&self) -> ReadSet {
        ReadSet {
            worker: self.worker.as_ref().map(|worker| worker.incarnation),
            definitions: self
                .definitions
                .iter()
                .map(|definition| definition.key().clone())
                .collect(),
            ..ReadSet::default()
        }
    }

    pub(super) fn decide(&self, view: &View) -> Decision {
        let mut writes = Writes::default();
        let mut conflicts = Vec::new();
        for declared in &self.definitions {
            match view.definitions.get(declared.key()) {
                Some(stored) if stored.digest() == declared.digest() => {}
                Some(stored) => conflicts.push(DefinitionConflict {
                    key: declared.key().clone(),
                    differences: stored.differences(declared),
                }),
                None => writes.definitions.push(DefinitionRow {
                    key: declared.key().clone(),
                    digest: declared.digest(),
                    body: Arc::clone(declared.body()),
                }),
            }
        }
        if !conflicts.is_empty() {
            return Decision::Done {
                writes: Writes::default(),
                reply: Reply::Registered(conflicts),
            };
        }
        writes.definitions.sort_by(|a, b| a.key.cmp(&b.key));
        writes.definitions.dedup_by(|a, b| a.key == b.key);
        writes.worker = self
            .worker
            .as_ref()
            .filter(|_| view.worker.is_none())
            .map(|worker| WorkerRow {
                incarnation: worker.incarnation,
                name: worker.name.clone(),
                handlers: Arc::clone(&worker.handlers),
                queues: worker.queues.clone(),
                started: view.now,
                seen: view.now,
                claim: 0,
                claim_shard: Shard::default(),
                claimed: Vec::new(),
            });
        Decision::Done {
            writes,
            reply: Reply::Registered(conflicts),
        }
    }
}
