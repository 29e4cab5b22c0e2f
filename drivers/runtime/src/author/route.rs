//! Built-in choices: a step that looks at its input and returns a label.
//!
//! Invariant: conditions keep the order they were declared in; the fallback is tried last wherever it was declared.

use serde::Serialize;
use serde_json::Value as Json;
use squid_mesh_core::definition::{
    DraftCondition, DraftKind, DraftStep, Operator, Path, Problem, ProblemCode,
};

use super::WorkflowBuilder;
use super::field;
use super::value::Value;
use super::wire::AnyWire;

/// The labels that a route may return, each with its condition. Made by [`routes`].
#[derive(Debug, Clone, Default)]
#[must_use = "routes are declared by giving them to `WorkflowBuilder::route`"]
pub struct Routes {
    conditions: Vec<(String, String, Condition)>,
    fallback: Option<String>,
}

/// What a route asks of a part of its input. A part that is missing, or of another type, matches none but `exists(false)`.
#[derive(Debug, Clone)]
pub struct Condition(Result<Operator, String>);

/// Begins a list of labels with their conditions.
pub fn routes() -> Routes {
    Routes::default()
}

impl Routes {
    /// Returns `label` if none before it was taken and the part of the input at `path` is what `condition` asks for.
    pub fn when(
        mut self,
        label: impl Into<String>,
        path: impl Into<String>,
        condition: Condition,
    ) -> Routes {
        self.conditions.push((label.into(), path.into(), condition));
        self
    }

    /// Returns `label` if no condition holds. Without it the step fails then, with the code `no_matching_route`.
    pub fn otherwise(mut self, label: impl Into<String>) -> Routes {
        self.fallback = Some(label.into());
        self
    }
}

/// The same JSON value; numbers compare as exact decimals.
pub fn equals(value: impl Serialize) -> Condition {
    Condition::comparing(value, Operator::Equals)
}

/// Another JSON value, which is there.
pub fn not_equals(value: impl Serialize) -> Condition {
    Condition::comparing(value, Operator::NotEquals)
}

/// A greater number, or a text later in byte order.
pub fn greater_than(value: impl Serialize) -> Condition {
    Condition::comparing(value, Operator::GreaterThan)
}

/// A lesser number, or a text earlier in byte order.
pub fn less_than(value: impl Serialize) -> Condition {
    Condition::comparing(value, Operator::LessThan)
}

/// One of these JSON values.
pub fn one_of<T: Serialize>(values: impl IntoIterator<Item = T>) -> Condition {
    let values = values.into_iter().map(json).collect::<Result<_, _>>();
    Condition(values.map(Operator::In))
}

/// Whether it is there and not null.
pub fn exists(wanted: bool) -> Condition {
    Condition(Ok(Operator::Exists(wanted)))
}

impl Condition {
    fn comparing(value: impl Serialize, operator: fn(Json) -> Operator) -> Condition {
        Condition(json(value).map(operator))
    }
}

fn json(value: impl Serialize) -> Result<Json, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

impl<I> WorkflowBuilder<I> {
    /// Declares a step that looks at `input` and returns one of the labels of `routes`, for [`when`](WorkflowBuilder::when).
    /// It runs no handler.
    ///
    /// ```
    /// use squid_mesh::route::{exists, greater_than, one_of, routes};
    /// use squid_mesh::{BuildError, StepContext, StepError, Workflow, step};
    ///
    /// #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    /// struct Order { amount: u64, country: String, coupon: Option<String> }
    ///
    /// async fn check(_: StepContext, order: Order) -> Result<bool, StepError> { Ok(order.amount < 1_000) }
    /// async fn accept(_: StepContext, _: Order) -> Result<bool, StepError> { Ok(true) }
    ///
    /// fn order() -> Result<Workflow<Order, bool>, BuildError> {
    ///     let (mut wf, order) = Workflow::builder::<Order>("order", 1);
    ///     let sizes = routes()
    ///         .when("check", "amount", greater_than(100))
    ///         .when("check", "country", one_of(["nowhere", "elsewhere"]))
    ///         .when("check", "coupon", exists(true))
    ///         .otherwise("accept");
    ///     let size = wf.route("size", order, sizes);
    ///     let checked = wf.when(&size, "check", |wf| wf.step("check", order, step(check)));
    ///     let accepted = wf.when(&size, "accept", |wf| wf.step("accept", order, step(accept)));
    ///     let taken = wf.either(checked, accepted);
    ///     wf.finish(taken)
    /// }
    /// ```
    pub fn route(
        &mut self,
        name: impl Into<String>,
        input: impl AnyWire,
        routes: Routes,
    ) -> Value<()> {
        let path = format!("{}.route", self.next_path());
        let mut conditions = Vec::new();
        for (i, (label, at, condition)) in routes.conditions.into_iter().enumerate() {
            match draft_condition(label, &at, condition) {
                Ok(condition) => conditions.push(condition),
                Err((code, message)) => {
                    let path = format!("{path}[{i}]");
                    self.problems.push(Problem::new(path, code, message));
                }
            }
        }
        let fallback = routes.fallback;
        let kind = DraftKind::Route {
            conditions,
            fallback,
        };
        let mut step = DraftStep::of(name.into(), kind);
        self.set_input(&mut step, input);
        self.declare(step)
    }
}

fn draft_condition(
    label: String,
    path: &str,
    condition: Condition,
) -> Result<DraftCondition, (ProblemCode, String)> {
    let path = field::read(path).map_err(|error| (ProblemCode::MalformedSource, error))?;
    let operator = condition.0.map_err(|error| {
        let message = format!("the value cannot be written as JSON: {error}");
        (ProblemCode::WrongType, message)
    })?;
    Ok(DraftCondition {
        label,
        path: Path::new(path),
        operator,
    })
}
