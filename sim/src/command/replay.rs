//! `replay`: one seed, or the choices in a file, once more.
//!
//! Invariant: a replay makes the very same world; only the story is added.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum as _};
use serde::{Deserialize, Serialize};
#[cfg(feature = "mutants")]
use squid_mesh_core::mutant::Mutant;
use squid_mesh_core::mutant::Mutation;
use squid_mesh_sim::campaign;
use squid_mesh_sim::choice::{Choice, Choices};

use super::ProfileName;

/// Repeats one seed, or the choices in a file.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The seed.
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    seed: Option<u64>,
    /// A file with choices, as `--save` writes it.
    #[arg(long)]
    file: Option<PathBuf>,
    /// How big the worlds are.
    #[arg(long, value_enum, default_value = "pr")]
    profile: ProfileName,
    /// Tells what happened.
    #[arg(long)]
    trace: bool,
    /// Stops after so many events.
    #[arg(long, default_value_t = u64::MAX)]
    until: u64,
    /// Writes the choices to a file.
    #[arg(long)]
    save: Option<PathBuf>,
    /// With this seeded bug.
    #[cfg(feature = "mutants")]
    #[arg(long)]
    mutant: Option<String>,
}

/// A file of choices.
#[derive(Serialize, Deserialize)]
struct Artefact {
    profile: String,
    choices: Vec<Choice>,
}

impl Replay {
    pub(super) fn run(self) -> ExitCode {
        let (choices, profile) = match self.choices() {
            Ok((choices, profile)) => (choices.logged(), profile),
            Err(error) => {
                eprintln!("{error}");
                return ExitCode::from(2);
            }
        };
        let outcome = campaign::tell(choices, profile.profile(), self.mutation(), self.until);
        if self.trace {
            for line in &outcome.story {
                println!("{line}");
            }
        }
        if let Some(path) = &self.save {
            let artefact = Artefact {
                profile: profile.name().to_owned(),
                choices: outcome.log.clone(),
            };
            let text = serde_json::to_string(&artefact).expect("choices are serialisable");
            if let Err(error) = std::fs::write(path, text) {
                eprintln!("{} cannot be written: {error}", path.display());
                return ExitCode::from(2);
            }
        }
        println!(
            "{:?}: {} nodes, {} runs, {} events, {} choices, {}, trace {:016x}",
            outcome.portfolio,
            outcome.nodes,
            outcome.runs,
            outcome.events,
            outcome.choices,
            outcome.simulated,
            outcome.hash
        );
        match outcome.violation {
            None => ExitCode::SUCCESS,
            Some(violation) => {
                println!("{violation}");
                ExitCode::FAILURE
            }
        }
    }

    fn choices(&self) -> Result<(Choices, ProfileName), String> {
        let Some(path) = &self.file else {
            let seed = self.seed.expect("the arguments have a seed or a file");
            return Ok((Choices::seeded(seed), self.profile));
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let artefact: Artefact = serde_json::from_str(&text)
            .map_err(|error| format!("{} holds no choices: {error}", path.display()))?;
        let profile = ProfileName::from_str(&artefact.profile, false)?;
        Ok((Choices::replayed(&artefact.choices), profile))
    }

    #[cfg(feature = "mutants")]
    fn mutation(&self) -> Mutation {
        let named = |mutant: &Mutant| Some(format!("{mutant:?}")) == self.mutant;
        let mutant = Mutant::ALL.iter().copied().find(named);
        mutant.map_or(Mutation::NONE, Mutation::of)
    }

    #[cfg(not(feature = "mutants"))]
    fn mutation(&self) -> Mutation {
        Mutation::NONE
    }
}
