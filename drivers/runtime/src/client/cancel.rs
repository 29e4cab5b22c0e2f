//! Cancelling runs.
//!
//! Invariant: a cancel is durable when it returns, and one that is repeated is told what the first one did.

use std::future::IntoFuture;
use std::pin::Pin;

use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Cancel, CancelReply, Entry, EntryReply};

use super::word::{Word, word_options};
use super::{CancelError, Client};

/// A cancel that is being put together; awaiting it cancels the run.
///
/// Dropped while it is awaited, it has cancelled the run or not; cancelling again is safe.
#[derive(Debug)]
#[must_use = "a run is cancelled by awaiting this"]
pub struct CancelRun {
    pub(super) client: Client,
    pub(super) run: RunId,
    pub(super) force: bool,
    pub(super) undo: bool,
    pub(super) word: Word,
}

impl CancelRun {
    pub(super) fn new(client: Client, run: RunId) -> CancelRun {
        CancelRun {
            client,
            run,
            force: false,
            undo: false,
            word: Word::default(),
        }
    }

    word_options!(key);

    /// Why: another word for [`comment`](CancelRun::comment).
    pub fn reason(self, reason: impl Into<String>) -> Self {
        self.comment(reason)
    }

    /// Whether to end the run at once, without waiting for running attempts: what they report afterwards is rejected, so
    /// their effects, if any, go unrecorded.
    pub fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Whether to take back what was done, by the undo handlers of the steps that succeeded, before the run ends.
    pub fn undo(mut self, undo: bool) -> Self {
        self.undo = undo;
        self
    }

    async fn submit(self) -> Result<CancelReply, CancelError> {
        let cancel = Cancel {
            run: self.run,
            command: self.word.command(self.run)?,
            by: self.word.by()?,
            force: self.force,
            undo: self.undo,
        };
        let lane = self.client.lane();
        match lane.submit_one(Entry::Cancel(cancel)).await? {
            EntryReply::Cancelled(reply) => Ok(reply),
            other => unreachable!("a cancel is answered by {other:?}"),
        }
    }
}

impl IntoFuture for CancelRun {
    type Output = Result<CancelReply, CancelError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.submit())
    }
}
