//! The command line.
//!
//! Invariant: exit code 0 means that everything asked for was run and nothing failed.

mod coverage;
mod explore;
mod extent;
mod failure;
mod import;
#[cfg(feature = "mutants")]
mod mutants;
mod progress;
mod replay;
mod run;
mod shrink;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use squid_mesh_core::mutant::Mutation;
use squid_mesh_sim::settings::Profile;
use squid_mesh_sim::shrink::mutation;

/// The deterministic simulator of Squid Mesh.
#[derive(Debug, Parser)]
#[command(name = "squid-mesh-sim", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a campaign: many seeds, every oracle on.
    Run(run::Run),
    /// Runs a campaign and prints which faults have met which states.
    Coverage(coverage::Coverage),
    /// Tries everything that can happen in a small scope.
    Explore(explore::Explore),
    /// Measures the simulator: how soon it notices bugs that were put there.
    #[cfg(feature = "mutants")]
    Mutants(mutants::Mutants),
    /// Steps through a run from production, and goes through it again under faults.
    Import(import::Import),
    /// Repeats one seed, or the choices in a file, and tells its story.
    Replay(replay::Replay),
    /// Makes the failure of a seed small: the least that breaks the same promise.
    Shrink(shrink::Shrink),
}

impl Arguments {
    /// Does what was asked for.
    pub(crate) fn run(self) -> ExitCode {
        match self.command {
            Command::Run(run) => run.run(),
            Command::Coverage(coverage) => coverage.run(),
            Command::Explore(explore) => explore.run(),
            #[cfg(feature = "mutants")]
            Command::Mutants(mutants) => mutants.run(),
            Command::Import(import) => import.run(),
            Command::Replay(replay) => replay.run(),
            Command::Shrink(shrink) => shrink.run(),
        }
    }
}

/// How big the worlds are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileName {
    /// Short worlds, for every change.
    Pr,
    /// Longer worlds with more runs.
    Nightly,
    /// Short worlds whose store loses what was committed last.
    Loss,
}

impl ProfileName {
    pub(crate) fn profile(self) -> Profile {
        match self {
            ProfileName::Pr => Profile::PullRequest,
            ProfileName::Nightly => Profile::Nightly,
            ProfileName::Loss => Profile::Loss,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        self.profile().name()
    }
}

/// The seeded bug that is switched on.
#[derive(Debug, Args)]
pub(crate) struct MutantName {
    /// With this seeded bug; the simulator needs the feature `mutants` for it.
    #[arg(long)]
    mutant: Option<String>,
}

impl MutantName {
    fn mutation(&self) -> Result<Mutation, String> {
        match &self.mutant {
            Some(name) => mutation(name).map_err(|error| error.to_string()),
            None => Ok(Mutation::NONE),
        }
    }
}

/// Reads `60s`, `10m` or a plain number of seconds.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.trim_end_matches(|c: char| c.is_ascii_alphabetic()) {
        number if number.len() == text.len() => (number, "s"),
        number => (number, &text[number.len()..]),
    };
    let count: u64 = number
        .parse()
        .map_err(|_| format!("{text:?} is no span of time: expected something like 60s"))?;
    match unit {
        "ms" => Ok(Duration::from_millis(count)),
        "s" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count * 60)),
        "h" => Ok(Duration::from_secs(count * 3_600)),
        _ => Err(format!(
            "{text:?} has the unknown unit {unit:?}: expected ms, s, m or h"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_unit() {
        assert_eq!(span("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(span("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(span("5"), Ok(Duration::from_secs(5)));
        assert!(span("soon").is_err() && span("5y").is_err());
    }
}
