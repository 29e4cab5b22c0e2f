//! Workflows that were authored as JSON.
//!
//! Invariant: a draft passes the same validation as what is wired in Rust, and names only handlers that the host listed and
//! did not switch off.

use std::sync::Arc;

use serde_json::Value as Json;
use squid_mesh_core::definition::{Definition, Problem, ProblemCode, Problems};

use super::{BuildError, Workflow};
use crate::handler::{Handlers, RegisterError, Registry};

impl<I, O> Workflow<I, O> {
    /// Makes a workflow of a draft in JSON, whose steps name handlers of a list.
    ///
    /// That it takes an `I` and gives an `O` is the caller's word; inputs are checked against the contract that the draft
    /// declares. `serde_json::Value` fits every draft. See [`Handlers`] for an example.
    ///
    /// # Errors
    /// Lists everything that is wrong with the draft; handlers that are unknown or disabled only if nothing else is.
    pub fn from_draft(draft: &Json, handlers: &Handlers) -> Result<Workflow<I, O>, BuildError> {
        let mut registry = Registry::default();
        let made = handlers
            .register(&mut registry)
            .map_err(|error| Problems::from(unusable(&error)))
            .and_then(|()| Definition::parse(draft))
            .and_then(|definition| {
                handlers.check(&definition, &registry)?;
                Ok(definition)
            });
        match made {
            Ok(definition) => {
                let used = registry.only(&definition.handlers());
                Ok(Workflow::new(Arc::new(definition), used))
            }
            Err(problems) => {
                let version = draft["version"].as_u64();
                Err(BuildError {
                    workflow: draft["name"].as_str().unwrap_or("(unnamed)").to_owned(),
                    version: version.and_then(|v| v.try_into().ok()).unwrap_or(0),
                    problems,
                })
            }
        }
    }
}

/// What is wrong with the list of handlers, as a problem of the draft that wanted to use it.
fn unusable(error: &RegisterError) -> Problem {
    let code = match error {
        RegisterError::Name(_) => ProblemCode::MalformedName,
        RegisterError::Conflict(_) => ProblemCode::ConflictingOptions,
    };
    Problem::new("", code, error.to_string())
}
