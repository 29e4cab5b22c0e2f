//! How an input or a result of a draft is put together.
//!
//! Invariant: sources are listed in the order in which they are put together, each with the place where its JSON form is.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::definition::path::Path;
use crate::definition::reader;

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
    pub(in super::super) fn sources(&self, path: &str) -> Vec<(String, &DraftSource)> {
        match self {
            DraftBinding::Nothing => Vec::new(),
            DraftBinding::Whole(source) => vec![(path.to_owned(), source)],
            DraftBinding::Tuple(sources) => {
                let sources = sources.iter().enumerate();
                sources
                    .map(|(i, source)| (reader::item(path, i), source))
                    .collect()
            }
            DraftBinding::Object(sources) => {
                let base = reader::field(path, "object");
                let named = sources.iter();
                named
                    .map(|(name, source)| (reader::field(&base, name), source))
                    .collect()
            }
        }
    }
}

/// Where a part of an input comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct DraftSource {
    /// The value.
    pub origin: DraftOrigin,
    /// What of it; the whole if empty.
    pub path: Path,
}

/// A value that a source takes, or takes a part of.
#[derive(Debug, Clone, PartialEq)]
pub enum DraftOrigin {
    /// The run's input.
    Input,
    /// The output of the step of this name.
    Output(String),
    /// The failure of the step of this name, once it has failed for good.
    Failure(String),
    /// The output of the first of these steps that succeeded.
    Either(Vec<String>),
    /// A constant.
    Constant(Value),
}

impl DraftSource {
    /// The run's input.
    pub fn input() -> DraftSource {
        DraftOrigin::Input.into()
    }

    /// The output of the step of this name.
    pub fn output(step: impl Into<String>) -> DraftSource {
        DraftOrigin::Output(step.into()).into()
    }

    /// A constant.
    pub fn constant(value: impl Into<Value>) -> DraftSource {
        DraftOrigin::Constant(value.into()).into()
    }

    /// The output of the first of these steps that succeeded.
    pub fn either<S: Into<String>>(steps: impl IntoIterator<Item = S>) -> DraftSource {
        DraftOrigin::Either(steps.into_iter().map(Into::into).collect()).into()
    }

    /// The failure of the step of this name.
    pub fn failure(step: impl Into<String>) -> DraftSource {
        DraftOrigin::Failure(step.into()).into()
    }

    /// The part of it that the path leads to, instead of the whole.
    #[must_use]
    pub fn at(self, path: Path) -> DraftSource {
        DraftSource { path, ..self }
    }

    pub(in super::super) fn is_failure(&self) -> bool {
        matches!(self.origin, DraftOrigin::Failure(_))
    }

    /// The steps whose output or failure it is.
    pub(in super::super) fn steps(&self) -> Vec<&str> {
        match &self.origin {
            DraftOrigin::Output(step) | DraftOrigin::Failure(step) => vec![step],
            DraftOrigin::Either(steps) => steps.iter().map(String::as_str).collect(),
            DraftOrigin::Input | DraftOrigin::Constant(_) => Vec::new(),
        }
    }
}

impl From<DraftOrigin> for DraftSource {
    fn from(origin: DraftOrigin) -> DraftSource {
        DraftSource {
            origin,
            path: Path::default(),
        }
    }
}
