//! Tasks that were held before, for as long as an answer under way may still name them.
//!
//! A reply lists what its worker held when the store decided, and replies may overtake each other: a task that ended, or
//! was handed back, in between must not begin again.
//!
//! Invariant: a task that ended while an operation was in flight is remembered until that operation is resolved, or the
//! operation is not trusted with tasks any more.

use std::collections::{BTreeSet, VecDeque};

use super::{AttemptId, Ticket};
use crate::limits;

/// Tasks that were held before.
#[derive(Debug, Default)]
pub(super) struct Memory {
    ended: BTreeSet<AttemptId>,
    order: VecDeque<(Ticket, AttemptId)>,
    distrusted: Option<Ticket>,
}

impl Memory {
    /// Remembers a task until every operation up to `newest` is resolved.
    pub(super) fn remember(&mut self, task: AttemptId, newest: Ticket) {
        if self.ended.insert(task) {
            self.order.push_back((newest, task));
        }
        while self.order.len() > limits::TASKS_REMEMBERED {
            self.distrusted = self.forget_first();
        }
    }

    /// Forgets what no operation in flight can name; `oldest` is the oldest of them.
    pub(super) fn forget(&mut self, oldest: Option<Ticket>) {
        while self
            .order
            .front()
            .is_some_and(|(newest, _)| oldest.is_none_or(|oldest| *newest < oldest))
        {
            self.forget_first();
        }
    }

    pub(super) fn knows(&self, task: &AttemptId) -> bool {
        self.ended.contains(task)
    }

    /// Whether everything that ended since that operation left is remembered.
    pub(super) fn trusts(&self, ticket: Ticket) -> bool {
        self.distrusted.is_none_or(|distrusted| distrusted < ticket)
    }

    fn forget_first(&mut self) -> Option<Ticket> {
        let (newest, task) = self.order.pop_front()?;
        self.ended.remove(&task);
        Some(newest)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rig;
    use super::*;

    #[test]
    fn a_task_is_remembered_until_every_older_operation_is_resolved() {
        let mut memory = Memory::default();
        memory.remember(rig::attempt_id(1), Ticket(5));
        memory.remember(rig::attempt_id(2), Ticket(8));
        memory.forget(Some(Ticket(5)));
        assert!(memory.knows(&rig::attempt_id(1)));
        memory.forget(Some(Ticket(6)));
        assert!(!memory.knows(&rig::attempt_id(1)) && memory.knows(&rig::attempt_id(2)));
        memory.forget(None);
        assert!(!memory.knows(&rig::attempt_id(2)));
    }

    #[test]
    fn an_operation_older_than_what_had_to_be_forgotten_is_not_trusted() {
        let mut memory = Memory::default();
        for n in 0..limits::TASKS_REMEMBERED {
            memory.remember(rig::attempt_id(n as u128), Ticket(7));
        }
        assert!(memory.trusts(Ticket(7)));
        memory.remember(rig::attempt_id(u128::MAX), Ticket(9));
        assert!(!memory.trusts(Ticket(7)) && memory.trusts(Ticket(8)));
        assert_eq!(
            (memory.ended.len(), memory.order.len()),
            (limits::TASKS_REMEMBERED, limits::TASKS_REMEMBERED)
        );
    }
}
