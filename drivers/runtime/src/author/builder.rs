//! Wiring a workflow, step by step.
//!
//! Invariant: wiring never fails in between; everything that is wrong is collected and reported by `finish`, all at once.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use squid_mesh_core::definition::{
    Contract, Definition, Draft, DraftBinding, DraftGuard, DraftKind, DraftStep, DraftTrigger,
    DraftUndo, Problem, ProblemCode, Problems, Stamp,
};
use squid_mesh_core::limits;
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::Payload;

use super::gate::Options;
use super::retry::Retry;
use super::spec::{StepOptions, StepSpec};
use super::undo::UndoOptions;
use super::value::{BuilderId, Place, Value, Wired};
use super::wire::{AnyWire, Binding, Declared, Wire};
use super::{BuildError, Workflow};
use crate::handler::{BoxedHandler, Registry};

/// Wires the steps of one workflow. Made by [`Workflow::builder`].
///
/// `I` is the type of the run's input.
#[derive(Debug)]
pub struct WorkflowBuilder<I> {
    pub(super) id: BuilderId,
    pub(super) draft: Draft,
    pub(super) declared: Declared,
    pub(super) guards: Vec<DraftGuard>,
    pub(super) gates: Vec<(usize, Options)>,
    pub(super) stamps: Vec<(String, Stamp)>,
    handlers: Vec<(String, BoxedHandler)>,
    pub(super) problems: Vec<Problem>,
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
            declared: Declared::default(),
            guards: Vec::new(),
            gates: Vec::new(),
            stamps: Vec::new(),
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
        let mut step = DraftStep::handler(&name, "");
        self.set_input(&mut step, input);
        let StepOptions {
            common,
            named,
            retry,
            timeout,
            labels,
            undo,
            irreversible,
            compensatable,
            on_lost,
            transactional,
        } = spec.options;
        self.set_common(&mut step, common);
        let handler = named.unwrap_or_else(|| handler_name(&self.draft.name, &name));
        step.kind = DraftKind::Handler(handler.clone());
        step.retry = retry.map(Retry::into_draft);
        step.timeout = timeout.map(Into::into);
        step.labels = labels;
        step.undo = self.draft_undo(&name, undo);
        step.irreversible = irreversible;
        step.compensatable = compensatable;
        step.on_lost = on_lost;
        step.transactional = transactional;
        self.handlers.push((handler, spec.handler));
        self.declare(step)
    }

    /// Names another way to start a run, beside the default one, which is called `manual`. Its input is of the same type.
    ///
    /// ```
    /// use squid_mesh::{BuildError, StepContext, StepError, Workflow, step};
    ///
    /// async fn import(_: StepContext, rows: u64) -> Result<u64, StepError> {
    ///     Ok(rows)
    /// }
    ///
    /// fn import_rows() -> Result<Workflow<u64, u64>, BuildError> {
    ///     let (mut wf, rows) = Workflow::builder::<u64>("import", 1);
    ///     wf.manual("from_support").manual("from_webhook");
    ///     let imported = wf.step("import_rows", rows, step(import));
    ///     wf.finish(imported)
    /// }
    /// ```
    pub fn manual(&mut self, name: impl Into<String>) -> &mut Self {
        let input = self.draft.input.clone();
        self.draft.triggers.push(DraftTrigger::manual(name, input));
        self
    }

    /// Names another way to start a run, with an input contract of its own, that of type `P`. That steps which take the run's
    /// input can read a `P` is the author's word. [`Client::start_json`](crate::Client::start_json) starts it.
    pub fn manual_of<P: JsonSchema>(&mut self, name: impl Into<String>) -> &mut Self {
        let input = Contract::from_json_schema(schemars::schema_for!(P).as_value());
        self.draft.triggers.push(DraftTrigger::manual(name, input));
        self
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
        self.complete(result);
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

    /// Makes the draft whole: nothing is added to it any more.
    pub(super) fn complete(&mut self, result: impl AnyWire) {
        self.draft.result = self.draft_binding("result", result.binding());
        for (at, options) in &self.gates {
            options.write(&mut self.draft, *at);
        }
        self.write_stamps();
    }

    /// Where the step that will be declared next is in the draft's JSON form.
    pub(crate) fn next_path(&self) -> String {
        format!("steps[{}]", self.draft.steps.len())
    }

    /// Adds a step, under the guards of the branches it is declared in.
    pub(crate) fn declare<T>(&mut self, mut step: DraftStep) -> Value<T> {
        let own = std::mem::replace(&mut step.when, self.guards.clone());
        for guard in own {
            if !step.when.contains(&guard) {
                step.when.push(guard);
            }
        }
        let at = self.draft.steps.len();
        self.declared.steps.push(step.name.clone());
        self.draft.steps.push(step);
        Value::new(Place::Step(at), self.id)
    }

    pub(crate) fn draft_binding(&mut self, path: &str, binding: Binding) -> DraftBinding {
        for (path, source) in binding.sources(path) {
            if let Some(wired) = source.wired() {
                self.is_owner(&path, wired);
            }
            if let Some((code, message)) = source.problem() {
                self.problems.push(Problem::new(path, code, message));
            }
        }
        for name in binding.repeated() {
            self.problems.push(Problem::new(
                format!("{path}.object.{name}"),
                ProblemCode::ConflictingOptions,
                format!("the field {name:?} is wired twice"),
            ));
        }
        binding.draft(&self.declared)
    }

    fn draft_undo(&mut self, step: &str, undo: UndoOptions) -> Option<DraftUndo> {
        if undo.is_without_handler() {
            self.problems.push(Problem::new(
                format!("{}.undo", self.next_path()),
                ProblemCode::OptionWithoutEffect,
                format!("step {step:?} has options of an undo handler, and no undo handler"),
            ));
        }
        let boxed = undo.handler?;
        let whole = || handler_name(&self.draft.name, &format!("{step}_undo"));
        let handler = undo.named.unwrap_or_else(whole);
        self.handlers.push((handler.clone(), boxed));
        Some(DraftUndo {
            handler,
            retry: undo.retry.map(Retry::into_draft),
            timeout: undo.timeout.map(Into::into),
        })
    }

    /// Whether a value is of this workflow; a problem if it is not.
    pub(crate) fn is_owner(&mut self, path: &str, wired: Wired) -> bool {
        let own = wired.builder == self.id;
        if !own {
            let message = "the value was made by the builder of another workflow";
            self.problems
                .push(Problem::new(path, ProblemCode::UnknownStep, message));
        }
        own
    }

    /// The handlers by name; two functions under one name are a problem.
    pub(super) fn registry(&mut self) -> Registry {
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
