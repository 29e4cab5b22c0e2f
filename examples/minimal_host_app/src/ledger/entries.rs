//! What was done about a subject, line by line.
//!
//! Invariant: under one key there is one line, and the lines of a subject are in the order in which they were first written.

use sqlx::Row;

use super::Ledger;

/// By the primary key and `app_entries`' unique constraint. Two first lines at once collide; one of them is to be tried
/// again.
const INSERT: &str = "insert into app_entries (key, subject, position, entry) \
     select $1, $2, coalesce(max(position), 0) + 1, $3 from app_entries where subject = $2 \
     on conflict (key) do nothing";

const OF_SUBJECT: &str = "select entry from app_entries where subject = $1 order by position";

impl Ledger {
    /// Writes a line about a subject, unless one was written under this key.
    ///
    /// # Errors
    /// If the database does not take it; trying again is safe.
    pub async fn enter(&self, key: &str, subject: &str, entry: &str) -> Result<(), sqlx::Error> {
        let insert = sqlx::query(INSERT)
            .bind(key.to_owned())
            .bind(subject.to_owned())
            .bind(entry.to_owned());
        insert.execute(&self.pool).await?;
        Ok(())
    }

    /// The lines about a subject.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn entries(&self, subject: &str) -> Result<Vec<String>, sqlx::Error> {
        let rows = sqlx::query(OF_SUBJECT)
            .bind(subject.to_owned())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }
}
