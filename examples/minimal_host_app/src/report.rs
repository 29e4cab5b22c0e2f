//! How what a command found out is printed.
//!
//! Invariant: JSON is one object on one line; for people a table, what deviates, and a verdict on the last line.

use std::io::{self, Write as _};
use std::process::ExitCode;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;

use crate::place::Place;

/// What a command found out.
pub trait Findings: Serialize {
    /// Whether everything is as it should be.
    fn ok(&self) -> bool;

    /// The figures, a row each.
    fn table(&self) -> Table;

    /// What is not as it should be.
    fn deviations(&self) -> &[String];

    /// All of it in one line.
    fn verdict(&self) -> String;
}

/// Prints it to stdout, and ends the command. A temporary database is kept for a look if something deviates.
///
/// # Errors
/// If nobody takes what is printed.
pub(crate) fn conclude(
    found: &impl Findings,
    json: bool,
    place: &mut Place,
) -> anyhow::Result<ExitCode> {
    print(found, json)?;
    if found.ok() {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(directory) = place.keep() {
        eprintln!("the database is kept in {}", directory.display());
    }
    Ok(ExitCode::FAILURE)
}

fn print(found: &impl Findings, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        return writeln!(out, "{}", serde_json::to_string(found)?);
    }
    writeln!(out, "{}", found.table())?;
    for deviation in found.deviations() {
        writeln!(out, "deviation: {deviation}")?;
    }
    writeln!(out, "{}", found.verdict())
}

/// A table without rows.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(header);
    table
}
