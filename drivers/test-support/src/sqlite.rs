//! SQLite files for tests.
//!
//! Invariant: the directory of the file, and with it SQLite's side files, goes with the guard.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A path for an SQLite database in a temporary directory of its own.
///
/// The file itself is created by whoever opens it. Dropping this deletes the directory, with the
/// write-ahead log and shared-memory files that SQLite puts next to the database.
#[derive(Debug)]
pub struct SqliteFile {
    path: PathBuf,
    url: String,
    _directory: TempDir,
}

impl SqliteFile {
    /// The address, `sqlite:PATH`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The path of the database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A fresh address for an SQLite database.
///
/// ```
/// let file = squid_mesh_test_support::sqlite_url()?;
/// assert!(file.url().starts_with("sqlite:/"));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// When the temporary directory cannot be created.
pub fn sqlite_url() -> io::Result<SqliteFile> {
    let directory = tempfile::Builder::new()
        .prefix("squid-mesh-sqlite-")
        .tempdir()?;
    let path = directory.path().join("test.db");
    let url = format!("sqlite:{}", path.display());
    Ok(SqliteFile {
        path,
        url,
        _directory: directory,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_and_all_files_in_it_go_with_the_guard() -> io::Result<()> {
        let file = sqlite_url()?;
        let directory = file.path().parent().map(Path::to_path_buf);
        std::fs::write(file.path(), b"")?;
        std::fs::write(file.path().with_extension("db-wal"), b"")?;
        drop(file);
        assert!(directory.is_some_and(|directory| !directory.exists()));
        Ok(())
    }

    #[test]
    fn two_files_do_not_meet() -> io::Result<()> {
        assert_ne!(sqlite_url()?.url(), sqlite_url()?.url());
        Ok(())
    }
}
