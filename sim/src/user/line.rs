//! What real handlers ask the store, and what they are answered: they start runs by it.
//!
//! Invariant: what a handler asks travels through the world like any other request.

use squid_mesh_core::operation::{Operation, Reply};
use squid_mesh_core::store::{Fetch, Fetched, StoreError};

/// What a handler asks.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Names the question.
    pub(crate) question: u64,
    /// What.
    pub(crate) what: What,
}

/// What a handler may ask.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "workflows"),
    expect(dead_code, reason = "scripted handlers ask nothing")
)]
pub(crate) enum What {
    /// For an operation.
    Perform(Box<Operation>),
    /// For definitions.
    Fetch(Fetch),
}

/// What a handler is answered.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "workflows"),
    expect(dead_code, reason = "scripted handlers are answered nothing")
)]
pub(crate) enum Said {
    /// To an operation.
    Performed(Result<Reply, StoreError>),
    /// To a fetch.
    Fetched(Result<Fetched, StoreError>),
}
