//! Snapshots: a run as bytes, so that an operation need not fold a journal.
//!
//! Invariant: a cache. Whatever a snapshot says follows from the journal, and it holds no payload.

use super::Run;
use crate::transition::{DecodeError, decode, encode};

/// The snapshot format that this engine writes.
pub const SNAPSHOT_FORMAT: u8 = 1;

impl Run {
    /// The snapshot's bytes: one byte of format, then postcard.
    pub fn encode(&self) -> Vec<u8> {
        encode(SNAPSHOT_FORMAT, self)
    }

    /// Takes a snapshot back.
    ///
    /// # Errors
    /// If it is of a newer format, or nothing an engine wrote.
    pub fn decode(bytes: &[u8]) -> Result<Run, DecodeError> {
        decode(SNAPSHOT_FORMAT, bytes)
    }
}
