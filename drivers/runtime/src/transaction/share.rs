//! Stores whose transactions a host can share.
//!
//! Invariant: adds nothing to what the stores do but one type for all of them.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use squid_mesh_core::operation::{Operation, Reply};
use squid_mesh_core::store::{StoreError, TransactionError};

use super::{HostConnection, Tx};
use crate::stores::{AnyStore, SharedStore};

pub(crate) type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// [`HostTransactions`](squid_mesh_core::store::HostTransactions) with its types erased: what a runtime needs of its store
/// for transactional steps. The stores of this crate have it; a store that wraps one passes it on.
pub trait Transactions: Send + Sync + 'static {
    /// Whether an open transaction keeps everybody else from writing, renewals included.
    fn is_exclusive(&self) -> bool;

    /// Whether others can read while a transaction is open.
    fn lets_others_read(&self) -> bool {
        true
    }

    /// Begins a transaction for a handler.
    fn begin(&self, patience: Option<Duration>) -> Answer<'_, Result<Tx, StoreError>>;

    /// Performs an operation as the last of a transaction, and commits if all of it was done.
    fn settle(&self, tx: Tx, operation: Operation) -> Answer<'_, Result<Reply, TransactionError>>;

    /// Commits a transaction.
    fn commit(&self, tx: Tx) -> Answer<'_, Result<(), TransactionError>>;

    /// Rolls a transaction back, and waits for it.
    fn rollback(&self, tx: Tx) -> Answer<'_, ()>;

    /// Performs an operation in a transaction that the host ends.
    fn perform_in<'a>(
        &'a self,
        connection: HostConnection<'a>,
        operation: Operation,
    ) -> Answer<'a, Result<Reply, StoreError>>;
}

/// The transactions of a store, if it is known to have any.
pub(crate) fn transactions_of(store: &Arc<dyn Any + Send + Sync>) -> Option<Arc<dyn Transactions>> {
    if let Ok(store) = store.clone().downcast::<AnyStore>() {
        return Some(store);
    }
    #[cfg(feature = "postgres")]
    if let Ok(store) = store
        .clone()
        .downcast::<squid_mesh_postgres::PostgresStore>()
    {
        return Some(store);
    }
    #[cfg(feature = "sqlite")]
    if let Ok(store) = store.clone().downcast::<squid_mesh_sqlite::SqliteStore>() {
        return Some(store);
    }
    store.downcast_ref::<SharedStore>()?.transactions().cloned()
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
const STRANGER: &str = "the transaction is not one of this store's database";

/// Erases the types of a store: its name, its name in the enums, whether its transactions are exclusive, and whether they
/// let others read.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
macro_rules! erase {
    ($store:ty, $kind:ident, $exclusive:literal, $lets_others_read:expr) => {
        impl Transactions for $store {
            fn is_exclusive(&self) -> bool {
                $exclusive
            }

            fn lets_others_read(&self) -> bool {
                let answer: fn(&$store) -> bool = $lets_others_read;
                answer(self)
            }

            fn begin(&self, patience: Option<Duration>) -> Answer<'_, Result<Tx, StoreError>> {
                Box::pin(async move {
                    let tx = HostTransactions::begin(self, patience).await?;
                    Ok(Tx(Open::$kind(tx)))
                })
            }

            fn settle(
                &self,
                tx: Tx,
                operation: Operation,
            ) -> Answer<'_, Result<Reply, TransactionError>> {
                Box::pin(async move {
                    match tx.0 {
                        Open::$kind(tx) => HostTransactions::settle(self, tx, operation).await,
                        #[allow(unreachable_patterns, reason = "of one store there is no other")]
                        _ => Err(StoreError::Refused(STRANGER.to_owned()).into()),
                    }
                })
            }

            fn commit(&self, tx: Tx) -> Answer<'_, Result<(), TransactionError>> {
                Box::pin(async move {
                    match tx.0 {
                        Open::$kind(tx) => HostTransactions::commit(self, tx).await,
                        #[allow(unreachable_patterns, reason = "of one store there is no other")]
                        _ => Err(StoreError::Refused(STRANGER.to_owned()).into()),
                    }
                })
            }

            fn rollback(&self, tx: Tx) -> Answer<'_, ()> {
                Box::pin(async move {
                    match tx.0 {
                        Open::$kind(tx) => HostTransactions::rollback(self, tx).await,
                        #[allow(unreachable_patterns, reason = "of one store there is no other")]
                        _ => {}
                    }
                })
            }

            fn perform_in<'a>(
                &'a self,
                connection: HostConnection<'a>,
                operation: Operation,
            ) -> Answer<'a, Result<Reply, StoreError>> {
                Box::pin(async move {
                    match connection.0 {
                        Lent::$kind(connection) => {
                            HostTransactions::perform_in(self, connection, operation).await
                        }
                        _ => Err(StoreError::Refused(STRANGER.to_owned())),
                    }
                })
            }
        }
    };
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use {super::Open, super::connection::Lent, squid_mesh_core::store::HostTransactions};

#[cfg(feature = "postgres")]
erase!(squid_mesh_postgres::PostgresStore, Postgres, false, |_| {
    true
});
#[cfg(feature = "sqlite")]
erase!(squid_mesh_sqlite::SqliteStore, Sqlite, true, |store| !store
    .is_in_memory());

impl Transactions for AnyStore {
    fn is_exclusive(&self) -> bool {
        self.erased().is_exclusive()
    }

    fn lets_others_read(&self) -> bool {
        self.erased().lets_others_read()
    }

    fn begin(&self, patience: Option<Duration>) -> Answer<'_, Result<Tx, StoreError>> {
        self.erased().begin(patience)
    }

    fn settle(&self, tx: Tx, operation: Operation) -> Answer<'_, Result<Reply, TransactionError>> {
        self.erased().settle(tx, operation)
    }

    fn commit(&self, tx: Tx) -> Answer<'_, Result<(), TransactionError>> {
        self.erased().commit(tx)
    }

    fn rollback(&self, tx: Tx) -> Answer<'_, ()> {
        self.erased().rollback(tx)
    }

    fn perform_in<'a>(
        &'a self,
        connection: HostConnection<'a>,
        operation: Operation,
    ) -> Answer<'a, Result<Reply, StoreError>> {
        self.erased().perform_in(connection, operation)
    }
}
