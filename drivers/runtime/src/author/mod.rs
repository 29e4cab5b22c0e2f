//! Authoring: a workflow is wired from typed values, and is data once it is finished.
//!
//! Invariant: a `Workflow` has passed the whole validation, and has a handler for each of its steps.

mod builder;
mod child;
mod cron;
mod draft;
mod field;
mod gate;
mod guard;
mod object;
mod options;
mod retry;
pub mod route;
mod signal;
mod spec;
mod stamp;
#[cfg(test)]
mod tests;
mod undo;
mod value;
mod wait;
mod wire;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use squid_mesh_core::definition::{Definition, Problem, Problems};
use squid_mesh_core::name::Name;

pub use builder::WorkflowBuilder;
pub use child::{Child, ChildSpec, CollectSpec, Each, EachSpec, Outcome, child, each};
pub use cron::CronTrigger;
pub use field::Field;
pub use gate::{Decision, Gate};
pub use guard::StepFailure;
pub use object::{Object, ObjectOf, object};
pub use retry::Retry;
pub use signal::Signal;
pub use spec::{StepSpec, step, step_routed, step_tx, step_tx_with};
pub use undo::Undo;
pub use value::{Constant, Value, constant};
pub use wait::Instant;
pub use wire::{AnyPart, AnyWire, Needs, Part, Wire};

use crate::handler::Registry;

/// A validated definition with its handlers: takes an `I`, gives an `O`. Cheap to clone.
pub struct Workflow<I, O> {
    definition: Arc<Definition>,
    handlers: Arc<Registry>,
    ty: PhantomData<fn(I) -> O>,
}

impl Workflow<(), ()> {
    /// Begins a workflow: a builder, and the input that its runs will have.
    ///
    /// The input's type is the contract: inputs that do not fit its JSON schema are refused before anything is written.
    pub fn builder<I>(name: &str, version: u32) -> (WorkflowBuilder<I>, Value<I>)
    where
        I: Serialize + DeserializeOwned + JsonSchema,
    {
        WorkflowBuilder::new(name, version)
    }
}

impl<I, O> Workflow<I, O> {
    pub(crate) fn new(definition: Arc<Definition>, handlers: Registry) -> Workflow<I, O> {
        Workflow {
            definition,
            handlers: Arc::new(handlers),
            ty: PhantomData,
        }
    }

    /// The workflow as data.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// A typed name for starting runs of exactly this version.
    pub fn reference(&self) -> WorkflowRef<I, O> {
        let key = self.definition.key();
        WorkflowRef {
            name: key.name.clone(),
            version: Some(key.version),
            ty: PhantomData,
        }
    }

    pub(crate) fn handlers(&self) -> &Registry {
        &self.handlers
    }
}

impl<I, O> Clone for Workflow<I, O> {
    fn clone(&self) -> Workflow<I, O> {
        Workflow {
            definition: self.definition.clone(),
            handlers: self.handlers.clone(),
            ty: PhantomData,
        }
    }
}

impl<I, O> fmt::Debug for Workflow<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workflow({})", self.definition.key())
    }
}

/// A typed name of a workflow: what [`Client::start`](crate::Client::start) takes. Cheap to clone.
pub struct WorkflowRef<I, O> {
    pub(crate) name: Name,
    pub(crate) version: Option<u32>,
    ty: PhantomData<fn(I) -> O>,
}

impl<I, O> WorkflowRef<I, O> {
    /// Names a workflow without having it, e.g. in a process that only starts runs. The types are the caller's word; the
    /// input is checked against the stored contract all the same. Starts the highest version that is known.
    ///
    /// # Errors
    /// If the text is no name.
    pub fn named(name: &str) -> Result<WorkflowRef<I, O>, squid_mesh_core::name::InvalidName> {
        Ok(WorkflowRef {
            name: Name::new(name)?,
            version: None,
            ty: PhantomData,
        })
    }

    /// The same workflow at one version.
    #[must_use]
    pub fn version(mut self, version: u32) -> WorkflowRef<I, O> {
        self.version = Some(version);
        self
    }
}

impl<I, O> Clone for WorkflowRef<I, O> {
    fn clone(&self) -> WorkflowRef<I, O> {
        WorkflowRef {
            name: self.name.clone(),
            version: self.version,
            ty: PhantomData,
        }
    }
}

impl<I, O> fmt::Debug for WorkflowRef<I, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.version {
            Some(version) => write!(f, "WorkflowRef({}@{version})", self.name),
            None => write!(f, "WorkflowRef({})", self.name),
        }
    }
}

/// A workflow that cannot be: everything that is wrong with it, in a stable order.
///
/// ```
/// use squid_mesh::Workflow;
///
/// let (wf, order) = Workflow::builder::<u64>("Order!", 1);
/// let error = wf.finish::<u64>(order).unwrap_err();
/// assert_eq!(error.problems().len(), 2); // a malformed name, and no steps
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("workflow {workflow}@{version} cannot be built: {problems}")]
pub struct BuildError {
    workflow: String,
    version: u32,
    problems: Problems,
}

impl BuildError {
    /// The problems, each with its place, a stable code and a message.
    pub fn problems(&self) -> &[Problem] {
        self.problems.as_slice()
    }
}
