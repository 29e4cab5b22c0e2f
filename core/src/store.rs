//! What a store must do: three calls to run the engine, and a second trait for looking.
//!
//! Invariant: a store holds no policy. It is an ordered index with locks that performs operations atomically; the
//! conformance suite of `squid-mesh-sim` decides whether it is correct.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;

use crate::definition::{Definition, DefinitionKey};
use crate::id::{RunId, Shards};
use crate::name::Name;
use crate::operation::{DefinitionRow, JournalRow, Operation, Reply, RunRow, WorkerRow};
use crate::payload::{Payload, PayloadRef};
use crate::run::{Seq, Status};
use crate::task::TaskRow;
use crate::time::Timestamp;

/// Performs operations.
pub trait Store: Send + Sync + 'static {
    /// How many shards the schema has.
    fn shards(&self) -> Shards;

    /// Reads under locks what the operation asks for, lets it decide (reading once more if it says so), writes, commits.
    /// All or nothing. Dropping the future leaves the outcome unknown, as [`StoreError::Unavailable`] does.
    ///
    /// # Errors
    /// See [`StoreError`] for what each says about the outcome.
    fn perform(
        &self,
        operation: Operation,
    ) -> impl Future<Output = Result<Reply, StoreError>> + Send;

    /// Reads immutable things outside any transaction: they may be cached for ever. Cancellation-safe.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if a payload is not what its reference says.
    fn fetch(&self, wanted: Fetch) -> impl Future<Output = Result<Fetched, StoreError>> + Send;

    /// Waits for a hint that work may be due. May be lost, late or spurious; never needed for progress. Cancellation-safe.
    fn hint(&self) -> impl Future<Output = Hint> + Send;
}

/// Immutable things to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetch {
    /// Payloads.
    pub payloads: BTreeSet<PayloadRef>,
    /// Definitions.
    pub definitions: BTreeSet<DefinitionKey>,
}

/// What was read; what does not exist is missing from the lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fetched {
    /// Payloads, in key order.
    pub payloads: Vec<(PayloadRef, Payload)>,
    /// Definitions, in key order.
    pub definitions: Vec<Arc<Definition>>,
}

/// Work may be due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// In this queue; in any, if none is named.
    pub queue: Option<Name>,
}

/// Why an operation was not answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Unknown whether it committed. Performing the same operation again is harmless, and finds out.
    #[error("the store did not answer: {0}")]
    Unavailable(String),
    /// Rolled back for certain, because of somebody else. Perform again.
    #[error("the operation met a conflict and was rolled back")]
    Conflict,
    /// Rolled back for certain, and will be again until somebody mends the store: read-only, full, or without rights.
    #[error("the store refuses: {0}")]
    Refused(String),
    /// The schema is of a newer engine: nothing was read or written.
    #[error("the schema has format {found}, this engine knows up to {known}")]
    Newer {
        /// The schema's format.
        found: u32,
        /// The newest this engine knows.
        known: u32,
    },
    /// What was read is not what any engine wrote.
    #[error("the store holds something unreadable: {detail}")]
    Corrupt {
        /// What and where.
        detail: String,
    },
}

/// Reads for people: inspection, listing, checking. Each call is one consistent snapshot, outside any operation.
pub trait Inspect: Send + Sync + 'static {
    /// The run's row, its tasks, and the clock.
    ///
    /// # Errors
    /// Any [`StoreError`]; reads change nothing, so trying again is safe.
    fn run(&self, id: RunId) -> impl Future<Output = Result<Option<RunRecord>, StoreError>> + Send;

    /// Journal rows of a run from `from` on, at most `limit`, in order.
    ///
    /// # Errors
    /// Any [`StoreError`]. An unreadable row is data: see [`StoredRow`].
    fn journal(
        &self,
        id: RunId,
        from: Seq,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<StoredRow>, StoreError>> + Send;

    /// Runs that match, newest start first (ties by id, descending), at most `limit`, after the cursor.
    ///
    /// # Errors
    /// Any [`StoreError`].
    fn list(
        &self,
        filter: &RunFilter,
        after: Option<(Timestamp, RunId)>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<RunRow>, StoreError>> + Send;

    /// Every worker row, oldest first.
    ///
    /// # Errors
    /// Any [`StoreError`].
    fn workers(&self) -> impl Future<Output = Result<Vec<WorkerRow>, StoreError>> + Send;

    /// Every stored definition, in key order.
    ///
    /// # Errors
    /// Any [`StoreError`].
    fn definitions(&self) -> impl Future<Output = Result<Vec<DefinitionRow>, StoreError>> + Send;
}

/// A run as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    /// The database's clock.
    pub now: Timestamp,
    /// Its row.
    pub row: RunRow,
    /// Its tasks, in lane order.
    pub tasks: Vec<TaskRow>,
}

/// One journal row, which may be unreadable.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRow {
    /// Position in the journal.
    pub seq: Seq,
    /// The row, or why it cannot be read.
    pub row: Result<JournalRow, crate::transition::DecodeError>,
}

/// Which runs to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunFilter {
    /// Of this workflow.
    pub workflow: Option<Name>,
    /// In any of these; all if empty.
    pub statuses: BTreeSet<Status>,
    /// With all of these labels.
    pub labels: Vec<(String, String)>,
    /// Started at or after.
    pub from: Option<Timestamp>,
    /// Started before.
    pub until: Option<Timestamp>,
}
