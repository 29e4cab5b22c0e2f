//! The operator log: what people did to things that are no runs.
//!
//! Invariant: a row is written with what it says was done, and never again.

use serde::{Deserialize, Serialize};

use crate::id::CommandId;
use crate::time::Timestamp;

/// One row of the operator log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorEntry {
    /// The command.
    pub id: CommandId,
    /// Who asked.
    pub actor: Option<String>,
    /// What was done.
    pub action: OperatorAction,
    /// To which queue or schedule.
    pub target: String,
    /// Why.
    pub comment: Option<String>,
    /// Whether it changed anything: pausing a paused queue does not.
    pub changed: bool,
    /// When, by the database's clock.
    pub at: Timestamp,
}

/// What was done to a queue or a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperatorAction {
    /// Nothing of a queue is claimed from then on.
    PauseQueue,
    /// It is claimed from again.
    ResumeQueue,
    /// A schedule was created.
    CreateSchedule,
    /// It was given another plan, target or input.
    ChangeSchedule,
    /// It does not fire by itself from then on.
    PauseSchedule,
    /// It does again.
    ResumeSchedule,
    /// It is gone.
    DeleteSchedule,
    /// It was made to start a run, whatever the time.
    TriggerSchedule,
}

impl OperatorAction {
    /// Every action.
    pub const ALL: [OperatorAction; 8] = [
        OperatorAction::PauseQueue,
        OperatorAction::ResumeQueue,
        OperatorAction::CreateSchedule,
        OperatorAction::ChangeSchedule,
        OperatorAction::PauseSchedule,
        OperatorAction::ResumeSchedule,
        OperatorAction::DeleteSchedule,
        OperatorAction::TriggerSchedule,
    ];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            OperatorAction::PauseQueue => "pause_queue",
            OperatorAction::ResumeQueue => "resume_queue",
            OperatorAction::CreateSchedule => "create_schedule",
            OperatorAction::ChangeSchedule => "change_schedule",
            OperatorAction::PauseSchedule => "pause_schedule",
            OperatorAction::ResumeSchedule => "resume_schedule",
            OperatorAction::DeleteSchedule => "delete_schedule",
            OperatorAction::TriggerSchedule => "trigger_schedule",
        }
    }

    /// The action of this name.
    pub fn named(name: &str) -> Option<OperatorAction> {
        OperatorAction::ALL
            .into_iter()
            .find(|action| action.as_str() == name)
    }
}
