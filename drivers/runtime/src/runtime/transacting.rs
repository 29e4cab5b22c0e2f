//! Transactional attempts: the handler's writes and the outcome are one transaction.
//!
//! A success is settled here, as the end of the transaction. Everything else rolls it back first, and is then reported like
//! the outcome of any other attempt.
//!
//! An attempt that does not know whether it was committed reports a conflict, under the same token. If it was committed, a
//! success stands recorded under that token: the store refuses the conflict, and waits for the run's lock before it says so. If
//! it was not, the conflict is recorded and the body runs again. To report the success instead would record it without
//! the writes.
//!
//! Invariant: no success of a transactional attempt is reported in any other way than in its transaction.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use squid_mesh_core::event::{Failure, Role, code};
use squid_mesh_core::operation::{Operation, Reply, SlotReply};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::store::{StoreError, TransactionError};
use squid_mesh_core::worker::{AttemptFailure, Config, Execution, SettledInPlace};
use tokio::time::Instant;

use super::fitness::is_short;
use crate::handler::{BoxedHandler, Returned, StepContext};
use crate::transaction::{Transactions, Tx};

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// To be reported.
    Returned(Result<Returned, AttemptFailure>),
    /// It was settled already.
    Settled(Box<SettledInPlace>),
    /// To be reported as a conflict: it met another transaction, or may have been committed.
    Conflicted,
}

/// What transactional attempts need of their runtime.
pub(crate) struct Desk {
    pub(crate) transactions: Option<Arc<dyn Transactions>>,
    pub(crate) config: Config,
}

/// Pauses between attempts to begin a transaction.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

const STOPPED: &str = "the attempt was told to stop before its transaction began";

impl Desk {
    /// Executes an attempt in a transaction, and settles it there if it succeeds. Dropping the future rolls back, unless the
    /// commit was sent already.
    pub(crate) async fn transact(
        &self,
        handler: &BoxedHandler,
        cx: StepContext,
        execution: Execution,
    ) -> Ending {
        let Some(transactions) = &self.transactions else {
            return failed(aborted(
                "the store has no transactions that a handler could share",
            ));
        };
        let transactions = transactions.as_ref();
        if let Some(why) = self.unfit(handler, &execution, transactions) {
            return failed(aborted(why));
        }
        let mut tx = match begin(transactions, &cx, execution.timeout).await {
            Ok(tx) => tx,
            Err(error) => return unsettled(&error.into()),
        };
        // What it waited for its transaction does not count.
        let timeout = execution.timeout;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let cx = cx.with_deadline(deadline.map(Instant::into_std));
        let body = handler.execute(cx, Some(&mut tx), execution.input.clone());
        let returned = within(deadline, body).await;
        let settle = returned.and_then(|Returned { output, .. }| {
            let settle = execution.settle(output.clone(), &self.config)?;
            Ok((output, settle))
        });
        match settle {
            Ok((output, settle)) => {
                let settling = transactions.settle(tx, Operation::Settle(settle));
                let settled = AssertUnwindSafe(settling).catch_unwind().await;
                let panicked = |_| Err(StoreError::Unavailable("the store panicked".into()).into());
                ended(&execution, output, settled.unwrap_or_else(panicked))
            }
            Err(failure) => {
                transactions.rollback(tx).await;
                failed(failure)
            }
        }
    }

    /// Why an attempt cannot be executed in a transaction: of a version that is not registered here, so that the start could
    /// not refuse it.
    fn unfit(
        &self,
        handler: &BoxedHandler,
        execution: &Execution,
        transactions: &dyn Transactions,
    ) -> Option<&'static str> {
        if !handler.is_transactional() {
            return Some("its handler takes no transaction");
        }
        if execution.role() == Role::Undo {
            return Some("what takes an effect back is given no transaction");
        }
        let short = is_short(execution.timeout, self.config.lease);
        (transactions.is_exclusive() && !short)
            .then_some("its timeout is not below a third of the lease")
    }
}

/// Drops a body at its deadline, which is the one that it was told.
async fn within(
    deadline: Option<Instant>,
    body: impl Future<Output = Result<Returned, AttemptFailure>>,
) -> Result<Returned, AttemptFailure> {
    let Some(deadline) = deadline else {
        return body.await;
    };
    tokio::time::timeout_at(deadline, body)
        .await
        .unwrap_or_else(|_| Err(plain(Failure::timed_out())))
}

/// Begins a transaction, however often it takes until the attempt is told to stop.
async fn begin(
    transactions: &dyn Transactions,
    cx: &StepContext,
    timeout: Option<Duration>,
) -> Result<Tx, StoreError> {
    let mut pause = FIRST_PAUSE;
    loop {
        let begun = tokio::select! {
            _ = cx.cancelled() => return Err(StoreError::Unavailable(STOPPED.to_owned())),
            begun = transactions.begin(timeout) => begun,
        };
        let error = match begun {
            Ok(tx) => return Ok(tx),
            Err(error @ (StoreError::Unavailable(_) | StoreError::Conflict)) => error,
            Err(error) => return Err(error),
        };
        tracing::debug!(%error, "a transaction could not be begun");
        tokio::select! {
            _ = cx.cancelled() => return Err(error),
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What became of an attempt whose transaction was to be settled.
fn ended(
    execution: &Execution,
    output: Payload,
    settled: Result<Reply, TransactionError>,
) -> Ending {
    let (mut slots, ended, next_due) = match settled {
        Ok(Reply::Settled {
            slots,
            ended,
            next_due,
            ..
        }) => (slots, ended, next_due),
        Ok(other) => unreachable!("a settle is answered by {other:?}"),
        Err(error) => return unsettled(&error),
    };
    let recorded = match slots.pop() {
        Some(SlotReply::Accepted) => Ok(()),
        Some(SlotReply::Rejected(rejection)) => {
            tracing::debug!(%rejection, "rolled back");
            Err(rejection)
        }
        Some(SlotReply::Busy) | None => return conflicted(&StoreError::Conflict),
    };
    Ending::Settled(Box::new(SettledInPlace {
        attempt: execution.attempt,
        output,
        recorded,
        ended,
        next_due,
    }))
}

fn failed(failure: AttemptFailure) -> Ending {
    Ending::Returned(Err(failure))
}

/// How an attempt ends whose transaction was not committed, or may have been.
fn unsettled(error: &TransactionError) -> Ending {
    match error {
        TransactionError::Ended => {
            let message = "the handler ended the transaction of its step itself";
            failed(plain(Failure::new(code::TRANSACTION_ENDED, message, false)))
        }
        TransactionError::Aborted(why) => failed(aborted(why)),
        TransactionError::Store(StoreError::Refused(why)) => failed(aborted(why)),
        TransactionError::Store(error) => conflicted(error),
        other => failed(aborted(&other.to_string())),
    }
}

/// The one place where meeting somebody else becomes an outcome.
fn conflicted(error: &StoreError) -> Ending {
    tracing::debug!(%error, "the transaction was not settled");
    Ending::Conflicted
}

fn aborted(why: &str) -> AttemptFailure {
    let message = format!("the transaction was rolled back: {why}").replace('\0', "\u{fffd}");
    plain(Failure::new(code::TRANSACTION_ABORTED, &message, true))
}

fn plain(failure: Failure) -> AttemptFailure {
    AttemptFailure {
        failure,
        details: None,
    }
}
