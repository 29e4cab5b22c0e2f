//! Having schedules start runs.
//!
//! Invariant: an occurrence, a signal, and a trigger under one key, have one run each, whoever asks and however often.

use std::future::IntoFuture;
use std::pin::Pin;

use serde_json::Value;
use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::id::CommandId;
use squid_mesh_core::limits;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::ScheduleAction;
use squid_mesh_core::schedule::ScheduleKey;
use squid_mesh_core::time::Timestamp;

use super::super::word::{Word, word_options};
use super::super::{Client, LimitExceeded, RunHandle};
use super::{ScheduleError, missing};

/// A schedule that is about to be made to start a run; awaiting it starts the run.
///
/// Dropped while it is awaited, it has started the run or not; doing it again is safe, of a trigger under the same key.
#[derive(Debug)]
#[must_use = "a run is started by awaiting this"]
pub struct FireSchedule {
    client: Client,
    pub(in super::super) schedule: String,
    pub(in super::super) occasion: Occasion,
    pub(in super::super) word: Word,
}

/// What makes a schedule start a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Occasion {
    Trigger,
    At(Timestamp),
    Signal {
        signal: String,
        at: Option<Timestamp>,
    },
}

impl FireSchedule {
    pub(in super::super) fn new(
        client: Client,
        schedule: String,
        occasion: Occasion,
    ) -> FireSchedule {
        FireSchedule {
            client,
            schedule,
            occasion,
            word: Word::default(),
        }
    }

    word_options!();

    /// The command key: a trigger of the same schedule with the same key starts one run, however often it is sent. Of an
    /// occurrence or a signal, that itself is what makes a repetition one.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.word.key = Some(key.into());
        self
    }

    /// Of a signal: when what it stands for was, which is where the run's window ends; the database's clock when it comes,
    /// without it.
    pub fn occurred_at(mut self, occurred: Timestamp) -> Self {
        if let Occasion::Signal { at, .. } = &mut self.occasion {
            *at = Some(occurred);
        }
        self
    }

    async fn perform(self) -> Result<RunHandle<Value>, ScheduleError> {
        let schedule: ScheduleKey = self.schedule.parse()?;
        let by = self.word.by()?;
        self.occasion.check()?;
        let record = self.client.schedule_record(&schedule).await?;
        let (now, definition) = match &record {
            Some(record) => {
                let row = &record.row;
                let target = self.client.target(&row.workflow, &row.trigger).await?;
                let key = target.map(|definition| definition.key().clone());
                (
                    record.now,
                    key.unwrap_or_else(|| missing(row.workflow.clone())),
                )
            }
            // What a gone schedule starts does not matter; what it has started under this key is still to be told.
            None => (Timestamp::default(), missing(Name::stored("unknown"))),
        };
        let name = self.occasion.as_str();
        let keyed = |key: &str| CommandId::keyed_to_schedule(schedule.id(), name, key);
        let command = self.word.command_by(keyed)?;
        let action = self.occasion.action(definition, now);
        let client = &self.client;
        let reply = client
            .perform_on_schedule(schedule, action, command, by)
            .await?;
        let started = reply
            .started
            .expect("what fires a schedule is answered with a run");
        Ok(RunHandle::new(self.client, started.run, started.existing))
    }
}

impl Occasion {
    fn check(&self) -> Result<(), ScheduleError> {
        let Occasion::Signal { signal, .. } = self else {
            return Ok(());
        };
        LimitExceeded::check(
            "bytes of the signal",
            signal.len(),
            limits::FIRING_SIGNAL_BYTES,
        )?;
        match signal {
            empty if empty.is_empty() => Err(ScheduleError::Signal {
                problem: "is empty",
            }),
            text if text.contains('\0') => Err(ScheduleError::Signal {
                problem: "has a NUL character",
            }),
            _ => Ok(()),
        }
    }

    fn action(self, definition: DefinitionKey, now: Timestamp) -> ScheduleAction {
        let (occurrence, signal) = match self {
            Occasion::Trigger => return ScheduleAction::Trigger { definition },
            Occasion::At(occurrence) => (occurrence, None),
            Occasion::Signal { signal, at } => (at.unwrap_or(now), Some(signal)),
        };
        ScheduleAction::Fire {
            occurrence,
            signal,
            definition,
        }
    }

    /// The word under which a command key is kept.
    const fn as_str(&self) -> &'static str {
        match self {
            Occasion::Trigger => "trigger",
            Occasion::At(_) | Occasion::Signal { .. } => "fire",
        }
    }
}

impl IntoFuture for FireSchedule {
    type Output = Result<RunHandle<Value>, ScheduleError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.perform())
    }
}
