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
//! - Authoring: [`Workflow::builder`], [`step`], [`Retry`], [`constant`], [`object`], [`Value::field`]; as JSON:
//!   [`Workflow::from_draft`], [`Handlers`].
//! - Branches: [`WorkflowBuilder::when`], [`WorkflowBuilder::on_failure`], [`WorkflowBuilder::either`], [`step_routed`],
//!   [`WorkflowBuilder::route`].
//! - Waits and people: [`WorkflowBuilder::wait`], [`WorkflowBuilder::wait_until`], [`WorkflowBuilder::pause`],
//!   [`WorkflowBuilder::approval`], [`WorkflowBuilder::signal`].
//! - Other workflows: [`WorkflowBuilder::child`], [`WorkflowBuilder::each`].
//! - Handlers: [`Handler`], [`StepContext`], [`StepError`], [`Routed`], [`Undo`].
//! - Schedules: [`WorkflowBuilder::cron`], [`Client::create_schedule`], [`Client::fire_schedule`], [`preview`],
//!   [`StepContext::schedule`].
//! - Running: [`Runtime`], or [`Stepper`] for one task at a time.
//! - Writing to the database exactly once: [`step_tx`], [`Tx`]; starting in a transaction: [`StartRun::in_tx`].
//! - Starting, looking: [`Client`], [`RunHandle`], [`Inspection`].
//! - Commands: [`Client::cancel`], [`Client::approve`], [`Client::resume`], [`Client::signal`], [`Client::resolve_unknown`],
//!   [`Client::replay`], [`Client::fork`], [`Client::resume_failed`], and for many runs [`Client::resume_failed_all`];
//!   as values: [`Command`].
//! - Stores: [`AnyStore`] by URL; [`SharedStore`] for any other. The engine itself is [`core`].
//!
//! Invariant: no policy lives in this crate; it moves what the core decides between handlers, clients and stores.

mod author;
mod client;
#[cfg(test)]
mod documented;
mod handler;
#[cfg(feature = "http")]
pub mod http;
mod runtime;
mod stores;
mod transaction;

pub use author::route;
pub use author::{
    AnyPart, AnyWire, BuildError, Child, ChildSpec, CollectSpec, Constant, CronTrigger, Decision,
    Each, EachSpec, Field, Gate, Instant, Needs, Object, ObjectOf, Outcome, Part, Retry, Signal,
    StepFailure, StepSpec, Undo, Value, Wire, Workflow, WorkflowBuilder, WorkflowRef, child,
    constant, each, object, step, step_routed, step_tx, step_tx_with,
};
pub use client::{
    Applied, ApplyError, BulkCommand, BulkDone, BulkEntry, BulkError, BulkReport, CancelError,
    CancelInspection, CancelRun, ChildrenInspection, Client, Command, CommandKind, CopyError,
    CopyRun, FireSchedule, HistoryEntry, InspectError, InspectRun, InspectSchedule, Inspection,
    LimitExceeded, NotWaiting, Page, ParentInspection, PlanSchedule, QueueError, QueueSummary,
    RedactedPart, RedactionContext, ResolveError, ResolveRun, ResolveUnknown, ResultError,
    RunFailure, RunHandle, RunSummary, SaidBy, ScheduleCommand, ScheduleError, ScheduleInspection,
    SchedulePage, ScheduleProblems, ScheduleSummary, SendSignal, SetQueue, SetSchedule,
    SignalError, SignalInspection, SourceInspection, StartChild, StartChildError, StartCommand,
    StartError, StartMany, StartManyError, StartRun, StepInspection, StepStatus, UndoInspection,
    UndoStatus, UnwritableCommand, preview,
};
pub use handler::{
    Attempt, Handler, HandlerConflict, Handlers, Routed, ScheduleContext, StepContext, StepError,
    TxCall, TxHandler, TxStateCall, TxStateHandler,
};
pub use runtime::{LaunchError, Performed, Runtime, RuntimeBuilder, Stepper};
pub use stores::{AnyStore, ConnectError, SharedStore, StoreSource};
pub use transaction::{HostConnection, OwnedTx, Transactions, Tx, WrongStore};

pub use squid_mesh_core::cron::{GapPolicy, RepeatedHourPolicy};
pub use squid_mesh_core::definition::{LogLevel, OnLost, RouteMark, Stamp};
pub use squid_mesh_core::schedule::{
    DraftCatchUp as CatchUp, Overlap, PlanDraft, PreviewedFiring, ScheduleExplanation, ScheduleKey,
    ScheduleReason,
};

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

/// The examples of the authoring guide, compiled.
#[cfg(doctest)]
mod authoring_guide {
    #[doc = include_str!("../../../docs/AUTHORING.md")]
    struct Index;
    #[doc = include_str!("../../../docs/authoring/branches.md")]
    struct Branches;
    #[doc = include_str!("../../../docs/authoring/gates.md")]
    struct Gates;
    #[doc = include_str!("../../../docs/authoring/undo.md")]
    struct TakingBack;
    #[doc = include_str!("../../../docs/authoring/children.md")]
    struct Children;
    #[doc = include_str!("../../../docs/authoring/transactions.md")]
    struct Transactions;
    #[doc = include_str!("../../../docs/authoring/commands.md")]
    struct Commands;
    #[doc = include_str!("../../../docs/authoring/schedules.md")]
    struct Schedules;
    #[doc = include_str!("../../../docs/authoring/drafts.md")]
    struct DraftsAndVersions;
}
