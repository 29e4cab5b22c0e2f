//! How an input or a result is put together.
//!
//! Invariant: the order of [`Binding::sources`] is the order in which payloads are fetched and spliced.

use std::collections::BTreeMap;

use super::StepIndex;
use super::path::Path;

/// How an input or a result is put together.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Binding {
    /// JSON `null`.
    Nothing,
    /// One source; without a path, its bytes untouched.
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
pub struct Source {
    /// The value.
    pub origin: Origin,
    /// What of it; the whole if empty.
    pub path: Path,
}

/// A value that a source takes, or takes a part of.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Origin {
    /// The run's input.
    Input,
    /// The output of a step.
    Output(StepIndex),
    /// The failure of a step that failed for good, as `{code, message, details}`.
    Failure(StepIndex),
    /// The output of the first of these steps, in this order, that succeeded.
    Either(Vec<StepIndex>),
    /// A constant of the definition.
    Constant(serde_json::Value),
}

impl From<Origin> for Source {
    fn from(origin: Origin) -> Source {
        Source {
            origin,
            path: Path::default(),
        }
    }
}
