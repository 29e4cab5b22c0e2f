//! What can be seen of a step.
//!
//! Invariant: what a worker holds is told from the agenda, everything else from the fold.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::id::{Incarnation, RunId};
use squid_mesh_core::name::Name;
use squid_mesh_core::run::{Armed, Fan, Stage, StepState, UndoStage};
use squid_mesh_core::task::TaskRow;
use squid_mesh_core::time::Timestamp;

use super::inspection::SHOWN;
use super::record::Pinned;
use super::{Client, InspectError, RunFailure};

/// A step as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepInspection {
    /// Its name.
    pub name: Name,
    /// Where it stands.
    pub status: StepStatus,
    /// Attempts that reported.
    pub executed: u32,
    /// Attempts that were lost with their process.
    pub lost: u32,
    /// When its task is due: the next attempt, the end of the wait, or the end of the lease.
    pub due: Option<Timestamp>,
    /// The process that holds it under lease.
    pub worker: Option<Incarnation>,
    /// Attempts that the database undid, because of others.
    pub conflicts: u32,
    /// The label that it returned: which way the run went on.
    pub label: Option<Name>,
    /// Whether it is not known if an attempt had its effect, or was not when the step ended.
    pub doubtful: bool,
    /// Its children, of a step that has some.
    pub children: Option<ChildrenInspection>,
    /// How far taking its effect back has come, if that was begun.
    pub undo: Option<UndoInspection>,
    /// Whether its run, a copy, took it over from the source.
    pub inherited: bool,
    /// What it failed with, or what its last report said, if that was a failure.
    pub failure: Option<RunFailure>,
    /// Its output, if asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub output: Option<Value>,
}

/// The children of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ChildrenInspection {
    /// How many there are to be.
    pub count: u32,
    /// How many were started.
    pub started: u32,
    /// How many have ended.
    pub ended: u32,
    /// Those that were started, by their numbers; at most 100, the others are found by listing.
    pub runs: Vec<RunId>,
}

/// How far taking the effect of a step back has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UndoInspection {
    /// Where it stands.
    pub status: UndoStatus,
    /// Attempts that reported.
    pub executed: u32,
    /// Attempts that were lost with their process.
    pub lost: u32,
    /// What its last report said, if that was a failure.
    pub failure: Option<RunFailure>,
}

/// Where the undo of a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UndoStatus {
    /// It has a task: it is tried, or will be.
    Undoing,
    /// The effect was taken back.
    Done,
    /// It failed for good, or somebody gave it up.
    Failed,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepStatus {
    /// Something it needs is not there yet.
    Blocked,
    /// It may be claimed from its due time on.
    Ready,
    /// A worker holds it, and its lease lives.
    Running,
    /// It waits for its next attempt.
    Retrying,
    /// It is a wait that has not ended, or waits for a signal or for children.
    Waiting,
    /// It is a gate, and waits for a person.
    Paused,
    /// Whether an attempt had its effect is unknown, and it waits for somebody to say.
    Held,
    /// The run is ending, and the attempt was told to stop.
    Stopping,
    /// It ended with an output.
    Succeeded,
    /// It failed for good.
    Failed,
    /// It was not reached: what it waits for went another way.
    Skipped,
    /// It was ended with the run.
    Cancelled,
    /// It succeeded, and its effect was taken back.
    Undone,
    /// It succeeded, and taking its effect back failed for good.
    UndoFailed,
}

impl Pinned {
    pub(super) async fn step(
        &self,
        client: &Client,
        index: StepIndex,
    ) -> Result<StepInspection, InspectError> {
        let state = self.run.step(index);
        let lane = state.armed().next().map(|armed| armed.lane);
        let task = self
            .record
            .tasks
            .iter()
            .find(|task| Some(task.key.lane) == lane);
        let step = self.definition.step(index);
        let label = state
            .label
            .and_then(|label| step.ways().into_iter().nth(usize::from(label.0)));
        Ok(StepInspection {
            name: step.name.clone(),
            status: self.step_status(state, task),
            executed: state.tries.executed,
            lost: state.tries.lost,
            due: task.map(|task| task.due_at),
            worker: task.and_then(|task| task.owner),
            conflicts: state.tries.conflicts,
            label,
            doubtful: state.doubtful,
            children: state.fan.as_ref().map(|fan| self.children(index, fan)),
            undo: self.undo(client, index).await?,
            inherited: state.place.is_some_and(|place| place.run.is_some()),
            failure: self.last_failure(client, index).await?,
            output: None,
        })
    }

    fn step_status(&self, state: &StepState, task: Option<&TaskRow>) -> StepStatus {
        match state.stage {
            Stage::Blocked => StepStatus::Blocked,
            Stage::Scheduled(armed) => self.task_status(state, armed, task),
            Stage::Evaluating(armed) | Stage::Spawning(armed) | Stage::Collecting(armed) => {
                self.task_status(state, armed, task)
            }
            Stage::Waiting(_) | Stage::Listening { .. } | Stage::Resting | Stage::Recalling(_) => {
                StepStatus::Waiting
            }
            Stage::Open { .. } => StepStatus::Paused,
            Stage::Held { .. } => StepStatus::Held,
            Stage::Stopping(_) => StepStatus::Stopping,
            Stage::Succeeded => match state.undo.as_ref().map(|undo| undo.stage) {
                Some(UndoStage::Done) => StepStatus::Undone,
                Some(UndoStage::Failed) => StepStatus::UndoFailed,
                Some(UndoStage::Scheduled(_)) | None => StepStatus::Succeeded,
            },
            Stage::Failed => StepStatus::Failed,
            Stage::Skipped => StepStatus::Skipped,
            Stage::Cancelled => StepStatus::Cancelled,
        }
    }

    fn task_status(&self, state: &StepState, armed: Armed, task: Option<&TaskRow>) -> StepStatus {
        let now = self.record.now;
        let held = task.is_some_and(|task| task.owner.is_some() && task.due_at > now);
        let tried = state.tries.attempt() > 1;
        match (held, tried && armed.due > now) {
            (true, _) => StepStatus::Running,
            (false, true) => StepStatus::Retrying,
            (false, false) => StepStatus::Ready,
        }
    }

    fn children(&self, index: StepIndex, fan: &Fan) -> ChildrenInspection {
        let shown = 0..fan.started.min(SHOWN);
        ChildrenInspection {
            count: fan.count,
            started: fan.started,
            ended: fan.arrived,
            runs: shown
                .map(|child| fan.run(self.id(), index, child))
                .collect(),
        }
    }

    async fn undo(
        &self,
        client: &Client,
        index: StepIndex,
    ) -> Result<Option<UndoInspection>, InspectError> {
        let Some(undo) = &self.run.step(index).undo else {
            return Ok(None);
        };
        Ok(Some(UndoInspection {
            status: match undo.stage {
                UndoStage::Scheduled(_) => UndoStatus::Undoing,
                UndoStage::Done => UndoStatus::Done,
                UndoStage::Failed => UndoStatus::Failed,
            },
            executed: undo.tries.executed,
            lost: undo.tries.lost,
            failure: self.undo_failure(client, index).await?,
        }))
    }
}
