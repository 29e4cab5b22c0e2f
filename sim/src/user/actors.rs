//! Real handlers: those of workflows and lists of `squid_mesh`.
//!
//! Invariant: a handler is called as in production, by the same code.

use std::sync::Arc;

use squid_mesh::{Attempt, Client, Handlers, Workflow};
use squid_mesh_core::worker::Execution;

use super::source::{Authored, IntoAuthored};

/// Something that has handlers.
pub(crate) trait Actors: Send + Sync {
    /// Whether it has a handler of this name.
    fn has(&self, handler: &str) -> bool;
    /// An attempt of the handler that an execution names.
    fn attempt(&self, execution: &Execution, client: &Client) -> Option<Attempt>;
}

impl<I, O> Actors for Workflow<I, O> {
    fn has(&self, handler: &str) -> bool {
        let names = self.definition().handlers();
        names.iter().any(|name| name.as_str() == handler)
    }

    fn attempt(&self, execution: &Execution, client: &Client) -> Option<Attempt> {
        Workflow::attempt(self, execution, client)
    }
}

impl Actors for Handlers {
    fn has(&self, handler: &str) -> bool {
        self.names().any(|name| name == handler)
    }

    fn attempt(&self, execution: &Execution, client: &Client) -> Option<Attempt> {
        Handlers::attempt(self, execution, client)
    }
}

impl<I: 'static, O: 'static> IntoAuthored for Workflow<I, O> {
    fn authored(self) -> Authored {
        Authored {
            definition: self.definition().clone(),
            actors: Some(Arc::new(self)),
        }
    }
}

impl<I: 'static, O: 'static> IntoAuthored for &Workflow<I, O> {
    fn authored(self) -> Authored {
        self.clone().authored()
    }
}

/// A list of handlers that is made for each world.
pub(crate) type List<E> = Arc<dyn Fn(&E) -> Handlers + Send + Sync>;

/// The same lists in an environment that they do not look at.
pub(crate) fn anywhere<E>(lists: Vec<List<()>>) -> Vec<List<E>> {
    let list = |list: List<()>| -> List<E> { Arc::new(move |_| list(&())) };
    lists.into_iter().map(list).collect()
}
