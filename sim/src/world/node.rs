//! Nodes: a process that comes and goes, its clock, and what it has in flight.
//!
//! Invariant: what happens to a process that is gone happens to nobody.

use std::collections::BTreeMap;

use squid_mesh_core::id::Incarnation;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::Operation;
use squid_mesh_core::worker::{Execution, Worker};

use super::Event;
use super::heap::EventId;
use crate::clock::{HostClock, SimTime};
use crate::fault::Situation;
use crate::ghost::{BodyId, ProcessId};

/// One node.
pub(super) struct Node {
    /// The node after which its processes are called: mostly itself.
    pub(super) named: usize,
    /// Whether another node has taken its place.
    pub(super) replaced: bool,
    /// Whether it is lost for ever.
    pub(super) lost: bool,
    /// The current process.
    pub(super) process: Option<ProcessId>,
    /// Its worker, once it has registered.
    pub(super) worker: Option<Box<Worker>>,
    /// Its clock.
    pub(super) clock: HostClock,
    /// What the last process called itself.
    pub(super) incarnation: Option<Incarnation>,
    /// Whether it stands still.
    pub(super) frozen: bool,
    /// What happened to it meanwhile.
    pub(super) backlog: Vec<Event>,
    /// Where its next wake-up is in the heap.
    pub(super) wake: Option<EventId>,
    /// Bodies that run, with where their end is in the heap.
    pub(super) running: BTreeMap<BodyId, Option<EventId>>,
    /// What bodies execute that share their transaction.
    pub(super) transactions: BTreeMap<BodyId, Box<Execution>>,
    /// Requests in flight, by ticket.
    pub(super) in_flight: BTreeMap<u64, Situation>,
    /// Whether a start of it is in the heap.
    pub(super) booting: bool,
    /// Which release its process is of.
    pub(super) release: usize,
    /// Which release its next process is of.
    pub(super) installed: usize,
    /// What it lacks of every release.
    pub(super) lacks: Vec<Name>,
}

impl Node {
    /// A node whose processes are called after this one.
    pub(super) fn called(named: usize) -> Node {
        Node {
            named,
            replaced: false,
            lost: false,
            process: None,
            worker: None,
            clock: HostClock::new(SimTime(0), 0, 0),
            incarnation: None,
            frozen: false,
            backlog: Vec::new(),
            wake: None,
            running: BTreeMap::new(),
            transactions: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            booting: false,
            release: 0,
            installed: 0,
            lacks: Vec::new(),
        }
    }

    /// What its processes call themselves to people.
    pub(super) fn name(&self) -> String {
        format!("node {}", self.named)
    }

    /// What is in flight here: for the counters of faults.
    pub(super) fn situations(&self) -> Vec<Situation> {
        let mut all: Vec<Situation> = self.in_flight.values().copied().collect();
        if !self.running.is_empty() {
            all.push(Situation::Attempt);
        }
        all.sort_unstable();
        all.dedup();
        if all.is_empty() {
            all.push(Situation::Idle);
        }
        all
    }
}

/// What kind of request an operation is.
pub(super) fn situation(operation: &Operation) -> Situation {
    match operation {
        Operation::Register(_) => Situation::Register,
        Operation::Submit(_) | Operation::Queue(_) | Operation::Schedule(_) => Situation::Submit,
        Operation::Claim(_) => Situation::Claim,
        Operation::Lease(_) => Situation::Lease,
        Operation::Settle(_) => Situation::Settle,
    }
}
