//! How far a command is.
//!
//! Invariant: shown on terminals only, and gone when the command prints its results.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A line that counts to `whole`: so many of which `what`.
pub(crate) fn bar(whole: usize, what: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(&format!("{{spinner}} {{pos}}/{{len}} {what} ({{elapsed}})"));
    let bar = ProgressBar::new(u64::try_from(whole).unwrap_or(u64::MAX));
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}
