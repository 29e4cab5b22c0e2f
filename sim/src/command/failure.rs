//! Failures: made small, told, and written to files.
//!
//! Invariant: what is printed and what is written are the same failure.

use std::path::{Path, PathBuf};
use std::time::Duration;

use squid_mesh_sim::shrink::{Artefact, Budget, Setting, Shrunk, Size, mutant_name, shrink};
use squid_mesh_sim::story::Report;
use squid_mesh_sim::trace::Trace;
use squid_mesh_sim::world::Outcome;

use super::progress::Progress;

/// A failure that was made small, with its story.
pub(super) struct Failure {
    pub(super) shrunk: Shrunk,
    pub(super) outcome: Outcome,
    seed: u64,
    setting: Setting,
}

impl Failure {
    /// Makes the failure of a seed small, if it fails.
    pub(super) fn of_seed(seed: u64, setting: Setting, time: Duration) -> Option<Failure> {
        let budget = Budget {
            time,
            ..Budget::default()
        };
        let progress = Progress::shrinking();
        let mut tell = |attempts: u64, size: Size| {
            if attempts.is_multiple_of(64) {
                progress.shrunk(attempts, size.total());
            }
        };
        let shrunk = shrink(seed, setting, budget, &mut tell);
        progress.end();
        let shrunk = shrunk?;
        let outcome = shrunk.case.run(setting, Trace::told(), u64::MAX);
        Some(Failure {
            shrunk,
            outcome,
            seed,
            setting,
        })
    }

    /// Writes it to a file.
    pub(super) fn write(&self, path: &Path) -> Result<(), String> {
        let (case, violation) = (&self.shrunk.case, &self.shrunk.violation);
        let artefact = Artefact::new(Some(self.seed), self.setting, case, Some(violation));
        write(path, &artefact.text())
    }

    /// How it came about.
    pub(super) fn report(&self, file: Option<&PathBuf>) -> Report {
        let Shrunk {
            before,
            after,
            attempts,
            complete,
            took,
            ..
        } = &self.shrunk;
        let (seed, setting) = (self.seed, self.setting);
        let subject = format!("seed {seed}");
        let (story, cast) = (&self.outcome.story, &self.outcome.cast);
        let mut report = Report::new(subject, story, cast, &self.shrunk.violation);
        let cut = if *complete {
            ""
        } else {
            ", when the time was up"
        };
        report.remarks.push(format!(
            "shrunk from {before} to {after}, in {attempts} attempts and {:.1} s{cut}",
            took.as_secs_f64()
        ));
        let mutant = mutant_name(setting.mutation);
        if let Some(mutant) = &mutant {
            report.remarks.push(format!("with the seeded bug {mutant}"));
        }
        let options = options(setting);
        match file {
            Some(file) => report.reproduce.push(format!(
                "squid-mesh-sim replay --file {} --trace",
                file.display()
            )),
            None => report.reproduce.push(format!(
                "squid-mesh-sim shrink --seed {seed}{options} --out failure.json"
            )),
        }
        let whole = format!("squid-mesh-sim replay --seed {seed}{options} --trace");
        report.reproduce.push(whole);
        report
    }
}

/// The options of a command line that say what is run.
pub(super) fn options(setting: Setting) -> String {
    let profile = setting.profile.name();
    match mutant_name(setting.mutation) {
        Some(mutant) => format!(" --profile {profile} --mutant {mutant}"),
        None => format!(" --profile {profile}"),
    }
}

/// Writes a file.
pub(super) fn write(path: &Path, text: &str) -> Result<(), String> {
    let written = std::fs::write(path, text);
    written.map_err(|error| format!("{} cannot be written: {error}", path.display()))
}
