//! The configuration of a server.
//!
//! Invariant: names are Postgres parameter names, each at most once, in a stable order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Postgres parameters of a private cluster, and which binaries run it.
///
/// Start from one of the profiles and adjust it:
///
/// ```
/// use squid_mesh_test_support::Settings;
///
/// let settings = Settings::durable().with("max_connections", "50");
/// assert_eq!(settings.parameter("fsync"), Some("on"));
/// assert_eq!(settings.parameter("max_connections"), Some("50"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    parameters: BTreeMap<String, String>,
    binaries: Option<PathBuf>,
}

impl Settings {
    /// For functional tests: nothing is flushed to the disk, so a crash of the *machine* would lose
    /// data. A crash of the server alone does not.
    #[must_use]
    pub fn functional() -> Self {
        Self::common()
            .with("fsync", "off")
            .with("full_page_writes", "off")
    }

    /// For crash tests: everything that is acknowledged has been flushed.
    #[must_use]
    pub fn durable() -> Self {
        Self::common()
            .with("fsync", "on")
            .with("synchronous_commit", "on")
            .with("full_page_writes", "on")
    }

    /// For benchmarks: durable, with memory and log space that keep checkpoints and evictions out
    /// of short measurements.
    #[must_use]
    pub fn benchmark() -> Self {
        Self::durable()
            .with("shared_buffers", "1GB")
            .with("max_wal_size", "4GB")
            .with("dynamic_shared_memory_type", "posix")
    }

    /// What every profile has in common.
    fn common() -> Self {
        let empty = Self {
            parameters: BTreeMap::new(),
            binaries: None,
        };
        empty
            .with("max_connections", "200")
            .with("shared_buffers", "128MB")
            .with("max_wal_size", "1GB")
            .with("checkpoint_timeout", "15min")
            .with("timezone", "UTC")
            .with("log_timezone", "UTC")
            // Files in the data directory: a killed server leaves nothing behind in /dev/shm.
            .with("dynamic_shared_memory_type", "mmap")
    }

    /// Sets one parameter, replacing what the profile says.
    ///
    /// The port, the addresses and the socket directory belong to the cluster: what is set for them
    /// here has no effect.
    ///
    /// # Panics
    ///
    /// If the name is not a parameter name (letters, digits, `_` and `.`) or the value contains a
    /// line break.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        let valid =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.');
        assert!(
            !name.is_empty() && name.chars().all(valid),
            "parameter name {name:?}"
        );
        assert!(
            !value.contains(['\n', '\r', '\0']),
            "value of {name}: {value:?}"
        );
        self.parameters.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs the binaries of this directory instead of those found on the system, to test another
    /// version of Postgres.
    #[must_use]
    pub fn with_binaries(mut self, directory: impl Into<PathBuf>) -> Self {
        self.binaries = Some(directory.into());
        self
    }

    /// The value of a parameter, if one is set here.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// All parameters with their values, by name.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The directory of the binaries, if one was chosen.
    pub(crate) fn binaries(&self) -> Option<&Path> {
        self.binaries.as_deref()
    }

    /// The parameters as lines of `postgresql.conf`.
    pub(crate) fn to_conf(&self) -> String {
        self.parameters
            .iter()
            .fold(String::new(), |mut conf, (name, value)| {
                let _ = writeln!(conf, "{name} = {}", quoted(value));
                conf
            })
    }
}

/// A value in the quoting of `postgresql.conf`.
pub(crate) fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_value_replaces_an_earlier_one() {
        let settings = Settings::benchmark().with("shared_buffers", "64MB");
        assert_eq!(settings.parameter("shared_buffers"), Some("64MB"));
        assert_eq!(settings.to_conf().matches("shared_buffers").count(), 1);
    }

    #[test]
    fn only_the_functional_profile_gives_up_durability() {
        assert_eq!(Settings::functional().parameter("fsync"), Some("off"));
        assert_eq!(Settings::durable().parameter("fsync"), Some("on"));
        assert_eq!(Settings::benchmark().parameter("fsync"), Some("on"));
    }

    #[test]
    fn values_are_quoted() {
        assert_eq!(quoted(r"it's a \ path"), r"'it''s a \\ path'");
    }

    #[test]
    #[should_panic(expected = "parameter name")]
    fn a_name_that_could_carry_a_second_line_is_refused() {
        let _ = Settings::durable().with("fsync = off\nfoo", "1");
    }
}
