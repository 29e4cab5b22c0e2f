//! A run as a graph to look at: its definition's steps, where each stands, and which ways were gone.
//!
//! Invariant: nodes and edges are those of the definition's preview, ids and order included, however far the run is; no
//! payload is part of it.

mod draw;
mod edge;

use std::fmt;

use serde::Serialize;

pub use edge::{EdgeState, RunEdge};

use crate::definition::{Definition, PreviewNode, StepIndex};
use crate::event::{CopyKind, Role};
use crate::id::RunId;
use crate::limits;
use crate::run::{Fan, Run, Stage, StepState, UndoStage};
use crate::store::RunRecord;
use crate::task::TaskRow;
use crate::time::Timestamp;
use crate::transition::DecodeError;

/// The graph of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RunGraph {
    /// The run.
    pub run: RunId,
    /// The run and the step that started it.
    pub parent: Option<GraphParent>,
    /// The run it is a copy of.
    pub source: Option<GraphSource>,
    /// One for each step, in declaration order.
    pub nodes: Vec<RunNode>,
    /// What the steps wait for, in the order of the waiting steps.
    pub edges: Vec<RunEdge>,
}

/// The run whose step started another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GraphParent {
    /// The run.
    pub run: RunId,
    /// The position of the step in its definition.
    pub step: StepIndex,
}

/// The run that another is a copy of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct GraphSource {
    /// The run.
    pub run: RunId,
    /// What was taken over.
    pub kind: CopyKind,
}

/// A step in the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RunNode {
    /// The step's name.
    pub id: String,
    /// The word of its kind: `handler`, `wait` and so on.
    pub kind: &'static str,
    /// For people: its label, or else its name.
    pub label: String,
    /// Where it stands.
    pub state: NodeState,
    /// The label it returned.
    pub way: Option<String>,
    /// The code it failed with.
    pub code: Option<String>,
    /// Attempts that ended, however they did.
    pub attempts: u32,
    /// Attempts at taking its effect back that ended, however they did.
    pub undo_attempts: u32,
    /// Its children, of a step that has some.
    pub children: Option<NodeChildren>,
}

/// The children of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodeChildren {
    /// How many there are to be.
    pub count: u32,
    /// How many were started.
    pub started: u32,
    /// How many have ended.
    pub ended: u32,
    /// The first of those that were started, up to [`limits::CHILDREN_NAMED`].
    pub runs: Vec<RunId>,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NodeState {
    /// Something it waits for is not there yet.
    Blocked,
    /// It can be claimed, or will be once its time comes.
    Ready,
    /// A worker holds it under lease.
    Running,
    /// It waits for its next attempt.
    Retrying,
    /// It waits for a time, a person, a signal or children.
    Waiting,
    /// It ended with an output (none for a wait).
    Succeeded,
    /// It ended for good, with a failure.
    Failed,
    /// It was not reached: what it waits for went another way.
    Skipped,
    /// It was ended with the run.
    Cancelled,
    /// It had succeeded, and its effect was taken back.
    Undone,
    /// It had succeeded, and its effect could not be taken back.
    UndoFailed,
}

impl NodeState {
    /// Every state.
    pub const ALL: [NodeState; 11] = [
        NodeState::Blocked,
        NodeState::Ready,
        NodeState::Running,
        NodeState::Retrying,
        NodeState::Waiting,
        NodeState::Succeeded,
        NodeState::Failed,
        NodeState::Skipped,
        NodeState::Cancelled,
        NodeState::Undone,
        NodeState::UndoFailed,
    ];

    /// The state as text, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            NodeState::Blocked => "blocked",
            NodeState::Ready => "ready",
            NodeState::Running => "running",
            NodeState::Retrying => "retrying",
            NodeState::Waiting => "waiting",
            NodeState::Succeeded => "succeeded",
            NodeState::Failed => "failed",
            NodeState::Skipped => "skipped",
            NodeState::Cancelled => "cancelled",
            NodeState::Undone => "undone",
            NodeState::UndoFailed => "undo_failed",
        }
    }

    /// Where a step stands. That a worker is on it is an overlay from the agenda.
    pub fn of(state: &StepState, tasks: &[TaskRow], now: Timestamp) -> NodeState {
        let row = |stage: Stage| {
            let armed = stage.armed()?;
            tasks.iter().find(|row| row.key.lane == armed.lane)
        };
        match (state.undo.as_ref().map(|undo| undo.stage), state.stage) {
            (Some(UndoStage::Done), _) => NodeState::Undone,
            (Some(UndoStage::Failed), _) => NodeState::UndoFailed,
            (
                _,
                Stage::Scheduled(_)
                | Stage::Evaluating(_)
                | Stage::Spawning(_)
                | Stage::Collecting(_)
                | Stage::Stopping(_),
            ) => match row(state.stage) {
                Some(row) if row.owner.is_some() && row.due_at > now => NodeState::Running,
                Some(row) if row.due_at > now && row.attempt > 1 => NodeState::Retrying,
                Some(_) | None => NodeState::Ready,
            },
            (
                _,
                Stage::Waiting(_)
                | Stage::Open { .. }
                | Stage::Listening { .. }
                | Stage::Held { .. }
                | Stage::Resting
                | Stage::Recalling(_),
            ) => NodeState::Waiting,
            (_, Stage::Blocked) => NodeState::Blocked,
            (_, Stage::Succeeded) => NodeState::Succeeded,
            (_, Stage::Failed) => NodeState::Failed,
            (_, Stage::Cancelled) => NodeState::Cancelled,
            (_, Stage::Skipped) => NodeState::Skipped,
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl RunGraph {
    /// The graph of a run. `definition` is the one the run is pinned to.
    ///
    /// # Errors
    /// If the run's snapshot cannot be read.
    pub fn of(record: &RunRecord, definition: &Definition) -> Result<RunGraph, DecodeError> {
        let run = Run::decode(&record.row.state)?;
        if run.steps().len() != definition.steps().len() {
            return Err(DecodeError::Corrupt);
        }
        let preview = definition.preview();
        let steps = definition.indexes().zip(preview.nodes);
        let nodes = steps.map(|(step, node)| node_of(record, definition, &run, step, node));
        let origin = run.origin();
        Ok(RunGraph {
            run: run.id(),
            parent: origin.parent.as_ref().map(|parent| GraphParent {
                run: parent.run,
                step: parent.step,
            }),
            source: origin.copy.as_ref().map(|copy| GraphSource {
                run: copy.run,
                kind: copy.kind,
            }),
            nodes: nodes.collect(),
            edges: edge::all(definition, &run, preview.edges),
        })
    }
}

fn node_of(
    record: &RunRecord,
    definition: &Definition,
    run: &Run,
    step: StepIndex,
    node: PreviewNode,
) -> RunNode {
    let (spec, state) = (definition.step(step), run.step(step));
    let ways = spec.ways();
    let way = state.label.and_then(|label| ways.get(usize::from(label.0)));
    let ended = |role| {
        let tries = state.tries(role);
        tries.map_or(0, |tries| tries.executed + tries.lost + tries.conflicts)
    };
    RunNode {
        id: node.id,
        kind: node.kind,
        label: node.label,
        state: NodeState::of(state, &record.tasks, record.now),
        way: way.map(ToString::to_string),
        code: state.code.clone(),
        attempts: ended(Role::Step),
        undo_attempts: ended(Role::Undo),
        children: state.fan.as_ref().map(|fan| children(run, step, fan)),
    }
}

fn children(run: &Run, step: StepIndex, fan: &Fan) -> NodeChildren {
    let named = (0..fan.started).take(limits::CHILDREN_NAMED);
    NodeChildren {
        count: fan.count,
        started: fan.started,
        ended: fan.arrived,
        runs: named.map(|child| fan.run(run.id(), step, child)).collect(),
    }
}
