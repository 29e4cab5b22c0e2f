//! Messages to customers.
//!
//! Invariant: under one key a customer gets one message, however often it is sent.

use sqlx::Row;

use super::Ledger;

const INSERT: &str = "insert into app_notifications (key, invoice, body) values ($1, $2, $3) \
     on conflict (key) do nothing";

const BODIES: &str = "select body from app_notifications where invoice = $1 order by key";

impl Ledger {
    /// Sends a message about an invoice, unless one was sent under this key.
    ///
    /// # Errors
    /// If the database does not take it; trying again is safe.
    pub async fn notify(&self, key: &str, invoice: &str, body: &str) -> Result<(), sqlx::Error> {
        let insert = sqlx::query(INSERT)
            .bind(key.to_owned())
            .bind(invoice.to_owned())
            .bind(body.to_owned());
        insert.execute(&self.pool).await?;
        Ok(())
    }

    /// The messages about an invoice.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn notifications(&self, invoice: &str) -> Result<Vec<String>, sqlx::Error> {
        let rows = sqlx::query(BODIES)
            .bind(invoice.to_owned())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }
}
