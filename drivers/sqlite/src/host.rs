//! Transactions that hold writes of the host too.
//!
//! A transaction of ours begins with a savepoint as its mark. When that cannot be released, whoever had the connection has
//! ended the transaction, whatever was begun after it.
//!
//! Invariant: while a transaction of ours is open the writer is idle, so nobody in this process waits for SQLite's lock.

use std::time::Duration;

use sqlx::sqlite::{Sqlite, SqliteConnection};
use sqlx::{Connection as _, Transaction};
use squid_mesh_core::operation::{Operation, Reply};
use squid_mesh_core::store::{HostTransactions, StoreError, TransactionError, check_in_host};

use crate::SqliteStore;
use crate::error::{Failure, is_constraint, is_misplaced, store_error};
use crate::perform::{Performed, Place, check_shard, perform};
use crate::read::Sources;
use crate::script::Script;
use crate::sql;
use crate::writer::Turn;

/// A transaction that a handler writes in. Dropped, it is rolled back.
#[derive(Debug)]
pub struct HostTransaction {
    /// Before the turn, so that it ends first.
    tx: Transaction<'static, Sqlite>,
    turn: Turn,
}

impl SqliteStore {
    async fn perform_at(
        &self,
        connection: &mut SqliteConnection,
        place: Place,
        operation: &Operation,
    ) -> Result<Performed, StoreError> {
        let sources = Sources {
            definitions: &self.shared.definitions,
            clock: &*self.shared.clock,
        };
        let performed = perform(connection, &sources, place, operation).await;
        performed.map_err(|failure| match failure {
            Failure::Operation(error) => error,
            Failure::Database(error) => store_error(&error),
        })
    }

    async fn settle_last(
        &self,
        mut tx: Transaction<'static, Sqlite>,
        operation: &Operation,
    ) -> Result<Performed, TransactionError> {
        unmark(&mut tx).await?;
        let performed = self.perform_at(&mut tx, Place::Last, operation).await?;
        if performed.reply.is_done() {
            commit(tx).await?;
        } else {
            roll_back(tx).await;
        }
        Ok(performed)
    }
}

/// Makes sure that a transaction is the one that was begun.
async fn unmark(tx: &mut SqliteConnection) -> Result<(), TransactionError> {
    match Script::of(sql::UNMARK).run(tx).await {
        Ok(_) => Ok(()),
        Err(error) if is_misplaced(&error) => Err(TransactionError::Ended),
        Err(error) => Err(store_error(&error).into()),
    }
}

/// Commits. Of what the engine wrote nothing is checked as late as this, so a constraint that fails is the host's.
async fn commit(tx: Transaction<'static, Sqlite>) -> Result<(), TransactionError> {
    tx.commit()
        .await
        .map_err(|error| match store_error(&error) {
            _ if is_constraint(&error) => TransactionError::Aborted(error.to_string()),
            StoreError::Conflict => StoreError::Conflict.into(),
            _ => StoreError::Unavailable(error.to_string()).into(),
        })
}

async fn roll_back(tx: Transaction<'static, Sqlite>) {
    if let Err(error) = tx.rollback().await {
        tracing::debug!(%error, "a transaction was not rolled back in order");
    }
}

/// Whether an operation can be part of a transaction that somebody else ends.
fn check(operation: &Operation) -> Result<(), StoreError> {
    check_shard(operation)?;
    check_in_host(operation)
}

/// Whether the connection is in a transaction, also in one that sqlx was not told of.
async fn check_begun(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    if connection.is_in_transaction() {
        return Ok(());
    }
    match Script::of(sql::PROBE).run(connection).await {
        Err(error) if is_misplaced(&error) => Ok(()),
        Err(error) => Err(store_error(&error)),
        Ok(_) => {
            let ended = Script::of(sql::ROLLBACK).run(connection).await;
            ended.map_err(|error| store_error(&error))?;
            Err(StoreError::Refused(
                "the connection is in no transaction".into(),
            ))
        }
    }
}

impl HostTransactions for SqliteStore {
    type Connection = SqliteConnection;
    type Transaction = HostTransaction;

    async fn perform_in(
        &self,
        connection: &mut SqliteConnection,
        operation: Operation,
    ) -> Result<Reply, StoreError> {
        check(&operation)?;
        check_begun(connection).await?;
        let performed = self.perform_at(connection, Place::Second, &operation).await;
        let mut ending = Script::default();
        if performed.is_err() {
            ending.statement(Place::Second.undo());
        }
        ending.statement(sql::RELEASE);
        let ended = ending.run(connection).await;
        let performed = performed?;
        ended.map_err(|error| store_error(&error))?;
        Ok(performed.reply)
    }

    async fn begin(&self, _patience: Option<Duration>) -> Result<HostTransaction, StoreError> {
        let turn = self.turn().await?;
        let begun = async {
            let mut tx = self.host.begin_with(sql::BEGIN).await?;
            Script::of(sql::MARK).run(&mut tx).await?;
            Ok(tx)
        };
        match begun.await {
            Ok(tx) => Ok(HostTransaction { tx, turn }),
            Err(error) => Err(store_error(&error)),
        }
    }

    fn connection(transaction: &mut HostTransaction) -> &mut SqliteConnection {
        &mut transaction.tx
    }

    async fn settle(
        &self,
        transaction: HostTransaction,
        operation: Operation,
    ) -> Result<Reply, TransactionError> {
        check(&operation)?;
        let HostTransaction { tx, turn } = transaction;
        let settled = self.settle_last(tx, &operation).await;
        drop(turn);
        let Performed { reply, hints } = settled?;
        if reply.is_done() {
            self.shared.hints.send(hints);
        }
        Ok(reply)
    }

    async fn commit(&self, transaction: HostTransaction) -> Result<(), TransactionError> {
        let HostTransaction { mut tx, turn } = transaction;
        unmark(&mut tx).await?;
        commit(tx).await?;
        drop(turn);
        Ok(())
    }

    async fn rollback(&self, transaction: HostTransaction) {
        let HostTransaction { tx, turn } = transaction;
        roll_back(tx).await;
        drop(turn);
    }
}
