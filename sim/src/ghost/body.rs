//! Handler bodies that really began, and what really became of them.
//!
//! Invariant: a body ends once, and only by itself, by being aborted, or with its process.

use squid_mesh_core::payload::{Payload, PayloadDigest};
use squid_mesh_core::task::Item;
use squid_mesh_core::worker::{AttemptFailure, AttemptId, Returned};

use super::{GrantId, ProcessId};
use crate::clock::SimTime;
use crate::script::Script;

/// Names one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BodyId(pub usize);

/// One handler body.
#[derive(Debug, Clone)]
pub struct Body {
    /// Where it ran.
    pub process: ProcessId,
    /// What the worker calls it.
    pub attempt: AttemptId,
    /// The claim it ran under.
    pub grant: GrantId,
    /// What that claim was for.
    pub item: Item,
    /// What it was given.
    pub input: Payload,
    /// Whether it began in a span that was lost or under a claim of one, or its end was recorded in one.
    pub lost: bool,
    /// What it does.
    pub script: Script,
    /// When it began.
    pub began: SimTime,
    /// When it was first told to stop.
    pub told: Option<SimTime>,
    /// What has become of it.
    pub end: Option<BodyEnd>,
    /// When that was.
    pub ended: SimTime,
    /// Whether it shares its transaction, and that was to be settled.
    pub settles: bool,
    /// Whether its worker was told what became of its report.
    pub answered: bool,
}

/// What became of a body.
#[derive(Debug, Clone, PartialEq)]
pub enum BodyEnd {
    /// It returned this.
    Returned(Result<Returned, AttemptFailure>),
    /// Its worker dropped it.
    Aborted,
    /// Its process died.
    Died,
    /// Its transaction met another, and was rolled back.
    RolledBack,
}

impl Body {
    /// Whether it is still running.
    pub fn is_running(&self) -> bool {
        self.end.is_none()
    }

    /// Whether it returned an output with this digest.
    pub fn returned(&self, digest: PayloadDigest) -> bool {
        matches!(&self.end, Some(BodyEnd::Returned(Ok(returned))) if returned.output.digest() == digest)
    }

    /// The failure that it returned.
    pub fn failure(&self) -> Option<&AttemptFailure> {
        match &self.end {
            Some(BodyEnd::Returned(Err(failure))) => Some(failure),
            Some(
                BodyEnd::Returned(Ok(_)) | BodyEnd::Aborted | BodyEnd::Died | BodyEnd::RolledBack,
            )
            | None => None,
        }
    }
}
