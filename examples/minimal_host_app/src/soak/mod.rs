//! `soak`: a mix of runs for a bounded time, each brought to the end it should come to, and everything counted.
//!
//! Invariant: every run that was started is counted once, as what it came to or as lost.

mod judge;
mod plan;
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use tokio::task::{JoinError, JoinSet};

use crate::cli::SoakArgs;
use crate::progress;
use crate::report::conclude;
use crate::scene::Scene;
use plan::{Outcome, Plan};
pub use report::Report;

/// How many runs may be open at once: on a machine that is too slow for the rate, runs are started late, not piled up.
const OPEN: usize = 128;

/// Starts the runs, waits for all of them, and prints what came of them.
///
/// # Errors
/// If they could not be started at all.
pub async fn run(args: SoakArgs) -> anyhow::Result<ExitCode> {
    let mut place = args.check.database.place()?;
    let (scene, runtime) = Scene::open(&place).await?;
    let bar = progress::bar(
        args.seconds as usize * args.rate as usize,
        "runs have ended",
    );
    let report = Report::new(place.store_name());
    let report = perform(Arc::new(scene), &args, report, &bar).await;
    bar.finish_and_clear();
    runtime.shutdown().await;

    conclude(&report, args.check.json, &mut place)
}

/// Starts a run whenever one is due, and counts those that have ended in between.
async fn perform(
    scene: Arc<Scene>,
    args: &SoakArgs,
    mut report: Report,
    bar: &ProgressBar,
) -> Report {
    let began = Instant::now();
    let second = Duration::from_secs(1);
    let mut running: JoinSet<Outcome> = JoinSet::new();
    for number in 0..args.seconds.saturating_mul(args.rate) {
        let due = second.saturating_mul(number) / args.rate;
        tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        while let Some(ended) = ended(&mut running).await {
            report.count(ended);
            bar.inc(1);
        }
        report.started += 1;
        running.spawn(Plan::of(number).perform(scene.clone(), number));
    }
    while let Some(ended) = running.join_next().await {
        report.count(ended);
        bar.inc(1);
    }
    report.sum_up()
}

/// A run that has ended; if too many are open, the next that does.
async fn ended(running: &mut JoinSet<Outcome>) -> Option<Result<Outcome, JoinError>> {
    if running.len() < OPEN {
        return running.try_join_next();
    }
    running.join_next().await
}
