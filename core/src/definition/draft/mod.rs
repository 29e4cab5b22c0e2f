//! A workflow as its author writes it, in Rust or as JSON: anything may be wrong with it.
//!
//! Invariant: a draft means nothing to the engine until it passed the validation that makes it a
//! [`Definition`](super::Definition).

mod binding;
mod parse;
mod print;
mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::contract::Contract;
use super::retry::{Backoff, BackoffKind, Retry};
use super::span::DraftSpan;

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
    /// What an input must look like.
    pub input: Contract,
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
    /// Steps that must be settled first, in whatever way.
    pub after: Vec<String>,
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

    fn of(name: String, kind: DraftKind) -> DraftStep {
        DraftStep {
            name,
            kind,
            label: None,
            description: None,
            needs: Vec::new(),
            after: Vec::new(),
            input: DraftBinding::Nothing,
            retry: None,
            timeout: None,
            queue: None,
            priority: None,
        }
    }
}

/// What a step of a draft does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DraftKind {
    /// Runs the handler of this name.
    Handler(String),
    /// Ends that long after it was reached.
    Wait(DraftSpan),
}

/// How an input or a result of a draft is put together.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum DraftBinding {
    /// JSON `null`.
    #[default]
    Nothing,
    /// One source.
    Whole(DraftSource),
    /// A JSON array of sources.
    Tuple(Vec<DraftSource>),
    /// A JSON object of named sources.
    Object(BTreeMap<String, DraftSource>),
}

impl DraftBinding {
    /// The sources with where they are in the binding's JSON form, in the order in which they are put together.
    pub(super) fn sources(&self, path: &str) -> Vec<(String, &DraftSource)> {
        match self {
            DraftBinding::Nothing => Vec::new(),
            DraftBinding::Whole(source) => vec![(path.to_owned(), source)],
            DraftBinding::Tuple(sources) => {
                let sources = sources.iter().enumerate();
                sources
                    .map(|(i, source)| (super::reader::item(path, i), source))
                    .collect()
            }
            DraftBinding::Object(sources) => {
                let base = super::reader::field(path, "object");
                let named = sources.iter();
                named
                    .map(|(name, source)| (super::reader::field(&base, name), source))
                    .collect()
            }
        }
    }
}

/// Where a part of an input comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum DraftSource {
    /// The run's input.
    Input,
    /// The output of the step of this name.
    Output(String),
    /// A constant.
    Constant(Value),
}

impl DraftSource {
    /// The step whose output it is.
    pub(super) fn step(&self) -> Option<&str> {
        match self {
            DraftSource::Output(step) => Some(step),
            DraftSource::Input | DraftSource::Constant(_) => None,
        }
    }
}

/// When a failed attempt of a draft's step is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftRetry {
    /// How many attempts may be executed in all.
    pub max_attempts: u32,
    /// How many lost attempts the step survives; 3 if not given.
    pub max_lost: Option<u32>,
    /// How long to wait in between; not at all if not given.
    pub backoff: Option<DraftBackoff>,
}

impl DraftRetry {
    /// That many attempts in all, without a pause.
    pub const fn attempts(max_attempts: u32) -> DraftRetry {
        DraftRetry {
            max_attempts,
            max_lost: None,
            backoff: None,
        }
    }

    /// The same pause each time.
    pub fn constant(max_attempts: u32, pause: Duration) -> DraftRetry {
        DraftRetry::paced(max_attempts, BackoffKind::Constant, Some(pause), None)
    }

    /// A pause that grows by `min` each time, up to `max`.
    pub fn linear(max_attempts: u32, min: Duration, max: Duration) -> DraftRetry {
        DraftRetry::paced(max_attempts, BackoffKind::Linear, Some(min), Some(max))
    }

    /// A pause that doubles each time, from a second up to an hour.
    pub fn exponential(max_attempts: u32) -> DraftRetry {
        DraftRetry::paced(max_attempts, BackoffKind::Exponential, None, None)
    }

    fn paced(
        max_attempts: u32,
        kind: BackoffKind,
        min: Option<Duration>,
        max: Option<Duration>,
    ) -> DraftRetry {
        let backoff = DraftBackoff {
            min: min.map(DraftSpan::from),
            max: max.map(DraftSpan::from),
            ..DraftBackoff::of(kind)
        };
        DraftRetry {
            backoff: Some(backoff),
            ..DraftRetry::attempts(max_attempts)
        }
    }
}

/// How the pauses of a draft's step grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftBackoff {
    /// The law of growth.
    pub kind: BackoffKind,
    /// The first pause; a second if not given.
    pub min: Option<DraftSpan>,
    /// The longest pause; an hour, or `min` if that is longer, if not given. Linear and exponential only.
    pub max: Option<DraftSpan>,
    /// What a pause is multiplied with each time, in thousandths; 2,000 if not given. Exponential only.
    pub factor_thousandths: Option<u32>,
    /// By which part of itself a pause may be shortened, in thousandths; 0 if not given.
    pub jitter_thousandths: Option<u16>,
}

impl DraftBackoff {
    /// The law with its defaults.
    pub const fn of(kind: BackoffKind) -> DraftBackoff {
        DraftBackoff {
            kind,
            min: None,
            max: None,
            factor_thousandths: None,
            jitter_thousandths: None,
        }
    }
}

/// With every option that has an effect written out.
impl From<Retry> for DraftRetry {
    fn from(retry: Retry) -> DraftRetry {
        DraftRetry {
            max_attempts: retry.max_attempts,
            max_lost: Some(retry.max_lost),
            backoff: DraftBackoff::written_out(retry.backoff),
        }
    }
}

impl DraftBackoff {
    fn written_out(backoff: Backoff) -> Option<DraftBackoff> {
        let plain = DraftBackoff {
            min: Some(backoff.min.into()),
            jitter_thousandths: Some(backoff.jitter_thousandths),
            ..DraftBackoff::of(backoff.kind)
        };
        let max = Some(backoff.max.into());
        match backoff.kind {
            BackoffKind::None => None,
            BackoffKind::Constant => Some(plain),
            BackoffKind::Linear => Some(DraftBackoff { max, ..plain }),
            BackoffKind::Exponential => Some(DraftBackoff {
                max,
                factor_thousandths: Some(backoff.factor_thousandths),
                ..plain
            }),
        }
    }
}
