//! `shrink`: the failure of one seed, made small.
//!
//! Invariant: exit code 0 means that the seed failed, and that the small failure was written.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use squid_mesh_sim::shrink::{Setting, Size, mutant_name};

use super::failure::Failure;
use super::{MutantName, ProfileName, span};

/// Makes the failure of a seed small, tells it, and writes it to a file.
#[derive(Debug, Args)]
pub(super) struct Shrink {
    /// The seed.
    #[arg(long)]
    seed: u64,
    /// How big the worlds are.
    #[arg(long, value_enum, default_value = "pr")]
    profile: ProfileName,
    #[command(flatten)]
    mutant: MutantName,
    /// The file to write.
    #[arg(long)]
    out: PathBuf,
    /// For how long to try.
    #[arg(long, value_parser = span, default_value = "10s")]
    time: Duration,
    /// Ends with one JSON object.
    #[arg(long)]
    json: bool,
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Summary<'a> {
    seed: u64,
    profile: &'static str,
    mutant: Option<String>,
    promise: &'a str,
    detail: &'a str,
    before: Size,
    after: Size,
    attempts: u64,
    complete: bool,
    wall_seconds: f64,
    file: String,
    story: Vec<&'a str>,
}

impl Shrink {
    pub(super) fn run(self) -> ExitCode {
        match self.shrink() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }

    fn shrink(&self) -> Result<(), String> {
        let setting = Setting {
            profile: self.profile.profile(),
            mutation: self.mutant.mutation()?,
        };
        let failure = Failure::of_seed(self.seed, setting, self.time);
        let failure = failure.ok_or_else(|| format!("seed {} breaks nothing", self.seed))?;
        failure.write(&self.out)?;
        let report = failure.report(Some(&self.out));
        println!("{report}");
        if self.json {
            let shrunk = &failure.shrunk;
            let summary = Summary {
                seed: self.seed,
                profile: self.profile.name(),
                mutant: mutant_name(setting.mutation),
                promise: shrunk.violation.promise.text(),
                detail: &report.detail,
                before: shrunk.before,
                after: shrunk.after,
                attempts: shrunk.attempts,
                complete: shrunk.complete,
                wall_seconds: shrunk.took.as_secs_f64(),
                file: self.out.display().to_string(),
                story: report.lines.iter().map(|line| line.text.as_str()).collect(),
            };
            let text = serde_json::to_string(&summary);
            println!("{}", text.expect("a summary is serialisable"));
        }
        Ok(())
    }
}
