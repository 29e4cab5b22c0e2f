//! The application and its gateway, with or without a runtime in this process: what runs are brought to their ends in.
//!
//! Invariant: a run that does not end is an error in bounded time, not a program that hangs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use squid_mesh::core::store::RunFilter;
use squid_mesh::{
    Client, HistoryEntry, Inspection, RunHandle, Runtime, ScheduleKey, SharedStore, StepInspection,
    StepStatus,
};
use uuid::Uuid;

use crate::app::App;
use crate::gateway::{Gateway, GatewayClient, Weather};
use crate::ledger::Effect;
use crate::place::Place;
use crate::workflows::Workflows;

/// What every run works with.
#[derive(Debug)]
pub struct Scene {
    /// The application.
    pub app: Arc<App>,
    /// The gateway that its handlers ask.
    pub gateway: Gateway,
    /// The workflows, for their typed names.
    pub workflows: Workflows,
    /// A client beside the runtime.
    pub client: Client,
    /// Tells the rows of this scene from those of others in the same tables.
    pub mark: String,
}

/// Everything there is to see of a run that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The run.
    pub inspection: Inspection,
    /// Its journal.
    pub history: Vec<HistoryEntry>,
    /// What its handlers did.
    pub effects: Vec<Effect>,
}

/// How long a run may take: all of them are made to end within a few seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait between two looks at a run that is to reach some point.
const LOOK: Duration = Duration::from_millis(20);

impl Scene {
    /// Opens the database, and starts everything.
    ///
    /// # Errors
    /// If the database cannot be opened or the runtime not started.
    pub async fn open(place: &Place) -> anyhow::Result<(Scene, Runtime)> {
        let (mut scene, store) = Scene::set(place, Weather::default()).await?;
        let runtime = scene
            .workflows
            .register(Runtime::builder(&store))
            .start()
            .await
            .context("cannot start the runtime")?;
        scene.client = runtime.client().clone();
        Ok((scene, runtime))
    }

    /// Opens the database for runs that workers in other processes execute.
    ///
    /// # Errors
    /// If the database cannot be opened.
    pub async fn without_runtime(place: &Place, weather: Weather) -> anyhow::Result<Scene> {
        Ok(Scene::set(place, weather).await?.0)
    }

    async fn set(place: &Place, weather: Weather) -> anyhow::Result<(Scene, SharedStore)> {
        let (store, ledger) = place.open().await?;
        let gateway = Gateway::open(weather)
            .await
            .context("cannot open the gateway")?;
        let app = App::new(ledger, GatewayClient::new(gateway.url())?);
        let workflows = Workflows::new(&app)?;
        let client = Client::connect(&store).await?;
        let mark = Uuid::new_v4().simple().to_string();
        let scene = Scene {
            app,
            gateway,
            workflows,
            client,
            mark,
        };
        Ok((scene, store))
    }

    /// Waits until a run has ended, and gathers what there is to see of it.
    ///
    /// # Errors
    /// If it does not end, or cannot be looked at.
    pub async fn ended<O>(&self, run: &RunHandle<O>) -> anyhow::Result<Ended> {
        let ended = tokio::time::timeout(PATIENCE, run.wait_terminal()).await;
        if ended.is_err() {
            let why = self.client.explain(run.id()).await?.summary;
            anyhow::bail!("run {} has not ended within {PATIENCE:?}: {why}", run.id());
        }
        Ok(Ended {
            inspection: run.inspect().with_payloads().await?,
            history: self.client.history(run.id()).await?,
            effects: self.app.ledger.effects(run.id()).await?,
        })
    }

    /// Waits until a schedule has started a run, and gives the first one.
    ///
    /// # Errors
    /// If it starts none, or cannot be looked at.
    pub async fn fired<O>(&self, schedule: &str) -> anyhow::Result<RunHandle<O>> {
        let mut filter = RunFilter::default();
        filter.schedule = Some(schedule.parse::<ScheduleKey>()?.id());
        let firing = async {
            loop {
                let page = self.client.list(&filter, None, 0).await?;
                if let Some(first) = page.runs.last() {
                    return anyhow::Ok(self.client.run(first.run));
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        let Ok(fired) = tokio::time::timeout(PATIENCE, firing).await else {
            let why = self.client.explain_schedule(schedule).await?.summary;
            anyhow::bail!("schedule {schedule:?} has started no run within {PATIENCE:?}: {why}");
        };
        fired
    }

    /// Waits until a step of a run has this status.
    ///
    /// # Errors
    /// If it does not get there, or cannot be looked at.
    pub async fn reached<O>(
        &self,
        run: &RunHandle<O>,
        step: &str,
        status: StepStatus,
    ) -> anyhow::Result<()> {
        let there = self.reached_where(run, step, |step| step.status == status);
        there.await.with_context(|| format!("expected {status:?}"))
    }

    /// Waits until a step of a run is as it is wanted.
    ///
    /// # Errors
    /// If it does not get there, or cannot be looked at.
    pub async fn reached_where<O>(
        &self,
        run: &RunHandle<O>,
        step: &str,
        wanted: impl Fn(&StepInspection) -> bool,
    ) -> anyhow::Result<()> {
        let reaching = async {
            loop {
                let inspection = run.inspect().await?;
                if inspection.step(step).is_some_and(&wanted) {
                    return anyhow::Ok(());
                }
                let (run, status) = (run.id(), inspection.status);
                anyhow::ensure!(!status.is_terminal(), "run {run} ended as {status}");
                tokio::time::sleep(LOOK).await;
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reaching).await;
        reached.with_context(|| {
            let run = run.id();
            format!("step {step} of run {run} is not where it should be within {PATIENCE:?}")
        })?
    }
}
