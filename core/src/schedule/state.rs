//! What became of a schedule so far.
//!
//! Invariant: a durable format, postcard behind a format byte.

use serde::{Deserialize, Serialize};

use crate::id::RunId;
use crate::run::Seq;
use crate::time::Timestamp;
use crate::transition::DecodeError;

/// What became of a schedule so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Every occurrence up to here has been decided about: it started a run, waits, or never will.
    pub cursor: Timestamp,
    /// When its task is due and which write of the row armed it, if there is one.
    pub armed: Option<(Timestamp, Seq)>,
    /// The run that further ones must not overlap with. Its end will be reported.
    pub previous: Option<RunId>,
    /// The occurrence that waits for the end of the run before.
    pub waiting: Option<Timestamp>,
    /// What it fired last by itself.
    pub fired: Option<Fired>,
    /// What it missed last.
    pub missed: Option<Missed>,
    /// The last occurrence that started nothing because the run before was still going on.
    pub skipped: Option<Timestamp>,
    /// Why it could not start a run when it last tried, until it can.
    pub trouble: Option<Trouble>,
}

impl State {
    /// That of a schedule that was created, or whose times were changed, at `now`: no occurrence before counts.
    pub fn from(now: Timestamp) -> State {
        State {
            cursor: now,
            armed: None,
            previous: None,
            waiting: None,
            fired: None,
            missed: None,
            skipped: None,
            trouble: None,
        }
    }

    /// The bytes stores keep.
    pub fn encode(&self) -> Vec<u8> {
        crate::transition::encode(1, self)
    }

    /// Takes the stored bytes back.
    ///
    /// # Errors
    /// If they are of a newer format, or nothing an engine wrote.
    pub fn decode(bytes: &[u8]) -> Result<State, DecodeError> {
        crate::transition::decode(1, bytes)
    }
}

/// A firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fired {
    /// The occurrence.
    pub occurrence: Timestamp,
    /// When it fired.
    pub at: Timestamp,
}

/// Occurrences that started nothing because nobody was there when they were due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// The first of them.
    pub first: Timestamp,
    /// The last of them.
    pub last: Timestamp,
    /// When that was found.
    pub at: Timestamp,
}

/// Why a schedule could not start a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// A stable code, for programs.
    pub code: String,
    /// A message, for people.
    pub message: String,
    /// When it was first met.
    pub since: Timestamp,
}
