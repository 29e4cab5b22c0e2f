//! Named numbers about a subject: what the smaller workflows compute.
//!
//! Invariant: a figure that is written again has the value that was written last.

use sqlx::Row;

use super::Ledger;

const UPSERT: &str = "insert into app_figures (subject, name, value) values ($1, $2, $3) \
     on conflict (subject, name) do update set value = excluded.value";

const SELECT: &str = "select value from app_figures where subject = $1 and name = $2";

impl Ledger {
    /// Writes a figure.
    ///
    /// # Errors
    /// If the database does not take it; trying again is safe.
    pub async fn write_figure(
        &self,
        subject: &str,
        name: &str,
        value: i64,
    ) -> Result<(), sqlx::Error> {
        let upsert = sqlx::query(UPSERT)
            .bind(subject.to_owned())
            .bind(name.to_owned())
            .bind(value);
        upsert.execute(&self.pool).await?;
        Ok(())
    }

    /// Reads a figure, if it has been written.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn figure(&self, subject: &str, name: &str) -> Result<Option<i64>, sqlx::Error> {
        let select = sqlx::query(SELECT)
            .bind(subject.to_owned())
            .bind(name.to_owned());
        let row = select.fetch_optional(&self.pool).await?;
        row.map(|row| row.try_get(0)).transpose()
    }
}
