//! `smoke`: every reference workflow once, through the public API, with everything that came of it checked.
//!
//! Invariant: succeeds only if each run ended exactly as it should: status, attempts, result, journal and tables.

mod check;
mod ends;
mod report;
mod scenarios;

use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use squid_mesh::{Client, Runtime};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::app::App;
use crate::cli::SmokeArgs;
use crate::gateway::{Gateway, GatewayClient, Weather};
use crate::workflows::Workflows;
pub use check::Check;
pub use report::{Report, WorkflowReport};

/// What every scenario works with.
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
    /// Tells the rows of this smoke run from those of others in the same tables.
    pub mark: String,
}

/// A scenario: one run of one workflow, brought to its end and checked.
type Scenario = Pin<Box<dyn Future<Output = Check> + Send>>;

/// Runs the scenarios side by side, and prints what came of them.
///
/// # Errors
/// If they could not be run at all.
pub async fn run(args: SmokeArgs) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let mut place = args.database.place()?;
    let (store, ledger) = place.open().await?;
    let gateway = Gateway::open(Weather::default())
        .await
        .context("cannot open the gateway")?;
    let app = App::new(ledger, GatewayClient::new(gateway.url())?);
    let workflows = Workflows::new(&app)?;
    let runtime = workflows
        .register(Runtime::builder(&store))
        .start()
        .await
        .context("cannot start the runtime")?;
    let mark = Uuid::new_v4().simple().to_string();
    let scene = Scene {
        app,
        gateway,
        workflows,
        client: runtime.client().clone(),
        mark,
    };
    let checks = perform(scenarios::all(&Arc::new(scene))).await;
    runtime.shutdown().await;

    let report = Report::new(place.store_name(), checks, began.elapsed());
    report.print(args.json)?;
    if report.ok {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(directory) = place.keep() {
        eprintln!("the database is kept in {}", directory.display());
    }
    Ok(ExitCode::FAILURE)
}

/// All scenarios at once; their checks in the order of the scenarios.
async fn perform(scenarios: Vec<Scenario>) -> Vec<Check> {
    let progress = progress(scenarios.len());
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

/// Shows how far it is, on terminals only.
fn progress(scenarios: usize) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {pos}/{len} workflows have ended ({elapsed})");
    let bar = ProgressBar::new(u64::try_from(scenarios).unwrap_or(u64::MAX));
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
