//! Claims that committed: who was promised which task, from when until when by the database's clock.
//!
//! Invariant: a task has at most one grant that has not ended.

use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::event::Role;
use squid_mesh_core::id::{Incarnation, Life};
use squid_mesh_core::task::{Fence, Item, TaskKey, Token};
use squid_mesh_core::time::Timestamp;

use super::{BodyId, ProcessId};
use crate::clock::SimTime;

/// Names one grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantId(pub usize);

/// One claim on one task.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The task.
    pub key: TaskKey,
    /// The step it was for.
    pub step: StepIndex,
    /// What it was there to do.
    pub item: Item,
    /// What its attempt is of.
    pub role: Role,
    /// Whether it was recorded that its body may begin.
    pub marked: bool,
    /// The process that claimed.
    pub process: ProcessId,
    /// As whom it claimed.
    pub owner: Incarnation,
    /// The life of what it is of.
    pub life: Life,
    /// With which fence.
    pub fence: Fence,
    /// Until when, by the database's clock.
    pub until: Timestamp,
    /// Renewals do not reach beyond it.
    pub cap: Option<Timestamp>,
    /// When it was granted, in true time.
    pub granted: SimTime,
    /// When it was granted or last renewed.
    pub since: SimTime,
    /// Whether nobody holds on to it: its process had gone on without it before it landed, or has given it back.
    pub abandoned: bool,
    /// Whether the store has lost that it was ever made.
    pub lost: bool,
    /// The body that ran under it.
    pub body: Option<BodyId>,
    /// How it ended.
    pub end: Option<GrantEnd>,
}

impl Grant {
    /// Whether it is the claim that this token was given for.
    pub fn is_of(&self, key: &TaskKey, token: &Token) -> bool {
        self.key == *key
            && self.life == token.life
            && self.fence == token.fence
            && self.owner == token.owner
    }
}

/// How a claim ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrantEnd {
    /// Its outcome was recorded.
    Recorded,
    /// Its lease ended, and another claim followed.
    Lapsed,
    /// It was given back before anything began.
    HandedBack,
    /// The run ended without it, or its item was put back or parked.
    Dropped,
}
