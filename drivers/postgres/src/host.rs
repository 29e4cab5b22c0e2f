//! Transactions that hold writes of the host too.
//!
//! A host's connection has settings of its own. What an operation needs is set for the transaction only: the `search_path`
//! that finds our tables (temporary ones of the host last), a bound on lock waits, and the planner settings of
//! [`Options`]. In a transaction that goes on afterwards they are put back, by a statement or by undoing the savepoint.
//!
//! A transaction of ours begins with a mark, a setting that is local to it. When the mark is gone, whoever had the connection
//! has ended the transaction, whatever was begun after it.
//!
//! Invariant: the locks of an operation are taken after the last write of the host, and COMMIT is sent only after a statement
//! of the same transaction was answered: Postgres answers the COMMIT of a failed transaction with a rollback, and no error.

use std::fmt;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow};
use sqlx::{Connection as _, Postgres, Row as _, Transaction};
use squid_mesh_core::operation::{Operation, Reply};
use squid_mesh_core::store::{HostTransactions, StoreError, TransactionError, check_in_host};
use tokio::time::timeout;

use crate::error::{commit_error, is_aborted, is_serialization, store_error};
use crate::options::{Options, millis};
use crate::perform::{Aborted, Performed, Settled, settle};
use crate::{PostgresStore, Shared, sql};

/// The mark of a transaction that this store began.
const MARK: &str = "squid-mesh";
/// The only isolation in which a statement that waited for a lock sees what the lock was waited for.
const ISOLATION: &str = "read committed";

/// A transaction that a handler writes in. Dropped, it is rolled back.
pub struct HostTransaction(Transaction<'static, Postgres>);

impl fmt::Debug for HostTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HostTransaction")
    }
}

/// Connections for transactions that handlers write in, apart from those of the store: however long handlers take, there is
/// always one to renew leases on.
pub(crate) struct HostPool {
    pool: PgPool,
    idle: Duration,
}

impl HostPool {
    pub(crate) fn new(connect: PgConnectOptions, options: &Options) -> HostPool {
        let pool = PgPoolOptions::new()
            .max_connections(options.host_transactions)
            .acquire_timeout(options.patience)
            .test_before_acquire(false)
            .after_release(|connection, _| {
                Box::pin(async move {
                    if connection.is_in_transaction() {
                        return Ok(false);
                    }
                    sqlx::raw_sql(sql::CLEAN).execute(connection).await?;
                    Ok(true)
                })
            })
            .connect_lazy_with(connect);
        HostPool {
            pool,
            idle: options.idle_patience,
        }
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    async fn begin(&self, patience: Option<Duration>) -> Result<HostTransaction, sqlx::Error> {
        let mut tx = self.pool.begin_with(sql::BEGIN).await?;
        let mark = sqlx::query(sql::MARK)
            .bind(MARK)
            .bind(millis(patience.unwrap_or(self.idle)));
        mark.execute(&mut *tx).await?;
        Ok(HostTransaction(tx))
    }
}

/// What a transaction was like before an operation: its settings in the order of [`Options::in_host`].
struct Entered {
    mark: Option<String>,
    isolation: String,
    settings: Vec<String>,
}

impl Entered {
    fn of(row: &PgRow) -> Result<Entered, sqlx::Error> {
        Ok(Entered {
            mark: row.try_get("mark")?,
            isolation: row.try_get("isolation")?,
            settings: row.try_get("settings")?,
        })
    }

    fn check_isolation(&self) -> Result<(), StoreError> {
        if self.isolation == ISOLATION {
            return Ok(());
        }
        Err(StoreError::Refused(format!(
            "the transaction is {}, and the engine works in {ISOLATION} ones only",
            self.isolation
        )))
    }
}

impl Shared {
    /// Gives the transaction the store's settings.
    async fn enter(&self, connection: &mut PgConnection) -> Result<Entered, sqlx::Error> {
        let (names, values) = self.options.in_host();
        let entering = sqlx::query(sql::ENTER).bind(names).bind(values);
        Entered::of(&entering.fetch_one(connection).await?)
    }

    /// Performs an operation in a transaction of the host's, and leaves its settings as they were.
    async fn perform_within(
        &self,
        connection: &mut PgConnection,
        operation: &Operation,
    ) -> Result<Reply, Aborted> {
        let entered = self.enter(connection).await?;
        entered.check_isolation().map_err(Aborted::on_purpose)?;
        let Settled { reply, .. } = settle(connection, &self.known.definitions, operation).await?;
        let (names, _) = self.options.in_host();
        let leaving = sqlx::query(sql::LEAVE).bind(names).bind(entered.settings);
        leaving.execute(&mut *connection).await?;
        sqlx::raw_sql(sql::RELEASE).execute(connection).await?;
        Ok(reply)
    }

    /// Makes sure that a transaction is the one that was begun, and stands.
    async fn resume(&self, tx: &mut PgConnection) -> Result<(), TransactionError> {
        let entered = self.enter(tx).await.map_err(|error| {
            if is_aborted(&error) {
                let why = "one of its statements failed, and it went on";
                TransactionError::Aborted(why.to_owned())
            } else {
                TransactionError::Store(store_error(&error))
            }
        })?;
        if entered.mark.as_deref() == Some(MARK) {
            Ok(())
        } else {
            Err(TransactionError::Ended)
        }
    }

    async fn settle(
        &self,
        mut tx: Transaction<'static, Postgres>,
        operation: &Operation,
    ) -> Result<Performed, TransactionError> {
        self.resume(&mut tx).await?;
        let settled = settle(&mut tx, &self.known.definitions, operation).await;
        let Settled { writes, reply, .. } = settled.map_err(|aborted| aborted.error)?;
        if reply.is_done() {
            commit(tx).await?;
        } else {
            roll_back(tx).await;
        }
        Ok(Performed {
            reply,
            hints: writes.hints,
        })
    }

    /// Within the store's patience: what was sent by then may have been committed.
    async fn patiently<T>(
        &self,
        ending: impl Future<Output = Result<T, TransactionError>>,
    ) -> Result<T, TransactionError> {
        let patience = self.options.patience;
        timeout(patience, ending).await.unwrap_or_else(|_| {
            let why = format!("no answer within {patience:?}");
            Err(StoreError::Unavailable(why).into())
        })
    }
}

/// Commits. Of what the engine wrote nothing is checked as late as this, so a constraint that fails is the host's.
async fn commit(tx: Transaction<'static, Postgres>) -> Result<(), TransactionError> {
    tx.commit()
        .await
        .map_err(|error| match commit_error(&error) {
            _ if is_serialization(&error) => StoreError::Conflict.into(),
            StoreError::Unavailable(why) => StoreError::Unavailable(why).into(),
            refused => match error.as_database_error() {
                Some(database) => TransactionError::Aborted(database.message().to_owned()),
                None => refused.into(),
            },
        })
}

async fn roll_back(tx: Transaction<'static, Postgres>) {
    if let Err(error) = tx.rollback().await {
        // Its connection is gone, and it with it.
        tracing::debug!(%error, "a transaction was not rolled back in order");
    }
}

impl HostTransactions for PostgresStore {
    type Connection = PgConnection;
    type Transaction = HostTransaction;

    async fn perform_in(
        &self,
        connection: &mut PgConnection,
        operation: Operation,
    ) -> Result<Reply, StoreError> {
        check_in_host(&operation)?;
        self.shared.check_shard(&operation).await?;
        let savepoint = sqlx::raw_sql(sql::SAVEPOINT).execute(&mut *connection);
        savepoint.await.map_err(|error| store_error(&error))?;
        match self.shared.perform_within(connection, &operation).await {
            Ok(reply) => Ok(reply),
            Err(aborted) => {
                if aborted.survivable {
                    let undone = sqlx::raw_sql(sql::UNDO).execute(connection).await;
                    undone.map_err(|error| store_error(&error))?;
                }
                Err(aborted.error)
            }
        }
    }

    async fn begin(&self, patience: Option<Duration>) -> Result<HostTransaction, StoreError> {
        let begun = self.shared.host.begin(patience).await;
        begun.map_err(|error| match error {
            sqlx::Error::PoolTimedOut => {
                StoreError::Unavailable("every transaction for handlers is in use".into())
            }
            error => store_error(&error),
        })
    }

    fn connection(transaction: &mut HostTransaction) -> &mut PgConnection {
        &mut transaction.0
    }

    async fn settle(
        &self,
        transaction: HostTransaction,
        operation: Operation,
    ) -> Result<Reply, TransactionError> {
        check_in_host(&operation)?;
        self.shared.check_shard(&operation).await?;
        let settling = self.shared.settle(transaction.0, &operation);
        let Performed { reply, hints } = self.shared.patiently(settling).await?;
        if reply.is_done() {
            self.shared.hints.send(hints);
        }
        Ok(reply)
    }

    async fn commit(&self, transaction: HostTransaction) -> Result<(), TransactionError> {
        let ending = async {
            let HostTransaction(mut tx) = transaction;
            self.shared.resume(&mut tx).await?;
            commit(tx).await
        };
        self.shared.patiently(ending).await
    }

    async fn rollback(&self, transaction: HostTransaction) {
        // What takes longer is rolled back behind the scenes.
        let _ = timeout(self.shared.options.patience, roll_back(transaction.0)).await;
    }
}

#[cfg(test)]
mod tests {
    use squid_mesh_test_support::TestDatabase;

    use super::*;

    const PLANNING: &str = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings \
        where name like 'enable%' or name in ('jit', 'plan_cache_mode', 'lock_timeout')";

    async fn planning(connection: &mut PgConnection) -> String {
        let planning = sqlx::query_scalar(PLANNING).fetch_one(connection);
        planning.await.unwrap()
    }

    #[tokio::test]
    async fn an_operation_is_planned_in_a_transaction_of_a_host_as_it_is_on_a_connection_of_the_store()
     {
        let database = TestDatabase::fresh();
        let options = Options::default();
        let connect = options.connect_options(database.url()).unwrap();
        let mut own = PgConnection::connect_with(&connect).await.unwrap();
        let store = PostgresStore::connect(database.url(), options)
            .await
            .unwrap();
        let mut hosts = PgConnection::connect(database.url()).await.unwrap();
        let mut tx = hosts.begin().await.unwrap();
        let before = planning(&mut tx).await;
        store.shared.enter(&mut tx).await.unwrap();
        let planned = planning(&mut tx).await;
        assert_ne!(planned, before);
        assert_eq!(planned, planning(&mut own).await);
    }
}
