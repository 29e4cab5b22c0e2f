//! Removing clusters.
//!
//! Invariant: a directory is deleted only after every process in it is gone.

use std::fs;
use std::time::Duration;

use crate::base::Base;
use crate::directory::ClusterDirectory;
use crate::error::{ClusterError, file_error};
use crate::server::halt;

/// How long a server may take to drop everything before it is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Stops what runs in a cluster's directory and deletes it.
pub(crate) fn remove(directory: &ClusterDirectory) -> Result<(), ClusterError> {
    halt(directory, PATIENCE)?;
    let path = directory.path();
    fs::remove_dir_all(path).map_err(file_error("delete", path))
}

/// Removes what dead users and dead watchdogs left behind, as far as that is possible.
pub(crate) fn remove_abandoned(base: &Base) {
    for cluster in base.all_clusters() {
        if cluster.is_abandoned() {
            // Left for the next one to try: it must not fail whoever happens to come by.
            let _ = remove(&cluster);
        } else {
            // Succeeds for what its maker, killed, left empty.
            let _ = fs::remove_dir(cluster.path());
        }
    }
}
