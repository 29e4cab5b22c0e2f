//! A run's journal as a timeline for people.
//!
//! Invariant: shows every row, the unreadable ones too, and no payload.

use serde::{Deserialize, Serialize};
use squid_mesh_core::definition::{Definition, StepIndex};
use squid_mesh_core::event::Event;
use squid_mesh_core::run::Seq;
use squid_mesh_core::store::StoredRow;
use squid_mesh_core::time::Timestamp;

/// One row of a run's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HistoryEntry {
    /// Its position, from 1.
    pub seq: Seq,
    /// When; none if the row cannot be read.
    pub at: Option<Timestamp>,
    /// What happened, in one stable word: `started`, `succeeded`, `failed`, `lost`, `due`, `deadline_reached`,
    /// `cancel_requested`, or `unreadable`.
    pub event: String,
    /// The step it happened to.
    pub step: Option<String>,
    /// The same in a sentence.
    pub summary: String,
}

impl HistoryEntry {
    pub(super) fn new(row: StoredRow, definition: Option<&Definition>) -> HistoryEntry {
        let row = match row.row {
            Ok(row) => row,
            Err(error) => {
                return HistoryEntry {
                    seq: row.seq,
                    at: None,
                    event: "unreadable".to_owned(),
                    step: None,
                    summary: error.to_string(),
                };
            }
        };
        let step = step_of(&row.transition.event).map(|step| step_name(step, definition));
        HistoryEntry {
            seq: row.seq,
            at: Some(row.at),
            event: word(&row.transition.event).to_owned(),
            summary: summary(&row.transition.event, step.as_deref().unwrap_or_default()),
            step,
        }
    }
}

fn step_of(event: &Event) -> Option<StepIndex> {
    match event {
        Event::Succeeded { step, .. }
        | Event::Failed { step, .. }
        | Event::Lost { step, .. }
        | Event::Due { step } => Some(*step),
        Event::Started(_) | Event::DeadlineReached | Event::CancelRequested(_) => None,
    }
}

fn step_name(step: StepIndex, definition: Option<&Definition>) -> String {
    let known = definition.and_then(|definition| definition.steps().get(step.at()));
    known.map_or_else(|| format!("#{}", step.0), |step| step.name.to_string())
}

fn word(event: &Event) -> &'static str {
    match event {
        Event::Started(_) => "started",
        Event::Succeeded { .. } => "succeeded",
        Event::Failed { .. } => "failed",
        Event::Lost { .. } => "lost",
        Event::Due { .. } => "due",
        Event::DeadlineReached => "deadline_reached",
        Event::CancelRequested(_) => "cancel_requested",
    }
}

fn summary(event: &Event, step: &str) -> String {
    match event {
        Event::Started(started) => match started.due {
            Some(due) => format!("{} was started, to begin at {due}", started.definition),
            None => format!("{} was started", started.definition),
        },
        Event::Succeeded { .. } => format!("step {step} succeeded"),
        Event::Failed { failure, .. } => format!(
            "step {step} failed with {}: {}",
            failure.code, failure.message
        ),
        Event::Lost { .. } => {
            format!("an attempt of step {step} was lost with the process that ran it")
        }
        Event::Due { .. } => format!("wait {step} ended"),
        Event::DeadlineReached => "the run's deadline came".to_owned(),
        Event::CancelRequested(request) => {
            let actor = request.actor.as_deref().unwrap_or("somebody");
            let reason = request
                .reason
                .as_deref()
                .map(|reason| format!(": {reason}"))
                .unwrap_or_default();
            let force = if request.force {
                ", without waiting for running attempts"
            } else {
                ""
            };
            format!("{actor} asked to cancel the run{force}{reason}")
        }
    }
}
