//! What a store does wrong.
//!
//! Invariant: a failure says what was expected, what was found, and after what; it needs no debugger to be understood.

use std::fmt::{self, Debug};

use squid_mesh_core::operation::{Operation, Reply};
use squid_mesh_core::store::{Store, StoreError};

use super::Check;
use super::script::Script;

/// A store is not what it should be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failure {
    /// The check that found it, once it is known.
    pub check: Option<Check>,
    /// What was compared.
    pub what: String,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub found: String,
    /// The operation after which it was found, where it was one.
    pub operation: Option<Box<Operation>>,
    /// The script that leads there, shrunk, where there is one. It ends with the action that shows the failure.
    pub script: Option<Script>,
}

impl Failure {
    pub(super) fn new(what: impl Into<String>, expected: impl Debug, found: impl Debug) -> Failure {
        Failure {
            check: None,
            what: what.into(),
            expected: format!("{expected:?}"),
            found: format!("{found:?}"),
            operation: None,
            script: None,
        }
    }

    pub(super) fn after(self, operation: &Operation) -> Failure {
        Failure {
            operation: Some(Box::new(operation.clone())),
            ..self
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(check) = self.check {
            write!(f, "{check:?}: ")?;
        }
        write!(
            f,
            "{}\n  expected: {}\n  found:    {}",
            self.what, self.expected, self.found
        )?;
        if let Some(operation) = &self.operation {
            write!(f, "\n  after {operation:?}")?;
        }
        for (i, action) in self
            .script
            .iter()
            .flat_map(|script| &script.actions)
            .enumerate()
        {
            write!(f, "\n  action {}: {action:?}", i + 1)?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// Fails unless both are equal.
pub(super) fn same<T: PartialEq + Debug>(
    what: impl Into<String>,
    expected: &T,
    found: &T,
) -> Result<(), Failure> {
    if expected == found {
        Ok(())
    } else {
        Err(Failure::new(what, expected, found))
    }
}

/// Fails with the first row that differs unless all are equal.
pub(super) fn same_rows<T: PartialEq + Debug>(
    what: &str,
    expected: &[T],
    found: &[T],
) -> Result<(), Failure> {
    let rows = 0..expected.len().max(found.len());
    match rows
        .into_iter()
        .find(|at| expected.get(*at) != found.get(*at))
    {
        None => Ok(()),
        Some(at) => same(
            format!("{what}: row {} of {}", at + 1, expected.len()),
            &expected.get(at),
            &found.get(at),
        ),
    }
}

/// Fails with what was found unless something holds.
pub(super) fn holds(what: &str, holds: bool, found: impl Debug) -> Result<(), Failure> {
    if holds {
        Ok(())
    } else {
        Err(Failure::new(what, true, found))
    }
}

/// Conflicts that one operation may meet in a row: far more than competitors in any check.
const CONFLICTS: u32 = 1_000;

/// Performs an operation as a driver would: after a conflict again.
pub(super) async fn perform(store: &impl Store, operation: &Operation) -> Result<Reply, Failure> {
    for _ in 0..CONFLICTS {
        match store.perform(operation.clone()).await {
            Err(StoreError::Conflict) => {}
            answered => return answered.map_err(|error| unanswered(error).after(operation)),
        }
    }
    Err(unanswered(StoreError::Conflict).after(operation))
}

/// A call that a healthy store answers was not answered.
pub(super) fn unanswered(error: StoreError) -> Failure {
    Failure::new("a call to a healthy store", "an answer", error)
}
