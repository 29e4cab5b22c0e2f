//! Runs started and finished per second, with as many in flight as asked for.
//!
//! Invariant: measured from the first start to the last end; a warm-up is thrown away, and the median of the repeats counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use futures_util::future::try_join_all;
use serde_json::{Map, Value, json};
use squid_mesh::core::run::Status;
use squid_mesh::{Client, Runtime, WorkflowRef};

use crate::Common;
use crate::chain::chain;
use crate::meter::{Cost, Meter};
use crate::place::Place;
use crate::report::{self, median, percentile_ms, rounded};

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Runs in each repeat.
    #[arg(long, default_value_t = 20_000)]
    runs: u64,
    /// Steps of each run.
    #[arg(long, default_value_t = 3)]
    steps: u32,
    /// Runtimes, all in this process.
    #[arg(long, default_value_t = 1)]
    workers: u32,
    /// Runs in flight at once.
    #[arg(long, default_value_t = 256)]
    concurrency: u32,
    /// How often to measure.
    #[arg(long, default_value_t = 3)]
    repeats: u32,
}

/// One repeat.
struct Sample {
    cost: Cost,
    latencies: Vec<Duration>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    ensure!(
        options.runs > 0 && options.workers > 0 && options.concurrency > 0,
        "nothing to measure"
    );
    let place = Place::find(&options.common)?;
    let workflow = chain(options.steps)?;
    let mut runtimes = Vec::new();
    for number in 0..options.workers {
        let slots = options.concurrency.div_ceil(options.workers).max(1);
        let runtime = Runtime::builder(place.url.as_str())
            .workflow(&workflow)
            .queue("default", slots);
        let runtime = runtime.name(format!("bench {number}")).start().await;
        runtimes.push(runtime.context("the runtime does not start")?);
    }
    let clients: Vec<Client> = runtimes
        .iter()
        .map(|runtime| runtime.client().clone())
        .collect();
    let reference = workflow.reference();
    measure(
        &place,
        &clients,
        &reference,
        (options.runs / 10).clamp(1, 10_000),
        &options,
        "warm-up",
    )
    .await?;
    let mut samples = Vec::new();
    for repeat in 1..=options.repeats.max(1) {
        let label = format!("repeat {repeat}");
        samples.push(measure(&place, &clients, &reference, options.runs, &options, &label).await?);
    }
    for runtime in runtimes {
        runtime.shutdown().await;
    }
    report::print(&figures(&place, &options, &samples), options.common.json);
    Ok(())
}

async fn measure(
    place: &Place,
    clients: &[Client],
    workflow: &WorkflowRef<u64, u64>,
    runs: u64,
    options: &Options,
    label: &str,
) -> anyhow::Result<Sample> {
    let bar = report::progress(label, runs);
    let taken = Arc::new(AtomicU64::new(0));
    let meter = Meter::begin(place).await?;
    let lanes = (0..options.concurrency).map(|lane| {
        let client = clients[lane as usize % clients.len()].clone();
        let (taken, bar, workflow) = (Arc::clone(&taken), bar.clone(), workflow.clone());
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            loop {
                let number = taken.fetch_add(1, Ordering::Relaxed);
                if number >= runs {
                    return anyhow::Ok(latencies);
                }
                let begun = Instant::now();
                let run = client.start(&workflow, number).await?;
                let status = run.wait_terminal().await?;
                ensure!(
                    status == Status::Completed,
                    "run {} ended as {status}",
                    run.id()
                );
                latencies.push(begun.elapsed());
                bar.inc(1);
            }
        })
    });
    let lanes = try_join_all(lanes).await?;
    let wall = meter.elapsed();
    bar.finish_and_clear();
    let mut latencies = Vec::new();
    for lane in lanes {
        latencies.extend(lane?);
    }
    latencies.sort_unstable();
    Ok(Sample {
        cost: meter.end(wall).await?,
        latencies,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn figures(place: &Place, options: &Options, samples: &[Sample]) -> Map<String, Value> {
    let runs = options.runs as f64;
    let steps = runs * f64::from(options.steps.max(1));
    let rates: Vec<f64> = samples
        .iter()
        .map(|sample| runs / sample.cost.wall.as_secs_f64())
        .collect();
    let rate = median(rates.clone());
    let per_step = |of: &dyn Fn(&Cost) -> Option<f64>, decimals| {
        let each: Option<Vec<f64>> = samples
            .iter()
            .map(|sample| Some(of(&sample.cost)? / steps))
            .collect();
        each.map(|each| rounded(median(each), decimals))
    };
    let micros = |span: Duration| span.as_secs_f64() * 1e6;
    let percentile = |share| {
        median(
            samples
                .iter()
                .map(|sample| percentile_ms(&sample.latencies, share))
                .collect(),
        )
    };
    let figures = json!({
        "store": place.store,
        "runs": options.runs,
        "steps": options.steps,
        "workers": options.workers,
        "concurrency": options.concurrency,
        "repeats": samples.len(),
        "wall_seconds": rounded(runs / rate, 3),
        "runs_per_s": rounded(rate, 1),
        "runs_per_s_each": rates.iter().map(|rate| rounded(*rate, 1)).collect::<Vec<f64>>(),
        "steps_per_s": rounded(rate * f64::from(options.steps.max(1)), 1),
        "transactions_per_step": per_step(&|cost| cost.transactions, 4),
        "wal_bytes_per_step": per_step(&|cost| cost.wal_bytes, 1),
        "pg_cpu_us_per_step": per_step(&|cost| cost.server.map(micros), 2),
        "client_cpu_us_per_step": per_step(&|cost| Some(micros(cost.client)), 2),
        "p50_ms": percentile(0.5),
        "p99_ms": percentile(0.99),
        "settings": place.settings,
    });
    match figures {
        Value::Object(figures) => figures,
        _ => Map::new(),
    }
}
