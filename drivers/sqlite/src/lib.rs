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
//! # Transactions that a host writes in
//!
//! A transaction that the store begins for a handler takes its turn with the store's own writer, and nothing else is
//! written while it is open: no lease is renewed either. One transaction that stays open for longer than a third of a lease
//! may cost other attempts of this process their leases. A host's own transaction on the same file holds the same lock,
//! without a turn: begin it with `BEGIN IMMEDIATE`, end it soon, and wait for nothing of the engine in between.
//!
//! In memory, nobody else can read either while one is open.
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
mod host;
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

pub use host::HostTransaction;
pub use options::{Clock, Durability, Options, WallClock};
/// The driver underneath. A connection of the host that an operation is performed in is of this version of it.
pub use sqlx;
pub use store::SqliteStore;
