//! The command line.
//!
//! Invariant: every option that names a database is read the same way by every command.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, value_parser};
use squid_mesh::core::limits;

use crate::place::Place;

/// The reference host of Squid Mesh.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run every reference workflow, some in several ways, and check that each run ends as it should.
    Smoke(CheckArgs),
    /// Bring runs to their ends across the ends of the worker processes they depend on.
    Resilience(CheckArgs),
    /// Start a mix of runs at a steady rate, and count what they come to.
    Soak(SoakArgs),
    /// Execute the steps of the reference workflows until SIGTERM or Ctrl-C.
    Worker(WorkerArgs),
    /// Start a run, for a worker to execute, and print its id.
    Start(StartArgs),
}

/// Which database to work with.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// `sqlite:PATH` or `postgres://...`; $DATABASE_URL if it is not given.
    #[arg(long, value_name = "URL")]
    pub database_url: Option<String>,
    /// Keep an SQLite file in this directory, which is made if it is missing.
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "database_url")]
    pub data_dir: Option<PathBuf>,
}

/// Options of a command that brings runs to their ends and compares.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Which database; an SQLite file that goes with the program if none is named.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Print one JSON object, as the last line, instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Options of `soak`.
#[derive(Debug, Args)]
pub struct SoakArgs {
    /// Database and form of the report.
    #[command(flatten)]
    pub check: CheckArgs,
    /// For how long runs are started.
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// How many runs are started each second.
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=1_000))]
    pub rate: u32,
}

/// Options of `worker`.
#[derive(Debug, Args)]
pub struct WorkerArgs {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The payment gateway to ask; one of its own on loopback if none is named.
    #[arg(long, value_name = "URL")]
    pub gateway_url: Option<String>,
    /// Serve this queue too, beside those that the workflows name; may be given several times.
    #[arg(long = "queue", value_name = "NAME")]
    pub queues: Vec<String>,
    /// How long a step is leased: how soon others take over from a worker that died.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = millis(limits::LEASE_DEFAULT))]
    pub lease_ms: u64,
    /// How long an idle worker waits before it looks for work.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = millis(limits::POLL_DEFAULT))]
    pub poll_ms: u64,
    /// How long running handlers may take to finish after SIGTERM.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = millis(limits::GRACE_DEFAULT))]
    pub grace_ms: u64,
}

/// Options of `start`.
#[derive(Debug, Args)]
pub struct StartArgs {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The workflow's name.
    pub workflow: String,
    /// The run's input, as JSON; `@FILE` reads it from a file.
    #[arg(long, value_name = "JSON", default_value = "null")]
    pub input: String,
    /// Start at most one run under this key.
    #[arg(long)]
    pub key: Option<String>,
    /// Wait until the run has ended, and print its result.
    #[arg(long)]
    pub wait: bool,
}

impl DatabaseArgs {
    /// The place that these name.
    ///
    /// # Errors
    /// If no temporary directory can be made.
    pub fn place(&self) -> anyhow::Result<Place> {
        Place::find(
            self.database_url.clone(),
            self.data_dir.as_deref().map(Path::new),
        )
    }

    /// The place that these name, for a command that shares it with others: a file that goes with the program is none.
    ///
    /// # Errors
    /// If none is named.
    pub fn shared_place(&self) -> anyhow::Result<Place> {
        let place = self.place()?;
        anyhow::ensure!(
            !place.is_temporary(),
            "no database is named: give --database-url, --data-dir or $DATABASE_URL"
        );
        Ok(place)
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
