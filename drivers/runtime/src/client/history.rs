//! A run's journal as a timeline for people.
//!
//! Invariant: shows every row, the unreadable ones too, and no payload but what somebody said beside a command.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use squid_mesh_core::definition::Definition;
use squid_mesh_core::event::{By, Event};
use squid_mesh_core::history::{Reader, step_name};
use squid_mesh_core::id::RunId;
use squid_mesh_core::run::Seq;
use squid_mesh_core::store::StoredRow;
use squid_mesh_core::time::Timestamp;

use super::Client;

/// One row of a run's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// Its position, from 1.
    pub seq: Seq,
    /// When; none if the row cannot be read.
    pub at: Option<Timestamp>,
    /// What happened, in one stable word: `started`, `succeeded`, `failed`, `lost`, `conflicted`, `evaluated`, `due`,
    /// `deadline_reached`, `cancel_requested`, `resolved`, `signalled`, `children_started`, `children_cancelled`,
    /// `child_called`, `child_ended`, `collected`, or `unreadable`.
    pub event: String,
    /// The step it happened to.
    pub step: Option<String>,
    /// The same in a sentence.
    pub summary: String,
    /// Who asked for it, of what somebody asked for.
    pub actor: Option<String>,
    /// Why.
    pub comment: Option<String>,
    /// Whatever else was given with it, secrets aside.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub metadata: Option<Value>,
}

impl Client {
    /// A journal row as it is shown.
    pub(super) fn entry(
        &self,
        run: RunId,
        row: StoredRow,
        definition: Option<&Definition>,
    ) -> HistoryEntry {
        let row = match row.row {
            Ok(row) => row,
            Err(error) => {
                return HistoryEntry {
                    seq: row.seq,
                    at: None,
                    event: "unreadable".to_owned(),
                    step: None,
                    summary: error.to_string(),
                    actor: None,
                    comment: None,
                    metadata: None,
                };
            }
        };
        let event = &row.transition.event;
        let by = by(event);
        let metadata = by.and_then(|by| by.metadata.as_deref()).map(|text| {
            let workflow = definition.map(Definition::name);
            self.redaction().metadata(run, workflow, text)
        });
        HistoryEntry {
            seq: row.seq,
            at: Some(row.at),
            event: event.kind().to_owned(),
            step: event.step().map(|step| step_name(step, definition)),
            summary: Reader {
                definition,
                changes: &row.transition.changes,
            }
            .sentence(event),
            actor: by.and_then(|by| by.actor.clone()),
            comment: by.and_then(|by| by.comment.clone()),
            metadata,
        }
    }
}

fn by(event: &Event) -> Option<&By> {
    match event {
        Event::Started(started) => Some(&started.by),
        Event::CancelRequested(request) => Some(&request.by),
        Event::Resolved(resolved) => Some(&resolved.by),
        Event::Signalled(signalled) => Some(&signalled.by),
        Event::Succeeded { .. }
        | Event::Failed { .. }
        | Event::Lost { .. }
        | Event::Conflicted { .. }
        | Event::Evaluated { .. }
        | Event::Due { .. }
        | Event::DeadlineReached { .. }
        | Event::Spawned { .. }
        | Event::Recalled { .. }
        | Event::ChildEnded { .. }
        | Event::Collected { .. }
        | Event::Called { .. } => None,
    }
}
