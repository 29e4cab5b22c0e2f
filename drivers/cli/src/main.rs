//! `squid-mesh`: the command line.
//!
//! Invariant: stdout has results only, with `--json` one object on its last line; an error is one line on stderr and a failing
//! exit code.

mod database;
mod export;
mod schedules;

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Looks at and looks after Squid Mesh.
#[derive(Debug, Parser)]
#[command(name = "squid-mesh", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Writes a run with its definition and its journal to a file.
    Export(export::Export),
    /// When schedules fire.
    #[command(subcommand)]
    Schedules(schedules::Command),
}

fn main() -> ExitCode {
    let command = Cli::parse().command;
    let mut stdout = io::stdout().lock();
    let done = match command {
        Command::Export(export) => export.run(&mut stdout),
        Command::Schedules(command) => command.run(&mut stdout),
    };
    match done.and_then(|()| Ok(stdout.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if reader_is_gone(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether whoever read the results has had enough, like `head`.
fn reader_is_gone(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
