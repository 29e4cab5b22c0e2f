//! Triggers that start runs by the calendar.
//!
//! Invariant: holds what was written; validation judges it together with everything else.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use squid_mesh_core::cron::{GapPolicy, RepeatedHourPolicy};
use squid_mesh_core::definition::{Contract, DraftSchedule, DraftTrigger, Problem, ProblemCode};
use squid_mesh_core::schedule::{DraftCatchUp, Overlap, PlanDraft};
use squid_mesh_core::time::Timestamp;

use super::WorkflowBuilder;

/// A trigger that starts runs by the calendar; options are chained on it. Made by [`WorkflowBuilder::cron`].
///
/// `P` is the type of the input that its runs are started with.
pub struct CronTrigger<'a, P> {
    trigger: &'a mut DraftTrigger,
    /// Where the trigger is in the draft's JSON form.
    path: String,
    problems: &'a mut Vec<Problem>,
    ty: PhantomData<fn(P)>,
}

impl<I> WorkflowBuilder<I> {
    /// Names a trigger that starts runs by the calendar: at the times of a cron expression of five or six fields, in a time
    /// zone of the IANA database. Options are chained on what it returns.
    ///
    /// Once a [`Runtime`](crate::Runtime) with the workflow is started, there is a schedule `workflow/trigger`, which every
    /// process with a runtime fires, and each occurrence starts one run. The highest version of a workflow that ever was
    /// registered says which schedules there are: an older one changes nothing.
    ///
    /// ```
    /// use std::time::Duration;
    /// use squid_mesh::{BuildError, CatchUp, Overlap, StepContext, StepError, Workflow, step};
    ///
    /// async fn report(cx: StepContext, region: String) -> Result<String, StepError> {
    ///     let window = cx.schedule().map(|schedule| (schedule.window_start, schedule.window_end));
    ///     Ok(format!("{region}: {window:?}"))
    /// }
    ///
    /// fn reporting() -> Result<Workflow<String, String>, BuildError> {
    ///     let (mut wf, region) = Workflow::builder::<String>("reporting", 1);
    ///     wf.cron("nightly", "30 2 * * *", "Europe/Berlin")
    ///         .payload("north".to_owned())
    ///         .catch_up(CatchUp::Latest)
    ///         .overlap(Overlap::Skip);
    ///     wf.cron("hourly", "@hourly", "UTC").payload("south".to_owned()).jitter(Duration::from_secs(60));
    ///     let reported = wf.step("report", region, step(report));
    ///     wf.finish(reported)
    /// }
    /// # assert!(reporting().is_ok());
    /// ```
    pub fn cron(
        &mut self,
        name: impl Into<String>,
        expression: impl Into<String>,
        zone: impl Into<String>,
    ) -> CronTrigger<'_, I> {
        let path = format!("triggers[{}]", self.draft.triggers.len());
        let input = self.draft.input.clone();
        self.draft.triggers.push(DraftTrigger {
            schedule: Some(DraftSchedule {
                plan: PlanDraft::cron(expression, zone),
                payload: None,
            }),
            ..DraftTrigger::manual(name, input)
        });
        let trigger = self.draft.triggers.last_mut();
        CronTrigger {
            trigger: trigger.expect("one was put there"),
            path,
            problems: &mut self.problems,
            ty: PhantomData,
        }
    }
}

impl<'a, P> CronTrigger<'a, P> {
    /// What its runs are started with. Without it that is an object without fields, or `null` where the input is no object.
    /// It has to fit the trigger's contract; defaults and stamps are put in when a run is started.
    pub fn payload(mut self, payload: P) -> Self
    where
        P: Serialize,
    {
        match serde_json::to_value(payload) {
            Ok(value) => self.schedule().payload = Some(value),
            Err(error) => self.problems.push(Problem::new(
                format!("{}.schedule.payload", self.path),
                ProblemCode::WrongType,
                format!("the payload cannot be written as JSON: {error}"),
            )),
        }
        self
    }

    /// Gives the trigger an input contract of its own, that of type `Q`. That steps which take the run's input can read a `Q`
    /// is the author's word.
    pub fn input<Q: JsonSchema>(self) -> CronTrigger<'a, Q> {
        self.trigger.input = Contract::from_json_schema(schemars::schema_for!(Q).as_value());
        CronTrigger {
            trigger: self.trigger,
            path: self.path,
            problems: self.problems,
            ty: PhantomData,
        }
    }

    /// What becomes of occurrences that were missed, as no process was there when they were due: without it they start no
    /// run.
    pub fn catch_up(self, catch_up: DraftCatchUp) -> Self {
        self.plan(|plan| plan.catch_up(catch_up))
    }

    /// What becomes of an occurrence when the run before has not ended: without it, it starts a run all the same.
    pub fn overlap(self, overlap: Overlap) -> Self {
        self.plan(|plan| plan.overlap(overlap))
    }

    /// How late an occurrence may be without having been missed; a minute, without it.
    pub fn grace(self, grace: Duration) -> Self {
        self.plan(|plan| plan.grace(grace))
    }

    /// By how much each occurrence may be put off, so that not all schedules fire at once.
    pub fn jitter(self, jitter: Duration) -> Self {
        self.plan(|plan| plan.jitter(jitter))
    }

    /// No occurrence before this instant counts.
    pub fn start(self, start: Timestamp) -> Self {
        self.plan(|plan| plan.start(start))
    }

    /// No occurrence at or after this instant counts.
    pub fn end(self, end: Timestamp) -> Self {
        self.plan(|plan| plan.end(end))
    }

    /// What becomes of times that the clocks jump over. Without it, an expression that is sub-daily skips them, and any other
    /// fires after them.
    pub fn gap(self, gap: GapPolicy) -> Self {
        self.plan(|plan| plan.gap(gap))
    }

    /// What becomes of times that the clocks pass twice. Without it, an expression that is sub-daily fires every time, and any
    /// other the first time.
    pub fn repeated_hour(self, repeated_hour: RepeatedHourPolicy) -> Self {
        self.plan(|plan| plan.repeated_hour(repeated_hour))
    }

    fn plan(mut self, set: impl FnOnce(PlanDraft) -> PlanDraft) -> Self {
        let plan = &mut self.schedule().plan;
        *plan = set(std::mem::take(plan));
        self
    }

    fn schedule(&mut self) -> &mut DraftSchedule {
        let schedule = self.trigger.schedule.as_mut();
        schedule.expect("it was made with one")
    }
}

impl<P> fmt::Debug for CronTrigger<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CronTrigger").field(&self.trigger).finish()
    }
}
