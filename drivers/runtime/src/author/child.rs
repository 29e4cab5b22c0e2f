//! Steps that run other workflows.
//!
//! Invariant: a child's input and result have the types of its workflow's reference.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use squid_mesh_core::definition::{DraftKind, DraftStep, RouteMark};
use squid_mesh_core::id::RunId;

use super::guard::StepFailure;
use super::options::Common;
use super::value::Value;
use super::wire::{Needs, Wire};
use super::{WorkflowBuilder, WorkflowRef};

/// Another workflow as a step, with the step's options. Made by [`child`].
#[must_use = "a child is declared by giving this to `WorkflowBuilder::child`"]
pub struct ChildSpec<I, O> {
    workflow: String,
    detach: bool,
    common: Common,
    ty: PhantomData<fn(I) -> O>,
}

/// Another workflow for each element, with the step's options. Made by [`each`].
#[must_use = "children are declared by giving this to `WorkflowBuilder::each`"]
pub struct EachSpec<I, O> {
    workflow: String,
    parallel: Option<u32>,
    common: Common,
    ty: PhantomData<fn(I) -> O>,
}

/// Another workflow for each element, whose failures are gathered. Made by [`EachSpec::collect`].
#[derive(Debug)]
#[must_use = "children are declared by giving this to `WorkflowBuilder::each`"]
pub struct CollectSpec<I, O>(EachSpec<I, O>);

/// How one of several children ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome<O> {
    /// It completed.
    Completed {
        /// Its result.
        result: O,
    },
    /// It failed.
    Failed {
        /// How.
        failure: StepFailure,
    },
    /// It was cancelled.
    Cancelled,
}

/// Takes a workflow for [`WorkflowBuilder::child`]; options are chained on it. Without options the reference itself will do.
pub fn child<I, O>(workflow: &WorkflowRef<I, O>) -> ChildSpec<I, O> {
    ChildSpec {
        workflow: workflow.name.to_string(),
        detach: false,
        common: Common::default(),
        ty: PhantomData,
    }
}

/// Takes a workflow for [`WorkflowBuilder::each`]; options are chained on it. Without options the reference itself will do.
pub fn each<I, O>(workflow: &WorkflowRef<I, O>) -> EachSpec<I, O> {
    EachSpec {
        workflow: workflow.name.to_string(),
        parallel: None,
        common: Common::default(),
        ty: PhantomData,
    }
}

macro_rules! common_options {
    ($spec:ident) => {
        impl<I, O> $spec<I, O> {
            /// The queue of the other workflow's runs, instead of its own.
            pub fn queue(mut self, queue: impl Into<String>) -> Self {
                self.common.queue = Some(queue.into());
                self
            }

            /// Its priority within the queue; lower is more urgent, like `nice`.
            pub fn priority(mut self, priority: i16) -> Self {
                self.common.priority = Some(priority);
                self
            }

            /// Begin only after everything in `values` has ended, in whatever way, without taking its output.
            pub fn after(mut self, values: impl Needs) -> Self {
                self.common.after.extend(values.wired());
                self
            }

            /// What the audit trail calls the failure route that leads to this step.
            pub fn mark(mut self, mark: RouteMark) -> Self {
                self.common.mark = Some(mark);
                self
            }

            /// What people read in place of the step's name.
            pub fn label(mut self, label: impl Into<String>) -> Self {
                self.common.label = Some(label.into());
                self
            }
        }

        impl<I, O> fmt::Debug for $spec<I, O> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($spec))
                    .field("workflow", &self.workflow)
                    .field("common", &self.common)
                    .finish_non_exhaustive()
            }
        }
    };
}

common_options!(ChildSpec);
common_options!(EachSpec);

impl<I, O> ChildSpec<I, O> {
    /// Do not wait for the child: the step ends when it has been started, with the child's id, and a cancel is not passed on
    /// to it.
    pub fn detach(self) -> ChildSpec<I, RunId> {
        ChildSpec {
            workflow: self.workflow,
            detach: true,
            common: self.common,
            ty: PhantomData,
        }
    }
}

impl<I, O> EachSpec<I, O> {
    /// How many children may be active at once; 100 by default.
    pub fn parallel(mut self, children: u32) -> Self {
        self.parallel = Some(children);
        self
    }

    /// Gather the outcomes of all children, instead of failing with the first that fails. The last of the options.
    pub fn collect(self) -> CollectSpec<I, O> {
        CollectSpec(self)
    }
}

/// What [`WorkflowBuilder::child`] takes: a [`WorkflowRef`], or a [`ChildSpec`] with options.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no workflow to run as a child",
    label = "expected `&WorkflowRef<I, O>` or `child(&reference)`"
)]
pub trait Child {
    /// What the other workflow takes.
    type Input;
    /// What the step gives.
    type Output;

    #[doc(hidden)]
    fn spec(self) -> ChildSpec<Self::Input, Self::Output>;
}

impl<I, O> Child for &WorkflowRef<I, O> {
    type Input = I;
    type Output = O;

    fn spec(self) -> ChildSpec<I, O> {
        child(self)
    }
}

impl<I, O> Child for ChildSpec<I, O> {
    type Input = I;
    type Output = O;

    fn spec(self) -> ChildSpec<I, O> {
        self
    }
}

/// What [`WorkflowBuilder::each`] takes: a [`WorkflowRef`], an [`EachSpec`] with options, or a [`CollectSpec`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no workflow to run for each element",
    label = "expected `&WorkflowRef<I, O>` or `each(&reference)`"
)]
pub trait Each {
    /// What the other workflow takes.
    type Input;
    /// What the step gives for each element.
    type Output;

    #[doc(hidden)]
    fn kind(self) -> (DraftKind, Common);
}

impl<I, O> Each for &WorkflowRef<I, O> {
    type Input = I;
    type Output = O;

    fn kind(self) -> (DraftKind, Common) {
        each(self).into_kind(false)
    }
}

impl<I, O> Each for EachSpec<I, O> {
    type Input = I;
    type Output = O;

    fn kind(self) -> (DraftKind, Common) {
        self.into_kind(false)
    }
}

impl<I, O> Each for CollectSpec<I, O> {
    type Input = I;
    type Output = Outcome<O>;

    fn kind(self) -> (DraftKind, Common) {
        self.0.into_kind(true)
    }
}

impl<I, O> EachSpec<I, O> {
    fn into_kind(self, collect: bool) -> (DraftKind, Common) {
        let kind = DraftKind::Each {
            workflow: self.workflow,
            parallel: self.parallel,
            collect,
        };
        (kind, self.common)
    }
}

impl<I> WorkflowBuilder<I> {
    /// Declares a step that runs another workflow, in the highest version there is when it begins, and gives its result. If
    /// that run fails, the step fails with the code `child_failed`; if it is cancelled, with `child_cancelled`.
    ///
    /// ```
    /// use squid_mesh::{BuildError, Workflow, WorkflowRef, child};
    ///
    /// fn order(
    ///     shipping: &WorkflowRef<u64, String>,
    ///     mailing: &WorkflowRef<String, ()>,
    /// ) -> Result<Workflow<u64, String>, BuildError> {
    ///     let (mut wf, order) = Workflow::builder::<u64>("order", 1);
    ///     let shipped = wf.child("ship", shipping, order);
    ///     // Goes its own way: the order does not wait for it.
    ///     wf.child("mail", child(mailing).detach(), shipped);
    ///     wf.finish(shipped)
    /// }
    /// ```
    pub fn child<C: Child>(
        &mut self,
        name: impl Into<String>,
        child: C,
        input: impl Wire<C::Input>,
    ) -> Value<C::Output> {
        let spec = child.spec();
        let kind = DraftKind::Child {
            workflow: spec.workflow,
            detach: spec.detach,
        };
        self.declare_children(name.into(), kind, spec.common, input)
    }

    /// Declares a step that runs another workflow on each of `items`, so many at once, and gives the results in the order of
    /// the items. The first that fails cancels the rest and fails the step, unless outcomes are
    /// [collected](EachSpec::collect).
    ///
    /// ```
    /// use squid_mesh::{BuildError, Outcome, StepContext, StepError, Workflow, WorkflowRef, each, step};
    ///
    /// async fn count(_: StepContext, all: Vec<Outcome<String>>) -> Result<usize, StepError> {
    ///     Ok(all.iter().filter(|one| matches!(one, Outcome::Completed { .. })).count())
    /// }
    ///
    /// fn orders(order: &WorkflowRef<u64, String>) -> Result<Workflow<Vec<u64>, usize>, BuildError> {
    ///     let (mut wf, orders) = Workflow::builder::<Vec<u64>>("orders", 1);
    ///     let all = wf.each("order", each(order).parallel(10).collect(), orders);
    ///     let counted = wf.step("count", all, step(count));
    ///     wf.finish(counted)
    /// }
    /// ```
    pub fn each<E: Each>(
        &mut self,
        name: impl Into<String>,
        each: E,
        items: impl Wire<Vec<E::Input>>,
    ) -> Value<Vec<E::Output>> {
        let (kind, common) = each.kind();
        self.declare_children(name.into(), kind, common, items)
    }

    fn declare_children<In, Out>(
        &mut self,
        name: String,
        kind: DraftKind,
        common: Common,
        input: impl Wire<In>,
    ) -> Value<Out> {
        let mut step = DraftStep::of(name, kind);
        self.set_input(&mut step, input);
        self.set_common(&mut step, common);
        self.declare(step)
    }
}
