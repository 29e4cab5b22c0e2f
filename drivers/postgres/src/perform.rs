//! One operation as one transaction.
//!
//! An operation of a worker costs five round trips as a rule: BEGIN, one statement for each table that is locked, one that
//! writes, COMMIT. A settle of runs that this process goes on with costs four, and locks nothing but what it writes: see
//! [`crate::memory`].
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
use crate::memory::{self, Known, KnownOf};
use crate::read::Reader;
use crate::sql;
use crate::write::{NotWritten, Version, write};

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
    known: &Known,
    operation: &Operation,
) -> Result<Performed, StoreError> {
    let patience = connections.patience();
    match timeout(patience, attempt(connections, known, operation)).await {
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
    known: &Known,
    operation: &Operation,
) -> Result<Performed, StoreError> {
    let mut lent = connections.lend().await?;
    let known = known.of(lent.epoch());
    match transact(&mut lent, &known, operation).await {
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
    known: &KnownOf<'_>,
    operation: &Operation,
) -> Result<Performed, Aborted> {
    let mut tx = connection.begin_with(sql::BEGIN).await?;
    let remembered = match known.memory(operation) {
        Some((reads, memory)) => Some(memory::settle(&mut tx, operation, &reads, memory).await),
        None => None,
    };
    let settled = match remembered {
        None => settle(&mut tx, known.definitions(), operation).await,
        Some(Ok(Some(settled))) => Ok(settled),
        // Something is not as it was, or does not follow from what is remembered: it is read under locks.
        Some(
            Ok(None)
            | Err(Aborted {
                error: StoreError::Conflict,
                survivable: true,
            }),
        ) => {
            tx.rollback().await?;
            tx = connection.begin_with(sql::BEGIN).await?;
            settle(&mut tx, known.definitions(), operation).await
        }
        Some(Err(aborted)) => Err(aborted),
    };
    match settled {
        Ok(Settled { writes, reply, .. }) if writes.is_empty() => {
            // There is nothing to make durable, so nothing to wait for but the end of the locks.
            tx.rollback().await?;
            Ok(Performed {
                reply,
                hints: writes.hints,
            })
        }
        Ok(Settled {
            mut writes,
            reply,
            version,
        }) => {
            // Postgres answers the COMMIT of a transaction in which a statement failed with success, having rolled it back.
            // None has failed here: each would have led to the arm below.
            tx.commit().await.map_err(|error| Aborted {
                error: commit_error(&error),
                survivable: is_survivable(&error),
            })?;
            let hints = std::mem::take(&mut writes.hints);
            known.learn(writes, version);
            Ok(Performed { reply, hints })
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

/// An operation that was decided and written, and not committed yet.
pub(crate) struct Settled {
    pub(crate) writes: Writes,
    pub(crate) reply: Reply,
    /// Which version the rows are that it wrote, if that was told.
    pub(crate) version: Option<Version>,
}

/// Reads, decides and writes, all but the commit.
pub(crate) async fn settle(
    tx: &mut PgConnection,
    definitions: &Definitions,
    operation: &Operation,
) -> Result<Settled, Aborted> {
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
    let mut version = None;
    if !writes.is_empty() {
        let written = write(tx, operation.shard(), &writes, None).await;
        version = written.map_err(not_written)?;
    }
    Ok(Settled {
        writes,
        reply,
        version,
    })
}

pub(crate) fn not_written(error: NotWritten) -> Aborted {
    match error {
        NotWritten::Guarded => Aborted::on_purpose(StoreError::Conflict),
        NotWritten::Failed(error) => Aborted::by(&error),
    }
}

/// Decides. A panic is a broken invariant: it ends this operation and nothing else.
pub(crate) fn decide(operation: &Operation, view: &View) -> Result<Decision, Aborted> {
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
