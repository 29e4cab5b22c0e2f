//! The engine's operations on the memory store, with time as a value: what each promises, one test a promise.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod cancelling;
mod claims;
mod desk;
mod explaining;
mod halting;
mod leases;
mod starting;
mod steps;
