//! `squid-mesh-bench`: what one machine reaches, with handlers registered through the public API and everything journalled.
//!
//! Invariant: every figure is measured in the run that prints it; nothing is extrapolated or remembered.
#![expect(clippy::print_stdout, reason = "a program that prints its results")]

mod chain;
mod firing;
mod latency;
mod meter;
mod place;
mod report;
mod throughput;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures Squid Mesh on this machine.
#[derive(Debug, Parser)]
#[command(name = "squid-mesh-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs started and finished per second, saturated.
    Throughput(throughput::Options),
    /// Start to result of one run at a time.
    Latency(latency::Options),
    /// Lateness of schedules that are due in the same second.
    Firing(firing::Options),
}

/// Where to measure, and how to say it.
#[derive(Debug, Clone, Args)]
struct Common {
    /// Which store, when no URL is given: a private throw-away Postgres cluster, or an SQLite file.
    #[arg(long, value_enum, default_value_t = StoreKind::Postgres)]
    store: StoreKind,
    /// A database to measure on instead; its schema is created if it is not there.
    #[arg(long)]
    database_url: Option<String>,
    /// One JSON object on the last line of the output.
    #[arg(long)]
    json: bool,
}

/// A store that can be set up without being told where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StoreKind {
    /// Postgres.
    Postgres,
    /// SQLite.
    Sqlite,
}

fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    match cli.command {
        Command::Throughput(options) => runtime.block_on(throughput::run(options)),
        Command::Latency(options) => runtime.block_on(latency::run(options)),
        Command::Firing(options) => runtime.block_on(firing::run(options)),
    }
}
