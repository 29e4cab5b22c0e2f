//! Starting the run of an occurrence of a schedule.
//!
//! Invariant: whether the input fits is found out by the definition that is started, when it is.

use std::sync::Arc;

use super::Start;
use super::batch::Batch;
use crate::definition::DefinitionKey;
use crate::event::By;
use crate::id::{CommandId, Life, RunId};
use crate::name::Name;
use crate::schedule::{Occurrence, Schedule};

/// What is to be started.
pub(super) struct Beginning {
    pub(super) run: RunId,
    pub(super) command: CommandId,
    pub(super) definition: DefinitionKey,
    pub(super) occurrence: Occurrence,
    pub(super) by: By,
}

/// Why a schedule cannot start a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("workflow {definition} is not known")]
    UnknownWorkflow { definition: DefinitionKey },
    #[error("it starts workflow {workflow}, not {definition}")]
    OtherWorkflow {
        definition: DefinitionKey,
        workflow: Name,
    },
    #[error("workflow {definition} has no trigger {trigger:?}")]
    UnknownTrigger {
        definition: DefinitionKey,
        trigger: Name,
    },
    #[error("workflow {definition} does not take the schedule's input: {problem}")]
    InvalidInput {
        definition: DefinitionKey,
        problem: String,
    },
}

impl Fault {
    /// A stable code, for programs.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Fault::UnknownWorkflow { .. } | Fault::OtherWorkflow { .. } => "unknown_workflow",
            Fault::UnknownTrigger { .. } => "unknown_trigger",
            Fault::InvalidInput { .. } => "invalid_input",
        }
    }
}

/// Starts a run that does not exist. What it makes ready is claimed like everything else.
pub(super) fn begin(
    batch: &mut Batch<'_>,
    schedule: &Schedule,
    beginning: Beginning,
) -> Result<(), Fault> {
    let key = beginning.definition;
    if key.name != schedule.workflow {
        return Err(Fault::OtherWorkflow {
            definition: key,
            workflow: schedule.workflow.clone(),
        });
    }
    let Some(definition) = batch.view.definitions.get(&key) else {
        return Err(Fault::UnknownWorkflow { definition: key });
    };
    let definition = Arc::clone(definition);
    let Some(trigger) = definition.trigger(schedule.trigger.as_str()) else {
        return Err(Fault::UnknownTrigger {
            definition: key,
            trigger: schedule.trigger.clone(),
        });
    };
    let (input, raw_input) = match trigger.contract.fill(&schedule.input) {
        Ok(filled) => filled,
        Err(problem) => {
            return Err(Fault::InvalidInput {
                definition: key,
                problem,
            });
        }
    };
    let life = Life::child(schedule.life, beginning.run);
    let start = Start {
        trigger: schedule.trigger.clone(),
        raw_input,
        occurrence: Some(beginning.occurrence),
        zone: schedule.plan.zone(),
        by: beginning.by,
        ..Start::new(beginning.run, life, beginning.command, key, input)
    };
    start.insert_unoffered(batch, &definition);
    Ok(())
}
