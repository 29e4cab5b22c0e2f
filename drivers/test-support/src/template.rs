//! Databases that others are copied from.
//!
//! Invariant: a template has its final name only once it is complete, and nobody connects to it then.

use sqlx::PgConnection;

use crate::address::MAINTENANCE;
use crate::cluster::TestCluster;
use crate::connection::{close, connect, execute};
use crate::database::{BoxError, DatabaseError};

/// The longest key of a template.
const MAX_KEY: usize = 32;

/// The name of a template.
///
/// # Panics
///
/// If the key is not made of 1 to 32 lowercase letters, digits and underscores.
pub(crate) fn template_name(key: &str) -> String {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    assert!(
        (1..=MAX_KEY).contains(&key.len()) && key.chars().all(valid),
        "template key {key:?}"
    );
    format!("squid_mesh_template_{key}")
}

/// Makes sure a template exists. Those who come while it is being made wait for it.
pub(crate) async fn make_template(
    cluster: &TestCluster,
    key: &str,
    prepare: impl AsyncFnOnce(String) -> Result<(), BoxError>,
) -> Result<(), DatabaseError> {
    let name = template_name(key);
    let mut connection = connect(&cluster.url(MAINTENANCE)).await?;
    if !exists(&mut connection, &name).await? {
        // Held by the session: a maker that is killed lets the next one begin again.
        sqlx::query("select pg_advisory_lock(hashtext($1))")
            .bind(&name)
            .execute(&mut connection)
            .await?;
        if !exists(&mut connection, &name).await? {
            fill(cluster, &mut connection, key, &name, prepare).await?;
        }
    }
    close(connection).await;
    Ok(())
}

async fn fill(
    cluster: &TestCluster,
    connection: &mut PgConnection,
    key: &str,
    name: &str,
    prepare: impl AsyncFnOnce(String) -> Result<(), BoxError>,
) -> Result<(), DatabaseError> {
    let draft = format!("{name}_draft");
    execute(
        connection,
        format!("drop database if exists {draft} with (force)"),
    )
    .await?;
    execute(
        connection,
        format!("create database {draft} template template0"),
    )
    .await?;
    prepare(cluster.url(&draft))
        .await
        .map_err(|source| DatabaseError::Prepare {
            key: key.to_owned(),
            source,
        })?;
    execute(
        connection,
        format!("alter database {draft} with allow_connections false"),
    )
    .await?;
    execute(
        connection,
        format!("alter database {draft} rename to {name}"),
    )
    .await?;
    Ok(())
}

async fn exists(connection: &mut PgConnection, name: &str) -> Result<bool, sqlx::Error> {
    let row = sqlx::query("select 1 from pg_database where datname = $1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_the_longest_length_gives_a_name_postgres_does_not_cut() {
        let name = template_name(&"k".repeat(MAX_KEY));
        assert!(format!("{name}_draft").len() <= 63);
    }

    #[test]
    #[should_panic(expected = "template key")]
    fn a_longer_key_is_refused() {
        let _ = template_name(&"k".repeat(MAX_KEY + 1));
    }

    #[test]
    #[should_panic(expected = "template key")]
    fn a_key_that_could_end_the_name_is_refused() {
        let _ = template_name("a; drop database b");
    }
}
