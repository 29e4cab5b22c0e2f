//! Pausing, resuming and deleting schedules.
//!
//! Invariant: what was done is durable when it returns, and one wish of an operator is one row of the operator log, however
//! often it is sent.

use std::future::IntoFuture;
use std::pin::Pin;

use squid_mesh_core::id::CommandId;
use squid_mesh_core::operation::{ScheduleAction, ScheduleReply};
use squid_mesh_core::schedule::ScheduleKey;

use super::super::Client;
use super::super::word::{Word, word_options};
use super::ScheduleError;

/// A pause, resume or deletion of a schedule that is being put together; awaiting it does it.
///
/// Dropped while it is awaited, it has been done or not; doing it again is safe.
#[derive(Debug)]
#[must_use = "a schedule is paused, resumed or deleted by awaiting this"]
pub struct SetSchedule {
    client: Client,
    pub(in super::super) schedule: String,
    pub(in super::super) standing: Standing,
    pub(in super::super) word: Word,
}

/// What a schedule is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Standing {
    Active,
    Paused,
    Deleted,
}

impl SetSchedule {
    pub(in super::super) fn new(
        client: Client,
        schedule: String,
        standing: Standing,
    ) -> SetSchedule {
        SetSchedule {
            client,
            schedule,
            standing,
            word: Word::default(),
        }
    }

    word_options!(actor, comment);

    /// The command key: the same action with the same key on the same schedule has its effect once, and gets the first
    /// answer, however often it is sent.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.word.key = Some(key.into());
        self
    }

    async fn perform(self) -> Result<ScheduleReply, ScheduleError> {
        let schedule: ScheduleKey = self.schedule.parse()?;
        let by = self.word.by()?;
        let (action, name) = match self.standing {
            Standing::Active => (ScheduleAction::Resume, "resume"),
            Standing::Paused => (ScheduleAction::Pause, "pause"),
            Standing::Deleted => (ScheduleAction::Delete, "delete"),
        };
        let keyed = |key: &str| CommandId::keyed_to_schedule(schedule.id(), name, key);
        let command = self.word.command_by(keyed)?;
        let client = &self.client;
        client
            .perform_on_schedule(schedule, action, command, by)
            .await
    }
}

impl IntoFuture for SetSchedule {
    type Output = Result<ScheduleReply, ScheduleError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.perform())
    }
}
