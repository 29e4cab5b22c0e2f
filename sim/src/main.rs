//! `squid-mesh-sim`: runs campaigns, repeats seeds, and measures the simulator.
//!
//! Invariant: the last line of standard output is one JSON object if `--json` is given; only errors and
//! progress go to standard error.

#![expect(
    clippy::print_stdout,
    reason = "results are what a command line prints"
)]

mod command;

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    command::Arguments::parse().run()
}
