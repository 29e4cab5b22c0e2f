//! The payment gateway: somebody else's service, as far as the handlers know.
//!
//! Invariant: handlers reach it over HTTP only.

mod client;
mod server;

pub use client::{Answer, GatewayClient, GatewayError, Payment};
pub use server::{Gateway, Mood, Weather};
