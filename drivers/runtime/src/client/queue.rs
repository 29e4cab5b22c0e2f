//! Pausing, resuming and looking at queues.
//!
//! Invariant: a pause is durable when it returns, and one wish of an operator is one row of the operator log, however often
//! it is sent.

use std::future::IntoFuture;
use std::pin::Pin;

use serde::{Deserialize, Serialize};
use squid_mesh_core::id::CommandId;
use squid_mesh_core::name::{ENGINE_QUEUE, InvalidName, Name};
use squid_mesh_core::operation::{
    Operation, QueueAction, QueueCommand, QueueReply, Rejection, Reply,
};
use squid_mesh_core::store::QueueRecord;
use squid_mesh_core::time::Timestamp;

use super::submit::NotDone;
use super::word::{Word, submit_errors, word_options};
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
    pub(super) word: Word,
}

impl SetQueue {
    pub(super) fn new(client: Client, queue: String, action: QueueAction) -> SetQueue {
        SetQueue {
            client,
            queue,
            action,
            word: Word::default(),
        }
    }

    word_options!(actor, comment);

    /// The command key: the same action with the same key on the same queue has its effect once, and gets the first answer,
    /// however often it is sent.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.word.key = Some(key.into());
        self
    }

    async fn perform(self) -> Result<QueueReply, QueueError> {
        let by = self.word.by()?;
        let queue = match self.queue.as_str() {
            // The engine itself refuses it, whoever asks.
            ENGINE_QUEUE => Name::stored(ENGINE_QUEUE),
            other => Name::new(other)?,
        };
        let keyed = |key: &str| CommandId::keyed_to_queue(&queue, self.action, key);
        let operation = Operation::Queue(QueueCommand {
            command: self.word.command_by(keyed)?,
            queue,
            action: self.action,
            actor: by.actor,
            comment: by.comment,
        });
        let lane = self.client.lane();
        let performed = lane.patience.perform(&lane.store, operation).await;
        match performed.map_err(NotDone::from)? {
            Reply::Queue(reply) => Ok(reply?),
            other => unreachable!("a pause is answered by {other:?}"),
        }
    }
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
    /// The engine refused it: the queue is its own, or a word cannot be recorded. Nothing was written.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Something is too large. Nothing was written.
    #[error(transparent)]
    Limit(#[from] LimitExceeded),
    /// The store refused it. Nothing was written.
    #[error("the store did not take the change of the queue: {0}")]
    Refused(String),
    /// The store did not answer: it may have been done or not. Doing it again under the same key is safe.
    #[error("the store did not answer, and the queue may have been changed or not: {0}")]
    Unknown(String),
}

submit_errors!(QueueError);

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
