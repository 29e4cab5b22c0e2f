//! Schedules: creating, changing, pausing, firing, and looking at them.
//!
//! Invariant: nothing is submitted before all that can be told without the schedule has been checked, and one wish is one
//! command, however often it is sent.

mod error;
mod explain;
mod fire;
mod inspection;
mod listing;
mod plan;
mod preview;
mod set;

use serde::Serialize;
use serde_json::Value;
use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::event::By;
use squid_mesh_core::id::CommandId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Operation, Reply, ScheduleAction, ScheduleCommand, ScheduleReply,
};
use squid_mesh_core::schedule::{PlanDraft, ScheduleKey};
use squid_mesh_core::store::{Inspect as _, ScheduleRecord, Store as _, StoreError};
use squid_mesh_core::time::Timestamp;

pub use error::{ScheduleError, ScheduleProblems};
pub use fire::FireSchedule;
pub use inspection::{InspectSchedule, ScheduleInspection};
pub use listing::{SchedulePage, ScheduleSummary};
pub use plan::PlanSchedule;
pub use preview::preview;
pub use set::SetSchedule;

pub(super) use fire::Occasion;
pub(super) use plan::Planned;
pub(super) use set::Standing;

use super::Client;
use super::submit::NotDone;
use crate::author::WorkflowRef;

impl Client {
    /// Creates a schedule; options are chained on it, and awaiting it creates the schedule.
    ///
    /// It starts runs of the workflow, in whatever version is the highest where it is fired, by the workflow's first trigger
    /// unless [another](PlanSchedule::trigger) is named, with this input. Its name is 1 to 128 bytes, without `/` and control
    /// characters. One of the same content may be there already, which changes nothing; one of another content is refused.
    ///
    /// ```
    /// # tokio::runtime::Runtime::new()?.block_on(async {
    /// use squid_mesh::{CatchUp, PlanDraft, Runtime, StepContext, StepError, Workflow, step};
    ///
    /// async fn remind(_: StepContext, mail: String) -> Result<(), StepError> { Ok(()) }
    ///
    /// let (mut wf, mail) = Workflow::builder::<String>("reminder", 1);
    /// let sent = wf.step("remind", mail, step(remind));
    /// let reminder = wf.finish(sent)?;
    /// let runtime = Runtime::builder("sqlite::memory:").workflow(&reminder).start().await?;
    /// let client = runtime.client();
    ///
    /// let plan = PlanDraft::cron("0 9 * * mon-fri", "Asia/Kolkata").catch_up(CatchUp::Latest);
    /// let ana = "ana@example.org".to_owned();
    /// let created = client.create_schedule("tenant 42", &reminder.reference(), plan, ana).actor("ops").await?;
    /// println!("it fires first at {:?}", created.next);
    ///
    /// client.pause_schedule("tenant 42").actor("ops").comment("on holiday").await?;
    /// let seen = client.inspect_schedule("tenant 42").await?;
    /// assert_eq!((seen.due, seen.next.is_some()), (None, true)); // it does not fire, though its next occurrence is known
    /// let run = client.trigger_schedule("tenant 42").await?; // paused or not
    /// run.wait_terminal().await?;
    /// client.delete_schedule("tenant 42").await?;
    /// # runtime.shutdown().await;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_schedule<I: Serialize, O>(
        &self,
        schedule: impl Into<String>,
        workflow: &WorkflowRef<I, O>,
        plan: PlanDraft,
        input: I,
    ) -> PlanSchedule {
        let workflow = workflow.name.to_string();
        PlanSchedule::new(
            self.clone(),
            Planned::Create,
            schedule.into(),
            workflow,
            plan,
        )
        .payload(input)
    }

    /// Creates a schedule of a workflow that is known by name only: see [`Client::create_schedule`].
    pub fn create_schedule_json(
        &self,
        schedule: impl Into<String>,
        workflow: impl Into<String>,
        plan: PlanDraft,
        input: Value,
    ) -> PlanSchedule {
        PlanSchedule::new(
            self.clone(),
            Planned::Create,
            schedule.into(),
            workflow.into(),
            plan,
        )
        .payload(input)
    }

    /// Gives a schedule that is there another plan, target and input, all of them; awaiting it changes the schedule. Its
    /// standing stays as it is.
    ///
    /// Occurrences that are past never fire by a plan that has other times; what was pending stays so if the times are the
    /// same. One that a workflow declares is changed there.
    pub fn change_schedule<I: Serialize, O>(
        &self,
        schedule: impl Into<String>,
        workflow: &WorkflowRef<I, O>,
        plan: PlanDraft,
        input: I,
    ) -> PlanSchedule {
        let workflow = workflow.name.to_string();
        PlanSchedule::new(
            self.clone(),
            Planned::Change,
            schedule.into(),
            workflow,
            plan,
        )
        .payload(input)
    }

    /// Changes a schedule to one of a workflow that is known by name only: see [`Client::change_schedule`].
    pub fn change_schedule_json(
        &self,
        schedule: impl Into<String>,
        workflow: impl Into<String>,
        plan: PlanDraft,
        input: Value,
    ) -> PlanSchedule {
        PlanSchedule::new(
            self.clone(),
            Planned::Change,
            schedule.into(),
            workflow.into(),
            plan,
        )
        .payload(input)
    }

    /// Pauses a schedule; options are chained on it, and awaiting it pauses the schedule.
    ///
    /// The pause is durable when it returns: from then on the schedule starts no run by itself. Pausing one that is paused
    /// changes nothing, and the answer says so. One that a workflow declares can be paused too, and stays so whatever version
    /// is deployed.
    pub fn pause_schedule(&self, schedule: impl Into<String>) -> SetSchedule {
        SetSchedule::new(self.clone(), schedule.into(), Standing::Paused)
    }

    /// Resumes a schedule; awaiting it does. What becomes of the occurrences meanwhile is up to its catch-up policy.
    pub fn resume_schedule(&self, schedule: impl Into<String>) -> SetSchedule {
        SetSchedule::new(self.clone(), schedule.into(), Standing::Active)
    }

    /// Deletes a schedule; awaiting it does. Its runs go on. One that a workflow declares is retired by a version that does
    /// not declare it.
    pub fn delete_schedule(&self, schedule: impl Into<String>) -> SetSchedule {
        SetSchedule::new(self.clone(), schedule.into(), Standing::Deleted)
    }

    /// Starts a run of a schedule at once, paused or not, whatever its overlap policy says; awaiting it does. The schedule
    /// goes on as if it had not.
    pub fn trigger_schedule(&self, schedule: impl Into<String>) -> FireSchedule {
        FireSchedule::new(self.clone(), schedule.into(), Occasion::Trigger)
    }

    /// Says, as a scheduler of the host's own, that the time of an occurrence has come; awaiting it starts its run.
    ///
    /// An occurrence has one run, whoever fires it and however often: it is [existing](super::RunHandle::existing), if the
    /// engine or an earlier call had started it. Of a schedule without an expression, every instant within its start and end
    /// is an occurrence; of one with an expression, those that it names.
    pub fn fire_schedule(
        &self,
        schedule: impl Into<String>,
        occurrence: Timestamp,
    ) -> FireSchedule {
        FireSchedule::new(self.clone(), schedule.into(), Occasion::At(occurrence))
    }

    /// Says the same of something that has an identity of its own, such as a message's id: each signal has one run.
    pub fn fire_schedule_signal(
        &self,
        schedule: impl Into<String>,
        signal: impl Into<String>,
    ) -> FireSchedule {
        let signal = signal.into();
        FireSchedule::new(
            self.clone(),
            schedule.into(),
            Occasion::Signal { signal, at: None },
        )
    }

    /// Looks at a schedule; options are chained on it, and awaiting it looks.
    pub fn inspect_schedule(&self, schedule: impl Into<String>) -> InspectSchedule {
        InspectSchedule::new(self.clone(), schedule.into())
    }

    async fn perform_on_schedule(
        &self,
        schedule: ScheduleKey,
        action: ScheduleAction,
        command: CommandId,
        by: By,
    ) -> Result<ScheduleReply, ScheduleError> {
        let lane = self.lane();
        let command = ScheduleCommand {
            shard: schedule.id().shard(lane.store.shards()),
            schedule,
            action,
            command,
            by,
        };
        let operation = Operation::Schedule(Box::new(command));
        let performed = lane.patience.perform(&lane.store, operation).await;
        match performed.map_err(NotDone::from)? {
            Reply::Schedule(reply) => Ok(reply?),
            other => unreachable!("what concerns a schedule is answered by {other:?}"),
        }
    }

    async fn schedule_record(
        &self,
        schedule: &ScheduleKey,
    ) -> Result<Option<ScheduleRecord>, StoreError> {
        let id = schedule.id();
        self.insist(|| self.store().schedule(id)).await
    }

    /// What a schedule starts: what this process registered, if that has the trigger, else what is stored.
    async fn target(
        &self,
        workflow: &Name,
        trigger: &Name,
    ) -> Result<Option<std::sync::Arc<Definition>>, StoreError> {
        let has = |definition: &Definition| definition.trigger(trigger.as_str()).is_some();
        match self.registered(workflow, None) {
            Some(known) if has(known) => Ok(Some(known.clone())),
            _ => self.insist(|| self.newest_stored(workflow)).await,
        }
    }
}

/// The key of a definition that is not there.
fn missing(workflow: Name) -> DefinitionKey {
    DefinitionKey {
        name: workflow,
        version: 0,
    }
}
