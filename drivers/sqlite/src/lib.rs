//! The SQLite store of Squid Mesh: durable workflows in one file, beside whatever tables a host has in it.
//!
//! ```
//! use squid_mesh_sqlite::{Options, SqliteStore};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! let store = SqliteStore::connect("sqlite::memory:", Options::default()).await?;
//! store.migrate().await?;
//! # store.close().await;
//! # Ok::<(), squid_mesh_core::store::StoreError>(())
//! # }).unwrap();
//! ```
//!
//! # Durability
//!
//! The file is in WAL mode, and every commit is flushed to disk before it is answered (`synchronous = FULL`), so nothing
//! that was answered is lost with the process, the machine or its power. [`Durability::Process`] gives up the last.
//!
//! # One writer
//!
//! SQLite has one writer at a time. Each store has one connection that writes; operations that queue up for it share
//! transactions, and the flush that ends each. Several processes may share a file: whoever comes second waits, for at most
//! [`Options::busy_timeout`], and is then told of a conflict, which is safe to try again. Hints stay within a process:
//! what one process makes due, another finds when it polls.
//!
//! # The clock
//!
//! SQLite has no clock of its own, so operations read the host's wall clock while they hold the write lock. Another one
//! can be set with [`Options::clock`].
//!
//! Invariant: what one operation reads and writes is one transaction under SQLite's only write lock.

mod connect;
mod definitions;
mod error;
mod hint;
mod inspect;
mod ledger;
mod options;
mod perform;
mod read;
mod rows;
mod script;
mod sql;
mod store;
mod write;
mod writer;

pub use options::{Clock, Durability, Options, WallClock};
pub use store::SqliteStore;
