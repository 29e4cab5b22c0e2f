//! The simulator of Squid Mesh: a memory store, worlds with faults in virtual time, and the suite every store must pass.
//!
//! Invariant: everything here drives the same `Worker`, `Operation` and `Run` code as production; nothing is modelled twice.

pub mod campaign;
pub mod choice;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod fault;
pub mod ghost;
pub mod library;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod oracle;
mod panics;
pub mod plan;
pub mod script;
pub mod settings;
pub mod store;
pub mod trace;
pub mod violation;
pub mod world;
