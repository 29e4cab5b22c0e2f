//! One operation as one transaction.
//!
//! An operation of a worker costs five round trips as a rule: BEGIN, one statement for each table that is locked, one that
//! writes, COMMIT.
//!
//! Invariant: an answer is given only after its COMMIT was acknowledged, and an error says whether it may have been.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sqlx::{Connection as _, PgConnection};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Decision, Operation, Reply, View, Writes};
use squid_mesh_core::store::StoreError;
use tokio::time::timeout;

use crate::connect::Connections;
use crate::definitions::Definitions;
use crate::error::{commit_error, is_survivable, store_error};
use crate::read::Reader;
use crate::sql;
use crate::write::{NotWritten, write};

/// An operation that was committed.
pub(crate) struct Performed {
    /// What to answer.
    pub(crate) reply: Reply,
    /// Queues in which work became due.
    pub(crate) hints: BTreeSet<Name>,
}

/// Performs an operation, or gives up when it takes too long: what was sent may then have been committed.
pub(crate) async fn perform(
    connections: &Connections,
    definitions: &Definitions,
    operation: &Operation,
) -> Result<Performed, StoreError> {
    let patience = connections.patience();
    match timeout(patience, attempt(connections, definitions, operation)).await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Unavailable(format!(
            "no answer within {patience:?}"
        ))),
    }
}

/// Why a transaction was not committed, and what that says about its connection.
pub(crate) struct Aborted {
    pub(crate) error: StoreError,
    pub(crate) survivable: bool,
}

impl Aborted {
    pub(crate) fn by(error: &sqlx::Error) -> Aborted {
        Aborted {
            error: store_error(error),
            survivable: is_survivable(error),
        }
    }

    /// By a decision of ours, which the connection knows nothing of.
    pub(crate) fn on_purpose(error: StoreError) -> Aborted {
        Aborted {
            error,
            survivable: true,
        }
    }
}

impl From<sqlx::Error> for Aborted {
    fn from(error: sqlx::Error) -> Aborted {
        Aborted::by(&error)
    }
}

async fn attempt(
    connections: &Connections,
    definitions: &Definitions,
    operation: &Operation,
) -> Result<Performed, StoreError> {
    let mut lent = connections.lend().await?;
    match transact(&mut lent, definitions, operation).await {
        Ok(performed) => {
            lent.give_back();
            Ok(performed)
        }
        Err(aborted) => {
            if aborted.survivable {
                lent.give_back();
            } else {
                connections.forget_idle();
            }
            Err(aborted.error)
        }
    }
}

async fn transact(
    connection: &mut PgConnection,
    definitions: &Definitions,
    operation: &Operation,
) -> Result<Performed, Aborted> {
    let mut tx = connection.begin_with(sql::BEGIN).await?;
    let decided = settle(&mut tx, definitions, operation).await;
    match decided {
        Ok((writes, reply)) if writes.is_empty() => {
            // There is nothing to make durable, so nothing to wait for but the end of the locks.
            tx.rollback().await?;
            Ok(Performed {
                reply,
                hints: writes.hints,
            })
        }
        Ok((writes, reply)) => {
            // Postgres answers the COMMIT of a transaction in which a statement failed with success, having rolled it back.
            // None has failed here: each would have led to the arm below.
            tx.commit().await.map_err(|error| Aborted {
                error: commit_error(&error),
                survivable: is_survivable(&error),
            })?;
            Ok(Performed {
                reply,
                hints: writes.hints,
            })
        }
        Err(aborted) => {
            let rolled_back = aborted.survivable && tx.rollback().await.is_ok();
            Err(Aborted {
                survivable: rolled_back,
                ..aborted
            })
        }
    }
}

/// Reads, decides and writes, all but the commit.
pub(crate) async fn settle(
    tx: &mut PgConnection,
    definitions: &Definitions,
    operation: &Operation,
) -> Result<(Writes, Reply), Aborted> {
    let mut reader = Reader::new(definitions);
    reader.read(tx, &operation.reads()).await?;
    let mut decision = decide(operation, reader.view())?;
    if let Decision::Need(further) = decision {
        reader.read(tx, &further).await?;
        decision = decide(operation, reader.view())?;
    }
    let Decision::Done { writes, reply } = decision else {
        return Err(corrupt("the operation asks for more than it may".into()));
    };
    for (key, detail) in reader.unreadable() {
        if writes.definitions.iter().any(|row| row.key == *key) {
            return Err(corrupt(format!("definition {key}: {detail}")));
        }
    }
    if !writes.is_empty() {
        write(tx, operation.shard(), &writes)
            .await
            .map_err(|error| match error {
                NotWritten::Guarded => Aborted::on_purpose(StoreError::Conflict),
                NotWritten::Failed(error) => Aborted::by(&error),
            })?;
    }
    Ok((writes, reply))
}

/// Decides. A panic is a broken invariant: it ends this operation and nothing else.
fn decide(operation: &Operation, view: &View) -> Result<Decision, Aborted> {
    catch_unwind(AssertUnwindSafe(|| operation.decide(view)))
        .map_err(|panic| corrupt(format!("deciding panicked: {}", message(panic.as_ref()))))
}

fn corrupt(detail: String) -> Aborted {
    tracing::error!(detail, "an operation cannot be decided");
    Aborted::on_purpose(StoreError::Corrupt { detail })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
