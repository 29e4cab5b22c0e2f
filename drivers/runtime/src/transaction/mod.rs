//! Transactions that a host's writes and the engine's share.
//!
//! Invariant: a transaction is rolled back unless everything that was to be in it is; nobody outside sees a part of it.

mod connection;
mod owned;
mod share;

use std::fmt;

pub use connection::HostConnection;
pub use owned::OwnedTx;
pub use share::Transactions;
pub(crate) use share::{Answer, transactions_of};

#[cfg(feature = "postgres")]
use squid_mesh_core::store::HostTransactions as _;
#[cfg(feature = "postgres")]
use squid_mesh_postgres::{PostgresStore, sqlx::PgConnection};
#[cfg(feature = "sqlite")]
use squid_mesh_sqlite::{SqliteStore, sqlx::SqliteConnection};

/// The transaction of a transactional step: what its handler writes with it is committed together with the step's outcome,
/// or not at all.
///
/// It is for writing, not for ending: a handler that ends it itself fails with the code `transaction_ended`, for which there
/// is no retry. Nested transactions (savepoints) are the handler's to use. In Postgres the session is cleaned after the step;
/// `reset all` within it counts as ending the transaction.
///
/// See [`step_tx`](crate::step_tx).
pub struct Tx(pub(crate) Open);

/// A transaction of either store.
pub(crate) enum Open {
    #[cfg(feature = "postgres")]
    Postgres(squid_mesh_postgres::HostTransaction),
    #[cfg(feature = "sqlite")]
    Sqlite(squid_mesh_sqlite::HostTransaction),
}

/// A connection of one kind of database was asked for in a transaction of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the transaction is one of {found}, and {wanted} was asked for")]
#[non_exhaustive]
pub struct WrongStore {
    /// The kind that was asked for.
    pub wanted: &'static str,
    /// The kind that it is.
    pub found: &'static str,
}

impl Tx {
    /// Its connection, in a runtime whose store is in Postgres. It has the settings that any connection to the same URL has.
    ///
    /// # Errors
    /// In a runtime whose store is somewhere else.
    #[cfg(feature = "postgres")]
    pub fn postgres(&mut self) -> Result<&mut PgConnection, WrongStore> {
        match &mut self.0 {
            Open::Postgres(tx) => Ok(PostgresStore::connection(tx)),
            #[cfg(feature = "sqlite")]
            Open::Sqlite(_) => Err(WrongStore {
                wanted: POSTGRES,
                found: SQLITE,
            }),
        }
    }

    /// Its connection, in a runtime whose store is in SQLite.
    ///
    /// # Errors
    /// In a runtime whose store is somewhere else.
    #[cfg(feature = "sqlite")]
    pub fn sqlite(&mut self) -> Result<&mut SqliteConnection, WrongStore> {
        use squid_mesh_core::store::HostTransactions as _;
        match &mut self.0 {
            Open::Sqlite(tx) => Ok(SqliteStore::connection(tx)),
            #[cfg(feature = "postgres")]
            Open::Postgres(_) => Err(WrongStore {
                wanted: SQLITE,
                found: POSTGRES,
            }),
        }
    }
}

#[cfg(all(feature = "postgres", feature = "sqlite"))]
const POSTGRES: &str = "Postgres";
#[cfg(all(feature = "postgres", feature = "sqlite"))]
const SQLITE: &str = "SQLite";

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tx")
    }
}
