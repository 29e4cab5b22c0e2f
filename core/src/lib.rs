//! The core of Squid Mesh: definitions, runs, operations and workers as pure data and functions.
//!
//! Invariant: no IO, no clock, no randomness, no unordered iteration: the same inputs give the same outputs, everywhere.

pub mod change;
pub mod cron;
pub mod definition;
#[cfg(test)]
mod documented;
pub mod eval;
pub mod event;
pub mod explain;
pub mod export;
pub mod graph;
pub mod history;
pub mod id;
pub mod limits;
pub mod mutant;
pub mod name;
pub mod operation;
pub mod payload;
pub mod run;
pub mod schedule;
pub mod sorted;
pub mod store;
pub mod task;
pub mod time;
pub mod transition;
pub mod verify;
pub mod worker;
