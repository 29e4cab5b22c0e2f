//! The program: reads the command line, and turns every error into one line and an exit code.
//!
//! Invariant: stdout has results only; logs and errors go to stderr.

use std::io;
use std::process::ExitCode;

use clap::Parser;
use minimal_host_app::cli::{Cli, Command};
use minimal_host_app::{resilience, smoke, soak, start, worker};
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise. That a statement waits for its turn is no news on a busy machine.
const QUIET: &str = "warn,sqlx=error";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(QUIET));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Smoke(args) => smoke::run(args).await,
        Command::Resilience(args) => resilience::run(args).await,
        Command::Soak(args) => soak::run(args).await,
        Command::Worker(args) => worker::run(args).await,
        Command::Start(args) => start::run(args).await,
    }
}

/// An error with its causes. Causes that an error tells itself are left out, and so are line breaks of databases.
fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain() {
        let text = cause
            .to_string()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        if line.ends_with(&text) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&text);
    }
    line
}
