//! The cluster that all test processes share.
//!
//! Invariant: at most one cluster per version and settings is made at a time, under the lock of the
//! directory around it; a process keeps its lease until it ends.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use crate::address::Address;
use crate::base::Base;
use crate::binaries::Binaries;
use crate::cluster::TestCluster;
use crate::directory::{ClusterDirectory, Lease};
use crate::error::ClusterError;
use crate::server::Server;
use crate::settings::Settings;
use crate::{sweep, watchdog};

/// What this process has joined.
static JOINED: Mutex<Option<TestCluster>> = Mutex::new(None);

/// The shared cluster, joined on the first call.
pub(crate) fn join() -> Result<TestCluster, ClusterError> {
    let mut joined = JOINED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(cluster) = joined.as_ref() {
        return Ok(cluster.clone());
    }
    let cluster = match Address::from_environment()? {
        Some(external) => TestCluster::new(external, None),
        None => join_own()?,
    };
    *joined = Some(cluster.clone());
    Ok(cluster)
}

fn join_own() -> Result<TestCluster, ClusterError> {
    let base = Base::lock()?;
    sweep::remove_abandoned(&base);
    let binaries = Binaries::find(None)?;
    let settings = Settings::functional();
    let prefix = prefix(&binaries, &settings);
    for directory in base.clusters(&prefix) {
        // One that no longer starts is left to its watchdog.
        if let Ok(Some(cluster)) = rejoin(&directory, &binaries) {
            return Ok(cluster);
        }
    }
    make(&base, &prefix, binaries, &settings)
}

/// Joins a cluster that somebody made. None when it is not usable any more, or not yet and never
/// will be: its maker would hold the lock.
fn rejoin(
    directory: &ClusterDirectory,
    binaries: &Binaries,
) -> Result<Option<TestCluster>, ClusterError> {
    let Some(lease) = directory.take_lease() else {
        return Ok(None);
    };
    let Some(server) = Server::reopen(directory.clone(), binaries.clone())? else {
        return Ok(None);
    };
    server.ensure_ready()?;
    watchdog::start(directory, watchdog::idle_time())?;
    Ok(Some(cluster(&server, lease)))
}

fn make(
    base: &Base,
    prefix: &str,
    binaries: Binaries,
    settings: &Settings,
) -> Result<TestCluster, ClusterError> {
    let (directory, lease) = base.create(prefix)?;
    // First of all, so that it cleans up should this process be killed on the way.
    watchdog::start(&directory, watchdog::idle_time())?;
    match Server::create(directory.clone(), binaries, settings) {
        Ok(server) => Ok(cluster(&server, lease)),
        Err(error) => {
            let _ = sweep::remove(&directory);
            Err(error)
        }
    }
}

fn cluster(server: &Server, lease: Lease) -> TestCluster {
    TestCluster::new(Address::Own(server.address().clone()), Some(lease))
}

/// Processes that would run different servers do not share one.
fn prefix(binaries: &Binaries, settings: &Settings) -> String {
    let mut hasher = DefaultHasher::new();
    binaries.directory().hash(&mut hasher);
    settings.to_conf().hash(&mut hasher);
    format!("shared-{:016x}", hasher.finish())
}
