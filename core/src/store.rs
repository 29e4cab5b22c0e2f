//! What a store must do: three calls to run the engine, and a second trait for looking.
//!
//! Invariant: a store holds no policy. It is an ordered index with locks that performs operations atomically; the
//! conformance suite of `squid-mesh-sim` decides whether it is correct.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::definition::{Definition, DefinitionKey};
use crate::id::{RunId, Shards};
use crate::name::Name;
use crate::operation::{
    DefinitionRow, JournalRow, Operation, OperatorEntry, Reply, RunRow, WorkerRow,
};
use crate::payload::{Payload, PayloadRef};
use crate::run::{Seq, Status};
use crate::schedule::{ScheduleId, ScheduleRow, Standing};
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

    /// Reads immutable things outside any transaction. They may be cached for ever, but not which version is the highest, nor
    /// where a journal ends. Cancellation-safe.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if a payload is not what its reference says.
    fn fetch(&self, wanted: Fetch) -> impl Future<Output = Result<Fetched, StoreError>> + Send;

    /// Waits for a hint that work may be due. May be lost, late or spurious; never needed for progress. Cancellation-safe.
    fn hint(&self) -> impl Future<Output = Hint> + Send;
}

/// Performs operations in transactions that hold writes of the host too. Optional: a store without transactions that a host
/// could share has none.
///
/// An operation takes its locks last, so what a host wrote before keeps nobody else's run locked while it works.
pub trait HostTransactions: Store {
    /// A connection to the store's database: one of the store's, or the host's own.
    type Connection: Send;
    /// A transaction that the store began. Dropping it rolls it back.
    type Transaction: Send + 'static;

    /// Performs a submission in the transaction that the connection is in, and leaves its end to whoever began it. Nothing is
    /// visible to others before that, and nobody is hinted at it: what it makes due is found by who looks.
    ///
    /// Dropping the future leaves the transaction to be rolled back.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] leaves the transaction as it was before: it may go on, and perform the operation again.
    /// [`StoreError::Refused`] says, among others, that there is no transaction, or one of an isolation that the engine cannot
    /// work under.
    fn perform_in(
        &self,
        connection: &mut Self::Connection,
        operation: Operation,
    ) -> impl Future<Output = Result<Reply, StoreError>> + Send;

    /// Begins a transaction, to be ended by [`HostTransactions::settle`] or [`HostTransactions::commit`]. One that is left
    /// idle for longer than `patience` may be ended by the database, so that a process that was stopped keeps no locks.
    /// Cancellation-safe.
    ///
    /// # Errors
    /// Any [`StoreError`]; trying again is safe.
    fn begin(
        &self,
        patience: Option<Duration>,
    ) -> impl Future<Output = Result<Self::Transaction, StoreError>> + Send;

    /// The connection that a transaction is on.
    fn connection(transaction: &mut Self::Transaction) -> &mut Self::Connection;

    /// Performs an operation as the last statements of a transaction, waiting for its locks. Commits if everything the
    /// operation asks for was done ([`Reply::is_done`]), else rolls everything back. Dropping the future leaves unknown
    /// whether it was committed.
    ///
    /// # Errors
    /// See [`TransactionError`].
    fn settle(
        &self,
        transaction: Self::Transaction,
        operation: Operation,
    ) -> impl Future<Output = Result<Reply, TransactionError>> + Send;

    /// Commits a transaction. Dropping the future leaves unknown whether it was.
    ///
    /// # Errors
    /// See [`TransactionError`].
    fn commit(
        &self,
        transaction: Self::Transaction,
    ) -> impl Future<Output = Result<(), TransactionError>> + Send;

    /// Rolls a transaction back, and waits for it for as long as the store is patient; its locks are gone by then, unless the
    /// database does not answer. What takes longer is rolled back all the same, as it is when the future is dropped.
    fn rollback(&self, transaction: Self::Transaction) -> impl Future<Output = ()> + Send;
}

/// Why a transaction was not committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// Whoever was given it ended it. What had been written in it until then may have been committed by that.
    #[error("the transaction was ended by whoever it was lent to")]
    Ended,
    /// Rolled back for certain: something that was written in it before does not stand.
    #[error("the transaction was rolled back: {0}")]
    Aborted(String),
    /// As for an operation: [`StoreError::Unavailable`] leaves it unknown whether it was committed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Immutable things to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetch {
    /// Payloads.
    pub payloads: BTreeSet<PayloadRef>,
    /// Definitions.
    pub definitions: BTreeSet<DefinitionKey>,
    /// Workflows of which the definition of the highest version is wanted.
    pub newest: BTreeSet<Name>,
    /// Part of a run's journal.
    pub journal: Option<JournalPart>,
}

/// Part of a run's journal: rows after one up to another, in order, at most so many, and none after those whose payloads have
/// so many bytes together. Of a part that asks for a row and a byte at least, a row is there if there is any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalPart {
    /// The run.
    pub run: RunId,
    /// The row before the first.
    pub after: Seq,
    /// The last row.
    pub upto: Seq,
    /// How many at most.
    pub limit: u32,
    /// How many bytes of payloads are enough: what comes after the row that completes them is left out.
    pub bytes: u64,
}

/// What was read; what does not exist is missing from the lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fetched {
    /// Payloads, in key order.
    pub payloads: Vec<(PayloadRef, Payload)>,
    /// Definitions, in key order.
    pub definitions: Vec<Arc<Definition>>,
    /// Those of the highest version, in name order.
    pub newest: Vec<Arc<Definition>>,
    /// The rows of the journal, in order.
    pub journal: Vec<StoredRow>,
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

    /// Every queue that was paused at some time, by name.
    ///
    /// # Errors
    /// Any [`StoreError`].
    fn queues(&self) -> impl Future<Output = Result<Vec<QueueRecord>, StoreError>> + Send;

    /// A schedule's row, its task, and the clock.
    ///
    /// # Errors
    /// Any [`StoreError`]; [`StoreError::Corrupt`] if the row cannot be read.
    fn schedule(
        &self,
        id: ScheduleId,
    ) -> impl Future<Output = Result<Option<ScheduleRecord>, StoreError>> + Send;

    /// Schedules that match, by the text of their keys compared as bytes, at most `limit`, after the one called `after`.
    ///
    /// # Errors
    /// Any [`StoreError`]; [`StoreError::Corrupt`] if a row cannot be read.
    fn schedules(
        &self,
        filter: &ScheduleFilter,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<ScheduleRow>, StoreError>> + Send;
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
    /// The queues of its tasks that are paused.
    pub paused: BTreeSet<Name>,
}

/// A queue that was paused at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRecord {
    /// The queue.
    pub name: Name,
    /// Whether it is paused.
    pub paused: bool,
    /// The row of the operator log that made it so.
    pub last: OperatorEntry,
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
    /// Started by a step of this run, whose shard they share.
    pub parent: Option<RunId>,
    /// Copies of this run, whose shard they share.
    pub source: Option<RunId>,
    /// Started by this schedule, whose shard they share.
    pub schedule: Option<ScheduleId>,
}

/// A schedule as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleRecord {
    /// The database's clock.
    pub now: Timestamp,
    /// Its row.
    pub row: ScheduleRow,
    /// Its task, if it has one.
    pub task: Option<TaskRow>,
}

/// Which schedules to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleFilter {
    /// That start this workflow.
    pub workflow: Option<Name>,
    /// That have any of these standings; all if empty.
    pub standings: BTreeSet<Standing>,
}

/// Whether an operation can be part of a transaction that somebody else ends: what every implementation of
/// [`HostTransactions`] asks first.
///
/// # Errors
/// [`StoreError::Refused`] if it cannot.
pub fn check_in_host(operation: &Operation) -> Result<(), StoreError> {
    match operation {
        Operation::Submit(_) | Operation::Settle(_) => Ok(()),
        Operation::Register(_)
        | Operation::Claim(_)
        | Operation::Lease(_)
        | Operation::Queue(_)
        | Operation::Schedule(_) => Err(StoreError::Refused(
            "only starts, commands and reports can be part of a transaction of the host".into(),
        )),
    }
}
