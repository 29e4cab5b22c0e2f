//! Which migrations a database has had.
//!
//! The ledger is a table of this store's own: `_sqlx_migrations` may be the host's.
//!
//! Invariant: a schema of a newer format is left alone, and a format that is in the ledger was applied completely.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, raw_sql};
use squid_mesh_core::store::StoreError;

use crate::error::store_error;
use crate::options::Clock;
use crate::sql;

/// One step from a format to the next.
struct Migration {
    name: &'static str,
    text: &'static str,
}

/// Every migration, in order: the first makes format 1. Released ones are never edited.
const MIGRATIONS: [Migration; 1] = [Migration {
    name: "0001_init",
    text: include_str!("../../../migrations/sqlite/0001_init.sql"),
}];

/// The format that this engine knows.
pub(crate) const KNOWN: u32 = 1;

const _: () = assert!(
    KNOWN as usize == MIGRATIONS.len(),
    "each migration makes the next format"
);

/// The schema's format: 0 if there is none.
///
/// # Errors
/// [`StoreError::Newer`] if a newer engine made it.
pub(crate) async fn format(connection: &mut SqliteConnection) -> Result<u32, StoreError> {
    let tables: i64 = number(connection, sql::LEDGER_EXISTS).await?;
    if tables == 0 {
        return Ok(0);
    }
    let found = u32::try_from(number(connection, sql::LEDGER_FORMAT).await?).unwrap_or(u32::MAX);
    if found > KNOWN {
        Err(StoreError::Newer {
            found,
            known: KNOWN,
        })
    } else {
        Ok(found)
    }
}

async fn number(connection: &mut SqliteConnection, sql: &'static str) -> Result<i64, StoreError> {
    sqlx::query_scalar(sql)
        .fetch_one(connection)
        .await
        .map_err(|error| store_error(&error))
}

/// Brings the schema to the format that this engine knows. Whoever comes second finds nothing left to do.
pub(crate) async fn migrate(
    connection: &mut SqliteConnection,
    clock: &dyn Clock,
) -> Result<(), StoreError> {
    if format(connection).await? == KNOWN {
        return Ok(());
    }
    let failed = |error: sqlx::Error| store_error(&error);
    let mut tx = connection.begin_with(sql::BEGIN).await.map_err(failed)?;
    let done = format(&mut tx).await?;
    raw_sql(sql::LEDGER_CREATE)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    for (format, migration) in (1_u32..).zip(&MIGRATIONS).skip(done as usize) {
        raw_sql(migration.text)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        let note = sqlx::query(sql::LEDGER_INSERT)
            .bind(format)
            .bind(migration.name);
        note.bind(clock.now().as_micros())
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
    }
    tx.commit()
        .await
        .map_err(|error| StoreError::Unavailable(error.to_string()))
}
