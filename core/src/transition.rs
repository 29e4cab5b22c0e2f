//! One journal row: an event plus every change decided because of it.
//!
//! Invariant: `decode(encode(t)) == t` for every format this engine ever wrote; a row of a newer format is refused, not
//! guessed at.

use serde::{Deserialize, Serialize};

use crate::change::Change;
use crate::event::Event;
use crate::run::Seq;
use crate::time::Timestamp;

/// One event plus every change decided because of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// Position in the run's journal, from 1.
    pub seq: Seq,
    /// When, by the database's clock; never before the transition before it.
    pub at: Timestamp,
    /// The fact.
    pub event: Event,
    /// What it changes, in order.
    pub changes: Vec<Change>,
}

/// The format that this engine writes.
pub const FORMAT: u8 = 1;

impl Transition {
    /// The row's bytes: one byte of format, then postcard.
    pub fn encode(&self) -> Vec<u8> {
        encode(FORMAT, self)
    }

    /// Takes a row's bytes back.
    ///
    /// # Errors
    /// [`DecodeError::Newer`] for a format this engine does not know, [`DecodeError::Corrupt`] for bytes that are no row.
    pub fn decode(bytes: &[u8]) -> Result<Transition, DecodeError> {
        decode(FORMAT, bytes)
    }
}

/// One byte of format, then postcard.
pub(crate) fn encode<T: Serialize>(format: u8, value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    bytes.push(format);
    postcard::to_extend(value, bytes)
        .expect("writing into memory cannot fail, and every durable type is serialisable")
}

/// Takes back what [`encode`] wrote; trailing bytes are corruption.
pub(crate) fn decode<'a, T: Deserialize<'a>>(known: u8, bytes: &'a [u8]) -> Result<T, DecodeError> {
    let (format, rest) = bytes.split_first().ok_or(DecodeError::Corrupt)?;
    if *format > known {
        return Err(DecodeError::Newer {
            format: *format,
            known,
        });
    }
    match postcard::take_from_bytes(rest) {
        Ok((value, [])) if *format == known => Ok(value),
        Ok(_) | Err(_) => Err(DecodeError::Corrupt),
    }
}

/// Bytes that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer engine.
    #[error("written in format {format}, this engine reads up to {known}")]
    Newer {
        /// The format found.
        format: u8,
        /// The newest this engine reads.
        known: u8,
    },
    /// No engine wrote this.
    #[error("the bytes are not what any engine writes")]
    Corrupt,
}
