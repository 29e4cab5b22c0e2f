//! `start`: a run from the command line, by the workflow's name.
//!
//! Invariant: a run is started only if it was accepted whole; nothing is written otherwise.

use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use squid_mesh::Client;

use crate::cli::StartArgs;

/// Starts the run, and prints its id; with `--wait` its result too.
///
/// # Errors
/// If the run was not started, or gave no result.
pub async fn run(args: StartArgs) -> anyhow::Result<ExitCode> {
    let place = args.database.shared_place()?;
    let input = match args.input.strip_prefix('@') {
        Some(path) => fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?,
        None => args.input,
    };
    let input = serde_json::from_str(&input).context("the input is no JSON")?;
    let client = Client::connect(place.url())
        .await
        .context("cannot open the database")?;
    let mut start = client.start_json(&args.workflow, None, input);
    if let Some(key) = args.key {
        start = start.key(key);
    }
    let run = start.await.context("no run was started")?;
    writeln!(io::stdout(), "{}", run.id())?;
    if args.wait {
        writeln!(io::stdout(), "{}", run.result().await?)?;
    }
    Ok(ExitCode::SUCCESS)
}
