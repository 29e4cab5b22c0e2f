//! The directory around all clusters of a user.
//!
//! Invariant: whoever makes, joins or removes a cluster's directory holds the lock of this one,
//! except a watchdog that removes its own cluster and the guard of a private one, which know that
//! nobody else uses it.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::directory::{ClusterDirectory, Lease};
use crate::error::{ClusterError, file_error};
use crate::files::{effective_uid, is_same_file, passable_mode, random_hex};

/// How often taking the lock begins again because the directory was removed meanwhile.
const MAX_ATTEMPTS: usize = 100;

/// What the names of all clusters' directories begin with.
const PREFIXES: [&str; 2] = ["shared", "private"];

/// The per-user directory of all clusters, locked.
///
/// The lock is on the directory itself and lasts until this is dropped.
#[derive(Debug)]
pub(crate) struct Base {
    path: PathBuf,
    _lock: File,
}

impl Base {
    /// Creates the directory if there is none, and waits for its lock.
    pub(crate) fn lock() -> Result<Self, ClusterError> {
        Self::lock_at(&Self::location())
    }

    /// Where the directory is.
    fn location() -> PathBuf {
        match std::env::var_os("SQUID_MESH_TEST_DIR") {
            Some(path) if !path.is_empty() => PathBuf::from(path),
            _ => std::env::temp_dir().join(format!("squid-mesh-test-{}", effective_uid())),
        }
    }

    fn lock_at(location: &Path) -> Result<Self, ClusterError> {
        // The last cluster to go removes the directory once it is empty, at any moment up to the
        // lock and with it: then begin again.
        for _ in 0..MAX_ATTEMPTS {
            let (path, lock) = match open_base(location) {
                Ok(opened) => opened,
                Err(error) if is_not_found(&error) => continue,
                Err(error) => return Err(error),
            };
            lock.lock().map_err(file_error("lock", &path))?;
            if is_same_file(&lock, &path) {
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(file_error("hold on to", location)(
            io::ErrorKind::NotFound.into(),
        ))
    }

    /// Deletes the directory if it is empty and nobody is about to change that.
    pub(crate) fn remove_if_empty() {
        let location = Self::location();
        let Ok(file) = File::open(&location) else {
            return;
        };
        if file.try_lock().is_ok() && is_same_file(&file, &location) {
            // Fails when there is something in it.
            let _ = fs::remove_dir(&location);
        }
    }

    /// Makes a directory for one cluster, with a lease on it.
    ///
    /// Its name has a random end: a directory is never reused, so that a watchdog that lags behind
    /// cannot mistake a later cluster for its own.
    pub(crate) fn create(&self, prefix: &str) -> Result<(ClusterDirectory, Lease), ClusterError> {
        assert!(
            PREFIXES.iter().any(|known| prefix.starts_with(known)),
            "prefix {prefix:?}"
        );
        let path = self.path.join(format!("{prefix}-{}", random_hex(4)?));
        ClusterDirectory::create(path)
    }

    /// All clusters. Other directories that happen to be here are none of our business.
    pub(crate) fn all_clusters(&self) -> impl Iterator<Item = ClusterDirectory> {
        PREFIXES
            .into_iter()
            .flat_map(|prefix| self.clusters(&format!("{prefix}-")))
    }

    /// The clusters whose directory's name begins with `prefix`.
    pub(crate) fn clusters(&self, prefix: &str) -> Vec<ClusterDirectory> {
        let Ok(entries) = fs::read_dir(&self.path) else {
            return Vec::new();
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let named = entry.file_name().to_str()?.starts_with(prefix);
                (named && entry.file_type().ok()?.is_dir()).then(|| entry.path())
            })
            .collect();
        paths.sort();
        paths.into_iter().map(ClusterDirectory::at).collect()
    }
}

/// Makes sure the directory exists and is this user's, resolves links, and opens it.
fn open_base(location: &Path) -> Result<(PathBuf, File), ClusterError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(location)
        .map_err(file_error("create", location))?;
    let uid = effective_uid();
    let metadata = fs::symlink_metadata(location).map_err(file_error("inspect", location))?;
    if !metadata.is_dir() || metadata.uid() != uid {
        return Err(ClusterError::ForeignDirectory {
            path: location.to_path_buf(),
            uid,
        });
    }
    let mode = metadata.mode() & 0o777;
    if mode | passable_mode() != mode {
        fs::set_permissions(location, Permissions::from_mode(mode | passable_mode()))
            .map_err(file_error("set the mode of", location))?;
    }
    let path = location
        .canonicalize()
        .map_err(file_error("resolve", location))?;
    let file = File::open(&path).map_err(file_error("open", &path))?;
    Ok((path, file))
}

fn is_not_found(error: &ClusterError) -> bool {
    matches!(error, ClusterError::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn base(root: &TempDir) -> Base {
        Base::lock_at(&root.path().join("base")).expect("a directory of our own")
    }

    #[test]
    fn a_removed_base_is_made_again() {
        let root = TempDir::new().expect("a directory");
        let path = base(&root).path.clone();
        fs::remove_dir(&path).expect("empty");
        assert_eq!(base(&root).path, path);
    }

    #[test]
    fn a_link_is_not_accepted_as_the_base() {
        let root = TempDir::new().expect("a directory");
        symlink("/tmp", root.path().join("base")).expect("a link");
        let error = Base::lock_at(&root.path().join("base")).expect_err("a trap");
        assert!(
            matches!(error, ClusterError::ForeignDirectory { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_directory_without_a_lease_is_no_abandoned_cluster() {
        let root = TempDir::new().expect("a directory");
        let base = base(&root);
        fs::create_dir(base.path.join("private-photos")).expect("a directory");
        fs::create_dir(base.path.join("photos")).expect("a directory");
        let clusters: Vec<_> = base.all_clusters().collect();
        assert_eq!(clusters.len(), 1);
        assert!(!clusters[0].is_abandoned());
    }

    #[test]
    fn clusters_are_listed_by_prefix() {
        let root = TempDir::new().expect("a directory");
        let base = base(&root);
        let _private = base.create("private").expect("a cluster");
        let (shared, _lease) = base.create("shared-15").expect("a cluster");
        let found = base.clusters("shared-15");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path(), shared.path());
    }
}
