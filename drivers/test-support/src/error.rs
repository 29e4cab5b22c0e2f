//! What can go wrong while a cluster is made, started or stopped.
//!
//! Invariant: every variant names the file, directory or command it concerns.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::binaries::BinariesError;

/// A cluster could not be made, joined, started or stopped.
///
/// None of these is worth retrying unchanged; each message says what to look at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// No usable Postgres was found or installed.
    #[error(transparent)]
    Binaries(#[from] BinariesError),

    /// A file operation failed.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// The operation, as a verb phrase.
        doing: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },

    /// The directory for clusters belongs to somebody else, who could tamper with it.
    #[error("{} is not a directory owned by user {uid}; remove it or set SQUID_MESH_TEST_DIR", path.display())]
    ForeignDirectory {
        /// The directory.
        path: PathBuf,
        /// The user this process runs as.
        uid: u32,
    },

    /// The unprivileged user that runs the server cannot reach a file.
    #[error("user {user} cannot use {}; {remedy}", path.display())]
    Unreachable {
        /// The unprivileged user.
        user: String,
        /// What it has to reach.
        path: PathBuf,
        /// What would help.
        remedy: &'static str,
    },

    /// There is no unprivileged user to run the server, and none could be created.
    #[error("postgres does not run as root and {command} failed: {detail}")]
    Account {
        /// The command that would have created a user.
        command: String,
        /// What it printed.
        detail: String,
    },

    /// `initdb` failed.
    #[error("initdb of {} failed: {output}", data.display())]
    Initdb {
        /// The data directory.
        data: PathBuf,
        /// What it printed.
        output: String,
    },

    /// The server did not come up.
    #[error("the server on {} did not start: {log}", data.display())]
    Start {
        /// The data directory.
        data: PathBuf,
        /// The end of its log.
        log: String,
    },

    /// The server could not find a free port.
    #[error("no free port for the server on {}", data.display())]
    NoPort {
        /// The data directory.
        data: PathBuf,
    },

    /// The server runs although it has to be stopped for this operation.
    #[error("the server on {} is running", data.display())]
    Running {
        /// The data directory.
        data: PathBuf,
    },

    /// The server does not run although this operation needs it to.
    #[error("the server on {} is not running", data.display())]
    NotRunning {
        /// The data directory.
        data: PathBuf,
    },

    /// Processes of the server are left after it was told to stop.
    #[error("processes {pids:?} of the server on {} are left after {waited:?}", data.display())]
    StillRunning {
        /// The data directory.
        data: PathBuf,
        /// The processes that are left.
        pids: Vec<u32>,
        /// How long they were given.
        waited: Duration,
    },

    /// The watchdog that stops an unused cluster did not start.
    #[error("the watchdog for {} did not start; it needs sh and flock (util-linux)", path.display())]
    Watchdog {
        /// The cluster's directory.
        path: PathBuf,
    },

    /// `TEST_DATABASE_URL` is not an address.
    #[error("TEST_DATABASE_URL is not a postgres:// address")]
    ExternalUrl,
}

/// Turns an [`io::Error`] into a [`ClusterError::File`], for use with `map_err`.
pub(crate) fn file_error(
    doing: &'static str,
    path: &Path,
) -> impl FnOnce(io::Error) -> ClusterError {
    let path = path.to_path_buf();
    move |source| ClusterError::File {
        doing,
        path,
        source,
    }
}

/// An error and everything that caused it, for panics in tests.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
