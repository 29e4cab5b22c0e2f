//! Pausing, resuming and looking at queues.
//!
//! Invariant: a pause is durable when it returns, and one wish of an operator is one row of the operator log, however often
//! it is sent.

use std::future::IntoFuture;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use squid_mesh_core::limits;
use squid_mesh_core::name::{ENGINE_QUEUE, InvalidName, Name};
use squid_mesh_core::operation::{
    Operation, QueueAction, QueueCommand, QueueReply, Rejection, Reply,
};
use squid_mesh_core::store::{QueueRecord, StoreError};
use squid_mesh_core::time::Timestamp;

use super::start::command;
use super::{Client, LimitExceeded};

/// A pause or resume that is being put together; awaiting it does it.
///
/// Dropped while it is awaited, it has been done or not; doing it again is safe.
#[derive(Debug)]
#[must_use = "a queue is paused or resumed by awaiting this"]
pub struct SetQueue {
    client: Client,
    pub(super) queue: String,
    pub(super) action: QueueAction,
    pub(super) actor: Option<String>,
    pub(super) comment: Option<String>,
}

impl SetQueue {
    pub(super) fn new(client: Client, queue: String, action: QueueAction) -> SetQueue {
        SetQueue {
            client,
            queue,
            action,
            actor: None,
            comment: None,
        }
    }

    /// Who asks.
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.actor = Some(actor.into());
        self
    }

    /// Why.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    async fn perform(self) -> Result<QueueReply, QueueError> {
        check("the actor", self.actor.as_deref())?;
        check("the comment", self.comment.as_deref())?;
        let queue = match self.queue.as_str() {
            // The engine itself refuses it, whoever asks.
            ENGINE_QUEUE => Name::stored(ENGINE_QUEUE),
            other => Name::new(other)?,
        };
        let operation = Operation::Queue(QueueCommand {
            queue,
            action: self.action,
            command: command(),
            actor: self.actor,
            comment: self.comment,
        });
        let lane = self.client.lane();
        match lane.patience.perform(&lane.store, operation).await {
            Ok(Reply::Queue(reply)) => Ok(reply?),
            Ok(other) => unreachable!("a pause is answered by {other:?}"),
            Err(StoreError::Unavailable(why)) => Err(QueueError::Unknown(why)),
            Err(error) => Err(QueueError::Refused(error.to_string())),
        }
    }
}

fn check(what: &'static str, text: Option<&str>) -> Result<(), QueueError> {
    let Some(text) = text else { return Ok(()) };
    LimitExceeded::check(what, text.len(), limits::COMMENT_BYTES)?;
    if text.contains('\0') {
        return Err(QueueError::NulCharacter { what });
    }
    Ok(())
}

impl IntoFuture for SetQueue {
    type Output = Result<QueueReply, QueueError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.perform())
    }
}

/// A queue was neither paused nor resumed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The text is no name of a queue. Nothing was written.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// The engine refused it: the queue is its own. Nothing was written.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Something is too large. Nothing was written.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// Something has a NUL character, which not every store can hold. Nothing was written.
    #[error("{what} has a NUL character, which not every store can hold")]
    NulCharacter {
        /// What has it.
        what: &'static str,
    },
    /// The store refused it. Nothing was written.
    #[error("the store did not take the change of the queue: {0}")]
    Refused(String),
    /// The store did not answer: it may have been done or not. Doing it again is safe.
    #[error("the store did not answer, and the queue may have been changed or not: {0}")]
    Unknown(String),
}

/// A queue that was paused at some time, and who last paused or resumed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QueueSummary {
    /// The queue.
    pub name: Name,
    /// Whether it is paused.
    pub paused: bool,
    /// Since when.
    pub since: Timestamp,
    /// Who made it so.
    pub actor: Option<String>,
    /// Why.
    pub comment: Option<String>,
}

impl From<QueueRecord> for QueueSummary {
    fn from(record: QueueRecord) -> QueueSummary {
        QueueSummary {
            name: record.name,
            paused: record.paused,
            since: record.last.at,
            actor: record.last.actor,
            comment: record.last.comment,
        }
    }
}
