//! Opening connections to one database.
//!
//! Invariant: every connection of a store is to the same database, in WAL mode if it is a file; only the writer's can
//! change it.

use std::path::Path;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use squid_mesh_core::store::StoreError;

use crate::error::{is_busy, store_error};
use crate::options::{Durability, Options};

/// Opens connections.
#[derive(Debug, Clone)]
pub(crate) struct Opener {
    connect: SqliteConnectOptions,
    memory: bool,
    patience: Duration,
}

/// Tells in-memory databases of this process apart.
static MEMORIES: AtomicU64 = AtomicU64::new(0);

/// Prepared scripts a connection keeps.
const STATEMENTS: usize = 256;
/// Rows that SQLite's thread may be ahead of the one that takes them.
const ROWS_AHEAD: usize = 1_024;
/// Pages of 4 KiB after which the log is copied into the database.
const CHECKPOINT_PAGES: &str = "4000";
/// Pages kept in memory by a connection: negative, so in KiB.
const CACHE: &str = "-32768";
/// How long to pause between attempts to switch a new file to WAL: SQLite itself does not wait for that lock.
const PAUSE: Duration = Duration::from_millis(10);

impl Opener {
    /// Takes an address: `sqlite:PATH`, or `sqlite::memory:` for a database that lives as long as its store.
    pub(crate) fn of(url: &str, options: &Options) -> Result<Opener, StoreError> {
        let refused = |why: &str| {
            StoreError::Refused(format!(
                "{url:?} is no address of an SQLite database: {why}"
            ))
        };
        let Some(rest) = url.strip_prefix("sqlite:") else {
            return Err(refused("expected sqlite:PATH or sqlite::memory:"));
        };
        let place = rest.strip_prefix("//").unwrap_or(rest);
        if place.is_empty() || place.starts_with('?') {
            return Err(refused("the path is missing"));
        }
        let memory = place == ":memory:";
        let connect = if memory {
            // A name with a slash is one database for all connections of the process. SQLite's shared cache would be
            // too, but its locks do not wait.
            let name = format!("/squid-mesh-{}", MEMORIES.fetch_add(1, Ordering::Relaxed));
            SqliteConnectOptions::new()
                .filename(name)
                .vfs("memdb")
                .create_if_missing(true)
        } else {
            let parsed =
                SqliteConnectOptions::from_str(url).map_err(|error| refused(&error.to_string()))?;
            parsed.journal_mode(SqliteJournalMode::Wal)
        };
        let connect = connect
            .busy_timeout(options.busy_timeout)
            .synchronous(match options.durability {
                Durability::Full => SqliteSynchronous::Full,
                Durability::Process => SqliteSynchronous::Normal,
            })
            .foreign_keys(false)
            .pragma("temp_store", "MEMORY")
            .pragma("cache_size", CACHE)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .statement_cache_capacity(STATEMENTS)
            .row_buffer_size(ROWS_AHEAD)
            .disable_statement_logging();
        Ok(Opener {
            connect,
            memory,
            patience: options.busy_timeout,
        })
    }

    /// Makes the directory and the file, where they are missing.
    pub(crate) async fn create(&self) -> Result<(), StoreError> {
        let path = self.connect.get_filename();
        if self.memory || path.exists() {
            return Ok(());
        }
        if let Some(directory) = path
            .parent()
            .filter(|directory| !directory.as_os_str().is_empty())
        {
            std::fs::create_dir_all(directory).map_err(|error| {
                StoreError::Refused(format!(
                    "cannot create the directory {}: {error}",
                    directory.display()
                ))
            })?;
        }
        let creating = Opener {
            connect: self.connect.clone().create_if_missing(true),
            ..self.clone()
        };
        let connection = creating
            .open()
            .await
            .map_err(|error| self.explain(&error))?;
        sqlx::Connection::close(connection)
            .await
            .map_err(|error| self.explain(&error))
    }

    /// Whether the database goes with its last connection.
    pub(crate) fn is_memory(&self) -> bool {
        self.memory
    }

    /// Opens a connection that can write.
    pub(crate) async fn open(&self) -> Result<SqliteConnection, sqlx::Error> {
        let begun = Instant::now();
        loop {
            match self.connect.connect().await {
                Err(error) if is_busy(&error) && begun.elapsed() < self.patience => {
                    tokio::time::sleep(PAUSE).await
                }
                result => return result,
            }
        }
    }

    /// Connections that can only read, opened as they are needed.
    pub(crate) fn readers(&self, count: u32) -> SqlitePool {
        let pool = SqlitePoolOptions::new()
            .max_connections(count)
            .test_before_acquire(false);
        pool.connect_lazy_with(self.connect.clone().pragma("query_only", "ON"))
    }

    /// The connection for transactions that handlers write in, opened when it is needed. References of the host's tables
    /// are enforced on it, as on any connection that sqlx opens.
    pub(crate) fn host(&self) -> SqlitePool {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .test_before_acquire(false)
            .after_release(|connection, _| {
                Box::pin(async move { Ok(!sqlx::Connection::is_in_transaction(connection)) })
            });
        pool.connect_lazy_with(self.connect.clone().foreign_keys(true))
    }

    /// What an error while opening means, with the file's name.
    pub(crate) fn explain(&self, error: &sqlx::Error) -> StoreError {
        let path = self.connect.get_filename();
        let hint = match path.parent() {
            _ if self.memory => "",
            Some(directory) if directory != Path::new("") && !directory.exists() => {
                " (its directory does not exist)"
            }
            _ if !path.exists() => " (it does not exist)",
            _ => "",
        };
        let text = |what: &str| format!("{}: {what}{hint}", path.display());
        match store_error(error) {
            StoreError::Refused(what) => StoreError::Refused(text(&what)),
            StoreError::Unavailable(what) => StoreError::Unavailable(text(&what)),
            StoreError::Corrupt { detail } => StoreError::Corrupt {
                detail: text(&detail),
            },
            other => other,
        }
    }
}
