//! How an input can fail to fit its contract.
//!
//! Invariant: `InputViolations` is never empty.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::FieldType;

/// One way in which an input does not fit. Paths are those of the input; empty for the input as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContractViolation {
    /// A required field is not there.
    Missing {
        /// The field.
        path: String,
        /// Its type.
        expected: FieldType,
    },
    /// A field that the contract does not know.
    Unknown {
        /// The field.
        path: String,
    },
    /// A value of another type.
    IllTyped {
        /// The field.
        path: String,
        /// The type it should have.
        expected: FieldType,
        /// What it is instead.
        found: String,
    },
    /// A text or key with a NUL character, which not every store can hold.
    Nul {
        /// Where it is.
        path: String,
    },
}

impl fmt::Display for ContractViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |path: &str| match path {
            "" => "the input".to_owned(),
            path => format!("{path:?}"),
        };
        match self {
            ContractViolation::Missing { path, expected } => {
                write!(f, "{} is missing: expected {expected}", named(path))
            }
            ContractViolation::Unknown { path } => write!(f, "{} is unknown", named(path)),
            ContractViolation::IllTyped {
                path,
                expected,
                found,
            } => {
                write!(
                    f,
                    "{} is ill-typed: expected {expected}, found {found}",
                    named(path)
                )
            }
            ContractViolation::Nul { path } => write!(f, "{} has a NUL character", named(path)),
        }
    }
}

/// Every way in which an input does not fit its contract; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(transparent)]
pub struct InputViolations(Vec<ContractViolation>);

impl InputViolations {
    pub(super) fn of(violations: Vec<ContractViolation>) -> InputViolations {
        InputViolations(violations)
    }

    /// The violations, in their stable order.
    pub fn as_slice(&self) -> &[ContractViolation] {
        &self.0
    }
}

impl fmt::Display for InputViolations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, violation) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{violation}")?;
        }
        Ok(())
    }
}
