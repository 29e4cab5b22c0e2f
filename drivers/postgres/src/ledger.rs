//! The schema: what it is, and how it comes to be.
//!
//! Migrations are plain DDL that only goes forward. Which ones were applied is written down in the schema's own table
//! `migrations`; the host's are left alone. `meta.format` is raised only by a migration that engines before it cannot work
//! with, so a deployment can migrate first and replace its processes after.
//!
//! Invariant: a schema of a newer format than this engine knows is never written to.

use sqlx::{Connection as _, PgConnection, Row as _};
use squid_mesh_core::id::Shards;
use squid_mesh_core::store::StoreError;

use crate::error::store_error;
use crate::sql;

/// The format of the schema that this engine makes, and the newest it knows.
pub(crate) const FORMAT: u32 = 1;

/// One step from an empty schema to the present one.
struct Migration {
    number: i32,
    name: &'static str,
    statements: &'static str,
}

/// Every migration, in the order in which they are applied.
const MIGRATIONS: [Migration; 1] = [Migration {
    number: 1,
    name: "init",
    statements: include_str!("../../../migrations/postgres/0001_init.sql"),
}];

/// Reads what the schema is: `None` if it was never migrated.
///
/// # Errors
/// [`StoreError::Newer`], and whatever a connection may meet. Nothing is written.
pub(crate) async fn look(connection: &mut PgConnection) -> Result<Option<Shards>, StoreError> {
    let migrated: bool = fetch(connection, sql::IS_MIGRATED).await?;
    if !migrated {
        return Ok(None);
    }
    let row = sqlx::query(sql::META)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| store_error(&error))?;
    let number = |at: usize| {
        row.try_get::<i32, _>(at)
            .map_err(|error| store_error(&error))
    };
    let shards: i16 = row.try_get(1).map_err(|error| store_error(&error))?;
    let found = number(0)?.cast_unsigned();
    if found > FORMAT {
        return Err(StoreError::Newer {
            found,
            known: FORMAT,
        });
    }
    let shards = u16::try_from(shards).ok().and_then(Shards::new);
    shards.map(Some).ok_or_else(|| StoreError::Corrupt {
        detail: "the schema's number of shards".into(),
    })
}

/// Brings the schema up to date, making it with `shards` shards if it is not there, and says how many it has. Done twice
/// it changes nothing; two at a time take turns.
///
/// # Errors
/// As [`look`]; all or nothing is written.
pub(crate) async fn migrate(
    connection: &mut PgConnection,
    shards: Shards,
) -> Result<Shards, StoreError> {
    if let Some(found) = look(connection).await?
        && pending(connection).await?.is_empty()
    {
        return Ok(found);
    }
    let mut tx = connection
        .begin_with(sql::BEGIN)
        .await
        .map_err(|error| store_error(&error))?;
    let shards = apply(&mut tx, shards).await?;
    tx.commit().await.map_err(|error| store_error(&error))?;
    Ok(shards)
}

async fn apply(tx: &mut PgConnection, shards: Shards) -> Result<Shards, StoreError> {
    let failed = |error: sqlx::Error| store_error(&error);
    sqlx::query(sql::LOCK_SCHEMA)
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
    let found = look(tx).await?;
    let pending = match found {
        Some(_) => pending(tx).await?,
        None => {
            sqlx::raw_sql(sql::CREATE_SCHEMA)
                .execute(&mut *tx)
                .await
                .map_err(failed)?;
            MIGRATIONS.iter().collect()
        }
    };
    for migration in pending {
        sqlx::raw_sql(migration.statements)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        let record = sqlx::query(sql::INSERT_APPLIED)
            .bind(migration.number)
            .bind(migration.name);
        record.execute(&mut *tx).await.map_err(failed)?;
        tracing::info!(
            number = migration.number,
            name = migration.name,
            "migrated the schema"
        );
    }
    if found.is_none() {
        let record = sqlx::query(sql::INSERT_META)
            .bind(FORMAT.cast_signed())
            .bind(shards.count().cast_signed());
        record.execute(&mut *tx).await.map_err(failed)?;
    }
    Ok(found.unwrap_or(shards))
}

/// Migrations that were not applied yet. Those that this engine does not know were applied by a newer one, and left the
/// format as it was.
async fn pending(connection: &mut PgConnection) -> Result<Vec<&'static Migration>, StoreError> {
    let applied: Vec<i32> = sqlx::query_scalar(sql::APPLIED)
        .fetch_all(connection)
        .await
        .map_err(|error| store_error(&error))?;
    Ok(MIGRATIONS
        .iter()
        .filter(|migration| !applied.contains(&migration.number))
        .collect())
}

async fn fetch(connection: &mut PgConnection, statement: &'static str) -> Result<bool, StoreError> {
    sqlx::query_scalar(statement)
        .fetch_one(connection)
        .await
        .map_err(|error| store_error(&error))
}
