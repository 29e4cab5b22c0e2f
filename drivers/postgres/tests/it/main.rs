//! The store against real servers.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

mod conformance;
mod faults;
mod host;
mod memory;
mod pauses;
mod room;
mod schedules;
mod schema;
