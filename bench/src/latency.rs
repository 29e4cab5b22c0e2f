//! Start to result of one run at a time, on an otherwise idle runtime.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::{Map, Value, json};
use squid_mesh::Runtime;

use crate::Common;
use crate::chain::chain;
use crate::place::Place;
use crate::report::{self, percentile_ms};

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    common: Common,
    /// Runs, one after the other.
    #[arg(long, default_value_t = 500)]
    runs: u64,
    /// Steps of each run.
    #[arg(long, default_value_t = 3)]
    steps: u32,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<()> {
    ensure!(options.runs > 0, "nothing to measure");
    let place = Place::find(&options.common)?;
    let workflow = chain(options.steps)?;
    let runtime = Runtime::builder(place.url.as_str())
        .workflow(&workflow)
        .start()
        .await;
    let runtime = runtime.context("the runtime does not start")?;
    let reference = workflow.reference();
    let bar = report::progress("latency", options.runs);
    let mut latencies: Vec<Duration> = Vec::new();
    let warm_up = (options.runs / 10).clamp(1, 100);
    for number in 0..options.runs + warm_up {
        let begun = Instant::now();
        let run = runtime.client().start(&reference, number).await?;
        let result = run.result().await?;
        let taken = begun.elapsed();
        let expected = number + u64::from(options.steps.max(1));
        ensure!(
            result == expected,
            "run {} gave {result} instead of {expected}",
            run.id()
        );
        if number >= warm_up {
            latencies.push(taken);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    runtime.shutdown().await;
    latencies.sort_unstable();
    report::print(&figures(&place, &options, &latencies), options.common.json);
    Ok(())
}

fn figures(place: &Place, options: &Options, sorted: &[Duration]) -> Map<String, Value> {
    let figures = json!({
        "store": place.store,
        "runs": options.runs,
        "steps": options.steps,
        "p50_ms": percentile_ms(sorted, 0.5),
        "p90_ms": percentile_ms(sorted, 0.9),
        "p99_ms": percentile_ms(sorted, 0.99),
        "max_ms": percentile_ms(sorted, 1.0),
        "settings": place.settings,
    });
    match figures {
        Value::Object(figures) => figures,
        _ => Map::new(),
    }
}
