//! The application's own tables, beside the engine's in the same database.
//!
//! Every write is one statement, so nothing here ever waits for a lock while it holds another, and an SQLite file is shared
//! with the engine's writer without either starving the other.
//!
//! Invariant: a write that is repeated under the same key changes nothing, except in `app_effects`, which is there to count
//! repetitions, and in `app_bookings`, which leaves that to the transactions of steps.

mod bookings;
mod effects;
mod entries;
mod figures;
mod invoices;
mod notifications;

use std::sync::Once;

use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;

pub use bookings::book;
pub use effects::Effect;
pub use invoices::{Invoice, OPEN, PAID};

use crate::place::Kind;

/// The application's tables.
#[derive(Debug, Clone)]
pub struct Ledger {
    pool: AnyPool,
}

/// Connections to Postgres. To SQLite there is one: it has one writer anyway, and waiting in line beats polling for a lock.
const POSTGRES_CONNECTIONS: u32 = 8;

/// The tables, as both databases understand them.
const TABLES: &str = include_str!("tables.sql");

/// The same for Postgres, where two processes that create a table at once would collide. The statements of one simple query
/// are one transaction, which holds the lock to its end.
const TABLES_LOCKED: &str = concat!(
    "do $$ begin perform pg_advisory_xact_lock(5821006941); end $$;\n",
    include_str!("tables.sql")
);

impl Ledger {
    /// Opens the tables in a database, and creates those that are missing. An SQLite file has to exist.
    ///
    /// # Errors
    /// If the database cannot be reached or refuses. Trying again is safe.
    pub async fn open(url: &str) -> Result<Ledger, sqlx::Error> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let (connections, tables) = match Kind::of(url) {
            Some(Kind::Postgres) => (POSTGRES_CONNECTIONS, TABLES_LOCKED),
            Some(Kind::Sqlite) | None => (1, TABLES),
        };
        // A database in memory lives as long as its one connection.
        let options = AnyPoolOptions::new()
            .max_connections(connections)
            .idle_timeout(None)
            .max_lifetime(None);
        let pool = options.connect(url).await?;
        sqlx::raw_sql(tables).execute(&pool).await?;
        Ok(Ledger { pool })
    }
}
