//! A cluster of one test or benchmark.
//!
//! Invariant: the server's port, socket and data stay the same from the first start to the drop.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::address::Address;
use crate::base::Base;
use crate::binaries::Binaries;
use crate::cluster::TestCluster;
use crate::error::ClusterError;
use crate::process::{self, Ticks};
use crate::server::{Server, StopMode};
use crate::settings::Settings;
use crate::{sweep, watchdog};

/// How long the cluster outlives its process.
const IDLE: Duration = Duration::from_secs(1);

/// A running server that can be stopped, killed and started again.
///
/// Dropping it stops the server and deletes its data. When the process is killed, the watchdog does
/// the same within a few seconds.
///
/// Stopping, killing and starting exclude each other; they can be called through a shared reference
/// while other threads use the server's databases.
///
/// ```
/// use squid_mesh_test_support::{Settings, TestCluster};
///
/// let cluster = TestCluster::private(Settings::durable())?;
/// let database = cluster.database()?;
/// cluster.kill9()?;
/// assert!(!cluster.is_running());
/// cluster.start()?; // recovers from its log, at the same address
/// # drop(database);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PrivateCluster {
    cluster: TestCluster,
    server: Server,
    settings: Settings,
    operation: Mutex<()>,
}

impl PrivateCluster {
    /// Makes and starts a cluster.
    pub(crate) fn start_new(settings: Settings) -> Result<Self, ClusterError> {
        let base = Base::lock()?;
        sweep::remove_abandoned(&base);
        let binaries = Binaries::find(settings.binaries())?;
        let (directory, lease) = base.create("private")?;
        drop(base);
        // First of all, so that it cleans up should this process be killed on the way.
        watchdog::start(&directory, IDLE)?;
        let server = Server::create(directory.clone(), binaries, &settings).inspect_err(|_| {
            let _ = sweep::remove(&directory);
        })?;
        let address = Address::Own(server.address().clone());
        Ok(Self {
            cluster: TestCluster::new(address, Some(lease)),
            server,
            settings,
            operation: Mutex::new(()),
        })
    }

    /// Kills the server and its children with `SIGKILL` and waits until all of them are gone.
    ///
    /// What was in the operating system's cache survives: this is a crash of the server, not of the
    /// machine.
    ///
    /// # Errors
    ///
    /// When the server is not running, or when its processes do not go.
    pub fn kill9(&self) -> Result<(), ClusterError> {
        let _operation = self.begin();
        self.server.kill9()
    }

    /// Starts the server after [`kill9`](Self::kill9) or [`stop`](Self::stop) and waits until it has
    /// recovered and accepts connections.
    ///
    /// # Errors
    ///
    /// When it is running, or when it does not start; the error holds what it wrote to its log.
    pub fn start(&self) -> Result<(), ClusterError> {
        let _operation = self.begin();
        self.server.start()
    }

    /// Stops the server and waits until all its processes are gone.
    ///
    /// # Errors
    ///
    /// When it is not running, or when it does not stop within minutes.
    pub fn stop(&self, mode: StopMode) -> Result<(), ClusterError> {
        let _operation = self.begin();
        self.server.stop(mode)
    }

    /// Whether the server runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.server.postmaster().is_some()
    }

    /// The process id of the server's main process, while it runs.
    #[must_use]
    pub fn postmaster_pid(&self) -> Option<u32> {
        self.server.postmaster()
    }

    /// The ids of all processes of the server, its main process among them, in no order.
    #[must_use]
    pub fn pids(&self) -> Vec<u32> {
        self.server.processes()
    }

    /// The processor time, user and system, that all processes of the server have used since its
    /// last start: those that run, and those that have ended.
    ///
    /// Counted by the kernel in clock ticks, usually of 10 ms per process. A process that ends while
    /// this is being read can be missed or counted twice.
    ///
    /// # Errors
    ///
    /// When the server is not running.
    pub fn cpu_time(&self) -> Result<Duration, ClusterError> {
        let postmaster = self
            .server
            .postmaster()
            .and_then(process::ticks)
            .ok_or_else(|| ClusterError::NotRunning {
                data: self.data_directory(),
            })?;
        let all: u64 = self
            .pids()
            .into_iter()
            .filter_map(process::ticks)
            .map(|Ticks { own, .. }| own)
            .sum();
        Ok(process::ticks_to_duration(all + postmaster.reaped))
    }

    /// The data directory.
    #[must_use]
    pub fn data_directory(&self) -> PathBuf {
        self.server.directory().data()
    }

    /// What the server has written to its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// The settings the cluster was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn begin(&self) -> MutexGuard<'_, ()> {
        self.operation
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for PrivateCluster {
    type Target = TestCluster;

    fn deref(&self) -> &TestCluster {
        &self.cluster
    }
}

impl Drop for PrivateCluster {
    fn drop(&mut self) {
        // What fails here is the watchdog's, once this process has ended.
        let _ = sweep::remove(self.server.directory());
        Base::remove_if_empty();
    }
}
