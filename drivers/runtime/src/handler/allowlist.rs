//! The handlers that drafts may name.
//!
//! Invariant: the list is the host's; nothing in a draft adds to it, and what was switched off stays off.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use squid_mesh_core::definition::{Definition, Problems};
use squid_mesh_core::name::{InvalidName, Name};

use super::{BoxedHandler, Handler, HandlerConflict, Registry, Routed, TxHandler};

/// Named functions that workflows authored as JSON may use. Cheap to clone.
///
/// ```
/// use squid_mesh::core::definition::ProblemCode;
/// use squid_mesh::{Handlers, StepContext, StepError, Workflow};
///
/// async fn charge(_: StepContext, cents: u64) -> Result<u64, StepError> {
///     Ok(cents)
/// }
///
/// let handlers = Handlers::new().add("charge_card", charge).add("charge_old", charge).disable("charge_old");
/// let draft = |handler: &str| serde_json::json!({
///     "name": "order", "version": 1, "result": "output(pay)",
///     "steps": [{"name": "pay", "handler": handler, "input": "input"}],
/// });
/// assert!(Workflow::<u64, u64>::from_draft(&draft("charge_card"), &handlers).is_ok());
///
/// let error = Workflow::<u64, u64>::from_draft(&draft("rm_rf"), &handlers).unwrap_err();
/// assert_eq!(error.problems()[0].code, ProblemCode::UnknownHandler);
/// let error = Workflow::<u64, u64>::from_draft(&draft("charge_old"), &handlers).unwrap_err();
/// assert_eq!(error.problems()[0].code, ProblemCode::DisabledHandler);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "handlers are registered by giving them to a runtime or a draft"]
pub struct Handlers {
    handlers: Vec<(String, BoxedHandler)>,
    disabled: BTreeSet<String>,
}

impl Handlers {
    /// An empty list.
    pub fn new() -> Handlers {
        Handlers::default()
    }

    /// Adds a handler, an [undo](crate::Undo) handler or another. A name that is malformed, or has another function already,
    /// is reported where the list is used.
    pub fn add<In, Out>(
        mut self,
        name: impl Into<String>,
        handler: impl Handler<In, Out>,
    ) -> Handlers
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        self.handlers
            .push((name.into(), BoxedHandler::new(handler)));
        self
    }

    /// Adds a handler that returns its output with a label. The labels are declared by the steps that use it.
    pub fn add_routed<In, Out>(
        mut self,
        name: impl Into<String>,
        handler: impl Handler<In, Routed<Out>>,
    ) -> Handlers
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        self.handlers
            .push((name.into(), BoxedHandler::routed(handler)));
        self
    }

    /// Adds a handler that writes in the transaction which settles its step. Only steps that say `"transactional": true` can
    /// use it. See [`step_tx`](crate::step_tx).
    pub fn add_tx<In, Out>(
        mut self,
        name: impl Into<String>,
        handler: impl TxHandler<In, Out>,
    ) -> Handlers
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        self.handlers
            .push((name.into(), BoxedHandler::transactional(handler)));
        self
    }

    /// Switches a handler off for drafts: one that names it is refused as such, not as naming something unknown. Runs that
    /// were started before, and workflows wired in Rust, keep it.
    pub fn disable(mut self, name: impl Into<String>) -> Handlers {
        self.disabled.insert(name.into());
        self
    }

    /// The names that have a handler, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.handlers.iter().map(|(name, _)| name.as_str())
    }

    /// The handler of a name: the first that was added under it.
    pub(super) fn find(&self, name: &str) -> Option<&BoxedHandler> {
        let mut named = self.handlers.iter().filter(|(own, _)| own == name);
        named.next().map(|(_, handler)| handler)
    }

    /// Takes over what another list has.
    pub(crate) fn extend(&mut self, other: &Handlers) {
        self.handlers.extend(other.handlers.iter().cloned());
        self.disabled.extend(other.disabled.iter().cloned());
    }

    /// Puts the handlers under their names.
    pub(crate) fn register(&self, registry: &mut Registry) -> Result<(), RegisterError> {
        for (name, handler) in &self.handlers {
            registry.add(&Name::new(name)?, handler)?;
        }
        Ok(())
    }

    /// Whether a definition that was authored as JSON names only handlers of the registry that are not switched off.
    pub(crate) fn check(
        &self,
        definition: &Definition,
        registry: &Registry,
    ) -> Result<(), Problems> {
        // A malformed name is none that a definition could hold.
        let disabled = self.disabled.iter().filter_map(|name| Name::new(name).ok());
        definition.check_handlers(&registry.names(), &disabled.collect())
    }
}

/// A list of handlers cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterError {
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error(transparent)]
    Conflict(#[from] HandlerConflict),
}
