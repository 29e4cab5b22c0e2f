//! Queues that operators paused and resumed, by the commands that landed.
//!
//! Invariant: what a queue was at some time never changes any more.

use std::collections::BTreeMap;

use squid_mesh_core::id::CommandId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::QueueReply;

use crate::clock::SimTime;

/// What became of every queue.
#[derive(Debug, Clone, Default)]
pub struct GhostQueues {
    /// When each queue was paused or resumed, in order.
    changes: BTreeMap<Name, Vec<(SimTime, bool)>>,
    /// What each command was answered first.
    pub answers: BTreeMap<CommandId, QueueReply>,
}

impl GhostQueues {
    /// A pause or resume has landed.
    pub fn change(&mut self, queue: &Name, at: SimTime, paused: bool) {
        let changes = self.changes.entry(queue.clone()).or_default();
        changes.push((at, paused));
    }

    /// Whether a queue is paused.
    pub fn is_paused(&self, queue: &Name) -> bool {
        self.last(queue).is_some_and(|(_, paused)| *paused)
    }

    /// Whether an operation that was decided at that time must have known that the queue was paused: it was so before, and
    /// was not resumed by then. At the very instant of a change, both are right.
    pub fn must_be_known_paused(&self, queue: &Name, decided: SimTime) -> bool {
        let changes = self.changes.get(queue).map_or(&[][..], Vec::as_slice);
        let before = changes.iter().rev().find(|(at, _)| *at < decided);
        let changing = changes.iter().any(|(at, _)| *at == decided);
        before.is_some_and(|(_, paused)| *paused) && !changing
    }

    /// Every queue that is paused.
    pub fn paused(&self) -> impl Iterator<Item = &Name> {
        let paused =
            |changes: &[(SimTime, bool)]| changes.last().is_some_and(|(_, paused)| *paused);
        let all = self.changes.iter();
        all.filter(move |(_, changes)| paused(changes))
            .map(|(queue, _)| queue)
    }

    fn last(&self, queue: &Name) -> Option<&(SimTime, bool)> {
        self.changes.get(queue)?.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_binds_what_is_decided_after_it_and_before_the_resume() {
        let queue = Name::stored("mail");
        let mut queues = GhostQueues::default();
        queues.change(&queue, SimTime(10), true);
        assert!(queues.is_paused(&queue));
        queues.change(&queue, SimTime(20), false);
        assert!(!queues.is_paused(&queue));
        let bound = |at| queues.must_be_known_paused(&queue, SimTime(at));
        assert_eq!(
            [9, 10, 11, 19, 20, 21].map(bound),
            [false, false, true, true, false, false]
        );
    }
}
