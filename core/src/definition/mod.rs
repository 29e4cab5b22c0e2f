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
mod problem;
mod reader;
mod retry;
#[cfg(test)]
pub(crate) mod samples;
mod span;
mod validate;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use canonical::canonical_json;
pub use contract::{Contract, ContractViolation, Field, FieldType, InputViolations};
pub use digest::{DefinitionDigest, InvalidDigest};
pub use draft::{Draft, DraftBackoff, DraftBinding, DraftKind, DraftRetry, DraftSource, DraftStep};
pub use problem::{Problem, ProblemCode, Problems};
pub use retry::{Backoff, BackoffKind, Retry};
pub use span::{DraftSpan, InvalidSpan};

use crate::name::Name;

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
    contract: Contract,
    steps: Vec<Step>,
    dependents: Vec<Vec<StepIndex>>,
    result: Binding,
    queue: Name,
    priority: i16,
    deadline: Option<Duration>,
    digest: DefinitionDigest,
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

    /// What an input must look like.
    pub fn contract(&self) -> &Contract {
        &self.contract
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

    /// The steps that need, or come after, the step at `index`, in declaration order.
    pub fn dependents(&self, index: StepIndex) -> &[StepIndex] {
        &self.dependents[index.at()]
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
        let mut names: Vec<&Name> = self.steps.iter().filter_map(|s| s.kind.handler()).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// One step of a definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Unique within the definition.
    pub name: Name,
    /// For people; not part of the digest.
    pub label: Option<String>,
    /// For people; not part of the digest.
    pub description: Option<String>,
    /// What it does.
    pub kind: StepKind,
    /// Steps that must have succeeded first, in index order, without repeats: the sources of `input` and the declared needs.
    pub needs: Vec<StepIndex>,
    /// Steps that must be settled first, in whatever way.
    pub after: Vec<StepIndex>,
    /// How its input is put together.
    pub input: Binding,
    /// When a failed attempt is tried again, and how many losses it survives.
    pub retry: Retry,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
    /// Its queue, if not the definition's.
    pub queue: Option<Name>,
    /// Its priority, if not the definition's.
    pub priority: Option<i16>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepKind {
    /// Runs the host's handler of this name.
    Handler {
        /// The registered name.
        handler: Name,
    },
    /// Ends that long after it was reached.
    Wait {
        /// From zero to ten years.
        duration: Duration,
    },
}

impl StepKind {
    /// The handler, for a handler step.
    pub fn handler(&self) -> Option<&Name> {
        match self {
            StepKind::Handler { handler } => Some(handler),
            StepKind::Wait { .. } => None,
        }
    }
}

/// How an input or a result is put together.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Binding {
    /// JSON `null`.
    Nothing,
    /// One source, its bytes untouched.
    Whole(Source),
    /// A JSON array of sources, in order.
    Tuple(Vec<Source>),
    /// A JSON object of named sources.
    Object(BTreeMap<String, Source>),
}

impl Binding {
    /// The sources in the order in which they are put together.
    pub fn sources(&self) -> Vec<&Source> {
        match self {
            Binding::Nothing => Vec::new(),
            Binding::Whole(source) => vec![source],
            Binding::Tuple(sources) => sources.iter().collect(),
            Binding::Object(fields) => fields.values().collect(),
        }
    }
}

/// Where a part of an input comes from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Source {
    /// The run's input.
    Input,
    /// The output of a step.
    Output(StepIndex),
    /// A constant of the definition.
    Constant(serde_json::Value),
}
