//! A failure as people read it: the promise, the story, what broke it, and how to see it again.
//!
//! Invariant: everything that it takes to repeat the failure is in it.

use std::fmt;

use super::{Cast, Line, Scene, lines, span};
use crate::violation::Violation;

/// A failure, ready to be printed.
#[derive(Debug, Clone)]
pub struct Report {
    /// What was run, like "seed 42".
    pub subject: String,
    /// What is known of how it was made small, in words.
    pub remarks: Vec<String>,
    /// What happened.
    pub lines: Vec<Line>,
    /// What broke.
    pub broken: String,
    /// By what, by names.
    pub detail: String,
    /// When.
    pub at: String,
    /// Command lines that repeat it, the best first.
    pub reproduce: Vec<String>,
}

impl Report {
    /// A failure with its story.
    pub fn new(subject: String, story: &[Scene], cast: &Cast, violation: &Violation) -> Report {
        Report {
            subject,
            remarks: Vec::new(),
            lines: lines(story, cast),
            broken: violation.promise.text().to_owned(),
            detail: cast.rename(&violation.detail),
            at: span(violation.at.0),
            reproduce: Vec::new(),
        }
    }

    /// The version of the simulator, and the commit that it was built from, if that was known then: from the environment
    /// variable `SQUID_MESH_COMMIT`, or `GITHUB_SHA`.
    pub fn build() -> String {
        let commit = option_env!("SQUID_MESH_COMMIT").or(option_env!("GITHUB_SHA"));
        let version = env!("CARGO_PKG_VERSION");
        match commit {
            Some(commit) => format!("squid-mesh-sim {version}, commit {commit}"),
            None => format!("squid-mesh-sim {version}"),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report {
            subject,
            broken,
            at,
            ..
        } = self;
        writeln!(f, "{subject} breaks a promise: {broken}")?;
        for remark in &self.remarks {
            writeln!(f, "  {remark}")?;
        }
        writeln!(f)?;
        for line in &self.lines {
            let at = format!("+{}", span(line.at.0));
            writeln!(f, "{at:>13}  {}", line.text)?;
        }
        let at = format!("+{at}");
        writeln!(f, "{at:>13}  BROKEN: {broken}")?;
        for line in self.detail.lines() {
            writeln!(f, "{:>13}  {line}", "")?;
        }
        writeln!(f)?;
        for (index, line) in self.reproduce.iter().enumerate() {
            let what = if index == 0 { "reproduce" } else { "or" };
            writeln!(f, "{what:>13}  {line}")?;
        }
        write!(f, "{:>13}  {}", "built from", Report::build())
    }
}
