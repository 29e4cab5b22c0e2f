//! What will happen, in the order in which it will.
//!
//! Invariant: events come out by their time, those of one instant by a drawn tiebreak, and those of one tiebreak as they
//! were put in.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Event;
use crate::clock::SimTime;

/// The event heap.
#[derive(Default)]
pub(super) struct Heap {
    order: BinaryHeap<Reverse<(SimTime, u64, usize)>>,
    /// By the order of making; none of those that have happened or were called off.
    events: Vec<Option<Event>>,
}

/// One event of a heap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventId(usize);

impl Heap {
    pub(super) fn push(&mut self, at: SimTime, tie: u64, event: Event) -> EventId {
        let id = self.events.len();
        self.events.push(Some(event));
        self.order.push(Reverse((at, tie, id)));
        EventId(id)
    }

    /// The next event, if there is one, and when it happens.
    pub(super) fn pop(&mut self) -> Option<(SimTime, Event)> {
        loop {
            let Reverse((at, _, id)) = self.order.pop()?;
            if let Some(event) = self.events[id].take() {
                return Some((at, event));
            }
        }
    }

    /// When the next event happens.
    pub(super) fn next_at(&mut self) -> Option<SimTime> {
        loop {
            let Reverse((at, _, id)) = self.order.peek()?;
            if self.events[*id].is_some() {
                return Some(*at);
            }
            self.order.pop();
        }
    }

    /// Calls an event off, unless it has happened.
    pub(super) fn remove(&mut self, id: EventId) {
        self.events[id.0] = None;
    }
}
