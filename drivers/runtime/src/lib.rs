//! Durable workflows for services that exist already: steps are plain async functions, and what they did survives crashes,
//! deploys and restarts in the database the service has anyway.
//!
//! ```
//! use std::time::Duration;
//! use squid_mesh::{BuildError, Retry, Runtime, StepContext, StepError, Workflow, step};
//!
//! #[derive(Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
//! struct Order { sku: String, cents: u64 }
//!
//! async fn reserve(_: StepContext, order: Order) -> Result<String, StepError> {
//!     Ok(format!("one {}", order.sku))
//! }
//!
//! async fn charge(cx: StepContext, order: Order) -> Result<String, StepError> {
//!     // The same key on every attempt: the payment provider charges once.
//!     Ok(format!("{} cents under {}", order.cents, cx.idempotency_key()))
//! }
//!
//! async fn ship(_: StepContext, (stock, payment): (String, String)) -> Result<String, StepError> {
//!     Ok(format!("{stock}, {payment}"))
//! }
//!
//! fn order() -> Result<Workflow<Order, String>, BuildError> {
//!     let (mut wf, order) = Workflow::builder::<Order>("order", 1);
//!     let stock = wf.step("reserve_stock", order, step(reserve));
//!     let paid = wf.step("charge_card", order, step(charge).retry(Retry::exponential(5)).timeout(Duration::from_secs(30)));
//!     let shipped = wf.step("ship", (stock, paid), step(ship));
//!     wf.finish(shipped)
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let order = order()?;
//!     let runtime = Runtime::builder("sqlite::memory:").workflow(&order).start().await?;
//!     let input = Order { sku: "lamp".to_owned(), cents: 4_900 };
//!     let run = runtime.client().start(&order.reference(), input).key("order-7").await?;
//!     assert!(run.result().await?.starts_with("one lamp, 4900 cents"));
//!     runtime.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! # How it works
//!
//! A [`Workflow`] is data: steps, what each needs, and policies. Its [`Runtime`] claims steps that are ready under a
//! *lease*, executes their handlers, and records each outcome in the run's journal in one transaction with what follows
//! from it. A process that dies loses nothing but its leases: when they end, others go on where it was.
//!
//! Each step's outcome is recorded exactly once. Its *effects* happen at least once: an attempt that was lost is made again,
//! which is why handlers are given an [idempotency key](StepContext::idempotency_key).
//!
//! # Where things are
//!
//! - Authoring: [`Workflow::builder`], [`step`], [`Retry`], [`constant`], [`WorkflowBuilder::wait`].
//! - Handlers: [`Handler`], [`StepContext`], [`StepError`].
//! - Running: [`Runtime`], or [`Stepper`] for one task at a time.
//! - Starting, cancelling, looking: [`Client`], [`RunHandle`], [`Inspection`].
//! - Stores: [`AnyStore`] by URL; [`SharedStore`] for any other. The engine itself is [`core`].
//!
//! Invariant: no policy lives in this crate; it moves what the core decides between handlers, clients and stores.

mod author;
mod client;
mod handler;
mod runtime;
mod stores;

pub use author::{
    BuildError, Constant, Needs, Part, Retry, StepSpec, Value, Wire, Workflow, WorkflowBuilder,
    WorkflowRef, constant, step,
};
pub use client::{
    CancelError, CancelInspection, CancelRun, Client, HistoryEntry, InspectError, InspectRun,
    Inspection, LimitExceeded, Page, ResultError, RunFailure, RunHandle, RunSummary, StartError,
    StartRun, StepInspection, StepStatus,
};
pub use handler::{Handler, HandlerConflict, StepContext, StepError};
pub use runtime::{LaunchError, Performed, Runtime, RuntimeBuilder, Stepper};
pub use stores::{AnyStore, ConnectError, SharedStore, StoreSource};

/// The deterministic core: definitions, runs, operations and the traits of stores.
pub use squid_mesh_core as core;
/// The store in Postgres.
#[cfg(feature = "postgres")]
pub use squid_mesh_postgres as postgres;
/// The store in SQLite.
#[cfg(feature = "sqlite")]
pub use squid_mesh_sqlite as sqlite;

/// The example that the project's front page shows, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct FrontPage;
