//! Hints between the workers of one process: work may be due in a queue.
//!
//! Other processes on the same file get none, and find work when they poll.
//!
//! Invariant: a hint wakes one waiter, or waits for the next; hints of one queue that nobody took yet are one.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use squid_mesh_core::name::Name;
use squid_mesh_core::store::Hint;
use tokio::sync::Notify;

/// Hints that nobody took yet: at most one a queue.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    queues: Mutex<BTreeSet<Name>>,
    arrived: Notify,
}

impl Hints {
    /// Says that work may be due.
    pub(crate) fn send(&self, queues: BTreeSet<Name>) {
        if queues.is_empty() {
            return;
        }
        self.queues
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(queues);
        self.arrived.notify_one();
    }

    /// Waits for a hint. Cancellation-safe.
    pub(crate) async fn next(&self) -> Hint {
        loop {
            if let Some(queue) = self.take() {
                return Hint { queue: Some(queue) };
            }
            self.arrived.notified().await;
        }
    }

    fn take(&self) -> Option<Name> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = queues.pop_first();
        if !queues.is_empty() {
            self.arrived.notify_one();
        }
        queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(names: &[&str]) -> BTreeSet<Name> {
        names.iter().map(|name| Name::new(name).unwrap()).collect()
    }

    #[tokio::test]
    async fn a_hint_waits_for_somebody_and_hints_of_one_queue_are_one() {
        let hints = Hints::default();
        hints.send(queues(&["mail", "video"]));
        hints.send(queues(&["mail"]));
        assert_eq!(hints.next().await.queue.unwrap().as_str(), "mail");
        assert_eq!(hints.next().await.queue.unwrap().as_str(), "video");
        assert_eq!(hints.take(), None);
    }

    #[tokio::test]
    async fn every_waiter_gets_a_hint_if_there_are_as_many() {
        let hints = Hints::default();
        let send = async { hints.send(queues(&["mail", "video"])) };
        let (first, second, ()) = tokio::join!(hints.next(), hints.next(), send);
        assert_ne!(first, second);
    }
}
