//! A host's connection, whatever it came as.
//!
//! Invariant: only borrowed: whoever began the transaction ends it.

use std::convert::Infallible;

#[cfg(feature = "postgres")]
use squid_mesh_postgres::sqlx::{PgConnection, Postgres};
#[cfg(feature = "sqlite")]
use squid_mesh_sqlite::sqlx::{Sqlite, SqliteConnection};

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use super::Open;
use super::Tx;

/// A connection that is in a transaction of the host: a sqlx `Transaction` or connection of Postgres or SQLite, or a [`Tx`].
///
/// Made by `Into`, so what asks for one takes `&mut transaction`.
#[derive(Debug)]
pub struct HostConnection<'a>(
    #[cfg_attr(
        not(any(feature = "postgres", feature = "sqlite")),
        expect(dead_code, reason = "without stores there is nobody to read it")
    )]
    pub(crate) Lent<'a>,
);

#[derive(Debug)]
pub(crate) enum Lent<'a> {
    #[cfg(feature = "postgres")]
    Postgres(&'a mut PgConnection),
    #[cfg(feature = "sqlite")]
    Sqlite(&'a mut SqliteConnection),
    /// There is a lifetime also in a build without stores.
    #[expect(dead_code, reason = "it cannot be made")]
    Nothing(&'a Infallible),
}

#[cfg(feature = "postgres")]
impl<'a> From<&'a mut PgConnection> for HostConnection<'a> {
    fn from(connection: &'a mut PgConnection) -> HostConnection<'a> {
        HostConnection(Lent::Postgres(connection))
    }
}

#[cfg(feature = "postgres")]
impl<'a> From<&'a mut squid_mesh_postgres::sqlx::Transaction<'_, Postgres>> for HostConnection<'a> {
    fn from(
        transaction: &'a mut squid_mesh_postgres::sqlx::Transaction<'_, Postgres>,
    ) -> HostConnection<'a> {
        HostConnection(Lent::Postgres(transaction))
    }
}

#[cfg(feature = "sqlite")]
impl<'a> From<&'a mut SqliteConnection> for HostConnection<'a> {
    fn from(connection: &'a mut SqliteConnection) -> HostConnection<'a> {
        HostConnection(Lent::Sqlite(connection))
    }
}

#[cfg(feature = "sqlite")]
impl<'a> From<&'a mut squid_mesh_sqlite::sqlx::Transaction<'_, Sqlite>> for HostConnection<'a> {
    fn from(
        transaction: &'a mut squid_mesh_sqlite::sqlx::Transaction<'_, Sqlite>,
    ) -> HostConnection<'a> {
        HostConnection(Lent::Sqlite(transaction))
    }
}

impl<'a> From<&'a mut Tx> for HostConnection<'a> {
    fn from(tx: &'a mut Tx) -> HostConnection<'a> {
        #[cfg(any(feature = "postgres", feature = "sqlite"))]
        use squid_mesh_core::store::HostTransactions as _;
        // By place, so that it is exhaustive in a build without stores too.
        match tx.0 {
            #[cfg(feature = "postgres")]
            Open::Postgres(ref mut tx) => HostConnection(Lent::Postgres(
                squid_mesh_postgres::PostgresStore::connection(tx),
            )),
            #[cfg(feature = "sqlite")]
            Open::Sqlite(ref mut tx) => {
                HostConnection(Lent::Sqlite(squid_mesh_sqlite::SqliteStore::connection(tx)))
            }
        }
    }
}
