//! Fields of an input that say when the run was started.
//!
//! Invariant: every trigger of a workflow stamps the same fields, those of them that its input has; a field that no input has is
//! a problem.

use squid_mesh_core::definition::{Contract, FieldDefault, Problem, ProblemCode, Stamp};

use super::WorkflowBuilder;

impl<I> WorkflowBuilder<I> {
    /// Has a field of the input say when the run was started, unless it is given: the instant in UTC, or the date, by the
    /// database's clock; the date is that of the trigger's zone if it has one, else of UTC. It is taken once, when the run is started (not when a delayed one is due), and stored with the
    /// input, so every attempt of every step sees the same, and so does a replay. Starts under one key are compared without
    /// it.
    ///
    /// The field is a text, and stands in for any `#[serde(default)]` that it has. `null` counts as given, so an `Option` is
    /// left out when it is none:
    ///
    /// ```
    /// use schemars::JsonSchema;
    /// use serde::{Deserialize, Serialize};
    /// use squid_mesh::{BuildError, Stamp, StepContext, StepError, Workflow, step};
    ///
    /// #[derive(Serialize, Deserialize, JsonSchema)]
    /// struct Order {
    ///     cents: u64,
    ///     #[serde(skip_serializing_if = "Option::is_none")]
    ///     placed_at: Option<String>,
    /// }
    ///
    /// async fn charge(_: StepContext, order: Order) -> Result<String, StepError> {
    ///     Ok(format!("{} cents at {:?}", order.cents, order.placed_at))
    /// }
    ///
    /// fn order() -> Result<Workflow<Order, String>, BuildError> {
    ///     let (mut wf, order) = Workflow::builder::<Order>("order", 1);
    ///     wf.stamp("placed_at", Stamp::Now);
    ///     let charged = wf.step("charge", order, step(charge));
    ///     wf.finish(charged)
    /// }
    /// # assert!(order().is_ok());
    /// ```
    pub fn stamp(&mut self, field: impl Into<String>, stamp: Stamp) -> &mut Self {
        self.stamps.push((field.into(), stamp));
        self
    }

    /// Puts the stamps into the contracts, of which the type's schema knows nothing.
    pub(super) fn write_stamps(&mut self) {
        let triggers = self.draft.triggers.iter_mut();
        let mut contracts: Vec<&mut Contract> = triggers.map(|other| &mut other.input).collect();
        contracts.insert(0, &mut self.draft.input);
        for (name, stamp) in &self.stamps {
            let mut known = false;
            for contract in &mut contracts {
                let field = match contract {
                    Contract::Fields { fields, .. } => fields.get_mut(name),
                    _ => None,
                };
                if let Some(field) = field {
                    field.default = Some(FieldDefault::Stamp(*stamp));
                    known = true;
                }
            }
            if !known {
                let message = format!("the input's type has no field {name:?} to stamp");
                self.problems.push(Problem::new(
                    format!("input.fields.{name}"),
                    ProblemCode::UnknownField,
                    message,
                ));
            }
        }
    }
}
