//! The handlers of one process, by name.
//!
//! Invariant: a name stands for one function; a second one under the same name is refused, never silently chosen between.

use std::collections::BTreeMap;

use squid_mesh_core::name::Name;
use squid_mesh_core::operation::HandlerSet;

use super::BoxedHandler;

/// The handlers of one process, or of one workflow.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    handlers: BTreeMap<Name, BoxedHandler>,
}

/// Two functions were registered under one handler name.
///
/// A step's handler name is `{workflow}_{step}`, or what [`StepSpec::named`](crate::StepSpec::named) says, and does not
/// hold the version: several versions of a workflow share handlers, so the same step of two versions has to be wired to the
/// same function, or get a name of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("handler {handler:?} is registered twice, with different functions")]
#[non_exhaustive]
pub struct HandlerConflict {
    /// The name.
    pub handler: String,
}

impl Registry {
    /// Registers a handler. The same function again is the same handler: of two closures made by one expression, the first
    /// stays.
    pub(crate) fn add(
        &mut self,
        name: &Name,
        handler: &BoxedHandler,
    ) -> Result<(), HandlerConflict> {
        match self.handlers.get(name) {
            Some(known) if !known.is_same(handler) => Err(HandlerConflict {
                handler: name.to_string(),
            }),
            Some(_) => Ok(()),
            None => {
                self.handlers.insert(name.clone(), handler.clone());
                Ok(())
            }
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&BoxedHandler> {
        self.handlers.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &BoxedHandler)> {
        self.handlers.iter()
    }

    /// Those of these names.
    pub(crate) fn only(&self, names: &[&Name]) -> Registry {
        let kept = names.iter().filter_map(|name| {
            let handler = self.handlers.get(*name)?;
            Some(((*name).clone(), handler.clone()))
        });
        Registry {
            handlers: kept.collect(),
        }
    }

    pub(crate) fn names(&self) -> HandlerSet {
        self.handlers.keys().cloned().collect()
    }
}
