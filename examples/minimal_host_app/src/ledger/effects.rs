//! The external effect ledger: what really left the process, however often.
//!
//! A stand-in for the world outside (mails, parcels, charges), which no engine can roll back. Comparing it with the journal
//! shows what the engine promises: at least one effect for each recorded success, and more than one only where the journal
//! counts attempts that failed or were lost.
//!
//! Invariant: rows are only ever added.

use sqlx::Row;
use squid_mesh::StepContext;
use squid_mesh::core::id::RunId;
use uuid::Uuid;

use super::Ledger;

/// One execution of a handler's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// The step, whichever attempt it was.
    pub key: String,
    /// The step's name.
    pub step: String,
    /// The attempt that had the effect.
    pub attempt: u32,
    /// Drawn by the execution: no two have the same.
    pub token: String,
}

/// By `app_effects`' primary key.
const INSERT: &str =
    "insert into app_effects (token, key, run, step, attempt) values ($1, $2, $3, $4, $5)";

/// By `app_effects_by_key`.
const COUNT: &str = "select count(*) from app_effects where key = $1";

/// By `app_effects_by_run`.
const OF_RUN: &str = "select key, step, attempt, token from app_effects where run = $1 order by step, attempt, token";

impl Ledger {
    /// Records that the body of this attempt is being executed, and says how many executions of the step there have been,
    /// this one included.
    ///
    /// # Errors
    /// If the database does not take it. The row may be there or not.
    pub async fn record_effect(&self, cx: &StepContext) -> Result<u32, sqlx::Error> {
        self.record(cx, cx.step().to_owned()).await
    }

    /// Records that the body of an undo handler is being executed, as [`record_effect`](Ledger::record_effect) does; the step
    /// is named `undo` and its name.
    ///
    /// # Errors
    /// If the database does not take it. The row may be there or not.
    pub async fn record_undo(&self, cx: &StepContext) -> Result<u32, sqlx::Error> {
        self.record(cx, format!("undo {}", cx.step())).await
    }

    async fn record(&self, cx: &StepContext, step: String) -> Result<u32, sqlx::Error> {
        sqlx::query(INSERT)
            .bind(Uuid::new_v4().to_string())
            .bind(cx.idempotency_key().to_owned())
            .bind(cx.run_id().to_string())
            .bind(step)
            .bind(i64::from(cx.attempt()))
            .execute(&self.pool)
            .await?;
        let count: i64 = sqlx::query(COUNT)
            .bind(cx.idempotency_key().to_owned())
            .fetch_one(&self.pool)
            .await?
            .try_get(0)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Everything that was executed for a run, by step and attempt.
    ///
    /// # Errors
    /// If the database does not answer.
    pub async fn effects(&self, run: RunId) -> Result<Vec<Effect>, sqlx::Error> {
        let rows = sqlx::query(OF_RUN)
            .bind(run.to_string())
            .fetch_all(&self.pool)
            .await?;
        let effects = rows.iter().map(|row| {
            let attempt: i64 = row.try_get(2)?;
            Ok(Effect {
                key: row.try_get(0)?,
                step: row.try_get(1)?,
                attempt: u32::try_from(attempt)
                    .map_err(|error| sqlx::Error::Decode(error.into()))?,
                token: row.try_get(3)?,
            })
        });
        effects.collect()
    }
}
