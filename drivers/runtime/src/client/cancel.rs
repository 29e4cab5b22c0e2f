//! Cancelling runs.
//!
//! Invariant: a cancel is durable when it returns, and one that is repeated is told what the first one did.

use std::future::IntoFuture;
use std::pin::Pin;

use squid_mesh_core::id::RunId;
use squid_mesh_core::limits;
use squid_mesh_core::operation::{Cancel, CancelReply, Entry, EntryReply, Group, GroupReply};

use super::start::command;
use super::{CancelError, Client, LimitExceeded};

/// A cancel that is being put together; awaiting it cancels the run.
///
/// Dropped while it is awaited, it has cancelled the run or not; cancelling again is safe.
#[derive(Debug)]
#[must_use = "a run is cancelled by awaiting this"]
pub struct CancelRun {
    client: Client,
    cancel: Cancel,
}

impl CancelRun {
    pub(super) fn new(client: Client, run: RunId) -> CancelRun {
        CancelRun {
            client,
            cancel: Cancel {
                run,
                command: command(),
                actor: None,
                reason: None,
                force: false,
            },
        }
    }

    /// Who asks.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.cancel.actor = Some(actor.into());
        self
    }

    /// Why.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.cancel.reason = Some(reason.into());
        self
    }

    /// Whether to end the run at once, without waiting for running attempts: what they report afterwards is rejected, so
    /// their effects, if any, go unrecorded.
    pub fn force(mut self, force: bool) -> Self {
        self.cancel.force = force;
        self
    }

    async fn submit(self) -> Result<CancelReply, CancelError> {
        for (what, text) in [
            ("bytes of the actor", &self.cancel.actor),
            ("bytes of the reason", &self.cancel.reason),
        ] {
            LimitExceeded::check(
                what,
                text.as_ref().map_or(0, String::len),
                limits::COMMENT_BYTES,
            )?;
        }
        let group = Group {
            entries: vec![Entry::Cancel(self.cancel)],
        };
        match self.client.lane().submit(group).await? {
            GroupReply::Done(replies) => match replies.as_slice() {
                [EntryReply::Cancelled(reply)] => Ok(*reply),
                other => unreachable!("a cancel is answered by {other:?}"),
            },
            GroupReply::Refused { rejection, .. } => Err(rejection.into()),
            GroupReply::Busy => Err(CancelError::Refused("the run is locked".to_owned())),
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
