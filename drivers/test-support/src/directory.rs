//! The directory of one cluster, and leases on it.
//!
//! Invariant: as long as a lease exists, in this or any other process, nobody removes the directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::{ClusterError, file_error};
use crate::files::{is_same_file, is_unlocked, make_directory, open_to_lock, passable_mode};

/// The line of `postmaster.pid` that holds the server's status, counted from zero.
const PID_FILE_STATUS: usize = 7;

/// The directory of one cluster.
#[derive(Debug, Clone)]
pub(crate) struct ClusterDirectory {
    path: PathBuf,
}

impl ClusterDirectory {
    /// Makes the directory, with a lease on it.
    pub(crate) fn create(path: PathBuf) -> Result<(Self, Lease), ClusterError> {
        make_directory(&path, passable_mode())?;
        let directory = Self { path };
        let lease = directory.lease();
        let file = File::create(&lease).map_err(file_error("create", &lease))?;
        file.lock_shared().map_err(file_error("lock", &lease))?;
        Ok((directory, Lease { _file: file }))
    }

    /// A directory that somebody made.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What belongs to the server's user: data, log and sockets.
    pub(crate) fn server(&self) -> PathBuf {
        self.path.join("server")
    }

    /// Postgres' data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("server/data")
    }

    /// What the server writes to its standard error.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("server/log")
    }

    /// How to reach the server; exists from its first start on.
    pub(crate) fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// The file whose exclusive lock is the watchdog's sign of life.
    pub(crate) fn watchdog(&self) -> PathBuf {
        self.path.join("watchdog")
    }

    fn lease(&self) -> PathBuf {
        self.path.join("lease")
    }

    /// Takes a lease, waiting for a watchdog that is at work. None when the cluster is gone then.
    pub(crate) fn take_lease(&self) -> Option<Lease> {
        let file = open_to_lock(&self.lease())?;
        file.lock_shared().ok()?;
        is_same_file(&file, &self.lease()).then_some(Lease { _file: file })
    }

    /// Whether this was a cluster of which neither a user nor a watchdog is left.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.lease().is_file() && is_unlocked(&self.lease()) && is_unlocked(&self.watchdog())
    }

    /// The process id in the server's pid file, if there is one. The process may be dead.
    pub(crate) fn recorded_postmaster(&self) -> Option<u32> {
        self.read_pid_file()?.lines().next()?.trim().parse().ok()
    }

    /// Whether the server says of itself that it accepts connections. A pid file that a killed
    /// server left says so, too.
    pub(crate) fn is_recorded_ready(&self) -> bool {
        self.read_pid_file().is_some_and(|text| {
            text.lines()
                .nth(PID_FILE_STATUS)
                .is_some_and(|line| line.trim() == "ready")
        })
    }

    /// The file in which the server puts its process id and status.
    pub(crate) fn pid_file(&self) -> PathBuf {
        self.data().join("postmaster.pid")
    }

    fn read_pid_file(&self) -> Option<String> {
        fs::read_to_string(self.pid_file()).ok()
    }

    /// Makes the directory of the server's user.
    pub(crate) fn make_server(&self) -> Result<PathBuf, ClusterError> {
        let path = self.server();
        make_directory(&path, 0o700)?;
        Ok(path)
    }
}

/// The right to use a cluster: as long as it is held, by this process or any other, no watchdog
/// stops the cluster.
#[derive(Debug)]
pub(crate) struct Lease {
    _file: File,
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn cluster(root: &TempDir) -> (ClusterDirectory, Lease) {
        ClusterDirectory::create(root.path().join("cluster")).expect("a directory")
    }

    #[test]
    fn a_cluster_is_abandoned_once_its_last_lease_is_dropped() {
        let root = TempDir::new().expect("a directory");
        let (cluster, first) = cluster(&root);
        let second = cluster.take_lease();
        assert!(second.is_some());
        drop(first);
        assert!(!cluster.is_abandoned());
        drop(second);
        assert!(cluster.is_abandoned());
    }

    #[test]
    fn a_removed_cluster_gives_no_lease() {
        let root = TempDir::new().expect("a directory");
        let (cluster, _lease) = cluster(&root);
        fs::remove_dir_all(cluster.path()).expect("removed");
        assert!(cluster.take_lease().is_none());
    }

    #[test]
    fn a_server_is_ready_when_its_pid_file_says_so() {
        let root = TempDir::new().expect("a directory");
        let (cluster, _lease) = cluster(&root);
        assert_eq!(cluster.recorded_postmaster(), None);
        fs::create_dir_all(cluster.data()).expect("a directory");
        for (status, ready) in [("starting", false), ("ready   ", true)] {
            let text = format!("42\n/data\n1\n20001\n/sockets\n127.0.0.1\n1 2\n{status}\n");
            fs::write(cluster.pid_file(), text).expect("written");
            assert_eq!(cluster.recorded_postmaster(), Some(42));
            assert_eq!(cluster.is_recorded_ready(), ready, "{status}");
        }
    }
}
