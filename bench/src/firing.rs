//! Schedules that are all due in the same second, and how late their runs are.
//!
//! Invariant: lateness is told by the database's clock alone, from the occurrence to the start of its run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use futures_util::future::try_join_all;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};
use squid_mesh::core::run::Status;
use squid_mesh::core::schedule::ScheduleKey;
use squid_mesh::core::time::Timestamp;
use squid_mesh::{
    BuildError, Client, PlanDraft, Runtime, StepContext, StepError, Workflow, WorkflowRef, step,
};

use crate::Common;
use crate::meter::{Cost, Meter};
use crate::place::Place;
use crate::report::{self, percentile_ms, rounded};

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Schedules.
    #[arg(long, default_value_t = 10_000)]
    schedules: u32,
    /// Seconds from now to the second in which they are due; enough to create them and to settle down, if not given.
    #[arg(long)]
    lead: Option<u32>,
}

/// Requests in flight at once, while schedules are created and their runs are looked at.
const LANES: u32 = 64;
/// Schedules that are created in a second at least.
const CREATED_PER_SECOND: u32 = 250;
/// Seconds between their creation and their due time at least: sessions of Postgres that have gone idle report what they did
/// after ten (`PGSTAT_IDLE_INTERVAL`), and none of that is to be counted as firing.
const QUIET: u32 = 15;
/// How long the runs of all may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the schedules have in common.
#[derive(Clone)]
struct Crowd {
    client: Client,
    workflow: WorkflowRef<u64, u64>,
    due: Timestamp,
    plan: PlanDraft,
    bar: ProgressBar,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    ensure!(options.schedules > 0, "nothing to measure");
    let place = Place::find(&options.common)?;
    let performed = Arc::new(AtomicU64::new(0));
    let workflow = counting(&performed)?;
    let runtime = Runtime::builder(place.url.as_str())
        .workflow(&workflow)
        .start()
        .await;
    let runtime = runtime.context("the runtime does not start")?;
    let client = runtime.client().clone();

    let lead = options
        .lead
        .unwrap_or(QUIET + options.schedules / CREATED_PER_SECOND);
    let due = (now()?.as_micros() / 1_000_000 + i64::from(lead)) * 1_000_000;
    let crowd = Crowd {
        client,
        workflow: workflow.reference(),
        due: Timestamp::from_micros(due),
        plan: PlanDraft::cron(daily(due), "UTC"),
        bar: report::progress("creating", u64::from(options.schedules)),
    };
    crowd.each(options.schedules, Crowd::create).await?;
    crowd.bar.finish_and_clear();
    let left = crowd.due.as_micros() - now()?.as_micros();
    ensure!(
        left > 0,
        "the schedules were due before all were there; give --lead more than {lead}"
    );

    tokio::time::sleep(Duration::from_micros(u64::try_from(left)?)).await;
    let meter = Meter::begin(&place).await?;
    let bar = report::progress("firing", u64::from(options.schedules));
    let crowd = Crowd { bar, ..crowd };
    while performed.load(Ordering::Relaxed) < u64::from(options.schedules) {
        ensure!(
            meter.elapsed() < PATIENCE,
            "not all were started in {PATIENCE:?}"
        );
        crowd.bar.set_position(performed.load(Ordering::Relaxed));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let wall = meter.elapsed();
    let cost = meter.end(wall).await?;
    crowd.bar.reset();
    let mut late = crowd.each(options.schedules, Crowd::lateness).await?;
    crowd.bar.finish_and_clear();
    runtime.shutdown().await;
    late.sort_unstable();
    report::print(
        &figures(&place, &options, &late, &cost),
        options.common.json,
    );
    Ok(())
}

/// A workflow of one no-op step, which counts how often it was performed.
fn counting(performed: &Arc<AtomicU64>) -> Result<Workflow<u64, u64>, BuildError> {
    let performed = Arc::clone(performed);
    let count = move |_: StepContext, number: u64| {
        performed.fetch_add(1, Ordering::Relaxed);
        async move { Ok::<u64, StepError>(number) }
    };
    let (mut wf, input) = Workflow::builder::<u64>("bench_firing", 1);
    let last = wf.step("count", input, step(count).named("bench_count"));
    wf.finish(last)
}

impl Crowd {
    /// Does something with each schedule, some at a time.
    async fn each<T, F>(&self, schedules: u32, deed: fn(Crowd, u32) -> F) -> anyhow::Result<Vec<T>>
    where
        T: Send + 'static,
        F: Future<Output = anyhow::Result<T>> + Send + 'static,
    {
        let lanes = (0..LANES.min(schedules)).map(|lane| {
            let crowd = self.clone();
            tokio::spawn(async move {
                let mut done = Vec::new();
                for number in (lane..schedules).step_by(LANES as usize) {
                    done.push(deed(crowd.clone(), number).await?);
                    crowd.bar.inc(1);
                }
                anyhow::Ok(done)
            })
        });
        let mut all = Vec::new();
        for lane in try_join_all(lanes).await? {
            all.extend(lane?);
        }
        Ok(all)
    }

    async fn create(self, number: u32) -> anyhow::Result<()> {
        let created = self
            .client
            .create_schedule(name(number), &self.workflow, self.plan, u64::from(number))
            .await?;
        ensure!(
            created.next == Some(self.due),
            "schedule {number} is due at {:?}, not at {}",
            created.next,
            self.due
        );
        Ok(())
    }

    /// How late the run of the occurrence was started.
    async fn lateness(self, number: u32) -> anyhow::Result<Duration> {
        let schedule: ScheduleKey = name(number).parse()?;
        let run = self.client.run::<u64>(schedule.id().occurrence(self.due));
        let status = run.wait_terminal().await?;
        ensure!(
            status == Status::Completed,
            "run {} ended as {status}",
            run.id()
        );
        let started = run.inspect().await?.created;
        let late = started.as_micros() - self.due.as_micros();
        Ok(Duration::from_micros(
            u64::try_from(late).context("a run was started early")?,
        ))
    }
}

fn name(number: u32) -> String {
    format!("bench {number}")
}

/// Fires at this time of each day.
fn daily(micros: i64) -> String {
    let of_day = (micros / 1_000_000).rem_euclid(86_400);
    format!(
        "{} {} {} * * *",
        of_day % 60,
        of_day / 60 % 60,
        of_day / 3_600
    )
}

/// This host's clock, which the throw-away database shares.
fn now() -> anyhow::Result<Timestamp> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(Timestamp::from_micros(i64::try_from(since.as_micros())?))
}

fn figures(place: &Place, options: &Options, late: &[Duration], cost: &Cost) -> Map<String, Value> {
    let runs = f64::from(options.schedules);
    let per_run = |of: Option<f64>, decimals| of.map(|total| rounded(total / runs, decimals));
    let micros = |span: Duration| span.as_secs_f64() * 1e6;
    let figures = json!({
        "store": place.store,
        "schedules": options.schedules,
        "all_started_seconds": rounded(percentile_ms(late, 1.0) / 1e3, 3),
        "all_performed_seconds": rounded(cost.wall.as_secs_f64(), 3),
        "late_p50_ms": percentile_ms(late, 0.5),
        "late_p99_ms": percentile_ms(late, 0.99),
        "transactions_per_run": per_run(cost.transactions, 4),
        "wal_bytes_per_run": per_run(cost.wal_bytes, 1),
        "pg_cpu_us_per_run": per_run(cost.server.map(micros), 2),
        "client_cpu_us_per_run": per_run(Some(micros(cost.client)), 2),
        "settings": place.settings,
    });
    match figures {
        Value::Object(figures) => figures,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expression_names_the_second_of_the_day() {
        assert_eq!(daily(0), "0 0 0 * * *");
        assert_eq!(daily((86_400 + 3_723) * 1_000_000), "3 2 1 * * *");
    }
}
