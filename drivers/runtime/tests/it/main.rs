//! What hosts see, on every store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod cancelling;
mod crash;
mod faulty;
mod harness;
mod inspecting;
mod launching;
mod leases;
mod queues;
mod starting;
mod steps;
mod stores;
mod versions;
