//! Getting starts and commands to the store.
//!
//! Invariant: an unknown outcome is found out by submitting the very same group again, for as long as patience lasts.

use std::time::Duration;

use squid_mesh_core::operation::{
    Entry, EntryReply, Group, GroupReply, Operation, Rejection, Reply, Submit,
};
use squid_mesh_core::store::{Store as _, StoreError};
use squid_mesh_core::worker::SubmitError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::runtime::Message;
use crate::stores::SharedStore;

/// How long an operation is tried again before its caller is told that the store does not answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience(Duration);

impl Default for Patience {
    fn default() -> Patience {
        Patience(Duration::from_secs(30))
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Patience {
    /// Performs an operation, again and again while the store says that this may help.
    pub(crate) async fn perform(
        self,
        store: &SharedStore,
        operation: Operation,
    ) -> Result<Reply, StoreError> {
        self.insist(|| store.perform(operation.clone())).await
    }

    /// Submits a group straight to the store.
    async fn submit(self, store: &SharedStore, group: &Group) -> Result<GroupReply, StoreError> {
        let Some(first) = group.entries.first() else {
            return Ok(GroupReply::Done(Vec::new()));
        };
        let submit = Submit {
            shard: first.run().shard(store.shards()),
            groups: vec![group.clone()],
            offer: None,
            wait: true,
        };
        self.insist(|| async {
            match store.perform(Operation::Submit(submit.clone())).await? {
                Reply::Submitted { mut groups, .. } => match groups.pop() {
                    // A lock that was not had in time: nothing was written.
                    Some(GroupReply::Busy) => Err(StoreError::Conflict),
                    Some(reply) => Ok(reply),
                    None => Err(StoreError::Corrupt {
                        detail: "a submission without an answer".to_owned(),
                    }),
                },
                other => unreachable!("a submission is answered by {other:?}"),
            }
        })
        .await
    }

    /// Asks again and again while the store says that this may help. Whatever is asked must be harmless to repeat.
    pub(crate) async fn insist<T, F>(self, mut attempt: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let end = Instant::now() + self.0;
        let mut pause = FIRST_PAUSE;
        loop {
            let tried = tokio::time::timeout_at(end, attempt()).await;
            let result = tried
                .unwrap_or_else(|_| Err(StoreError::Unavailable("no answer in time".to_owned())));
            let Err(StoreError::Unavailable(_) | StoreError::Conflict) = &result else {
                return result;
            };
            if Instant::now() + pause >= end {
                return result;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Why a group, or its only entry, was not done.
#[derive(Debug)]
pub(crate) enum NotDone {
    /// By the engine: nothing was written.
    Rejected(Rejection),
    /// By the store: nothing was written.
    Refused(String),
    /// Nobody knows.
    Unknown(String),
}

impl From<StoreError> for NotDone {
    fn from(error: StoreError) -> NotDone {
        match error {
            StoreError::Unavailable(why) => NotDone::Unknown(why),
            error => NotDone::Refused(error.to_string()),
        }
    }
}

/// The answer to the only entry of a group.
pub(super) fn only(reply: GroupReply) -> Result<EntryReply, NotDone> {
    match reply {
        GroupReply::Done(replies) => match <[EntryReply; 1]>::try_from(replies) {
            Ok([reply]) => Ok(reply),
            Err(replies) => unreachable!("one entry is answered by {replies:?}"),
        },
        GroupReply::Refused { rejection, .. } => Err(NotDone::Rejected(rejection)),
        GroupReply::Busy => Err(NotDone::Refused("the run is locked".to_owned())),
    }
}

/// The way to the store: through the worker of this process while there is one, else straight.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    pub(crate) store: SharedStore,
    pub(crate) worker: Option<mpsc::Sender<Message>>,
    pub(crate) patience: Patience,
}

impl Lane {
    /// Submits a group of one entry.
    pub(super) async fn submit_one(&self, entry: Entry) -> Result<EntryReply, NotDone> {
        let entries = vec![entry];
        only(self.submit(Group { entries }).await?)
    }

    pub(crate) async fn submit(&self, group: Group) -> Result<GroupReply, NotDone> {
        if let Some(worker) = &self.worker {
            match tokio::time::timeout(self.patience.0, through(worker, group.clone())).await {
                Ok(Some(Ok(reply))) => return Ok(reply),
                Ok(Some(Err(
                    error @ (SubmitError::Refused(_) | SubmitError::Overloaded { .. }),
                ))) => {
                    return Err(NotDone::Refused(error.to_string()));
                }
                // The worker stopped before it knew: the store does.
                Ok(Some(Err(_)) | None) => {}
                Err(_) => return Err(NotDone::Unknown("no answer in time".to_owned())),
            }
        }
        self.patience
            .submit(&self.store, &group)
            .await
            .map_err(NotDone::from)
    }
}

async fn through(
    worker: &mpsc::Sender<Message>,
    group: Group,
) -> Option<Result<GroupReply, SubmitError>> {
    let (answer, answered) = oneshot::channel();
    worker.send(Message::Submit { group, answer }).await.ok()?;
    answered.await.ok()
}
