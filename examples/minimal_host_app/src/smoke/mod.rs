//! `smoke`: every reference workflow, some in several ways, through the public API, with everything that came of it checked.
//!
//! Invariant: succeeds only if each run ended exactly as it should: status, attempts, result, journal and tables.

mod check;
mod children;
mod money;
mod people;
mod report;
mod scenarios;
mod schedules;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;

use crate::cli::CheckArgs;
use crate::progress;
use crate::report::conclude;
use crate::scene::Scene;
pub use check::Check;
pub use report::{Report, WorkflowReport};

/// A scenario: the runs of one workflow, brought to their ends and checked; the last one is reported.
type Scenario = Pin<Box<dyn Future<Output = Check> + Send>>;

/// Runs the scenarios side by side, and prints what came of them.
///
/// # Errors
/// If they could not be run at all.
pub async fn run(args: CheckArgs) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let mut place = args.database.place()?;
    let (scene, runtime) = Scene::open(&place).await?;
    let checks = perform(scenarios::all(&Arc::new(scene))).await;
    runtime.shutdown().await;

    let report = Report::new(place.store_name(), checks, began.elapsed());
    conclude(&report, args.json, &mut place)
}

/// All scenarios at once; their checks in the order of the scenarios.
async fn perform(scenarios: Vec<Scenario>) -> Vec<Check> {
    let progress = progress::bar(scenarios.len(), "scenarios have ended");
    let mut running = JoinSet::new();
    for (place, scenario) in scenarios.into_iter().enumerate() {
        running.spawn(async move { (place, scenario.await) });
    }
    let mut checks = Vec::new();
    while let Some(ended) = running.join_next().await {
        match ended {
            Ok(ended) => checks.push(ended),
            Err(error) => checks.push((usize::MAX, Check::broken("a scenario", &error))),
        }
        progress.inc(1);
    }
    progress.finish_and_clear();
    checks.sort_by_key(|(place, _)| *place);
    checks.into_iter().map(|(_, check)| check).collect()
}
