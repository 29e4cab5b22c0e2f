//! The reference host of Squid Mesh: a small payment service that embeds the runtime.
//!
//! It is a library only so that its tests can start runs and read its tables beside the processes they kill; the program is
//! `main.rs`.
//!
//! Invariant: everything the engine is asked for goes through its public API, as in any host.

pub mod app;
pub mod cli;
pub mod gateway;
pub mod ledger;
pub mod place;
pub mod process;
mod progress;
pub mod report;
pub mod resilience;
pub mod scene;
pub mod smoke;
pub mod soak;
pub mod start;
pub mod stored;
pub mod worker;
pub mod workflows;
