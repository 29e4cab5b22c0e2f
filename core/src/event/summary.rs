//! What every event has in common: its word, its step, and whether its row has a payload.
//!
//! Invariant: the words are stable, for programs.

use super::{Event, Found};
use crate::definition::StepIndex;
use crate::payload::PayloadDigest;

impl Event {
    /// What happened, in one stable word: `started`, `succeeded`, `failed`, `lost`, `conflicted`, `evaluated`, `due`,
    /// `deadline_reached`, `cancel_requested`, `resolved`, `signalled`, `children_started`, `children_cancelled`,
    /// `child_called`, `child_ended` or `collected`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Event::Started(_) => "started",
            Event::Succeeded { .. } => "succeeded",
            Event::Failed { .. } => "failed",
            Event::Lost { .. } => "lost",
            Event::Conflicted { .. } => "conflicted",
            Event::Evaluated { .. } => "evaluated",
            Event::Due { .. } => "due",
            Event::DeadlineReached { .. } => "deadline_reached",
            Event::CancelRequested(_) => "cancel_requested",
            Event::Resolved(_) => "resolved",
            Event::Signalled(_) => "signalled",
            Event::Spawned { .. } => "children_started",
            Event::Recalled { .. } => "children_cancelled",
            Event::ChildEnded { .. } => "child_ended",
            Event::Collected { .. } => "collected",
            Event::Called { .. } => "child_called",
        }
    }

    /// The step that it is about, if it is about one.
    pub fn step(&self) -> Option<StepIndex> {
        match self {
            Event::Started(_)
            | Event::DeadlineReached { .. }
            | Event::CancelRequested(_)
            | Event::Signalled(_) => None,
            Event::Resolved(resolved) => Some(resolved.step),
            Event::Succeeded { step, .. }
            | Event::Failed { step, .. }
            | Event::Lost { step, .. }
            | Event::Conflicted { step, .. }
            | Event::Evaluated { step, .. }
            | Event::Due { step, .. }
            | Event::Spawned { step, .. }
            | Event::Recalled { step, .. }
            | Event::ChildEnded { step, .. }
            | Event::Collected { step, .. }
            | Event::Called { step, .. } => Some(*step),
        }
    }

    /// Digest of the payload of its journal row, if that has one.
    pub fn payload(&self) -> Option<PayloadDigest> {
        match self {
            Event::Started(started) => Some(started.input),
            Event::Succeeded { output, .. } | Event::Collected { output, .. } => Some(*output),
            Event::Failed { payload, .. }
            | Event::Lost { payload, .. }
            | Event::Conflicted { payload, .. }
            | Event::DeadlineReached { payload }
            | Event::ChildEnded { payload, .. } => Some(*payload),
            Event::Due { payload, .. } | Event::Spawned { payload, .. } => *payload,
            Event::Resolved(resolved) => resolved.payload,
            Event::Signalled(signalled) => Some(signalled.payload),
            Event::Evaluated { found, .. } => match found {
                Found::Instant { payload, .. } | Found::Failure { payload, .. } => Some(*payload),
                Found::Logged | Found::Reached | Found::Label(_) | Found::Children { .. } => None,
            },
            Event::CancelRequested(_) | Event::Recalled { .. } | Event::Called { .. } => None,
        }
    }
}
