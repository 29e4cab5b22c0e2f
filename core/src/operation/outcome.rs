//! How a claimed task ended, as its worker reports it.
//!
//! Invariant: equal digests are equal outcomes, so a repeated report is told from a contradicting one.

use sha2::{Digest as _, Sha256};

use crate::event::Failure;
use crate::payload::{Payload, PayloadDigest};
use crate::task::{Item, TaskKey, Token};

/// One report of a settle.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The task.
    pub key: TaskKey,
    /// The step that was executed.
    pub step: crate::definition::StepIndex,
    /// The lease under which it was.
    pub token: Token,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a claimed task ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The handler returned an output.
    Succeeded {
        /// The output.
        output: Payload,
    },
    /// The attempt failed.
    Failed {
        /// How.
        failure: Failure,
        /// The failure's details, if any; their digest is in the failure.
        details: Option<Payload>,
    },
    /// An engine item: the loss it was claimed for is to be recorded, the wait ended, the deadline passed.
    Engine(Item),
}

impl Outcome {
    /// Tells this outcome from any other. A success has the digest of its output.
    pub fn digest(&self) -> PayloadDigest {
        match self {
            Outcome::Succeeded { output } => output.digest(),
            Outcome::Failed { failure, .. } => failure_digest(failure),
            Outcome::Engine(_) => PayloadDigest([0; 8]),
        }
    }
}

/// Tells this failure from any other, and from every success.
pub(crate) fn failure_digest(failure: &Failure) -> PayloadDigest {
    let mut hash = Sha256::new();
    hash.update(b"failure\0");
    hash.update(
        postcard::to_stdvec(failure)
            .expect("a failure is plain data, which postcard can always write"),
    );
    let mut digest = [0; 8];
    digest.copy_from_slice(&hash.finalize()[..8]);
    PayloadDigest(digest)
}
