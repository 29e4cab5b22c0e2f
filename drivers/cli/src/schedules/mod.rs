//! Commands about schedules.

mod preview;
mod report;

use std::io::Write;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows when an expression fires in a time zone, and what daylight saving does to it.
    Preview(preview::Preview),
}

impl Command {
    /// Does what was asked for.
    ///
    /// # Errors
    /// If an argument is wrong, or the results cannot be written.
    pub(crate) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        match self {
            Command::Preview(preview) => preview.run(out),
        }
    }
}
