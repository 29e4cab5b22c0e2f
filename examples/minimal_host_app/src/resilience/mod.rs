//! `resilience`: runs in every state of waiting, each while the worker process it depends on ends and another one begins.
//!
//! Invariant: no step of these runs is executed in this process; it starts them, speaks for people, and compares.

mod cases;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::cli::CheckArgs;
use crate::gateway::Weather;
use crate::process::WorkerProcess;
use crate::progress;
use crate::report::conclude;
use crate::scene::Scene;
use crate::smoke::Check;
use cases::Case;
pub use report::{Report, ScenarioReport};

/// How a worker process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// By SIGKILL.
    Sigkill,
    /// By SIGTERM, which lets it finish what it has begun.
    Clean,
}

/// What the scenarios have in common.
struct Stage {
    scene: Scene,
    program: PathBuf,
    database: String,
}

impl Restart {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Restart::Sigkill => "sigkill",
            Restart::Clean => "clean",
        }
    }

    async fn end(self, worker: WorkerProcess) -> anyhow::Result<()> {
        match self {
            Restart::Sigkill => worker.kill().await,
            Restart::Clean => worker.terminate().await,
        }
    }
}

/// Performs every case across every way to restart, one after the other, and prints what came of them.
///
/// # Errors
/// If they could not be performed at all.
pub async fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let mut place = args.database.place()?;
    let stage = Stage {
        scene: Scene::without_runtime(&place, Weather::default()).await?,
        program: std::env::current_exe().context("cannot find this program")?,
        database: place.url().to_owned(),
    };
    let bar = progress::bar(Case::ALL.len() * 2, "scenarios have ended");
    let mut scenarios = Vec::new();
    for restart in [Restart::Sigkill, Restart::Clean] {
        for case in Case::ALL {
            let check = stage.perform(case, restart).await;
            scenarios.push((case, restart, check));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let report = Report::new(place.store_name(), scenarios);
    conclude(&report, args.json, &mut place)
}

impl Stage {
    /// One run with its two workers. An error on the way is a deviation like any other.
    async fn perform(&self, case: Case, restart: Restart) -> Check {
        let performed = self.bring_to_end(case, restart).await;
        performed.unwrap_or_else(|error| Check::broken(case.name(), error.as_ref()))
    }

    async fn bring_to_end(&self, case: Case, restart: Restart) -> anyhow::Result<Check> {
        let name = format!("{}-{}-{}", case.name(), restart.name(), self.scene.mark);
        let first = self.worker(&name).await?;
        let run = case.begin(&self.scene, &name).await?;
        restart.end(first).await?;
        case.between(&self.scene, run).await?;
        let second = self.worker(&name).await?;
        case.release(&self.scene, &name).await?;
        let ended = self.scene.ended(&self.scene.client.run::<()>(run)).await?;
        let check = case.judge(&self.scene, &name, restart, &ended).await?;
        second.terminate().await?;
        Ok(check)
    }

    async fn worker(&self, name: &str) -> anyhow::Result<WorkerProcess> {
        let (gateway, queue) = (self.scene.gateway.url(), cases::queue(name));
        let worker = WorkerProcess::start(&self.program, &self.database, &gateway, &[&queue])?;
        worker.ready().await
    }
}
