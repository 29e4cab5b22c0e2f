//! Orders as they were booked.
//!
//! Invariant: a booking is written in the transaction of a step only, and is there if and only if that step's success is.

use sqlx::Row;
use squid_mesh::{StepError, Tx};
use uuid::Uuid;

use super::Ledger;

const INSERT: &str = "insert into app_bookings (token, order_id, cents) values ($1, $2, $3)";

/// By `app_bookings_by_order`.
const OF_ORDER: &str = "select cents from app_bookings where order_id = $1 order by token";

/// Books an order in the transaction of the step that is being executed.
///
/// # Errors
/// If the database does not take it; then the transaction takes nothing else either.
pub async fn book(tx: &mut Tx, order: &str, cents: i64) -> Result<(), StepError> {
    let token = Uuid::new_v4().to_string();
    if let Ok(connection) = tx.postgres() {
        let insert = sqlx::query(INSERT).bind(token).bind(order).bind(cents);
        insert.execute(connection).await?;
        return Ok(());
    }
    let insert = sqlx::query(INSERT).bind(token).bind(order).bind(cents);
    insert.execute(tx.sqlite()?).await?;
    Ok(())
}

impl Ledger {
    /// The bookings of an order: how much each of them is.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn bookings(&self, order: &str) -> Result<Vec<i64>, sqlx::Error> {
        let rows = sqlx::query(OF_ORDER)
            .bind(order.to_owned())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }
}
