//! Throw-away databases for tests and benchmarks.
//!
//! Invariant: nothing started here outlives its users for long, however they die.
//!
//! A test that needs Postgres asks for a database of its own:
//!
//! ```
//! use squid_mesh_test_support::TestCluster;
//!
//! let cluster = TestCluster::shared()?;
//! let database = cluster.database()?;
//! assert!(database.url().starts_with("postgres://"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where Postgres comes from
//!
//! The first of these that applies is used:
//!
//! 1. `TEST_DATABASE_URL`: databases are created on that server ([`TestCluster::shared`] only; a
//!    [`PrivateCluster`] has to be stopped and started and is therefore always made here).
//! 2. `PG_BIN`: a directory that contains `initdb` and `postgres`.
//! 3. Installed binaries: what `pg_config` names, then Debian's per-version directories with the
//!    newest first, then the directory `pg_ctl` on `PATH` really lives in.
//! 4. The package manager (Debian's `apt-get`), when running as root or when
//!    `SQUID_MESH_ALLOW_INSTALL=1`; never when `SQUID_MESH_ALLOW_INSTALL=0`.
//!
//! When none of them leads to a server the result is an error that names the command to run. No
//! test is skipped for want of a server.
//!
//! # Who owns a server
//!
//! Each server lives in a directory of its own below a per-user directory, by default
//! `squid-mesh-test-UID` in the system's temporary directory (`SQUID_MESH_TEST_DIR` moves it). A
//! process that uses a server holds a *lease*: a shared file lock, which the kernel releases when
//! the process ends in whatever way. A detached watchdog stops the server and deletes its directory
//! once nobody holds a lease: after 60 seconds for the shared cluster
//! (`SQUID_MESH_TEST_IDLE_SECONDS` changes that), after a second for private ones. Whoever next
//! asks for a cluster sweeps up what a killed watchdog left behind.
//!
//! Postgres refuses to run as root. For root the server runs as the user `postgres`, or as
//! `squid-mesh-test`, which is created when neither exists.
//!
//! # Async tests
//!
//! Every call blocks its thread, for tens of milliseconds as a rule and for a few seconds when a
//! cluster is made, and may be made from inside an async runtime: connections run on a thread and
//! runtime of their own.
//!
//! # Platform
//!
//! Linux: processes are recognised through `/proc`, and the watchdog needs `sh` and util-linux'
//! `flock`.

mod account;
mod address;
mod base;
mod binaries;
mod cluster;
mod connection;
mod database;
mod directory;
mod error;
mod files;
mod initdb;
mod install;
mod private;
mod process;
mod server;
mod settings;
mod shared;
mod sqlite;
mod sweep;
mod template;
mod watchdog;

pub use binaries::BinariesError;
pub use cluster::TestCluster;
pub use database::{DatabaseError, TestDatabase};
pub use error::ClusterError;
pub use private::PrivateCluster;
pub use server::StopMode;
pub use settings::Settings;
pub use sqlite::{SqliteFile, sqlite_url};
