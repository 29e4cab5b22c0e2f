//! One step of a definition: what it does, what it waits for, and how it is treated.
//!
//! Invariant: a step refers to steps of its own definition only, by position, and to each at most once per list.

use std::time::Duration;

use serde_json::Value;

use super::StepIndex;
use super::contract::Contract;
use super::path::Path;
use super::retry::Retry;
use super::source::Binding;
use crate::name::Name;

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
    /// Steps that must have succeeded first, in index order, without repeats: the outputs that `input` takes and the
    /// declared needs.
    pub needs: Vec<StepIndex>,
    /// Steps that must have failed for good first, in index order: the failures that `input` takes.
    pub failures: Vec<StepIndex>,
    /// Groups of which all must be settled and one must have succeeded: those that `input` takes and the declared ones.
    pub either: Vec<Vec<StepIndex>>,
    /// Steps that must be settled first, in whatever way.
    pub after: Vec<StepIndex>,
    /// Ways that other steps must have gone; all of them.
    pub guards: Vec<Guard>,
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
    /// Labels that its handler may return with an output, in declaration order.
    pub labels: Vec<Name>,
    /// What takes its effect back.
    pub undo: Option<Undo>,
    /// Its effect cannot be taken back, so it is not repeated lightly.
    pub irreversible: bool,
    /// Whether its effect can be compensated for; if not, a copy of the run must not repeat it unasked. Never if it is
    /// irreversible.
    pub compensatable: bool,
    /// What becomes of an attempt whose outcome is unknown.
    pub on_lost: OnLost,
    /// Whether its handler shares the database transaction that settles it.
    pub transactional: bool,
    /// What a failure route that leads here is called in the audit trail.
    pub mark: Option<RouteMark>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
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
    /// Ends at the instant that its input says (RFC 3339 text, or milliseconds since 1970).
    Until,
    /// Writes a line to the host's log.
    Log {
        /// How loud.
        level: LogLevel,
        /// The line.
        message: String,
    },
    /// Ends when somebody resumes the run.
    Pause {
        /// How long it stays open.
        deadline: Option<Duration>,
    },
    /// Ends when somebody approves or rejects.
    Approval {
        /// How long it stays open.
        deadline: Option<Duration>,
    },
    /// Ends when a signal of this name comes, with what it carries.
    Signal {
        /// The signal's name.
        signal: Name,
        /// What its payload must look like.
        contract: Contract,
        /// How long it stays open.
        deadline: Option<Duration>,
    },
    /// Chooses a label by looking at its input.
    Route {
        /// Tried in order.
        conditions: Vec<Condition>,
        /// The label if none matches.
        fallback: Option<Name>,
    },
    /// Runs another workflow on its input, and ends with it.
    Child {
        /// The workflow; its highest version when the child starts.
        workflow: Name,
        /// Do not wait for it, do not cancel it: it goes its own way.
        detach: bool,
    },
    /// Runs another workflow on each element of its input, an array, and ends with all their results in order.
    Each {
        /// The workflow; its highest version when a child starts.
        workflow: Name,
        /// How many children may be active at once.
        parallel: u32,
        /// Gather outcomes, failures included, instead of failing with the first.
        collect: bool,
    },
}

impl StepKind {
    /// The handler, for a handler step.
    pub fn handler(&self) -> Option<&Name> {
        match self {
            StepKind::Handler { handler } => Some(handler),
            StepKind::Wait { .. }
            | StepKind::Until
            | StepKind::Log { .. }
            | StepKind::Pause { .. }
            | StepKind::Approval { .. }
            | StepKind::Signal { .. }
            | StepKind::Route { .. }
            | StepKind::Child { .. }
            | StepKind::Each { .. } => None,
        }
    }

    /// The workflow whose runs it starts, for a child or an each.
    pub fn workflow(&self) -> Option<&Name> {
        match self {
            StepKind::Child { workflow, .. } | StepKind::Each { workflow, .. } => Some(workflow),
            StepKind::Handler { .. }
            | StepKind::Wait { .. }
            | StepKind::Until
            | StepKind::Log { .. }
            | StepKind::Pause { .. }
            | StepKind::Approval { .. }
            | StepKind::Signal { .. }
            | StepKind::Route { .. } => None,
        }
    }

    /// Whether somebody outside has to end it.
    pub fn is_gate(&self) -> bool {
        matches!(
            self,
            StepKind::Pause { .. } | StepKind::Approval { .. } | StepKind::Signal { .. }
        )
    }
}

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For whoever looks for details.
    Debug,
    /// Normal.
    Info,
    /// Somebody should look.
    Warn,
    /// Somebody must look.
    Error,
}

/// A label with the condition under which a route takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// The label.
    pub label: Name,
    /// What of the step's input is looked at.
    pub path: Path,
    /// What it must be.
    pub operator: Operator,
}

/// What a condition asks of a value. A missing value and one of another type match none but `Exists(false)`.
#[derive(Debug, Clone, PartialEq)]
pub enum Operator {
    /// The same JSON value; numbers compare as exact decimals.
    Equals(Value),
    /// Another JSON value, which is there.
    NotEquals(Value),
    /// A greater number, or a text later in byte order.
    GreaterThan(Value),
    /// A lesser number, or a text earlier in byte order.
    LessThan(Value),
    /// One of these JSON values.
    In(Vec<Value>),
    /// Whether it is there and not null.
    Exists(bool),
}

/// A way that another step must have gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// The other step.
    pub step: StepIndex,
    /// The way.
    pub way: Way,
}

/// How a step went, as guards ask.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// It succeeded with the label at this position of [`Step::ways`].
    Label(LabelIndex),
    /// It failed for good.
    Failed,
}

/// Position of a label among those that a step can return.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct LabelIndex(pub u16);

/// What takes the effect of a step back.
#[derive(Debug, Clone, PartialEq)]
pub struct Undo {
    /// The host's handler of this name.
    pub handler: Name,
    /// When a failed attempt is tried again, and how many losses it survives.
    pub retry: Retry,
    /// How long one attempt may take.
    pub timeout: Option<Duration>,
}

/// What becomes of a step whose attempt was lost after it began, timed out or panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLost {
    /// It is tried again.
    Retry,
    /// Its outcome is unknown until somebody says what it was.
    Hold,
}

/// What a failure route is called in the audit trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteMark {
    /// It makes good for what was done.
    Compensation,
    /// It takes back what was done.
    Undo,
}

/// Labels that gates return.
pub mod label {
    /// An approval was given.
    pub const APPROVED: &str = "approved";
    /// An approval was refused.
    pub const REJECTED: &str = "rejected";
    /// A pause was ended by somebody.
    pub const RESUMED: &str = "resumed";
    /// A signal came.
    pub const RECEIVED: &str = "received";
    /// A gate's deadline came first.
    pub const EXPIRED: &str = "expired";
    /// In a guard: the step failed for good. No step returns it.
    pub const FAILED: &str = "failed";
}

impl Step {
    /// Every label that the step can return, in the order of their [`LabelIndex`].
    pub fn ways(&self) -> Vec<Name> {
        let fixed = |labels: &[&str]| labels.iter().map(|label| Name::stored(label)).collect();
        match &self.kind {
            StepKind::Handler { .. } => self.labels.clone(),
            StepKind::Pause { .. } => fixed(&[label::RESUMED, label::EXPIRED]),
            StepKind::Approval { .. } => fixed(&[label::APPROVED, label::REJECTED, label::EXPIRED]),
            StepKind::Signal { .. } => fixed(&[label::RECEIVED, label::EXPIRED]),
            StepKind::Route {
                conditions,
                fallback,
            } => {
                let mut ways: Vec<Name> = Vec::new();
                for label in conditions
                    .iter()
                    .map(|condition| &condition.label)
                    .chain(fallback)
                {
                    if !ways.contains(label) {
                        ways.push(label.clone());
                    }
                }
                ways
            }
            StepKind::Wait { .. }
            | StepKind::Until
            | StepKind::Log { .. }
            | StepKind::Child { .. }
            | StepKind::Each { .. } => Vec::new(),
        }
    }

    /// The position of a label that the step can return.
    pub fn way(&self, label: &str) -> Option<LabelIndex> {
        let at = self.ways().iter().position(|way| way.as_str() == label)?;
        u16::try_from(at).ok().map(LabelIndex)
    }

    /// Every other step that this one waits for, in whatever way: in index order, without repeats.
    pub fn waits_for(&self) -> Vec<StepIndex> {
        let lists = self.needs.iter().chain(&self.failures).chain(&self.after);
        let mut all: Vec<StepIndex> = lists
            .chain(self.either.iter().flatten())
            .copied()
            .chain(self.guards.iter().map(|guard| guard.step))
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}
