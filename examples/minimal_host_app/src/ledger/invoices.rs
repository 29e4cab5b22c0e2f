//! Invoices.
//!
//! Invariant: an invoice is paid once; paying it again keeps the first payment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::Row;

use super::Ledger;

/// What a customer owes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invoice {
    /// Its id.
    pub id: String,
    /// Who owes it.
    pub customer: String,
    /// How much.
    pub cents: i64,
    /// [`OPEN`] or [`PAID`].
    pub status: String,
    /// The payment that settled it.
    pub payment: Option<String>,
}

/// The status of an invoice that nobody has paid.
pub const OPEN: &str = "open";

/// The status of an invoice that is settled.
pub const PAID: &str = "paid";

const INSERT: &str = "insert into app_invoices (id, customer, cents, status) values ($1, $2, $3, 'open') \
     on conflict (id) do nothing";

const SELECT: &str = "select id, customer, cents, status, payment from app_invoices where id = $1";

const PAY: &str =
    "update app_invoices set status = 'paid', payment = $2 where id = $1 and status = 'open'";

const PAID_BY: &str = "select count(*), cast(coalesce(sum(cents), 0) as bigint) from app_invoices \
     where status = 'paid' and (cast($1 as text) is null or customer = $1)";

impl Ledger {
    /// Writes an invoice. One that exists stays as it is.
    ///
    /// # Errors
    /// If the database does not take it; trying again is safe.
    pub async fn add_invoice(
        &self,
        id: &str,
        customer: &str,
        cents: i64,
    ) -> Result<(), sqlx::Error> {
        let insert = sqlx::query(INSERT)
            .bind(id.to_owned())
            .bind(customer.to_owned())
            .bind(cents);
        insert.execute(&self.pool).await?;
        Ok(())
    }

    /// The invoice of this id, if there is one.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn invoice(&self, id: &str) -> Result<Option<Invoice>, sqlx::Error> {
        let row = sqlx::query(SELECT)
            .bind(id.to_owned())
            .fetch_optional(&self.pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Invoice {
            id: row.try_get(0)?,
            customer: row.try_get(1)?,
            cents: row.try_get(2)?,
            status: row.try_get(3)?,
            payment: row.try_get(4)?,
        }))
    }

    /// Marks an invoice as paid. One that is paid stays as it is.
    ///
    /// # Errors
    /// If the database does not take it; trying again is safe.
    pub async fn pay_invoice(&self, id: &str, payment: &str) -> Result<(), sqlx::Error> {
        let pay = sqlx::query(PAY)
            .bind(id.to_owned())
            .bind(payment.to_owned());
        pay.execute(&self.pool).await?;
        Ok(())
    }

    /// How many invoices a customer, or everybody, has paid, and how much they were together.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn paid_by(&self, customer: Option<&str>) -> Result<(i64, i64), sqlx::Error> {
        let select = sqlx::query(PAID_BY).bind(customer.map(str::to_owned));
        let row = select.fetch_one(&self.pool).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }
}
