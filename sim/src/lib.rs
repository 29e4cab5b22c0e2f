//! The simulator of Squid Mesh: a memory store, worlds with faults in virtual time, and the suite every store must pass.
//!
//! A [`world::World`] is an event heap with a store, nodes that each own a `Worker`, clients and faults. Every random
//! decision goes through [`choice::Choices`], so a seed, or a log of choices, is a world. [`ghost::Ghost`] keeps what really
//! happened, and the [`oracle`]s compare every operation that lands with it. A [`campaign::Campaign`] runs many seeds:
//!
//! ```
//! use squid_mesh_sim::campaign::Campaign;
//!
//! let summary = Campaign::over(0, 20).run(&|_| {});
//! assert_eq!(summary.failed, 0, "{:#?}", summary.failures);
//! ```
//!
//! Workflows of one's own are put under the same faults by [`campaign()`]: see [`user::Campaign`].
//!
//! Invariant: everything here drives the same `Worker`, `Operation` and `Run` code as production; what judges it shares none of
//! what it decides by.

pub mod campaign;
pub mod cast;
pub mod choice;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod explore;
pub mod fault;
pub mod ghost;
pub mod imported;
pub mod library;
pub mod model;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod oracle;
mod panics;
pub mod plan;
pub mod script;
pub mod settings;
pub mod shrink;
pub mod store;
pub mod story;
pub mod trace;
pub mod user;
pub mod violation;
pub mod witness;
pub mod world;

pub use user::{CampaignError, Commands, Faults, Scripted, WorldView, campaign};

/// Environments for handlers of one's own: what is outside of the engine.
pub mod env {
    pub use crate::user::{Ledger, LedgerEntry};
}

/// The guide, compiled.
#[cfg(all(doctest, feature = "workflows"))]
#[doc = include_str!("../../docs/SIMULATION.md")]
struct Guide;
