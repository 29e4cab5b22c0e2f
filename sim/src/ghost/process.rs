//! Processes as they really are: which node, alive or frozen, and when they were last in trouble.
//!
//! Invariant: a process is never in two states at once, and a dead one stays dead.

use squid_mesh_core::id::Incarnation;
use squid_mesh_core::task::{Fence, TaskKey};

use crate::clock::SimTime;

/// Names one start of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessId(pub usize);

/// One start of one process.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its node.
    pub node: usize,
    /// What it calls itself.
    pub incarnation: Incarnation,
    /// Whether it runs.
    pub alive: bool,
    /// Whether it stands still.
    pub frozen: bool,
    /// When it last went on after standing still.
    pub thawed: SimTime,
    /// Until when something was, or is going to be, wrong between it and the store, or inside it.
    pub trouble: SimTime,
    /// The greatest number it has sent a claim under.
    pub claims: u64,
    /// Whether it is shutting down.
    pub draining: bool,
    /// Whether its clock is far off.
    pub drifts: bool,
    /// Whether it ended by itself.
    pub stopped: bool,
}

impl Process {
    /// A process that starts at `now`.
    pub fn started(node: usize, incarnation: Incarnation, drifts: bool, now: SimTime) -> Process {
        Process {
            node,
            incarnation,
            alive: true,
            frozen: false,
            thawed: now,
            trouble: now,
            claims: 0,
            draining: false,
            drifts,
            stopped: false,
        }
    }

    /// Whether nothing is wrong with it in itself.
    pub fn is_healthy(&self) -> bool {
        self.alive && !self.frozen && !self.draining && !self.drifts
    }
}

/// What one numbered claim took.
#[derive(Debug, Clone, Default)]
pub struct ClaimRecord {
    /// The tasks, with the fences given.
    pub took: Vec<(TaskKey, Fence)>,
    /// Whether the process was told.
    pub answered: bool,
    /// Whether it landed when its process had claimed under another number already.
    pub superseded: bool,
}
