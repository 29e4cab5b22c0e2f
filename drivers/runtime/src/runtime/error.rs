//! Why a runtime cannot start.
//!
//! Invariant: a runtime that could not start has claimed nothing and executed nothing.

use squid_mesh_core::definition::{DefinitionKey, Problems};
use squid_mesh_core::name::{InvalidName, Name};
use squid_mesh_core::operation::DefinitionConflict;
use squid_mesh_core::store::StoreError;

use crate::handler::{HandlerConflict, RegisterError};
use crate::stores::ConnectError;

/// A runtime could not start. No run was touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// The store cannot be reached or prepared.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Definitions are stored, or were given twice, with another content: give the changed ones another version.
    #[error("{}", list(.0))]
    Definitions(Vec<DefinitionConflict>),
    /// A draft is not valid, or names handlers that were not registered.
    #[error("the draft cannot be registered: {0}")]
    Draft(#[source] Problems),
    /// Two functions have one handler name.
    #[error(transparent)]
    Handlers(#[from] HandlerConflict),
    /// A queue or handler has no proper name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A setting is out of its range.
    #[error("{setting} is {found}, expected {expected}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// What it was set to.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// A transactional step cannot be executed as one here, or its handler is of the other kind.
    #[error("step {step:?} of {definition} cannot be executed: {why}", step = .step.as_str())]
    Transactional {
        /// The workflow.
        definition: DefinitionKey,
        /// The step.
        step: Name,
        /// Why.
        why: String,
    },
    /// The store did not take the registration.
    #[error("cannot register with the store")]
    Store(#[from] StoreError),
}

impl From<RegisterError> for LaunchError {
    fn from(error: RegisterError) -> LaunchError {
        match error {
            RegisterError::Name(error) => LaunchError::Name(error),
            RegisterError::Conflict(error) => LaunchError::Handlers(error),
        }
    }
}

fn list(conflicts: &[DefinitionConflict]) -> String {
    conflicts
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
