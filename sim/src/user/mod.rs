//! Campaigns over workflows of one's own.
//!
//! Invariant: a world of somebody's own workflows is judged by the same oracles as any other.

mod commands;

pub use commands::Commands;
