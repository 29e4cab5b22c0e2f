//! What hosts see, on every store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod batches;
mod bindings;
mod branches;
mod bulk;
mod called;
mod cancelling;
mod children;
mod commands;
mod copies;
mod crash;
mod damage;
mod faulty;
mod gates;
mod harness;
mod host;
mod host_crash;
mod host_starts;
mod host_steps;
mod inspecting;
mod launching;
mod leases;
mod pausing;
mod queues;
mod schedule_calls;
mod schedule_times;
mod schedule_versions;
mod schedules;
mod signals;
mod stamps;
mod starting;
mod steps;
mod stores;
mod versions;
mod waits;
mod words;
