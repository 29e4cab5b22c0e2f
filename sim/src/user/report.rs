//! What is told of a world in which something did not hold.
//!
//! Invariant: the seed, and the choices where there are some, make the very same world again.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::choice::Choice;
use crate::shrink::Size;
use crate::violation::Violation;

/// A world in which a property, or a promise of the engine, did not hold.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Broken {
    /// The campaign.
    pub campaign: String,
    /// The seed; of a recorded regression, the one that it was found with.
    pub seed: u64,
    /// Whether it is a recorded regression.
    pub recorded: bool,
    /// What did not hold.
    pub violation: Violation,
    /// How it came about in plain language, its end last.
    pub story: Vec<String>,
    /// A smaller world in which the same does not hold, unless there was no time for one.
    pub small: Option<Small>,
    /// What the story calls the runs that the violation names.
    pub concerned: Vec<String>,
    /// Every choice of the world.
    pub choices: Vec<Choice>,
    /// The test that ran the campaign, as far as its thread has its name.
    pub test: Option<String>,
    /// The file that it is recorded in, if it is.
    pub file: Option<PathBuf>,
}

/// A world that was made smaller.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Small {
    /// How big the failure was.
    pub before: Size,
    /// How big it is.
    pub after: Size,
    /// How many candidates were tried.
    pub attempts: u64,
    /// How long it took.
    pub took: Duration,
    /// How it came about, from the beginning to the end.
    pub story: Vec<String>,
    /// What does not hold in it, by the names of its story.
    pub detail: String,
}

impl fmt::Display for Small {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Small { before, after, .. } = self;
        writeln!(
            f,
            "made smaller, from {before} to {after}, in {} attempts and {:.1} s:",
            self.attempts,
            self.took.as_secs_f64()
        )?;
        let hidden = self.story.len().saturating_sub(LINES);
        if hidden > 0 {
            writeln!(f, "{:>13}  ({hidden} lines before)", "")?;
        }
        let mut shown = self.story[hidden..].iter();
        shown.try_for_each(|line| writeln!(f, "{line}"))?;
        writeln!(f, "{:>13}  {}", "BROKEN", self.detail)
    }
}

/// Lines of a story that are shown.
const LINES: usize = 30;

impl Broken {
    /// One line that makes the same world again.
    pub fn reproduce(&self) -> String {
        let test = self.test.as_deref().unwrap_or("NAME_OF_THE_TEST");
        if self.recorded {
            return format!("cargo test {test} (recorded worlds are run first)");
        }
        format!("{}={} cargo test {test}", super::run::SEED, self.seed)
    }

    /// The end of the story; of the runs that the violation names, if it names some.
    fn told(&self) -> Vec<&String> {
        let tells = |line: &&String| {
            self.concerned.is_empty() || self.concerned.iter().any(|run| line.contains(run))
        };
        let told: Vec<&String> = self.story.iter().filter(tells).collect();
        told[told.len().saturating_sub(LINES)..].to_vec()
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Broken { campaign, seed, .. } = self;
        let what = if self.recorded {
            "a recorded regression of seed"
        } else {
            "seed"
        };
        writeln!(
            f,
            "campaign {campaign:?}, {what} {seed}: {}",
            self.violation
        )?;
        match &self.small {
            Some(small) => write!(f, "\n{small}")?,
            None => {
                writeln!(f, "\nthe end of its story:")?;
                let told = self.told();
                told.iter().try_for_each(|line| writeln!(f, "{line}"))?;
            }
        }
        writeln!(f, "\nthe same again: {}", self.reproduce())?;
        match &self.file {
            Some(file) => write!(f, "recorded in {}", file.display()),
            None => write!(f, "not recorded"),
        }
    }
}
