//! Wiring a workflow, step by step.
//!
//! Invariant: wiring never fails in between; everything that is wrong is collected and reported by `finish`, all at once.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use squid_mesh_core::definition::{
    Contract, Definition, Draft, DraftBinding, DraftSource, DraftStep, Problem, ProblemCode,
    Problems,
};
use squid_mesh_core::limits;
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::Payload;

use super::spec::StepSpec;
use super::value::{Binding, BuilderId, Needs, Place, Value, Wire, Wired};
use super::{BuildError, Workflow};
use crate::handler::{BoxedHandler, Registry};

/// Wires the steps of one workflow. Made by [`Workflow::builder`].
///
/// `I` is the type of the run's input.
#[derive(Debug)]
pub struct WorkflowBuilder<I> {
    id: BuilderId,
    draft: Draft,
    names: Vec<String>,
    handlers: Vec<(String, BoxedHandler)>,
    problems: Vec<Problem>,
    ty: PhantomData<fn(I)>,
}

static BUILDERS: AtomicU64 = AtomicU64::new(0);

impl<I: JsonSchema> WorkflowBuilder<I> {
    pub(super) fn new(name: &str, version: u32) -> (WorkflowBuilder<I>, Value<I>) {
        let id = BuilderId(BUILDERS.fetch_add(1, Ordering::Relaxed));
        let mut draft = Draft::new(name, version);
        draft.input = Contract::from_json_schema(schemars::schema_for!(I).as_value());
        let builder = WorkflowBuilder {
            id,
            draft,
            names: Vec::new(),
            handlers: Vec::new(),
            problems: Vec::new(),
            ty: PhantomData,
        };
        (builder, Value::new(Place::Input, id))
    }
}

impl<I> WorkflowBuilder<I> {
    /// Declares a step that runs a handler once everything in `input` is there.
    ///
    /// Steps that do not need each other run in parallel. A type that does not fit is a compile error here.
    pub fn step<In, Out>(
        &mut self,
        name: impl Into<String>,
        input: impl Wire<In>,
        spec: StepSpec<In, Out>,
    ) -> Value<Out> {
        let name = name.into();
        let StepSpec {
            handler, options, ..
        } = spec;
        let handler_name = options
            .named
            .unwrap_or_else(|| handler_name(&self.draft.name, &name));
        let mut step = DraftStep::handler(&name, &handler_name);
        let path = format!("steps[{}]", self.names.len());
        step.input = self.draft_binding(&format!("{path}.input"), input.binding());
        step.after = self.step_names(&format!("{path}.after"), &options.after);
        step.label = options.label;
        step.retry = options.retry.map(super::Retry::into_draft);
        step.timeout = options.timeout.map(Into::into);
        step.queue = options.queue;
        step.priority = options.priority;
        self.handlers.push((handler_name, handler));
        self.declare(name, step)
    }

    /// Declares a durable wait that ends `duration` after everything in `needs` is there. It occupies no worker.
    pub fn wait(
        &mut self,
        name: impl Into<String>,
        duration: Duration,
        needs: impl Needs,
    ) -> Value<()> {
        let name = name.into();
        let mut step = DraftStep::wait(&name, duration);
        let path = format!("steps[{}].needs", self.names.len());
        step.needs = self.step_names(&path, &needs.wired());
        self.declare(name, step)
    }

    /// What people read in place of the workflow's name.
    pub fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.draft.label = Some(label.into());
        self
    }

    /// How long a run may take from its start (its first due time, if delayed) to its end; then it fails with
    /// `deadline_exceeded`.
    pub fn deadline(&mut self, deadline: Duration) -> &mut Self {
        self.draft.deadline = Some(deadline.into());
        self
    }

    /// The queue of steps that name none; `default` otherwise.
    pub fn queue(&mut self, queue: impl Into<String>) -> &mut Self {
        self.draft.queue = Some(queue.into());
        self
    }

    /// The priority of steps that name none; 0 otherwise. Lower is more urgent, like `nice`.
    pub fn priority(&mut self, priority: i16) -> &mut Self {
        self.draft.priority = Some(priority);
        self
    }

    /// Checks the whole workflow, with `result` as what a completed run gives.
    ///
    /// # Errors
    /// Lists everything that is wrong with it.
    pub fn finish<O>(mut self, result: impl Wire<O>) -> Result<Workflow<I, O>, BuildError> {
        self.draft.result = self.draft_binding("result", result.binding());
        let (name, version) = (self.draft.name.clone(), self.draft.version);
        let handlers = self.registry();
        let mut problems = self.problems;
        let definition = match Definition::validate(self.draft) {
            Ok(definition) => Some(definition),
            Err(further) => {
                problems.extend(further);
                None
            }
        };
        match (definition, Problems::none_of(problems)) {
            (Some(definition), Ok(())) => Ok(Workflow::new(Arc::new(definition), handlers)),
            (None, Ok(())) => unreachable!("a draft that is refused has a problem"),
            (_, Err(problems)) => Err(BuildError {
                workflow: name,
                version,
                problems,
            }),
        }
    }

    fn declare<T>(&mut self, name: String, step: DraftStep) -> Value<T> {
        let value = Value::new(Place::Step(self.names.len()), self.id);
        self.names.push(name);
        self.draft.steps.push(step);
        value
    }

    fn draft_binding(&mut self, path: &str, binding: Binding) -> DraftBinding {
        for wired in binding.values() {
            self.is_owner(path, wired);
        }
        for error in binding.unwritable() {
            let message = format!("the constant cannot be written as JSON: {error}");
            self.problems
                .push(Problem::new(path, ProblemCode::WrongType, message));
        }
        binding.draft(&self.names)
    }

    /// The names of the steps behind values. The run's input is always there, so it needs no waiting for.
    fn step_names(&mut self, path: &str, values: &[Wired]) -> Vec<String> {
        let mut names = Vec::new();
        for wired in values {
            if !self.is_owner(path, *wired) {
                continue;
            }
            if let DraftSource::Output(name) = wired.draft(&self.names) {
                names.push(name);
            }
        }
        names
    }

    /// Whether a value is of this workflow; a problem if it is not.
    fn is_owner(&mut self, path: &str, wired: Wired) -> bool {
        let own = wired.builder == self.id;
        if !own {
            let message = "the value was made by the builder of another workflow";
            self.problems
                .push(Problem::new(path, ProblemCode::UnknownStep, message));
        }
        own
    }

    /// The handlers by name; two functions under one name are a problem.
    fn registry(&mut self) -> Registry {
        let mut registry = Registry::default();
        for (text, handler) in &self.handlers {
            // A malformed name is a problem of the definition.
            let Ok(name) = Name::new(text) else { continue };
            if let Err(conflict) = registry.add(&name, handler) {
                self.problems.push(Problem::new(
                    "steps",
                    ProblemCode::ConflictingOptions,
                    conflict.to_string(),
                ));
            }
        }
        registry
    }
}

/// The name under which a step's handler is registered, unless it is given one: `{workflow}_{step}`, and where that is too
/// long for a name, as much of it as fits with a digest of the whole.
pub(crate) fn handler_name(workflow: &str, step: &str) -> String {
    let whole = format!("{workflow}_{step}");
    if whole.len() <= limits::NAME_BYTES {
        return whole;
    }
    let digest: String = Payload::new(whole.as_bytes())
        .digest()
        .0
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let room = limits::NAME_BYTES - digest.len() - 1;
    let kept: String = whole.chars().take(room).collect();
    format!("{kept}_{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_name_fits_and_stays_distinct_however_long_its_parts_are() {
        let (workflow, step) = ("w".repeat(64), "s".repeat(64));
        assert_eq!(handler_name("order", "charge"), "order_charge");
        let long = handler_name(&workflow, &step);
        assert!(Name::new(&long).is_ok(), "{long}");
        assert_ne!(long, handler_name(&workflow, &"s".repeat(63)));
        assert_eq!(long, handler_name(&workflow, &step));
    }
}
