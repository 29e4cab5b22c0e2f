//! Payloads: opaque bytes, JSON by convention, stored once in the journal row that brought them.
//!
//! Invariant: the bytes behind a `PayloadRef` never change, and its digest tells other bytes apart.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::id::RunId;
use crate::run::Seq;

/// Opaque bytes, cheap to clone. Never shown by `Debug`: contents stay out of logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<[u8]>);

impl Payload {
    /// Takes the bytes.
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Payload {
        Payload(bytes.into())
    }

    /// The JSON `null`.
    pub fn null() -> Payload {
        Payload::new(*b"null")
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first eight bytes of the SHA-256 of the bytes.
    pub fn digest(&self) -> PayloadDigest {
        let mut digest = [0; 8];
        digest.copy_from_slice(&Sha256::digest(&self.0)[..8]);
        PayloadDigest(digest)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// Whether JSON text has a NUL character: as the escape `\u0000`, or raw, which JSON forbids. A backslash is always
/// looked at together with the character after it, so that `\\u0000`, an escaped backslash and five characters, is none.
pub(crate) fn has_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | 0)) {
        if rest[at] == 0 || rest[at..].starts_with(br"\u0000") {
            return true;
        }
        rest = rest.get(at + 2..).unwrap_or_default();
    }
    false
}

/// Eight bytes that tell payloads apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PayloadDigest(pub [u8; 8]);

/// Where an output lives: within its run's journal, or in that of the run it was taken over from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutputRef {
    /// The other run, if it is in another's journal.
    pub run: Option<RunId>,
    /// The journal row that holds the bytes.
    pub seq: Seq,
    /// Tells the bytes apart from any other that a failover might have put there.
    pub digest: PayloadDigest,
}

impl OutputRef {
    /// A place in the run's own journal.
    pub const fn here(seq: Seq, digest: PayloadDigest) -> OutputRef {
        OutputRef {
            run: None,
            seq,
            digest,
        }
    }

    /// The same place, named from outside the run.
    pub fn of(self, run: RunId) -> PayloadRef {
        PayloadRef {
            run: self.run.unwrap_or(run),
            seq: self.seq,
            digest: self.digest,
        }
    }
}

/// Where an immutable payload lives: a journal row of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PayloadRef {
    /// The run whose journal holds it.
    pub run: RunId,
    /// The journal row.
    pub seq: Seq,
    /// Caches are keyed by it too.
    pub digest: PayloadDigest,
}
