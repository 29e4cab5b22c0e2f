//! Why a wish about a schedule was not granted.
//!
//! Invariant: each error says whether anything was written, and holds no payload.

use std::fmt;

use squid_mesh_core::definition::{DefinitionKey, InputViolations};
use squid_mesh_core::name::InvalidName;
use squid_mesh_core::operation::Rejection;
use squid_mesh_core::schedule::{InvalidPlan, InvalidScheduleKey};
use squid_mesh_core::store::StoreError;
use squid_mesh_core::time::Timestamp;

use super::super::word::submit_errors;
use super::super::{LimitExceeded, StartError};

/// Nothing was done about a schedule, or it could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// No schedule can be called so. Nothing was written.
    #[error(transparent)]
    Name(#[from] InvalidScheduleKey),
    /// The plan cannot be; lists everything that is wrong with it. Nothing was written.
    #[error("the plan cannot be: {0}")]
    InvalidPlan(ScheduleProblems),
    /// The text is no name of a workflow or trigger. Nothing was written.
    #[error(transparent)]
    WorkflowName(#[from] InvalidName),
    /// The input cannot be written as JSON. Nothing was written.
    #[error("the input cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// No such workflow is registered or stored. Nothing was written.
    #[error("workflow {name} is not known")]
    UnknownWorkflow {
        /// The workflow.
        name: String,
    },
    /// The workflow has no trigger of this name. Nothing was written.
    #[error("workflow {workflow} has no trigger {trigger:?}")]
    UnknownTrigger {
        /// The workflow, with its version.
        workflow: DefinitionKey,
        /// The name asked for.
        trigger: String,
    },
    /// The input does not fit the trigger's contract; lists everything that does not. Nothing was written.
    #[error("the input does not fit workflow {workflow}: {violations}")]
    InvalidInput {
        /// The workflow, with its version.
        workflow: DefinitionKey,
        /// Every violation.
        violations: InputViolations,
    },
    /// There is no schedule that is called so. Nothing was written.
    #[error("there is no schedule {schedule:?}")]
    UnknownSchedule {
        /// What was asked for.
        schedule: String,
    },
    /// There is a schedule that is called so already, with another content. Nothing was written.
    #[error("there is a schedule {schedule:?} already, with another plan, target or input")]
    Exists {
        /// What it is called.
        schedule: String,
    },
    /// The schedule is declared by its workflow, where it is changed. Nothing was written.
    #[error("schedule {schedule:?} is declared by its workflow; change it there, or pause it")]
    Declared {
        /// What it is called.
        schedule: String,
    },
    /// The schedule cannot start a run as it is. Nothing was written.
    #[error("schedule {schedule:?} cannot start a run: {problem}")]
    Unfit {
        /// What it is called.
        schedule: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The instant is not an occurrence of the schedule. Nothing was written.
    #[error("{at} is no occurrence of schedule {schedule:?}")]
    NoOccurrence {
        /// What it is called.
        schedule: String,
        /// The instant.
        at: Timestamp,
    },
    /// The occurrence is still to come, by the database's clock. Nothing was written.
    #[error("occurrence {occurrence} of schedule {schedule:?} is not due at {now}")]
    NotDue {
        /// What it is called.
        schedule: String,
        /// The occurrence.
        occurrence: Timestamp,
        /// The database's clock.
        now: Timestamp,
    },
    /// The schedule cannot be read: corrupt, or written by a newer engine. Nothing was written.
    #[error("schedule {schedule:?} cannot be read: {detail}")]
    Unreadable {
        /// What it is called.
        schedule: String,
        /// What is wrong.
        detail: String,
    },
    /// A signal is empty, or has a NUL character. Nothing was written.
    #[error("the signal {problem}")]
    Signal {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Something is too large. Nothing was written.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// The engine refused it. Nothing was written.
    #[error(transparent)]
    Rejected(Rejection),
    /// Something could not be looked up. Nothing was written; trying again is safe.
    #[error("the schedule or its workflow cannot be looked up")]
    Lookup(#[from] StoreError),
    /// The store refused it. Nothing was written.
    #[error("the store did not take the change of the schedule: {0}")]
    Refused(String),
    /// The store did not answer: it may have been done or not. Doing it again under the same key is safe.
    #[error("the store did not answer, and the schedule may have been changed or not: {0}")]
    Unknown(String),
}

/// Everything that is wrong with a plan, in the order of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleProblems(pub(super) Vec<InvalidPlan>);

impl ScheduleProblems {
    /// The problems, each with its field.
    pub fn as_slice(&self) -> &[InvalidPlan] {
        &self.0
    }
}

impl fmt::Display for ScheduleProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            let separator = if n == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

submit_errors!(ScheduleError);

impl From<Rejection> for ScheduleError {
    fn from(rejection: Rejection) -> ScheduleError {
        match rejection {
            Rejection::UnknownSchedule { schedule } => ScheduleError::UnknownSchedule { schedule },
            Rejection::ScheduleExists { schedule } => ScheduleError::Exists { schedule },
            Rejection::DeclaredSchedule { schedule } => ScheduleError::Declared { schedule },
            Rejection::UnfitSchedule { schedule, problem } => {
                ScheduleError::Unfit { schedule, problem }
            }
            Rejection::UnreadableSchedule { schedule, detail } => {
                ScheduleError::Unreadable { schedule, detail }
            }
            Rejection::NoOccurrence { schedule, at } => {
                ScheduleError::NoOccurrence { schedule, at }
            }
            Rejection::OccurrenceNotDue {
                schedule,
                occurrence,
                now,
            } => ScheduleError::NotDue {
                schedule,
                occurrence,
                now,
            },
            Rejection::UnknownWorkflow { definition } => ScheduleError::UnknownWorkflow {
                name: definition.name.to_string(),
            },
            rejection => ScheduleError::Rejected(rejection),
        }
    }
}

impl From<StartError> for ScheduleError {
    /// What looking a definition or trigger up can be answered with.
    fn from(error: StartError) -> ScheduleError {
        match error {
            StartError::UnknownWorkflow { name, .. } => ScheduleError::UnknownWorkflow { name },
            StartError::UnknownTrigger { workflow, trigger } => {
                ScheduleError::UnknownTrigger { workflow, trigger }
            }
            StartError::Lookup(error) => ScheduleError::Lookup(error),
            error => ScheduleError::Refused(error.to_string()),
        }
    }
}
