//! Creating and changing schedules.
//!
//! Invariant: a plan, target or input that cannot be is refused before anything is written.

use std::future::IntoFuture;
use std::pin::Pin;

use serde::Serialize;
use serde_json::Value;
use squid_mesh_core::eval::stamped_bytes;
use squid_mesh_core::id::CommandId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Declaration, ScheduleAction, ScheduleReply};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::schedule::{PlanDraft, ScheduleKey};

use super::super::start::{life, trigger};
use super::super::word::{Word, word_options};
use super::super::{Client, LimitExceeded};
use super::{ScheduleError, ScheduleProblems};

/// A schedule that is about to be created or changed; awaiting it does it.
///
/// Dropped while it is awaited, it has been done or not; doing it again is safe.
#[derive(Debug)]
#[must_use = "a schedule is created or changed by awaiting this"]
pub struct PlanSchedule {
    client: Client,
    pub(in super::super) what: Planned,
    pub(in super::super) schedule: String,
    pub(in super::super) workflow: String,
    pub(in super::super) trigger: Option<String>,
    pub(in super::super) plan: PlanDraft,
    pub(in super::super) input: Result<Value, serde_json::Error>,
    pub(in super::super) word: Word,
}

/// What is done with a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Planned {
    Create,
    Change,
}

impl PlanSchedule {
    pub(in super::super) fn new(
        client: Client,
        what: Planned,
        schedule: String,
        workflow: String,
        plan: PlanDraft,
    ) -> PlanSchedule {
        PlanSchedule {
            client,
            what,
            schedule,
            workflow,
            trigger: None,
            plan,
            input: Ok(Value::Null),
            word: Word::default(),
        }
    }

    pub(super) fn payload(mut self, input: impl Serialize) -> PlanSchedule {
        self.input = serde_json::to_value(input);
        self
    }

    word_options!(actor, comment);

    /// The trigger that its runs are started by, whose contract the input is held against; the workflow's first, without one.
    pub fn trigger(mut self, trigger: impl Into<String>) -> Self {
        self.trigger = Some(trigger.into());
        self
    }

    /// The command key: a creation, or a change, of the same schedule with the same key has its effect once, however often it
    /// is sent.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.word.key = Some(key.into());
        self
    }

    async fn perform(self) -> Result<ScheduleReply, ScheduleError> {
        let schedule: ScheduleKey = self.schedule.parse()?;
        let by = self.word.by()?;
        let declaration = Box::new(self.declaration().await?);
        let action = match self.what {
            Planned::Create => ScheduleAction::Create(declaration),
            Planned::Change => ScheduleAction::Change(declaration),
        };
        let name = self.what.as_str();
        let keyed = |key: &str| CommandId::keyed_to_schedule(schedule.id(), name, key);
        let command = self.word.command_by(keyed)?;
        let client = &self.client;
        client
            .perform_on_schedule(schedule, action, command, by)
            .await
    }

    /// What is declared, checked.
    async fn declaration(&self) -> Result<Declaration, ScheduleError> {
        let plan = self.plan.check();
        let plan = plan.map_err(|all| ScheduleError::InvalidPlan(ScheduleProblems(all)))?;
        let workflow = Name::new(&self.workflow)?;
        let input = self.input.as_ref().map_err(unwritable)?;
        let definition = self.client.definition(&workflow, None).await?;
        let trigger = trigger(&definition, self.trigger.as_deref())?;
        let filled = trigger.contract.check(input);
        let filled = filled.map_err(|violations| ScheduleError::InvalidInput {
            workflow: definition.key().clone(),
            violations,
        })?;
        // The limit is that of what will be stored with a run.
        let bytes = stamped_bytes(&json(&filled), &trigger.contract.stamps());
        let input = json(input);
        let bytes = bytes.max(input.bytes().len());
        LimitExceeded::check("bytes of the input", bytes, self.client.payload_limit())?;
        Ok(Declaration {
            life: life(),
            version: 0,
            workflow,
            trigger: trigger.name.clone(),
            plan,
            input,
        })
    }
}

fn json(value: &Value) -> Payload {
    Payload::new(value.to_string().into_bytes())
}

/// Serialisation errors cannot be cloned, and a builder that is only looked at is not taken apart.
fn unwritable(error: &serde_json::Error) -> ScheduleError {
    ScheduleError::Encode(serde::ser::Error::custom(error))
}

impl Planned {
    /// The word under which a command key is kept.
    const fn as_str(self) -> &'static str {
        match self {
            Planned::Create => "create",
            Planned::Change => "change",
        }
    }
}

impl IntoFuture for PlanSchedule {
    type Output = Result<ScheduleReply, ScheduleError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.perform())
    }
}
