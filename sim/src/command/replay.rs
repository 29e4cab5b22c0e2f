//! `replay`: one seed, or the choices in a file, once more.
//!
//! Invariant: a replay makes the very same world; only the story is added.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use squid_mesh_sim::choice::Choices;
use squid_mesh_sim::shrink::{Artefact, Case, Setting};
use squid_mesh_sim::story::{self, Report};
use squid_mesh_sim::trace::Trace;
use squid_mesh_sim::world::{Outcome, World};

use super::failure::{options, write};
use super::{MutantName, ProfileName};

/// Repeats one seed, or the choices in a file.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The seed.
    #[arg(long, required_unless_present = "file", conflicts_with = "file")]
    seed: Option<u64>,
    /// A file with choices, as `shrink` and `--save` write it.
    #[arg(long, conflicts_with_all = ["profile", "mutant"])]
    file: Option<PathBuf>,
    /// How big the worlds are.
    #[arg(long, value_enum, default_value = "pr")]
    profile: ProfileName,
    #[command(flatten)]
    mutant: MutantName,
    /// Prints everything that happened, by ids.
    #[arg(long)]
    trace: bool,
    /// Tells what happened in plain language, as is done for files.
    #[arg(long)]
    story: bool,
    /// Stops after so many events.
    #[arg(long)]
    until: Option<u64>,
    /// Draws what happened as a timeline: one file of HTML.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Writes the choices to a file.
    #[arg(long)]
    save: Option<PathBuf>,
}

/// What is repeated.
struct Subject {
    name: String,
    choices: Choices,
    setting: Setting,
    /// The file that it is from.
    artefact: Option<Artefact>,
}

impl Replay {
    pub(super) fn run(self) -> ExitCode {
        match self.replay() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::from(2)
            }
        }
    }

    /// Answers whether nothing broke.
    fn replay(&self) -> Result<bool, String> {
        let Subject {
            name,
            choices,
            setting,
            artefact,
        } = self.subject()?;
        let world = World::new(choices, setting.profile, setting.mutation, Trace::told());
        let outcome = world.run_for(self.until.unwrap_or(u64::MAX));
        if self.trace {
            for scene in &outcome.story {
                println!("{scene}");
            }
        }
        let report = outcome.violation.as_ref().map(|violation| {
            let (story, cast) = (&outcome.story, &outcome.cast);
            let mut report = Report::new(name.clone(), story, cast, violation);
            report.reproduce.push(self.repeated(setting));
            report
        });
        let told = self.story || self.file.is_some() && !self.trace;
        if told {
            tell(&outcome, report.as_ref());
        }
        if let Some(path) = &self.html {
            write(path, &story::html(&name, &outcome, report.as_ref()))?;
        }
        if let Some(path) = &self.save {
            let case = Case {
                choices: outcome.taken.clone(),
                dropped: outcome.left_out.clone(),
            };
            let violation = outcome.violation.as_ref();
            let artefact = Artefact::new(self.seed, setting, &case.tidy(), violation);
            write(path, &artefact.text())?;
        }
        summarise(&outcome);
        if let (Some(artefact), None) = (&artefact, self.until) {
            let compared = artefact.compare(outcome.violation.as_ref());
            compared.map_err(|error| format!("{name}: {error}"))?;
        }
        if let (Some(violation), false) = (&outcome.violation, told) {
            println!("{violation}");
        }
        Ok(outcome.violation.is_none())
    }

    fn subject(&self) -> Result<Subject, String> {
        match (&self.file, self.seed) {
            (Some(path), _) => {
                from_file(path).map_err(|error| format!("{}: {error}", path.display()))
            }
            (None, seed) => {
                let seed = seed.expect("the arguments have a seed or a file");
                let mutation = self.mutant.mutation()?;
                let profile = self.profile.profile();
                Ok(Subject {
                    name: format!("seed {seed}"),
                    choices: Choices::seeded(seed).with_places(),
                    setting: Setting { profile, mutation },
                    artefact: None,
                })
            }
        }
    }

    /// The command line that repeats it.
    fn repeated(&self, setting: Setting) -> String {
        match (&self.file, self.seed) {
            (Some(path), _) => format!("squid-mesh-sim replay --file {} --trace", path.display()),
            (None, seed) => {
                let seed = seed.unwrap_or_default();
                format!(
                    "squid-mesh-sim replay --seed {seed}{} --trace",
                    options(setting)
                )
            }
        }
    }
}

fn from_file(path: &Path) -> Result<Subject, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let artefact = Artefact::read(&text).map_err(|error| error.to_string())?;
    let setting = artefact.setting().map_err(|error| error.to_string())?;
    let case = artefact.case().map_err(|error| error.to_string())?;
    Ok(Subject {
        name: path.display().to_string(),
        choices: case.choices(),
        setting,
        artefact: Some(artefact),
    })
}

fn tell(outcome: &Outcome, report: Option<&Report>) {
    match report {
        Some(report) => println!("{report}\n"),
        None => {
            for line in story::lines(&outcome.story, &outcome.cast) {
                println!(
                    "{:>13}  {}",
                    format!("+{}", story::span(line.at.0)),
                    line.text
                );
            }
        }
    }
}

fn summarise(outcome: &Outcome) {
    println!(
        "{:?}: {} nodes, {} runs, {} events, {} operations, {} faults, {} choices, {}, trace {:016x}",
        outcome.portfolio,
        outcome.nodes,
        outcome.runs,
        outcome.events,
        outcome.operations,
        outcome.faults,
        outcome.choices,
        outcome.simulated,
        outcome.hash
    );
}
