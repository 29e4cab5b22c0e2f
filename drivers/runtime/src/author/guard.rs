//! Branches: steps that run only if another step went a certain way, and values that come from whichever branch ran.
//!
//! Invariant: a step carries the guards of every closure it was declared in, outermost first, each once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh_core::definition::{DraftGuard, Problem, ProblemCode, label};

use super::WorkflowBuilder;
use super::value::{Place, Value, Wired};

/// How a step failed for good: what [`WorkflowBuilder::failure`] gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct StepFailure {
    /// A stable code, for programs.
    pub code: String,
    /// A message, for people.
    pub message: String,
    /// What the handler recorded with it; null if nothing.
    #[serde(default)]
    pub details: serde_json::Value,
}

impl<I> WorkflowBuilder<I> {
    /// Declares steps that run only if the step that gives `value` returned `label`; otherwise they are skipped. Gives what
    /// `branch` returns.
    ///
    /// Labels are returned by handlers ([`step_routed`](super::step_routed)), gates (`approved`, `rejected`, `resumed`,
    /// `received`, `expired`) and [routes](WorkflowBuilder::route); `failed` is any step that failed for good. Within each
    /// other, all guards must hold. Only a step that may be skipped together with them, or one behind an
    /// [`either`](WorkflowBuilder::either), can need what they give.
    ///
    /// ```
    /// use squid_mesh::{BuildError, Routed, StepContext, StepError, Workflow, step, step_routed};
    ///
    /// async fn assess(_: StepContext, cents: u64) -> Result<Routed<u64>, StepError> {
    ///     Ok(Routed::new(if cents > 100_000 { "fraud" } else { "clean" }, cents))
    /// }
    /// async fn ship(_: StepContext, cents: u64) -> Result<String, StepError> {
    ///     Ok(format!("shipped for {cents}"))
    /// }
    /// async fn report(_: StepContext, cents: u64) -> Result<String, StepError> {
    ///     Ok(format!("reported {cents}"))
    /// }
    ///
    /// fn order() -> Result<Workflow<u64, String>, BuildError> {
    ///     let (mut wf, cents) = Workflow::builder::<u64>("order", 1);
    ///     let assessed = wf.step("assess", cents, step_routed(assess, ["fraud", "clean"]));
    ///     let shipped = wf.when(&assessed, "clean", |wf| wf.step("ship", assessed, step(ship)));
    ///     let reported = wf.when(&assessed, "fraud", |wf| wf.step("report", assessed, step(report)));
    ///     let end = wf.either(shipped, reported);
    ///     wf.finish(end)
    /// }
    /// ```
    pub fn when<T, R>(
        &mut self,
        value: &Value<T>,
        label: impl Into<String>,
        branch: impl FnOnce(&mut WorkflowBuilder<I>) -> R,
    ) -> R {
        let path = format!("{}.when", self.next_path());
        let step = self.guarding_step(&path, value.wired);
        let pushed = step.map(|at| DraftGuard {
            step: self.declared.name(at),
            label: label.into(),
        });
        let outer = self.guards.len();
        self.guards
            .extend(pushed.filter(|guard| !self.guards.contains(guard)));
        let result = branch(self);
        self.guards.truncate(outer);
        result
    }

    /// Declares steps that run only if the step that gives `value` failed for good, with its failure; the run is not failed
    /// by it. Gives what `branch` returns.
    ///
    /// ```
    /// use squid_mesh::{BuildError, RouteMark, StepContext, StepError, StepFailure, Workflow, step};
    ///
    /// async fn charge(_: StepContext, cents: u64) -> Result<String, StepError> {
    ///     Ok(format!("{cents} paid"))
    /// }
    /// async fn apologise(_: StepContext, failure: StepFailure) -> Result<String, StepError> {
    ///     Ok(format!("not paid: {}", failure.message))
    /// }
    ///
    /// fn order() -> Result<Workflow<u64, String>, BuildError> {
    ///     let (mut wf, cents) = Workflow::builder::<u64>("order", 1);
    ///     let paid = wf.step("charge_card", cents, step(charge));
    ///     let sorry = wf.on_failure(&paid, |wf, failure| {
    ///         wf.step("apologise", failure, step(apologise).mark(RouteMark::Compensation))
    ///     });
    ///     let answer = wf.either(paid, sorry);
    ///     wf.finish(answer)
    /// }
    /// ```
    pub fn on_failure<T, R>(
        &mut self,
        value: &Value<T>,
        branch: impl FnOnce(&mut WorkflowBuilder<I>, Value<StepFailure>) -> R,
    ) -> R {
        let failure = self.failure_at(value.wired);
        self.when(value, label::FAILED, |wf| branch(wf, failure))
    }

    /// The failure of the step that gives `value`, once it has failed for good. A step that is fed by it runs only then, and
    /// the run is not failed by the failure.
    ///
    /// ```
    /// use squid_mesh::{BuildError, StepContext, StepError, StepFailure, Workflow, step};
    ///
    /// async fn charge(_: StepContext, cents: u64) -> Result<u64, StepError> {
    ///     Ok(cents)
    /// }
    /// async fn notify(_: StepContext, failure: StepFailure) -> Result<u64, StepError> {
    ///     Err(StepError::permanent(failure.code, failure.message))
    /// }
    ///
    /// fn order() -> Result<Workflow<u64, u64>, BuildError> {
    ///     let (mut wf, cents) = Workflow::builder::<u64>("order", 1);
    ///     let paid = wf.step("charge_card", cents, step(charge));
    ///     let failure = wf.failure(paid);
    ///     let told = wf.step("notify", failure, step(notify));
    ///     let end = wf.either(paid, told);
    ///     wf.finish(end)
    /// }
    /// ```
    pub fn failure<T>(&mut self, value: Value<T>) -> Value<StepFailure> {
        let path = self.next_path();
        self.guarding_step(&path, value.wired);
        self.failure_at(value.wired)
    }

    /// The output of whichever of two steps succeeded; the first, if both did. What needs it begins when both are settled,
    /// and is skipped if neither succeeded. Either may itself come from an `either`.
    ///
    /// See [`when`](WorkflowBuilder::when) for an example.
    pub fn either<T>(&mut self, first: Value<T>, second: Value<T>) -> Value<T> {
        self.either_of(&[first, second])
    }

    /// The output of the first of several steps that succeeded: [`either`](WorkflowBuilder::either) of more than two.
    ///
    /// ```
    /// use squid_mesh::route::{greater_than, routes};
    /// use squid_mesh::{BuildError, StepContext, StepError, Workflow, step};
    ///
    /// async fn by_air(_: StepContext, grams: u64) -> Result<String, StepError> { Ok(format!("{grams} by air")) }
    /// async fn by_road(_: StepContext, grams: u64) -> Result<String, StepError> { Ok(format!("{grams} by road")) }
    /// async fn by_sea(_: StepContext, grams: u64) -> Result<String, StepError> { Ok(format!("{grams} by sea")) }
    ///
    /// #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// struct Parcel { grams: u64 }
    ///
    /// fn parcel() -> Result<Workflow<Parcel, String>, BuildError> {
    ///     let (mut wf, parcel) = Workflow::builder::<Parcel>("parcel", 1);
    ///     let grams = parcel.field::<u64>("grams");
    ///     let weights = routes()
    ///         .when("heavy", "grams", greater_than(50_000))
    ///         .when("middle", "grams", greater_than(5_000))
    ///         .otherwise("light");
    ///     let weight = wf.route("weigh", parcel, weights);
    ///     let sea = wf.when(&weight, "heavy", |wf| wf.step("by_sea", grams.clone(), step(by_sea)));
    ///     let road = wf.when(&weight, "middle", |wf| wf.step("by_road", grams.clone(), step(by_road)));
    ///     let air = wf.when(&weight, "light", |wf| wf.step("by_air", grams, step(by_air)));
    ///     let sent = wf.either_of(&[sea, road, air]);
    ///     wf.finish(sent)
    /// }
    /// ```
    pub fn either_of<T>(&mut self, values: &[Value<T>]) -> Value<T> {
        let mut group = Vec::new();
        for value in values {
            for step in self.alternatives(value.wired) {
                if !group.contains(&step) {
                    group.push(step);
                }
            }
        }
        self.declared.eithers.push(group);
        Value::new(Place::Either(self.declared.eithers.len() - 1), self.id)
    }

    /// The steps that a value of an `either` may come from, in order.
    fn alternatives(&mut self, wired: Wired) -> Vec<usize> {
        let path = self.next_path();
        if !self.is_owner(&path, wired) {
            return Vec::new();
        }
        match wired.place {
            Place::Step(at) => vec![at],
            Place::Either(at) => self.declared.eithers.get(at).cloned().unwrap_or_default(),
            Place::Input | Place::Failure(_) => {
                self.not_an_output(&path, "be one of several that may come");
                Vec::new()
            }
        }
    }

    /// The step whose way is asked for; a problem if the value is not the output of one.
    fn guarding_step(&mut self, path: &str, wired: Wired) -> Option<usize> {
        if !self.is_owner(path, wired) {
            return None;
        }
        match wired.place {
            Place::Step(at) => Some(at),
            Place::Input | Place::Failure(_) | Place::Either(_) => {
                self.not_an_output(path, "have a label or a failure");
                None
            }
        }
    }

    /// The failure of a step, without asking whether it is one.
    fn failure_at(&self, wired: Wired) -> Value<StepFailure> {
        let at = match wired.place {
            Place::Step(at) => at,
            // Reported where it was asked for; no step is there.
            Place::Input | Place::Failure(_) | Place::Either(_) => usize::MAX,
        };
        Value::new(Place::Failure(at), wired.builder)
    }

    fn not_an_output(&mut self, path: &str, what: &str) {
        let message = format!("only what a step gives can {what}");
        self.problems
            .push(Problem::new(path, ProblemCode::UnknownStep, message));
    }
}
