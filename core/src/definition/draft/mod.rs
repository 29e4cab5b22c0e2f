//! A workflow as its author writes it, in Rust or as JSON: anything may be wrong with it.
//!
//! Invariant: a draft means nothing to the engine until it passed the validation that makes it a
//! [`Definition`](super::Definition).

mod binding;
mod kind;
mod parse;
mod print;
mod retry;
mod route;
mod schedule;
mod source;
mod text;

use serde_json::Value;

use super::contract::Contract;
use super::path::Path;
use super::span::DraftSpan;
use super::step::{LogLevel, OnLost, Operator, RouteMark};
use crate::schedule::PlanDraft;

pub(super) use kind::KINDS;
pub use retry::{DraftBackoff, DraftRetry};
pub use source::{DraftBinding, DraftOrigin, DraftSource};
pub(super) use text::json;

/// The authoring form of a workflow.
///
/// ```
/// use squid_mesh_core::definition::{Definition, Draft, DraftStep};
///
/// let mut draft = Draft::new("order", 1);
/// draft.steps.push(DraftStep::handler("charge", "charge_card"));
/// let definition = Definition::validate(draft).unwrap();
/// assert_eq!(definition.key().to_string(), "order@1");
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Draft {
    /// The workflow's name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// For people; not part of the digest.
    pub label: Option<String>,
    /// For people; not part of the digest.
    pub description: Option<String>,
    /// What an input of the default trigger must look like.
    pub input: Contract,
    /// Ways to start a run beside the default trigger, which is called `manual`.
    pub triggers: Vec<DraftTrigger>,
    /// The steps. Their order is that in which equally urgent ones are listed and undone.
    pub steps: Vec<DraftStep>,
    /// How the run's result is put together.
    pub result: DraftBinding,
    /// The queue of steps that name none; `default` if not given.
    pub queue: Option<String>,
    /// The priority of steps that name none, lower is more urgent; 0 if not given.
    pub priority: Option<i16>,
    /// How long a run may take.
    pub deadline: Option<DraftSpan>,
}

impl Draft {
    /// A draft without steps.
    pub fn new(name: impl Into<String>, version: u32) -> Draft {
        Draft {
            name: name.into(),
            version,
            ..Draft::default()
        }
    }
}

/// A named way to start a run of a draft.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftTrigger {
    /// Unique within the draft.
    pub name: String,
    /// What an input must look like.
    pub input: Contract,
    /// When it starts runs by itself; never if not given.
    pub schedule: Option<DraftSchedule>,
}

impl DraftTrigger {
    /// One that starts nothing by itself.
    pub fn manual(name: impl Into<String>, input: Contract) -> DraftTrigger {
        DraftTrigger {
            name: name.into(),
            input,
            schedule: None,
        }
    }
}

/// When a trigger of a draft starts runs by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftSchedule {
    /// When, and what if it is late or the run before goes on. It has an expression.
    pub plan: PlanDraft,
    /// The input of those runs, without defaults; an object without fields if not given.
    pub payload: Option<Value>,
}

/// One step of a draft.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftStep {
    /// Unique within the draft.
    pub name: String,
    /// For people; not part of the digest.
    pub label: Option<String>,
    /// For people; not part of the digest.
    pub description: Option<String>,
    /// What it does.
    pub kind: DraftKind,
    /// Steps that must have succeeded first, besides the sources of `input`.
    pub needs: Vec<String>,
    /// Groups of which all must be settled and one must have succeeded, besides those of `input`.
    pub either: Vec<Vec<String>>,
    /// Steps that must be settled first, in whatever way.
    pub after: Vec<String>,
    /// Ways that other steps must have gone; all of them.
    pub when: Vec<DraftGuard>,
    /// How its input is put together.
    pub input: DraftBinding,
    /// When a failed attempt is tried again; once only if not given.
    pub retry: Option<DraftRetry>,
    /// How long one attempt may take.
    pub timeout: Option<DraftSpan>,
    /// Its queue, if not the draft's.
    pub queue: Option<String>,
    /// Its priority, if not the draft's.
    pub priority: Option<i16>,
    /// Labels that its handler may return with an output.
    pub labels: Vec<String>,
    /// What takes its effect back.
    pub undo: Option<DraftUndo>,
    /// Its effect cannot be taken back; `false` if not given.
    pub irreversible: Option<bool>,
    /// Whether its effect can be compensated for; if not given, it can unless it is irreversible.
    pub compensatable: Option<bool>,
    /// What becomes of an attempt whose outcome is unknown; `hold` if irreversible, else `retry`, if not given.
    pub on_lost: Option<OnLost>,
    /// Whether its handler shares the database transaction that settles it.
    pub transactional: bool,
    /// What a failure route that leads here is called in the audit trail.
    pub mark: Option<RouteMark>,
}

impl DraftStep {
    /// A step that runs a handler of the host.
    pub fn handler(name: impl Into<String>, handler: impl Into<String>) -> DraftStep {
        DraftStep::of(name.into(), DraftKind::Handler(handler.into()))
    }

    /// A step that ends that long after it was reached.
    pub fn wait(name: impl Into<String>, span: impl Into<DraftSpan>) -> DraftStep {
        DraftStep::of(name.into(), DraftKind::Wait(span.into()))
    }

    /// A step of any kind.
    pub fn of(name: String, kind: DraftKind) -> DraftStep {
        DraftStep {
            name,
            kind,
            label: None,
            description: None,
            needs: Vec::new(),
            either: Vec::new(),
            after: Vec::new(),
            when: Vec::new(),
            input: DraftBinding::Nothing,
            retry: None,
            timeout: None,
            queue: None,
            priority: None,
            labels: Vec::new(),
            undo: None,
            irreversible: None,
            compensatable: None,
            on_lost: None,
            transactional: false,
            mark: None,
        }
    }
}

/// What a step of a draft does. See [`StepKind`](super::StepKind).
#[derive(Debug, Clone, PartialEq)]
pub enum DraftKind {
    /// Runs the handler of this name.
    Handler(String),
    /// Ends that long after it was reached.
    Wait(DraftSpan),
    /// Ends at the instant that its input says.
    Until,
    /// Writes a line to the host's log.
    Log {
        /// How loud; `info` if not given.
        level: Option<LogLevel>,
        /// The line.
        message: String,
    },
    /// Ends when somebody resumes the run.
    Pause {
        /// How long it stays open.
        deadline: Option<DraftSpan>,
    },
    /// Ends when somebody approves or rejects.
    Approval {
        /// How long it stays open.
        deadline: Option<DraftSpan>,
    },
    /// Ends when a signal of this name comes.
    Signal {
        /// The signal's name.
        signal: String,
        /// What its payload must look like.
        contract: Contract,
        /// How long it stays open.
        deadline: Option<DraftSpan>,
    },
    /// Chooses a label by looking at its input.
    Route {
        /// Tried in order.
        conditions: Vec<DraftCondition>,
        /// The label if none matches.
        fallback: Option<String>,
    },
    /// Runs another workflow on its input.
    Child {
        /// The workflow.
        workflow: String,
        /// Do not wait for it.
        detach: bool,
    },
    /// Runs another workflow on each element of its input.
    Each {
        /// The workflow.
        workflow: String,
        /// How many children may be active at once; 100 if not given.
        parallel: Option<u32>,
        /// Gather outcomes instead of failing with the first.
        collect: bool,
    },
}

/// A label with the condition under which a route takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftCondition {
    /// The label.
    pub label: String,
    /// What of the step's input is looked at.
    pub path: Path,
    /// What it must be.
    pub operator: Operator,
}

/// A way that another step must have gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftGuard {
    /// The other step.
    pub step: String,
    /// The label it must have returned, or `failed`.
    pub label: String,
}

/// What takes the effect of a step back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftUndo {
    /// The handler of this name.
    pub handler: String,
    /// When a failed attempt is tried again; once only if not given.
    pub retry: Option<DraftRetry>,
    /// How long one attempt may take.
    pub timeout: Option<DraftSpan>,
}
