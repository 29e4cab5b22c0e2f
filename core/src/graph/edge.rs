//! The edges of a run's graph: which ways were gone, which were not, and which are open.
//!
//! Invariant: an edge is selected only once what it stands for has come true, and stays so.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::definition::{Definition, PreviewEdge, PreviewEdgeKind, StepIndex, label};
use crate::run::{Run, Stage};

/// One step that waits for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RunEdge {
    /// The names of its ends and its place among those with the same ends: the same on each call.
    pub id: String,
    /// The step that is waited for.
    pub from: String,
    /// The step that waits.
    pub to: String,
    /// In which way.
    #[serde(flatten)]
    pub kind: PreviewEdgeKind,
    /// What has become of it.
    pub state: EdgeState,
    /// Of a failure route: what it is called in the audit trail.
    pub mark: Option<&'static str>,
}

/// What has become of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EdgeState {
    /// What it stands for has come true, and the waiting step was not skipped.
    Selected,
    /// It will not come true any more, or the waiting step was skipped.
    Skipped,
    /// The step that is waited for is under way.
    Pending,
    /// The step that is waited for has not been reached itself.
    Blocked,
}

impl EdgeState {
    /// Every state.
    pub const ALL: [EdgeState; 4] = [
        EdgeState::Selected,
        EdgeState::Skipped,
        EdgeState::Pending,
        EdgeState::Blocked,
    ];

    /// The state as text, as in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            EdgeState::Selected => "selected",
            EdgeState::Skipped => "skipped",
            EdgeState::Pending => "pending",
            EdgeState::Blocked => "blocked",
        }
    }
}

/// The definition's edges with what has become of them.
pub(super) fn all(definition: &Definition, run: &Run, edges: Vec<PreviewEdge>) -> Vec<RunEdge> {
    let names = definition.indexes();
    let index: BTreeMap<&str, StepIndex> = names
        .map(|step| (definition.step(step).name.as_str(), step))
        .collect();
    let at = |name: &str| {
        let step = index.get(name);
        *step.expect("an edge of a definition's preview joins steps of it")
    };
    let mut seen: BTreeMap<(StepIndex, StepIndex), u32> = BTreeMap::new();
    edges
        .into_iter()
        .map(|edge| {
            let (from, to) = (at(&edge.from), at(&edge.to));
            let number = seen.entry((from, to)).or_default();
            *number += 1;
            let way = Way {
                definition,
                run,
                from,
                to,
                kind: &edge.kind,
            };
            RunEdge {
                id: format!("{}-{}-{number}", edge.from, edge.to),
                state: way.state(),
                mark: way.mark(),
                from: edge.from,
                to: edge.to,
                kind: edge.kind,
            }
        })
        .collect()
}

/// One edge, by the positions of its ends.
struct Way<'a> {
    definition: &'a Definition,
    run: &'a Run,
    from: StepIndex,
    to: StepIndex,
    kind: &'a PreviewEdgeKind,
}

impl Way<'_> {
    fn state(&self) -> EdgeState {
        let from = self.run.step(self.from).stage;
        if self.run.step(self.to).stage == Stage::Skipped {
            return EdgeState::Skipped;
        }
        match self.has_come_true() {
            Some(true) => EdgeState::Selected,
            Some(false) => EdgeState::Skipped,
            None if from == Stage::Blocked => EdgeState::Blocked,
            None => EdgeState::Pending,
        }
    }

    /// Whether what the edge stands for has come true; `None` while that is open.
    fn has_come_true(&self) -> Option<bool> {
        let state = self.run.step(self.from);
        let settled = state.stage.is_settled();
        let spec = self.definition.step(self.from);
        match self.kind {
            PreviewEdgeKind::Either => self.is_taken(),
            PreviewEdgeKind::Data => settled.then_some(state.stage == Stage::Succeeded),
            PreviewEdgeKind::Control => {
                let needed = self.definition.step(self.to).needs.contains(&self.from);
                // What only comes after another takes any end of it, but for its end with the run.
                let good = if needed {
                    state.stage == Stage::Succeeded
                } else {
                    state.stage != Stage::Cancelled
                };
                settled.then_some(good)
            }
            PreviewEdgeKind::Failure => settled.then_some(state.stage == Stage::Failed),
            PreviewEdgeKind::Guard { label: way } if way == label::FAILED => {
                settled.then_some(state.stage == Stage::Failed)
            }
            PreviewEdgeKind::Guard { label: way } => {
                let gone = state.label.is_some() && spec.way(way) == state.label;
                settled.then_some(state.stage == Stage::Succeeded && gone)
            }
        }
    }

    /// Whether this alternative is the one taken, in any of the groups it is in: the first that succeeded, in the group's
    /// order, once all of them have ended.
    fn is_taken(&self) -> Option<bool> {
        let stage = |step: &StepIndex| self.run.step(*step).stage;
        let groups = self.definition.step(self.to).either.iter();
        let mine = groups.filter(|group| group.contains(&self.from));
        let taken = mine.map(|group| {
            if stage(&self.from).is_settled() && stage(&self.from) != Stage::Succeeded {
                return Some(false);
            }
            let before = group.iter().take_while(|step| **step != self.from);
            let mut before = before.map(stage);
            if before.clone().any(|stage| stage == Stage::Succeeded) {
                return Some(false);
            }
            let certain = before.all(Stage::is_settled);
            (certain && stage(&self.from) == Stage::Succeeded).then_some(true)
        });
        let all: Vec<Option<bool>> = taken.collect();
        if all.contains(&Some(true)) {
            Some(true)
        } else if all.contains(&None) {
            None
        } else {
            Some(false)
        }
    }

    /// The mark of a failure route.
    fn mark(&self) -> Option<&'static str> {
        let is_route = match self.kind {
            PreviewEdgeKind::Failure => true,
            PreviewEdgeKind::Guard { label: way } => way == label::FAILED,
            PreviewEdgeKind::Data | PreviewEdgeKind::Control | PreviewEdgeKind::Either => false,
        };
        let mark = self.definition.step(self.to).mark.filter(|_| is_route);
        mark.map(|mark| mark.as_str())
    }
}
