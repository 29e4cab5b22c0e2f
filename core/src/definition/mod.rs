//! A workflow as immutable, validated data.
//!
//! Invariant: a `Definition` exists only if its draft passed the whole validation; runs, stores and workers never meet an
//! invalid one.

mod body;
mod canonical;
mod contract;
mod difference;
mod digest;
mod draft;
mod graph;
mod path;
mod preview;
mod problem;
mod reader;
mod retry;
#[cfg(test)]
pub(crate) mod samples;
mod source;
mod span;
mod step;
mod validate;
mod word;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use canonical::canonical_json;
pub use contract::{
    Contract, ContractViolation, Field, FieldDefault, FieldType, InputViolations, Stamp,
};
pub use digest::{DefinitionDigest, InvalidDigest};
pub use draft::{
    Draft, DraftBackoff, DraftBinding, DraftCondition, DraftGuard, DraftKind, DraftOrigin,
    DraftRetry, DraftSchedule, DraftSource, DraftStep, DraftTrigger, DraftUndo,
};
pub use path::{InvalidPath, Path, Segment};
pub use preview::{Preview, PreviewEdge, PreviewEdgeKind, PreviewNode};
pub(crate) use preview::{escaped, shape};
pub use problem::{Problem, ProblemCode, Problems};
pub use retry::{Backoff, BackoffKind, Retry};
pub use source::{Binding, Origin, Source};
pub use span::{DraftSpan, InvalidSpan};
pub use step::{
    Condition, Guard, LabelIndex, LogLevel, OnLost, Operator, RouteMark, Step, StepKind, Undo, Way,
    label,
};

use crate::name::Name;
use crate::schedule::Plan;

/// Position of a step in its definition, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StepIndex(pub u16);

impl StepIndex {
    /// As an index into a slice of steps.
    pub const fn at(self) -> usize {
        self.0 as usize
    }
}

/// Name and version: what a run is pinned to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DefinitionKey {
    /// The workflow.
    pub name: Name,
    /// Its version.
    pub version: u32,
}

impl fmt::Display for DefinitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// A validated workflow. Made from a [`Draft`] only.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    key: DefinitionKey,
    label: Option<String>,
    description: Option<String>,
    triggers: Vec<Trigger>,
    steps: Vec<Step>,
    dependents: Vec<Vec<StepIndex>>,
    consumers: Vec<Vec<StepIndex>>,
    result: Binding,
    queue: Name,
    priority: i16,
    deadline: Option<Duration>,
    digest: DefinitionDigest,
    /// What a store keeps of it.
    body: Arc<str>,
}

impl Definition {
    /// Name and version.
    pub fn key(&self) -> &DefinitionKey {
        &self.key
    }

    /// The workflow's name.
    pub fn name(&self) -> &Name {
        &self.key.name
    }

    /// The version.
    pub fn version(&self) -> u32 {
        self.key.version
    }

    /// The label for people, if any; not part of the digest.
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// The description for people, if any; not part of the digest.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Ways to start a run; the first is the default.
    pub fn triggers(&self) -> &[Trigger] {
        &self.triggers
    }

    /// The trigger of this name.
    pub fn trigger(&self, name: &str) -> Option<&Trigger> {
        self.triggers
            .iter()
            .find(|trigger| trigger.name.as_str() == name)
    }

    /// What an input of the default trigger must look like.
    pub fn contract(&self) -> &Contract {
        &self.triggers[0].contract
    }

    /// The steps, in declaration order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The step at `index`.
    ///
    /// # Panics
    /// If the index is not of this definition.
    pub fn step(&self, index: StepIndex) -> &Step {
        &self.steps[index.at()]
    }

    /// All indexes, in declaration order.
    pub fn indexes(&self) -> impl Iterator<Item = StepIndex> + use<> {
        (0..u16::try_from(self.steps.len()).unwrap_or(u16::MAX)).map(StepIndex)
    }

    /// The index of the step with this name.
    pub fn index_of(&self, name: &str) -> Option<StepIndex> {
        self.indexes().find(|i| self.step(*i).name.as_str() == name)
    }

    /// How the run's result is put together.
    pub fn result(&self) -> &Binding {
        &self.result
    }

    /// The queue of steps that name none.
    pub fn queue(&self) -> &Name {
        &self.queue
    }

    /// The priority of steps that name none; lower is more urgent.
    pub fn priority(&self) -> i16 {
        self.priority
    }

    /// How long a run may take from its start (its first due time, if delayed) to its end.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// SHA-256 over the canonical form: equal digests behave alike.
    pub fn digest(&self) -> DefinitionDigest {
        self.digest
    }

    /// Every handler a run of this definition may need, in name order.
    pub fn handlers(&self) -> Vec<&Name> {
        let own = self.steps.iter().filter_map(|step| step.kind.handler());
        let undo = self.steps.iter().filter_map(|step| step.undo.as_ref());
        let mut names: Vec<&Name> = own.chain(undo.map(|undo| &undo.handler)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Every workflow that a run of this definition may start children of, in name order.
    pub fn workflows(&self) -> Vec<&Name> {
        let steps = self.steps.iter();
        let mut names: Vec<&Name> = steps.filter_map(|step| step.kind.workflow()).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// A named way to start a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Unique within the definition.
    pub name: Name,
    /// What an input must look like.
    pub contract: Contract,
    /// When it starts runs by itself, if it does.
    pub schedule: Option<TriggerSchedule>,
}

/// When a trigger starts runs by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct TriggerSchedule {
    /// When, and what if it is late or the run before goes on.
    pub plan: Plan,
    /// The input of those runs, without defaults: it fits the trigger's contract.
    pub payload: Value,
}
