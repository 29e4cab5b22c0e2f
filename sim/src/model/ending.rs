//! How a run ends: by what came first of a cancel, its deadline and a failure that nobody takes, or when all has ended.
//!
//! Invariant: one thing at a time happens to a run, so only one can be first.

use squid_mesh_core::definition::{Definition, Origin, StepIndex};
use squid_mesh_core::event::code;
use squid_mesh_core::run::Status;

use super::graph::takers;
use crate::witness::{End, Facts, Order, Seen};

type Cause = Option<(Option<StepIndex>, String)>;

/// The row by which a run began to end before all its steps had, and what it ends as.
pub(super) fn of(facts: &Facts<'_>, seen: &Seen) -> (u32, Status, Cause) {
    let failed = |at, step, code: &str| (at, Status::Failed, Some((step, code.to_owned())));
    let ordered = facts.orders.iter().find_map(|(at, order)| match order {
        Order::Cancel { .. } => Some((*at, Status::Cancelled, None)),
        Order::Deadline => Some(failed(*at, None, code::DEADLINE_EXCEEDED)),
        _ => None,
    });
    let stranded = facts.definition.indexes().filter_map(|step| {
        let at = stranded(facts.definition, seen, step)?;
        Some(failed(at, Some(step), &seen.steps[step.at()].code()))
    });
    let first = stranded.chain(ordered).min_by_key(|(at, ..)| *at);
    first.unwrap_or_else(|| match has_result(facts.definition, seen) {
        true => (u32::MAX, Status::Completed, None),
        false => failed(u32::MAX, None, code::NO_RESULT),
    })
}

/// S6.1: since when nobody takes the failure of a step, because whoever could was skipped.
pub(super) fn stranded(definition: &Definition, seen: &Seen, step: StepIndex) -> Option<u32> {
    let at = |step: StepIndex, end: End| {
        let seen = &seen.steps[step.at()];
        (seen.end == end).then_some(seen.at)
    };
    let failed = at(step, End::Failed)?;
    let last = |last: u32, taker| Some(last.max(at(taker, End::Skipped)?));
    takers(definition, step).try_fold(failed, last)
}

/// Whether everything is there that the result is taken from.
fn has_result(definition: &Definition, seen: &Seen) -> bool {
    let ended = |step: &StepIndex, end| seen.steps[step.at()].end == end;
    let sources = definition.result().sources();
    sources.iter().all(|source| match &source.origin {
        Origin::Output(step) => ended(step, End::Succeeded),
        Origin::Failure(step) => ended(step, End::Failed),
        Origin::Either(steps) => steps.iter().any(|step| ended(step, End::Succeeded)),
        _ => true,
    })
}
