//! What the tests of schedules share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use squid_mesh::core::id::RunId;
use squid_mesh::core::store::RunFilter;
use squid_mesh::core::time::Timestamp;
use squid_mesh::sqlite::{Clock, Options, SqliteStore};
use squid_mesh::{
    Client, Inspection, Runtime, ScheduleContext, ScheduleKey, SharedStore, StepContext, StepError,
    Stepper, Workflow, step,
};

/// What a digest is asked for with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Digest {
    pub(crate) tenant: String,
    /// Something that its author calls like what the engine tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<Value>,
}

pub(crate) fn digest(tenant: &str) -> Digest {
    Digest {
        tenant: tenant.to_owned(),
        schedule: None,
    }
}

pub(crate) type Digesting = Workflow<Digest, Option<ScheduleContext>>;

async fn tell(cx: StepContext, _: Digest) -> Result<Option<ScheduleContext>, StepError> {
    Ok(cx.schedule().cloned())
}

/// One step, which gives what it is told of its schedule. It is started by hand.
pub(crate) fn digesting() -> Digesting {
    let (mut wf, input) = Workflow::builder::<Digest>("digesting", 1);
    let told = wf.step("tell", input, step(tell));
    wf.finish(told).unwrap()
}

/// The same as `version`, with cron triggers of these names and expressions.
pub(crate) fn declaring(version: u32, triggers: &[(&str, &str)]) -> Digesting {
    let (mut wf, input) = Workflow::builder::<Digest>("digesting", version);
    for (name, expression) in triggers {
        wf.cron(*name, *expression, "UTC").payload(digest("all"));
    }
    let told = wf.step("tell", input, step(tell));
    wf.finish(told).unwrap()
}

/// A workflow whose runs go on until somebody resumes them.
pub(crate) fn resting() -> Workflow<Digest, Value> {
    let (mut wf, _) = Workflow::builder::<Digest>("resting", 1);
    wf.pause("rest", ());
    wf.finish(squid_mesh::constant(Value::Null)).unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    serde_json::from_value(text.into()).unwrap()
}

/// A clock that stands still until it is set.
#[derive(Debug)]
struct StandingClock(AtomicI64);

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

async fn stepper<I, O>(store: SharedStore, workflows: &[&Workflow<I, O>]) -> Stepper {
    let mut builder = Runtime::builder(store);
    for workflow in workflows {
        builder = builder.workflow(*workflow);
    }
    builder.manual().await.unwrap()
}

/// A database whose clock stands still until it is set, and somebody who performs what is due.
pub(crate) struct Bench {
    clock: Arc<StandingClock>,
    pub(crate) stepper: Stepper,
    pub(crate) client: Client,
}

impl Bench {
    /// With these workflows, at an instant.
    pub(crate) async fn new<I, O>(now: &str, workflows: &[&Workflow<I, O>]) -> Bench {
        let clock = Arc::new(StandingClock(AtomicI64::new(at(now).as_micros())));
        let options = Options::default().clock(clock.clone());
        let store = SqliteStore::connect("sqlite::memory:", options)
            .await
            .unwrap();
        store.migrate().await.unwrap();
        let stepper = stepper(SharedStore::new(store), workflows).await;
        let client = stepper.client().clone();
        Bench {
            clock,
            stepper,
            client,
        }
    }

    /// Has another process take the place of the one that performs what is due.
    pub(crate) async fn restart<I, O>(&mut self, workflows: &[&Workflow<I, O>]) {
        self.stepper = stepper(self.client.store().clone(), workflows).await;
        self.client = self.stepper.client().clone();
    }

    /// Sets the clock, and performs all that is due by it.
    pub(crate) async fn at(&mut self, now: &str) {
        self.set(at(now));
        self.settle().await;
    }

    /// Sets the clock.
    pub(crate) fn set(&self, now: Timestamp) {
        self.clock.0.store(now.as_micros(), Ordering::SeqCst);
    }

    /// Sets the clock, and performs all that is due every half hour on the way.
    pub(crate) async fn until(&mut self, until: &str) {
        let step = Duration::from_secs(1_800);
        let mut now = self.clock.now().plus(step);
        while now <= at(until) {
            self.set(now);
            self.settle().await;
            now = now.plus(step);
        }
    }

    pub(crate) async fn settle(&mut self) {
        while self.stepper.execute_next().await.unwrap().is_some() {}
    }

    /// Runs that a schedule started, the first occurrence first.
    pub(crate) async fn runs(&self, schedule: &str) -> Vec<Inspection> {
        runs_of(&self.client, schedule).await
    }

    /// The occurrences of those.
    pub(crate) async fn occurrences(&self, schedule: &str) -> Vec<Timestamp> {
        let runs = self.runs(schedule).await;
        runs.iter().map(|run| context(run).occurrence).collect()
    }
}

pub(crate) fn context(run: &Inspection) -> &ScheduleContext {
    run.schedule.as_ref().unwrap()
}

/// Runs that a schedule started, the first occurrence first.
pub(crate) async fn runs_of(client: &Client, schedule: &str) -> Vec<Inspection> {
    let mut runs = Vec::new();
    for run in ids_of(client, schedule).await {
        runs.push(client.inspect(run).with_payloads().await.unwrap());
    }
    runs.sort_by_key(|run| context(run).occurrence);
    runs
}

pub(crate) async fn ids_of(client: &Client, schedule: &str) -> Vec<RunId> {
    let mut filter = RunFilter::default();
    filter.schedule = Some(schedule.parse::<ScheduleKey>().unwrap().id());
    let page = client.list(&filter, None, 1_000).await.unwrap();
    page.runs.iter().map(|run| run.run).collect()
}
