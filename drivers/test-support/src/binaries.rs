//! Finding the programs of Postgres.
//!
//! Invariant: a directory is accepted only if it holds both `initdb` and `postgres`; `pg_ctl` and
//! the client programs are not needed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::install::{self, Permission};

/// No usable Postgres was found, and none was installed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BinariesError {
    /// A directory that was named explicitly does not hold a server.
    #[error("{origin} is {}, which has no initdb and postgres", directory.display())]
    NotThere {
        /// Where the directory was named.
        origin: &'static str,
        /// The directory.
        directory: PathBuf,
    },

    /// Nothing is installed, and installing was not allowed.
    #[error(
        "postgres is not installed; run `{command}`, or set SQUID_MESH_ALLOW_INSTALL=1 to have that done, \
         or PG_BIN to a directory with initdb and postgres, or TEST_DATABASE_URL to a server"
    )]
    NotInstalled {
        /// The command that would install it.
        command: String,
    },

    /// Nothing is installed, and installing failed.
    #[error("postgres is not installed and `{command}` failed: {detail}")]
    Install {
        /// The command that failed.
        command: String,
        /// What it printed last.
        detail: String,
    },
}

/// A directory with the programs of one version of Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// The programs to use: those of `chosen` if given, else what the environment and the system
    /// offer, else what the package manager installs.
    pub(crate) fn find(chosen: Option<&Path>) -> Result<Self, BinariesError> {
        if let Some(directory) = chosen {
            return Self::named("the chosen directory", directory);
        }
        let search = Search::from_environment();
        if let Some(found) = search.find()? {
            return Ok(found);
        }
        let permission = Permission::from_environment();
        install::install_postgres(permission)?;
        search.find()?.ok_or_else(|| BinariesError::NotInstalled {
            command: install::command_line(permission),
        })
    }

    /// The directory of the programs.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The program that makes a data directory.
    pub(crate) fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    /// The server program.
    pub(crate) fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    /// Accepts a directory that somebody named, or says that it is wrong.
    fn named(origin: &'static str, directory: &Path) -> Result<Self, BinariesError> {
        Self::in_directory(directory).ok_or_else(|| BinariesError::NotThere {
            origin,
            directory: directory.to_path_buf(),
        })
    }

    /// Accepts a directory that holds a server.
    fn in_directory(directory: &Path) -> Option<Self> {
        let complete = ["initdb", "postgres"]
            .iter()
            .all(|program| directory.join(program).is_file());
        complete.then(|| Self {
            directory: directory.to_path_buf(),
        })
    }
}

/// The places in which a server may be.
#[derive(Debug, Default)]
struct Search {
    /// The value of `PG_BIN`.
    pg_bin: Option<PathBuf>,
    /// The program that knows where Postgres was installed.
    pg_config: Option<PathBuf>,
    /// The directory that has one directory per version, each with a `bin`.
    versions: Option<PathBuf>,
    /// The directories of `PATH`.
    path: Vec<PathBuf>,
}

impl Search {
    fn from_environment() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path: OsString = set("PATH").unwrap_or_default();
        Self {
            pg_bin: set("PG_BIN").map(PathBuf::from),
            pg_config: Some(PathBuf::from("pg_config")),
            versions: Some(PathBuf::from("/usr/lib/postgresql")),
            path: std::env::split_paths(&path).collect(),
        }
    }

    fn find(&self) -> Result<Option<Binaries>, BinariesError> {
        if let Some(directory) = &self.pg_bin {
            return Binaries::named("PG_BIN", directory).map(Some);
        }
        Ok(self
            .configured()
            .or_else(|| self.newest_version())
            .or_else(|| self.behind_pg_ctl()))
    }

    /// What `pg_config --bindir` names: on systems with only the client's development files that is
    /// a directory without a server.
    fn configured(&self) -> Option<Binaries> {
        let output = Command::new(self.pg_config.as_ref()?)
            .arg("--bindir")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()
            .ok()?;
        let directory = String::from_utf8(output.stdout).ok()?;
        Binaries::in_directory(Path::new(directory.trim()))
    }

    fn newest_version(&self) -> Option<Binaries> {
        let entries = fs::read_dir(self.versions.as_ref()?).ok()?;
        let mut versions: Vec<(Vec<u32>, Binaries)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let version = version_numbers(entry.file_name().to_str()?)?;
                Some((version, Binaries::in_directory(&entry.path().join("bin"))?))
            })
            .collect();
        versions.sort_by(|(a, _), (b, _)| a.cmp(b));
        versions.pop().map(|(_, binaries)| binaries)
    }

    /// The directory in which the `pg_ctl` of `PATH` really lives, links followed.
    fn behind_pg_ctl(&self) -> Option<Binaries> {
        self.path
            .iter()
            .filter_map(|directory| directory.join("pg_ctl").canonicalize().ok())
            .find_map(|program| Binaries::in_directory(program.parent()?))
    }
}

/// The numbers in a version such as `15` or `9.6`.
fn version_numbers(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn install(directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        for program in ["initdb", "postgres", "pg_ctl"] {
            fs::write(directory.join(program), b"")?;
        }
        Ok(())
    }

    #[test]
    fn the_newest_version_is_taken_by_number_and_not_by_spelling() -> io::Result<()> {
        let root = TempDir::new()?;
        for version in ["9.6", "15", "16"] {
            install(&root.path().join(version).join("bin"))?;
        }
        fs::create_dir_all(root.path().join("17/bin"))?;
        let search = Search {
            versions: Some(root.path().to_path_buf()),
            ..Search::default()
        };
        let found = search.newest_version().map(|binaries| binaries.directory);
        assert_eq!(found, Some(root.path().join("16/bin")));
        Ok(())
    }

    #[test]
    fn a_wrong_pg_bin_is_an_error_and_not_passed_over() -> io::Result<()> {
        let root = TempDir::new()?;
        install(&root.path().join("15/bin"))?;
        let search = Search {
            pg_bin: Some(root.path().join("missing")),
            versions: Some(root.path().to_path_buf()),
            ..Search::default()
        };
        assert!(matches!(
            search.find(),
            Err(BinariesError::NotThere {
                origin: "PG_BIN",
                ..
            })
        ));
        Ok(())
    }

    #[test]
    fn a_linked_pg_ctl_leads_to_the_directory_it_lives_in() -> io::Result<()> {
        let root = TempDir::new()?;
        let real = root.path().canonicalize()?.join("real");
        install(&real)?;
        let path = root.path().join("path");
        fs::create_dir(&path)?;
        symlink(real.join("pg_ctl"), path.join("pg_ctl"))?;
        let search = Search {
            path: vec![path],
            ..Search::default()
        };
        let found = search.behind_pg_ctl().map(|binaries| binaries.directory);
        assert_eq!(found, Some(real));
        Ok(())
    }

    #[test]
    fn nothing_installed_is_found_to_be_nothing() {
        assert!(matches!(Search::default().find(), Ok(None)));
    }
}
