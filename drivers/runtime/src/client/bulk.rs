//! The same command for many runs.
//!
//! Invariant: each run is a command of its own, reported on its own; a refusal of one stops the others only if asked to.

use std::collections::BTreeSet;
use std::future::IntoFuture;
use std::pin::Pin;

use squid_mesh_core::event::CopyKind;
use squid_mesh_core::id::RunId;
use squid_mesh_core::run::Status;
use squid_mesh_core::store::RunFilter;

use super::word::{Word, word_options};
use super::{CancelError, CancelRun, Client, CopyError, CopyRun, InspectError, RunHandle, listing};

/// A command for many runs that is being put together; awaiting it goes through them, newest start first.
///
/// Dropped while it is awaited, it has treated some of them. With a [key](BulkCommand::key), doing it again treats none twice.
#[derive(Debug)]
#[must_use = "runs are treated by awaiting this"]
pub struct BulkCommand {
    client: Client,
    what: What,
    filter: RunFilter,
    limit: u32,
    after: Option<String>,
    stops: bool,
    same_version: bool,
    allow_irreversible: bool,
    undo: bool,
    force: bool,
    word: Word,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Copy(CopyKind),
    Cancel,
}

/// What became of a command for many runs.
#[derive(Debug)]
#[non_exhaustive]
pub struct BulkReport {
    /// The runs that were treated, in order.
    pub runs: Vec<BulkEntry>,
    /// Where to go on, if there may be more: see [`BulkCommand::after`].
    pub next: Option<String>,
}

/// What became of one of many runs.
#[derive(Debug)]
#[non_exhaustive]
pub struct BulkEntry {
    /// The run.
    pub run: RunId,
    /// What was done, or why it was not.
    pub result: Result<BulkDone, BulkError>,
}

/// What was done about one of many runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BulkDone {
    /// A copy was started.
    Copied {
        /// The copy.
        run: RunId,
        /// Whether the same command had started it before.
        existing: bool,
    },
    /// It was cancelled.
    Cancelled {
        /// Its status as of that: `cancelling` while attempts are still out.
        status: Status,
    },
}

/// Why nothing was done about one of many runs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BulkError {
    /// It was not copied.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// It was not cancelled.
    #[error(transparent)]
    Cancel(#[from] CancelError),
}

impl Client {
    /// [Resumes](Client::resume_failed) every failed run that matches, up to the limit.
    pub fn resume_failed_all(&self, filter: RunFilter) -> BulkCommand {
        BulkCommand::new(self.clone(), What::Copy(CopyKind::Resume), filter)
    }

    /// [Replays](Client::replay) every run that has ended and matches, up to the limit.
    pub fn replay_all(&self, filter: RunFilter) -> BulkCommand {
        BulkCommand::new(self.clone(), What::Copy(CopyKind::Replay), filter)
    }

    /// [Cancels](Client::cancel) every run that has not ended and matches, up to the limit.
    pub fn cancel_all(&self, filter: RunFilter) -> BulkCommand {
        BulkCommand::new(self.clone(), What::Cancel, filter)
    }
}

impl BulkCommand {
    fn new(client: Client, what: What, filter: RunFilter) -> BulkCommand {
        BulkCommand {
            client,
            what,
            filter,
            limit: listing::PAGE,
            after: None,
            stops: false,
            same_version: false,
            allow_irreversible: false,
            undo: false,
            force: false,
            word: Word::default(),
        }
    }

    word_options!(key);

    /// How many runs to treat; 100 without it, 1,000 at most.
    pub fn limit(mut self, runs: u32) -> Self {
        self.limit = runs.min(listing::PAGE_MAX);
        self
    }

    /// Goes on where an earlier report ended.
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.after = Some(cursor.into());
        self
    }

    /// Whether to stop at the first run for which it is refused. A store that does not answer stops it in any case.
    pub fn stop_at_rejection(mut self, stops: bool) -> Self {
        self.stops = stops;
        self
    }

    /// Of replays: on the versions that the sources ran.
    pub fn same_version(mut self) -> Self {
        self.same_version = true;
        self
    }

    /// Of copies: repeat even what must not be repeated unasked.
    pub fn allow_irreversible(mut self) -> Self {
        self.allow_irreversible = true;
        self
    }

    /// Of cancels: whether to take back what was done.
    pub fn undo(mut self, undo: bool) -> Self {
        self.undo = undo;
        self
    }

    /// Of cancels: whether not to wait for running attempts.
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    async fn go_through(mut self) -> Result<BulkReport, InspectError> {
        self.narrow();
        let mut report = BulkReport {
            runs: Vec::new(),
            next: None,
        };
        if self.limit == 0 || self.filter.statuses.is_empty() {
            return Ok(report);
        }
        let after = self.after.as_deref();
        let page = self.client.list(&self.filter, after, self.limit).await?;
        report.next = page.next.clone();
        for summary in &page.runs {
            let result = self.treat(summary.run).await;
            let stop = result.as_ref().is_err_and(|error| self.stops_at(error));
            report.runs.push(BulkEntry {
                run: summary.run,
                result,
            });
            if stop {
                report.next = Some(listing::cursor_after(summary));
                break;
            }
        }
        Ok(report)
    }

    /// Leaves only the statuses to which the command can apply.
    fn narrow(&mut self) {
        let applies = |status: &Status| match self.what {
            What::Copy(CopyKind::Resume) => *status == Status::Failed,
            What::Copy(CopyKind::Replay | CopyKind::Fork) => status.is_terminal(),
            What::Cancel => !status.is_terminal(),
        };
        let asked = &self.filter.statuses;
        let wanted = |status: &Status| asked.is_empty() || asked.contains(status);
        let all = Status::ALL.into_iter();
        let left: BTreeSet<Status> = all.filter(applies).filter(wanted).collect();
        self.filter.statuses = left;
    }

    async fn treat(&self, run: RunId) -> Result<BulkDone, BulkError> {
        match self.what {
            What::Copy(kind) => {
                let mut copy = CopyRun::<()>::new(self.client.clone(), run, kind);
                copy.same_version = self.same_version;
                copy.allow_irreversible = self.allow_irreversible;
                copy.word = self.word.clone();
                let handle: RunHandle<()> = copy.await?;
                Ok(BulkDone::Copied {
                    run: handle.id(),
                    existing: handle.existing(),
                })
            }
            What::Cancel => {
                let mut cancel = CancelRun::new(self.client.clone(), run);
                (cancel.undo, cancel.force) = (self.undo, self.force);
                cancel.word = self.word.clone();
                let status = cancel.await?.status;
                Ok(BulkDone::Cancelled { status })
            }
        }
    }

    fn stops_at(&self, error: &BulkError) -> bool {
        let silent = matches!(
            error,
            BulkError::Copy(CopyError::Unknown(_) | CopyError::Lookup(InspectError::Store(_)))
                | BulkError::Cancel(CancelError::Unknown(_))
        );
        self.stops || silent
    }
}

impl IntoFuture for BulkCommand {
    type Output = Result<BulkReport, InspectError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.go_through())
    }
}
