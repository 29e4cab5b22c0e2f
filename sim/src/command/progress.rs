//! The progress bar.
//!
//! Invariant: nothing is drawn unless standard error is a terminal.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The progress of a campaign.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar over that many worlds, if there is somebody to see it.
    pub(super) fn of(worlds: u64) -> Progress {
        let bar = stderr().is_terminal().then(|| {
            let style =
                ProgressStyle::with_template("{bar:40} {pos}/{len} worlds  {per_sec}  {eta} left");
            let bar = ProgressBar::new(worlds)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Progress { bar }
    }

    /// A line about a failure that is made small, if there is somebody to see it.
    pub(super) fn shrinking() -> Progress {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Progress { bar }
    }

    /// So big is what was found with so many attempts.
    pub(super) fn shrunk(&self, attempts: u64, size: u32) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!(
                "shrinking: {size} operations and faults after {attempts} attempts"
            ));
        }
    }

    /// That many are done.
    pub(super) fn at(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    /// That many are done of as many as are known of by now.
    pub(super) fn at_of(&self, done: u64, known: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(known);
            bar.set_position(done);
        }
    }

    /// All are done.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
