//! Clients: starting, cancelling and looking at runs, pausing queues, schedules.
//!
//! Invariant: a client decides nothing; what it submits is checked here only for what can be told without the run.

mod apply;
mod bulk;
mod call;
mod cancel;
mod command;
mod convert;
mod copy;
mod error;
mod graph;
mod handle;
mod history;
mod inspection;
mod listing;
mod lookup;
mod queue;
mod record;
mod redact;
mod resolve;
mod schedules;
mod send;
mod start;
mod start_in_tx;
mod start_many;
mod step_inspection;
mod submit;
mod word;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use squid_mesh_core::definition::{Definition, DefinitionKey, StepIndex};
use squid_mesh_core::explain::{Explanation, explain};
use squid_mesh_core::id::RunId;
use squid_mesh_core::limits;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::QueueAction;
use squid_mesh_core::run::{Run, Seq, Status};
use squid_mesh_core::store::{Fetch, Inspect as _, RunFilter, Store as _, StoreError};
use tokio::sync::mpsc;

pub use apply::{Applied, ApplyError};
pub use bulk::{BulkCommand, BulkDone, BulkEntry, BulkError, BulkReport};
pub(crate) use call::Caller;
pub use call::{StartChild, StartChildError};
pub use cancel::CancelRun;
pub use command::{Command, CommandKind, ScheduleCommand, StartCommand, UnwritableCommand};
pub use copy::{CopyError, CopyRun};
pub use error::{CancelError, InspectError, LimitExceeded, ResultError, RunFailure, StartError};
pub use handle::RunHandle;
pub use history::HistoryEntry;
pub use inspection::{
    CancelInspection, InspectRun, Inspection, ParentInspection, SaidBy, SignalInspection,
    SourceInspection,
};
pub use listing::{Page, RunSummary};
pub use queue::{QueueError, QueueSummary, SetQueue};
pub(crate) use redact::Redaction;
pub use redact::{RedactedPart, RedactionContext};
pub use resolve::{NotWaiting, ResolveError, ResolveRun, ResolveUnknown};
pub use schedules::{
    FireSchedule, InspectSchedule, PlanSchedule, ScheduleError, ScheduleInspection, SchedulePage,
    ScheduleProblems, ScheduleSummary, SetSchedule, preview,
};
pub use send::{SendSignal, SignalError};
pub use start::StartRun;
pub(crate) use start::{command, life};
pub use start_many::{StartMany, StartManyError};
pub use step_inspection::{
    ChildrenInspection, StepInspection, StepStatus, UndoInspection, UndoStatus,
};
pub(crate) use submit::Patience;

use crate::author::WorkflowRef;
use crate::runtime::Message;
use crate::stores::{ConnectError, SharedStore, StoreSource};
use submit::Lane;

/// Starts, cancels and looks at runs. Cheap to clone.
///
/// One that comes from a [`Runtime`](crate::Runtime) submits through that runtime; [`Client::connect`] makes one that
/// needs none, for processes that execute nothing.
///
/// ```
/// # tokio::runtime::Runtime::new()?.block_on(async {
/// use std::time::Duration;
/// use squid_mesh::core::run::Status;
/// use squid_mesh::{Runtime, StepContext, StepError, Workflow, step};
///
/// async fn remind(_: StepContext, mail: String) -> Result<(), StepError> { Ok(()) }
///
/// let (mut wf, mail) = Workflow::builder::<String>("reminder", 1);
/// let sent = wf.step("remind", mail, step(remind));
/// let reminder = wf.finish(sent)?;
/// let runtime = Runtime::builder("sqlite::memory:").workflow(&reminder).start().await?;
/// let client = runtime.client();
///
/// let tomorrow = Duration::from_secs(86_400);
/// let run = client
///     .start(&reminder.reference(), "ana@example.org".to_owned())
///     .key("invoice-7") // again with this key is the same run
///     .label("customer", "ana")
///     .delay(tomorrow)
///     .await?;
/// assert_eq!(run.status().await?, Status::Scheduled);
///
/// client.pause_queue("default").actor("ana").comment("the mail provider is down").await?;
/// client.resume_queue("default").actor("ana").await?;
/// client.cancel(run.id()).actor("ana").reason("paid").await?;
/// assert_eq!(client.inspect(run.id()).await?.status, Status::Cancelled);
/// for entry in client.history(run.id()).await? {
///     println!("{} {}", entry.seq.0, entry.summary);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Client(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    lane: Lane,
    /// What this process registered.
    definitions: BTreeMap<DefinitionKey, Arc<Definition>>,
    payload_limit: usize,
    /// How long a waiter waits at most between two looks.
    poll: Duration,
    redaction: Redaction,
}

/// Journal rows read at once.
const JOURNAL_PAGE: usize = 500;

impl Client {
    /// A client of a store: its URL (`sqlite:PATH`, `postgres://...`), or one that is open already. The store's schema is
    /// left as it is. Cancellation-safe.
    ///
    /// # Errors
    /// If the store cannot be reached.
    pub async fn connect(store: impl Into<StoreSource>) -> Result<Client, ConnectError> {
        let store = store.into().open(false).await?;
        Ok(Client::new(
            store,
            BTreeMap::new(),
            None,
            limits::PAYLOAD_BYTES_DEFAULT,
            limits::POLL_DEFAULT,
        ))
    }

    /// The client of a runtime.
    pub(crate) fn beside(
        store: SharedStore,
        definitions: BTreeMap<DefinitionKey, Arc<Definition>>,
        worker: mpsc::Sender<Message>,
        payload_limit: usize,
        poll: Duration,
    ) -> Client {
        Client::new(store, definitions, Some(worker), payload_limit, poll)
    }

    pub(crate) fn new(
        store: SharedStore,
        definitions: BTreeMap<DefinitionKey, Arc<Definition>>,
        worker: Option<mpsc::Sender<Message>>,
        payload_limit: usize,
        poll: Duration,
    ) -> Client {
        let lane = Lane {
            store,
            worker,
            patience: Patience::default(),
        };
        Client(Arc::new(Inner {
            lane,
            definitions,
            payload_limit,
            poll,
            redaction: Redaction::default(),
        }))
    }

    /// The same client, whose inspections and histories show no payload before the hook has seen it. It may change what it
    /// is given, or put something else in its place. Results of runs are for programs, and are not passed through it.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// use squid_mesh::{AnyStore, Client};
    ///
    /// let client = Client::connect(AnyStore::connect("sqlite::memory:").await?).await?;
    /// let client = client.with_redaction(|_, value| {
    ///     if let Some(card) = value.get_mut("card") {
    ///         *card = "****".into();
    ///     }
    /// });
    /// # Ok::<(), squid_mesh::ConnectError>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_redaction(
        &self,
        hook: impl Fn(&RedactionContext<'_>, &mut Value) + Send + Sync + 'static,
    ) -> Client {
        self.redacted(Redaction::of(hook))
    }

    pub(crate) fn redacted(&self, redaction: Redaction) -> Client {
        let inner = Inner {
            redaction,
            ..Inner::clone(&self.0)
        };
        Client(Arc::new(inner))
    }

    fn redaction(&self) -> &Redaction {
        &self.0.redaction
    }

    /// Starts a run; options are chained on it, and awaiting it starts the run.
    ///
    /// The run is durable when the start returns.
    pub fn start<I: Serialize, O>(&self, workflow: &WorkflowRef<I, O>, input: I) -> StartRun<O> {
        StartRun::new(
            self.clone(),
            Ok(workflow.name.clone()),
            workflow.version,
            input,
        )
    }

    /// Starts a run of a workflow that is known by name only: at this version, or at the highest that this process
    /// registered (the highest stored one, in a process that registered none of this name).
    pub fn start_json(
        &self,
        workflow: &str,
        version: impl Into<Option<u32>>,
        input: Value,
    ) -> StartRun<Value> {
        StartRun::new(
            self.clone(),
            Name::new(workflow).map_err(StartError::Name),
            version.into(),
            input,
        )
    }

    /// A run by its id. The type is the caller's word; whether the run exists shows when it is looked at.
    pub fn run<O>(&self, run: RunId) -> RunHandle<O> {
        RunHandle::new(self.clone(), run, true)
    }

    /// Cancels a run; options are chained on it, and awaiting it cancels the run.
    ///
    /// The cancel is durable when it returns. Attempts that are under way are told to stop, and the run is `cancelled` once
    /// each has reported or its lease has ended.
    pub fn cancel(&self, run: RunId) -> CancelRun {
        CancelRun::new(self.clone(), run)
    }

    /// Looks at a run; payloads are chained on it, and awaiting it looks.
    pub fn inspect(&self, run: RunId) -> InspectRun {
        InspectRun::new(self.clone(), run)
    }

    /// A run's status; a delayed start whose time has come is `pending`.
    ///
    /// Cancellation-safe: looking changes nothing.
    ///
    /// # Errors
    /// If the run cannot be looked at; asking again is safe.
    pub async fn status(&self, run: RunId) -> Result<Status, InspectError> {
        let record = self.record(run).await?;
        Ok(match Run::decode(&record.row.state) {
            Ok(run) => record::status(&record, &run),
            Err(_) => record.row.status,
        })
    }

    /// Why a run is where it is, and what could be done about it.
    ///
    /// Cancellation-safe: looking changes nothing.
    ///
    /// # Errors
    /// If the run or its definition cannot be looked at; asking again is safe.
    pub async fn explain(&self, run: RunId) -> Result<Explanation, InspectError> {
        let record = self.record(run).await?;
        let definition = self.pinned_definition(&record).await?;
        let workers = self.store().workers().await?;
        Ok(explain(&record, &definition, &workers))
    }

    /// A run's journal as a timeline.
    ///
    /// Cancellation-safe: looking changes nothing.
    ///
    /// # Errors
    /// If the run cannot be looked at; asking again is safe. A row that cannot be read is an entry like the others.
    pub async fn history(&self, run: RunId) -> Result<Vec<HistoryEntry>, InspectError> {
        let record = self.record(run).await?;
        let definition = self.stored_definition(&record.row.definition).await?;
        let mut entries = Vec::new();
        let mut from = Seq::FIRST;
        let limit = u32::try_from(JOURNAL_PAGE).unwrap_or(u32::MAX);
        loop {
            let rows = self.store().journal(run, from, limit).await?;
            let next = rows
                .last()
                .filter(|_| rows.len() >= JOURNAL_PAGE)
                .map(|row| row.seq.next());
            entries.extend(
                rows.into_iter()
                    .map(|row| self.entry(run, row, definition.as_deref())),
            );
            match next {
                Some(next) => from = next,
                None => return Ok(entries),
            }
        }
    }

    /// Runs that match, newest start first: the page after `cursor`, which an earlier page gave as its `next`. `limit` is
    /// 1,000 at most; 0 stands for 100.
    ///
    /// Cancellation-safe: looking changes nothing.
    ///
    /// # Errors
    /// [`InspectError::MalformedCursor`] for a text that no page gave; else as the store has it. Asking again is safe.
    pub async fn list(
        &self,
        filter: &RunFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page, InspectError> {
        let after = cursor.map(str::parse::<listing::Cursor>).transpose()?;
        let limit = if limit == 0 {
            listing::PAGE
        } else {
            limit.min(listing::PAGE_MAX)
        };
        let after = after.map(|cursor| (cursor.created, cursor.run));
        Ok(Page::new(
            self.store().list(filter, after, limit).await?,
            limit,
        ))
    }

    /// Pauses a queue; options are chained on it, and awaiting it pauses the queue.
    ///
    /// The pause is durable when it returns: from then on nothing of the queue is claimed or handed off by any process, until it
    /// is resumed. Attempts that are under way go on. Pausing a paused queue changes nothing, and the answer says so.
    pub fn pause_queue(&self, queue: impl Into<String>) -> SetQueue {
        SetQueue::new(self.clone(), queue.into(), QueueAction::Pause)
    }

    /// Resumes a queue; options are chained on it, and awaiting it resumes the queue.
    pub fn resume_queue(&self, queue: impl Into<String>) -> SetQueue {
        SetQueue::new(self.clone(), queue.into(), QueueAction::Resume)
    }

    /// The queues that were paused at some time, by name, and who last paused or resumed them. Any other queue is not paused.
    ///
    /// Cancellation-safe: looking changes nothing.
    ///
    /// # Errors
    /// If the store does not answer; asking again is safe.
    pub async fn queues(&self) -> Result<Vec<QueueSummary>, InspectError> {
        let queues = self.insist(|| self.store().queues()).await?;
        Ok(queues.into_iter().map(QueueSummary::from).collect())
    }

    /// The store behind this client.
    pub fn store(&self) -> &SharedStore {
        &self.0.lane.store
    }

    fn lane(&self) -> &Lane {
        &self.0.lane
    }

    /// Reads, again and again while the store does not answer, for as long as patience lasts.
    async fn insist<T, F>(&self, read: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        self.0.lane.patience.insist(read).await
    }

    fn worker(&self) -> Option<&mpsc::Sender<Message>> {
        self.0.lane.worker.as_ref()
    }

    fn payload_limit(&self) -> usize {
        self.0.payload_limit
    }

    fn poll(&self) -> Duration {
        self.0.poll
    }

    /// The name of a step; its number, should its definition not be stored.
    pub(crate) async fn step_name(
        &self,
        key: &DefinitionKey,
        step: StepIndex,
    ) -> Result<Name, StoreError> {
        let definition = self.stored_definition(key).await?;
        let known = definition
            .as_ref()
            .and_then(|definition| definition.steps().get(step.at()));
        Ok(known.map_or_else(
            || Name::stored(&format!("#{}", step.0)),
            |step| step.name.clone(),
        ))
    }

    async fn stored_definition(
        &self,
        key: &DefinitionKey,
    ) -> Result<Option<Arc<Definition>>, StoreError> {
        if let Some(definition) = self.0.definitions.get(key) {
            return Ok(Some(definition.clone()));
        }
        let wanted = Fetch {
            definitions: BTreeSet::from([key.clone()]),
            ..Fetch::default()
        };
        Ok(self.store().fetch(wanted).await?.definitions.pop())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("beside_runtime", &self.worker().is_some())
            .finish_non_exhaustive()
    }
}
