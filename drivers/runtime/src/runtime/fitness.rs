//! Whether transactional steps can be executed here.
//!
//! Invariant: a runtime that has started executes every transactional step of what it registered in a transaction, and none
//! of them long enough to cost others their leases.

use std::sync::Arc;
use std::time::Duration;

use squid_mesh_core::definition::{Definition, Step, StepKind};
use squid_mesh_core::name::Name;

use super::LaunchError;
use crate::handler::Registry;
use crate::transaction::Transactions;

/// Says which transactional step cannot be executed, and why.
pub(super) fn check_transactional<'d>(
    definitions: impl Iterator<Item = &'d Arc<Definition>>,
    handlers: &Registry,
    transactions: Option<&dyn Transactions>,
    lease: Duration,
) -> Result<(), LaunchError> {
    for definition in definitions {
        for step in definition.steps() {
            if let Some(why) = unfit(step, handlers, transactions, lease) {
                return Err(LaunchError::Transactional {
                    definition: definition.key().clone(),
                    step: step.name.clone(),
                    why,
                });
            }
        }
    }
    Ok(())
}

fn unfit(
    step: &Step,
    handlers: &Registry,
    transactions: Option<&dyn Transactions>,
    lease: Duration,
) -> Option<String> {
    let StepKind::Handler { handler } = &step.kind else {
        return None;
    };
    let takes_one = |handler: &Name| {
        handlers
            .find(handler.as_str())
            .is_some_and(|handler| handler.is_transactional())
    };
    if let Some(undo) = step.undo.as_ref().filter(|undo| takes_one(&undo.handler)) {
        return Some(format!(
            "handler {} takes a transaction, and is given none as an undo",
            undo.handler
        ));
    }
    let takes = takes_one(handler);
    match (step.transactional, takes) {
        (false, false) => return None,
        (true, false) => return Some(format!("handler {handler} takes no transaction")),
        (false, true) => {
            return Some(format!(
                "handler {handler} takes a transaction, and the step is not transactional"
            ));
        }
        (true, true) => {}
    }
    let Some(transactions) = transactions else {
        return Some("the store has no transactions that a handler could share".to_owned());
    };
    let (most, short) = (lease / 3, is_short(step.timeout, lease));
    (transactions.is_exclusive() && !short).then(|| {
        let found = step.timeout.map_or("none".to_owned(), |timeout| format!("{timeout:?}"));
        format!(
            "with a store of one writer its timeout has to be below {most:?}, a third of the lease, and is {found}"
        )
    })
}

/// Whether an attempt that keeps everybody from writing ends before the next renewals are due.
pub(super) fn is_short(timeout: Option<Duration>, lease: Duration) -> bool {
    timeout.is_some_and(|timeout| timeout < lease / 3)
}
