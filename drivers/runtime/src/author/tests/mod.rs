//! What the builder makes of each construct, as the draft that it hands to validation.

mod branches;
mod kinds;
mod stamps;
mod steps;
mod triggers;

use serde::{Deserialize, Serialize};
use squid_mesh_core::definition::{
    Draft, DraftGuard, DraftOrigin, DraftSource, DraftStep, Path, Problem, Segment,
};

use super::{Value, WorkflowBuilder};
use crate::handler::{StepContext, StepError};

#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
struct Order {
    sku: String,
    cents: u64,
}

async fn charge(_: StepContext, order: Order) -> Result<u64, StepError> {
    Ok(order.cents)
}

async fn pass(_: StepContext, cents: u64) -> Result<u64, StepError> {
    Ok(cents)
}

fn builder() -> (WorkflowBuilder<Order>, Value<Order>) {
    super::Workflow::builder::<Order>("order", 1)
}

/// The draft as validation would get it; there must be no problem before.
fn draft<I>(mut wf: WorkflowBuilder<I>) -> Draft {
    wf.complete(());
    assert_eq!(wf.problems, Vec::<Problem>::new());
    wf.draft
}

/// The problems that the builder itself finds, as path and code.
fn problems<I>(mut wf: WorkflowBuilder<I>) -> Vec<(String, &'static str)> {
    wf.complete(());
    let problems = wf.problems.into_iter();
    problems
        .map(|problem| (problem.path, problem.code.as_str()))
        .collect()
}

fn problem(path: &str, code: &'static str) -> (String, &'static str) {
    (path.to_owned(), code)
}

fn step_named<'a>(draft: &'a Draft, name: &str) -> &'a DraftStep {
    let mut steps = draft.steps.iter();
    steps
        .find(|step| step.name == name)
        .expect("it is declared")
}

fn guard(step: &str, label: &str) -> DraftGuard {
    DraftGuard {
        step: step.to_owned(),
        label: label.to_owned(),
    }
}

fn at(origin: DraftOrigin, fields: &[&str]) -> DraftSource {
    let fields = fields.iter();
    DraftSource {
        origin,
        path: Path::new(
            fields
                .map(|name| Segment::Field((*name).to_owned()))
                .collect(),
        ),
    }
}
