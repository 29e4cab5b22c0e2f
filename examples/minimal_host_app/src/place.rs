//! Which database to work with.
//!
//! Invariant: the engine's tables and the application's are in one database.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use squid_mesh::{AnyStore, SharedStore};
use tempfile::TempDir;

use crate::ledger::Ledger;

/// Where a program works.
#[derive(Debug)]
pub struct Place {
    url: String,
    /// The directory of a file that goes with the program.
    directory: Option<TempDir>,
}

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `sqlite:PATH`.
    Sqlite,
    /// `postgres://...`.
    Postgres,
}

/// The environment variable that stands for a missing `--database-url`.
pub const DATABASE_URL: &str = "DATABASE_URL";

/// The file in a directory that was given.
const FILE: &str = "minimal-host-app.db";

impl Kind {
    /// The kind that a URL names, if it names one.
    pub fn of(url: &str) -> Option<Kind> {
        match url.split_once(':')?.0 {
            "sqlite" => Some(Kind::Sqlite),
            "postgres" | "postgresql" => Some(Kind::Postgres),
            _ => None,
        }
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Sqlite => "sqlite",
            Kind::Postgres => "postgres",
        }
    }
}

impl Place {
    /// The URL that was given, else a file in the directory that was given, else `DATABASE_URL`, else a file that goes with
    /// the program.
    ///
    /// # Errors
    /// If no temporary directory can be made.
    pub fn find(url: Option<String>, directory: Option<&Path>) -> anyhow::Result<Place> {
        if let Some(url) = url {
            return Ok(Place {
                url,
                directory: None,
            });
        }
        if let Some(directory) = directory {
            return Ok(Place {
                url: file_url(directory),
                directory: None,
            });
        }
        match std::env::var(DATABASE_URL) {
            Ok(url) if !url.is_empty() => Ok(Place {
                url,
                directory: None,
            }),
            _ => Place::temporary(),
        }
    }

    fn temporary() -> anyhow::Result<Place> {
        let directory = tempfile::Builder::new()
            .prefix("minimal-host-app-")
            .tempdir();
        let directory = directory.context("cannot make a temporary directory")?;
        Ok(Place {
            url: file_url(directory.path()),
            directory: Some(directory),
        })
    }

    /// The database's URL. May hold a password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database's kind, as reports name it.
    pub fn store_name(&self) -> &'static str {
        Kind::of(&self.url).map_or("unknown", Kind::name)
    }

    /// Whether the file goes with the program.
    pub fn is_temporary(&self) -> bool {
        self.directory.is_some()
    }

    /// Keeps a file that would go with the program, and says where it is.
    pub fn keep(&mut self) -> Option<PathBuf> {
        self.directory.take().map(TempDir::keep)
    }

    /// Opens the database: the engine's schema is brought up to date first, then the application's.
    ///
    /// # Errors
    /// If the database cannot be reached, or refuses, or is of a newer engine.
    pub async fn open(&self) -> anyhow::Result<(SharedStore, Ledger)> {
        let store = AnyStore::connect(&self.url)
            .await
            .context("cannot open the database")?;
        store
            .migrate()
            .await
            .context("cannot bring the database up to date")?;
        let ledger = Ledger::open(&self.url)
            .await
            .context("cannot open the application's tables")?;
        Ok((SharedStore::new(store), ledger))
    }
}

fn file_url(directory: &Path) -> String {
    format!("sqlite:{}", directory.join(FILE).display())
}
