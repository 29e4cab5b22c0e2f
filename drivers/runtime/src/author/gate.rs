//! Gates: steps that end when somebody outside says so.
//!
//! Invariant: a gate's options are those its handle had when the workflow was finished.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use squid_mesh_core::definition::{Contract, Draft, DraftKind, DraftStep};

use super::WorkflowBuilder;
use super::signal::Signal;
use super::value::Value;
use super::wire::{AnyWire, Needs};

/// A gate of a workflow that is being wired: the [`Value`] of what it gives, which it stands for wherever one is taken, and
/// the gate's options.
///
/// Options can be set until [`WorkflowBuilder::finish`]; what is set later is lost.
pub struct Gate<T> {
    value: Value<T>,
    options: Options,
}

/// Shared by a gate's handle and its builder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options(Arc<Mutex<Set>>);

#[derive(Debug, Default)]
struct Set {
    deadline: Option<Duration>,
    label: Option<String>,
}

/// What somebody decided at a gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Decision {
    /// `approved` or `rejected` at an approval, `resumed` at a pause, `expired` if nobody decided in time.
    pub decision: String,
    /// Who decided; always there at an approval that was decided.
    #[serde(default)]
    pub actor: Option<String>,
    /// What they said.
    #[serde(default)]
    pub comment: Option<String>,
    /// What was recorded with it; null if nothing.
    #[serde(default)]
    pub metadata: serde_json::Value,
    /// When, as RFC 3339 text.
    pub decided_at: String,
}

impl<T> Gate<T> {
    /// How long the gate stays open. Then it returns the label `expired` if a branch is wired to it, and fails with the code
    /// `expired` otherwise.
    #[must_use = "the gate is given back"]
    pub fn deadline(self, deadline: Duration) -> Gate<T> {
        self.options.set().deadline = Some(deadline);
        self
    }

    /// What people read in place of the step's name.
    #[must_use = "the gate is given back"]
    pub fn label(self, label: impl Into<String>) -> Gate<T> {
        self.options.set().label = Some(label.into());
        self
    }
}

/// A gate is used like the value of what it gives: `wf.when(&review, ..)`, `wf.step("ship", *review, ..)`.
impl<T> Deref for Gate<T> {
    type Target = Value<T>;

    fn deref(&self) -> &Value<T> {
        &self.value
    }
}

impl<T> fmt::Debug for Gate<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("value", &self.value)
            .field("options", &self.options)
            .finish()
    }
}

impl<I> WorkflowBuilder<I> {
    /// Declares a pause: the run stands still here until somebody resumes it. Returns the label `resumed` or `expired`.
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
    ///     let checked = wf.pause("check_backup", ()).label("Is there a backup?");
    ///     let imported = wf.step("import_rows", rows, step(import).after(&checked));
    ///     wf.finish(imported)
    /// }
    /// ```
    pub fn pause(&mut self, name: impl Into<String>, needs: impl Needs) -> Gate<Decision> {
        let kind = DraftKind::Pause { deadline: None };
        let mut step = DraftStep::of(name.into(), kind);
        self.set_needs(&mut step, needs);
        self.declare_gate(step)
    }

    /// Declares an approval: somebody, who is shown `shown`, approves or rejects. Returns the label `approved`, `rejected` or
    /// `expired`; the first two have to be wired.
    ///
    /// ```
    /// use std::time::Duration;
    /// use squid_mesh::{BuildError, StepContext, StepError, Workflow, step};
    ///
    /// async fn ship(_: StepContext, cents: u64) -> Result<String, StepError> {
    ///     Ok(format!("shipped for {cents}"))
    /// }
    /// async fn refund(_: StepContext, cents: u64) -> Result<String, StepError> {
    ///     Ok(format!("refunded {cents}"))
    /// }
    ///
    /// fn order() -> Result<Workflow<u64, String>, BuildError> {
    ///     let (mut wf, paid) = Workflow::builder::<u64>("order", 1);
    ///     let review = wf.approval("approve_large", paid).deadline(Duration::from_secs(2 * 86_400));
    ///     let shipped = wf.when(&review, "approved", |wf| wf.step("ship", paid, step(ship)));
    ///     let refused = wf.when(&review, "rejected", |wf| wf.step("refund", paid, step(refund)));
    ///     let late = wf.when(&review, "expired", |wf| wf.step("refund_late", paid, step(refund)));
    ///     let end = wf.either_of(&[shipped, refused, late]);
    ///     wf.finish(end)
    /// }
    /// ```
    pub fn approval(&mut self, name: impl Into<String>, shown: impl AnyWire) -> Gate<Decision> {
        let kind = DraftKind::Approval { deadline: None };
        let mut step = DraftStep::of(name.into(), kind);
        self.set_input(&mut step, shown);
        self.declare_gate(step)
    }

    /// Declares a step that ends when a signal comes, with what the signal carries. A signal that came before is taken at
    /// once. Returns the label `received` or `expired`.
    ///
    /// ```
    /// use squid_mesh::{BuildError, Signal, StepContext, StepError, Workflow, step};
    ///
    /// #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// struct Payment { cents: u64 }
    ///
    /// const PAID: Signal<Payment> = Signal::new("paid");
    ///
    /// async fn ship(_: StepContext, (order, payment): (u64, Payment)) -> Result<String, StepError> {
    ///     Ok(format!("{order} for {}", payment.cents))
    /// }
    ///
    /// fn order() -> Result<Workflow<u64, String>, BuildError> {
    ///     let (mut wf, order) = Workflow::builder::<u64>("order", 1);
    ///     let payment = wf.signal("await_payment", &PAID, ());
    ///     let shipped = wf.step("ship", (order, payment), step(ship));
    ///     wf.finish(shipped)
    /// }
    /// ```
    pub fn signal<T>(
        &mut self,
        name: impl Into<String>,
        signal: &Signal<T>,
        needs: impl Needs,
    ) -> Gate<T>
    where
        T: Serialize + DeserializeOwned + JsonSchema,
    {
        let kind = DraftKind::Signal {
            signal: signal.name().to_owned(),
            contract: Contract::from_json_schema(schemars::schema_for!(T).as_value()),
            deadline: None,
        };
        let mut step = DraftStep::of(name.into(), kind);
        self.set_needs(&mut step, needs);
        self.declare_gate(step)
    }

    fn declare_gate<T>(&mut self, step: DraftStep) -> Gate<T> {
        let options = Options::default();
        self.gates.push((self.draft.steps.len(), options.clone()));
        Gate {
            value: self.declare(step),
            options,
        }
    }
}

impl Options {
    fn set(&self) -> MutexGuard<'_, Set> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the options into the draft's step at a position.
    pub(crate) fn write(&self, draft: &mut Draft, at: usize) {
        let set = self.set();
        let step = &mut draft.steps[at];
        step.label.clone_from(&set.label);
        match &mut step.kind {
            DraftKind::Pause { deadline }
            | DraftKind::Approval { deadline }
            | DraftKind::Signal { deadline, .. } => *deadline = set.deadline.map(Into::into),
            DraftKind::Handler(_)
            | DraftKind::Wait(_)
            | DraftKind::Until
            | DraftKind::Log { .. }
            | DraftKind::Route { .. }
            | DraftKind::Child { .. }
            | DraftKind::Each { .. } => unreachable!("only gates have options of gates"),
        }
    }
}
