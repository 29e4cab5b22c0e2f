//! Leases given at once: to the worker that offers slots with its own operation.
//!
//! Invariant: a hand-off passes what a claim would pass (a pause too), overtakes nothing more urgent that was left behind, and is never
//! born near the end of its lease.

use std::collections::{BTreeMap, BTreeSet};

use super::{Offer, QueueDemand, View};
use crate::limits;
use crate::mutant::Mutant;
use crate::name::Name;
use crate::task::{TaskKind, TaskRow};
use crate::time::Timestamp;

/// Free slots of whoever performs the operation, as they are used up.
#[derive(Clone)]
pub(super) struct HandOver<'o> {
    offer: Option<&'o Offer>,
    slots: BTreeMap<&'o Name, u32>,
    paused: &'o BTreeSet<Name>,
}

impl<'o> HandOver<'o> {
    pub(super) fn new(offer: Option<&'o Offer>, view: &'o View) -> HandOver<'o> {
        let demands = offer.into_iter().flat_map(|offer| &offer.queues);
        let open = |demand: &&QueueDemand| {
            view.mutation.is(Mutant::HandOffIgnoresPause) || !view.paused.contains(&demand.queue)
        };
        let slots = demands.filter(open);
        HandOver {
            offer,
            slots: slots.map(|demand| (&demand.queue, demand.slots)).collect(),
            paused: &view.paused,
        }
    }

    /// Whether the one who offers would find this row once it is due. What is paused is woken by whoever resumes it.
    pub(super) fn could_take(&self, row: &TaskRow) -> bool {
        !self.paused.contains(&row.queue)
            && self.offer.is_some_and(|offer| {
                let serves = offer.queues.iter().any(|demand| demand.queue == row.queue);
                row.queue.is_engine() || serves && offer.handlers.contains(&row.handler)
            })
    }

    /// Up to which due time others are to be told of free rows. A worker is told by the reply what falls due soon, and sees
    /// to it; a client that executes nothing leaves that to whoever might otherwise sleep past it.
    pub(super) fn notice_until(&self, now: Timestamp) -> Timestamp {
        if self.offer.is_some() {
            now
        } else {
            now.plus(limits::POLL_DEFAULT)
        }
    }

    /// Makes a row that was just scheduled leased to the one who offers, if it has a slot for it; whether it did. `before`
    /// is the row that its lane had.
    pub(super) fn take(
        &mut self,
        row: &mut TaskRow,
        before: Option<&TaskRow>,
        now: Timestamp,
    ) -> bool {
        let Some(offer) = self.offer else {
            return false;
        };
        let hand_offs = before.map_or(0, |before| before.hand_offs) + 1;
        let wanted = |demand: &&QueueDemand| {
            demand.queue == row.queue && demand.floor.is_none_or(|floor| row.priority <= floor)
        };
        let fits = matches!(row.kind, TaskKind::Step | TaskKind::Undo)
            && row.due_at <= now
            && offer.handlers.contains(&row.handler)
            && hand_offs <= limits::HAND_OFFS;
        let demand = offer.queues.iter().find(wanted).filter(|_| fits);
        let slots = demand.and_then(|demand| self.slots.get_mut(&demand.queue));
        let Some(slots) = slots.filter(|slots| **slots > 0) else {
            return false;
        };
        *slots -= 1;
        row.owner = Some(offer.worker);
        row.fence.claims = 1;
        row.hand_offs = hand_offs;
        row.due_at = now.plus(offer.lease);
        row.renew_until = renew_until(row, now);
        if let Some(before) = before.filter(|before| keeps_lease(before, row, offer, now)) {
            row.due_at = before.due_at;
            row.handler = before.handler.clone();
        }
        true
    }
}

/// Whether a handed-off row can keep the lease that its lane has, so that nothing indexed changes: it is the same owner's,
/// found in the same place, and two thirds of it remain.
fn keeps_lease(before: &TaskRow, row: &TaskRow, offer: &Offer, now: Timestamp) -> bool {
    before.owner == row.owner
        && before.queue == row.queue
        && before.priority == row.priority
        && before.due_at.since(now) * 3 >= offer.lease * 2
        && before.due_at <= row.due_at
}

/// A row of the same scheduling as before: it keeps its lease, and falls due when that ends.
pub(super) fn kept(before: &TaskRow, mut row: TaskRow) -> TaskRow {
    row.fence = before.fence;
    row.owner = before.owner;
    row.begun = before.begun;
    row.expired = before.expired;
    row.hand_offs = before.hand_offs;
    row.renew_until = before.renew_until;
    if before.owner.is_some() {
        row.due_at = before.due_at;
    }
    row
}

/// Renewals of an attempt do not reach beyond its timeout and a margin.
pub(super) fn renew_until(row: &TaskRow, now: Timestamp) -> Option<Timestamp> {
    row.brief
        .timeout
        .map(|timeout| now.plus(timeout).plus(limits::RENEW_MARGIN))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::id::{Incarnation, RunId};
    use crate::task::sample::first_step;

    fn name(text: &str) -> Name {
        Name::stored(text)
    }

    fn ready(queue: &str, due_at: Timestamp) -> TaskRow {
        TaskRow {
            due_at,
            ..first_step(RunId::from_u128(1), queue)
        }
    }

    #[test]
    fn of_a_paused_queue_nothing_is_handed_off_and_nothing_is_waited_for() {
        let now = Timestamp::from_micros(1_000);
        let demand = |queue| QueueDemand {
            queue: name(queue),
            slots: 1,
            floor: None,
        };
        let offer = Offer {
            worker: Incarnation::from_u128(7),
            handlers: Arc::new([name("work")].into()),
            queues: ["mail", "default"].map(demand).into(),
            engine: 1,
            lease: Duration::from_secs(30),
        };
        let view = View {
            now,
            paused: [name("mail")].into(),
            ..View::default()
        };
        for (queue, open) in [("mail", false), ("default", true)] {
            let mut hand_over = HandOver::new(Some(&offer), &view);
            let mut row = ready(queue, now);
            let before = row.clone();
            assert_eq!(hand_over.could_take(&row), open, "{queue}");
            assert_eq!(hand_over.take(&mut row, None, now), open, "{queue}");
            assert_eq!(row == before, !open, "{queue}");
        }
    }
}
