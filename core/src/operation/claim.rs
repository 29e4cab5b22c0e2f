//! Taking due tasks under lease.
//!
//! Invariant: a claim reads and writes tasks and its own worker row, never a run: claims are not history.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::hand_over::renew_until;
use super::queue::offered;
use super::{
    Claimed, Decision, Found, HandlerSet, Offer, QueueScan, ReadSet, Reply, Scan, TaskUpdate, View,
    WorkerRow, Writes,
};
use crate::id::Shard;
use crate::limits;
use crate::mutant::Mutant;
use crate::name::{ENGINE_QUEUE, Name};
use crate::task::{Fence, Item, TASK_FORMAT, TaskKey, TaskKind, TaskRow, engine};

#[cfg(test)]
mod tests;

/// Takes due tasks under lease. Repeating it with the same number answers what it got.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The shard.
    pub shard: Shard,
    /// Counts this incarnation's claims, from 1; a repeated claim repeats its number.
    pub number: u64,
    /// Free slots.
    pub offer: Offer,
}

/// A worker row is brought up to date at least this often while its process claims.
const SEEN: Duration = Duration::from_secs(60);

/// What every worker can do about the engine's own items.
static ENGINE_HANDLERS: LazyLock<Arc<HandlerSet>> =
    LazyLock::new(|| Arc::new(engine::ALL.into_iter().map(Name::fixed).collect()));

/// How many rows to look for with so many slots free.
fn limit(slots: u32) -> u32 {
    slots.min(u32::try_from(limits::SCAN).unwrap_or(u32::MAX))
}

impl Claim {
    pub(super) fn reads(&self) -> ReadSet {
        let demands = self.offer.queues.iter().filter(|demand| demand.slots > 0);
        let mut queues: Vec<QueueScan> = demands
            .map(|demand| QueueScan {
                queue: demand.queue.clone(),
                handlers: Arc::clone(&self.offer.handlers),
                limit: limit(demand.slots),
            })
            .collect();
        if self.offer.engine > 0 {
            queues.push(QueueScan {
                queue: Name::fixed(ENGINE_QUEUE),
                handlers: Arc::clone(&ENGINE_HANDLERS),
                limit: limit(self.offer.engine),
            });
        }
        let scan = Some(Scan {
            queues,
            format: TASK_FORMAT,
        });
        ReadSet {
            shard: self.shard,
            worker: Some(self.offer.worker),
            scan,
            queues: offered(&self.offer),
            ..ReadSet::default()
        }
    }

    pub(super) fn decide(&self, view: &View) -> Decision {
        match &view.worker {
            Some(row) if self.is_repeat_of(row, view) => self.answer_again(row, view),
            Some(row) if row.claim > self.number => Claim::overtaken(view),
            worker => self.take(worker.as_ref(), view),
        }
    }

    fn is_repeat_of(&self, row: &WorkerRow, view: &View) -> bool {
        row.claim == self.number
            && row.claim_shard == self.shard
            && !view.mutation.is(Mutant::ClaimNotRepeatable)
    }

    /// The answer to a claim that was under way for so long that its worker has gone on to later ones: nobody waits for it.
    /// Were it to take something, nobody would know of those leases, and its number would hide that of the last claim.
    fn overtaken(view: &View) -> Decision {
        let reply = Reply::Claimed(Claimed {
            now: view.now,
            ..Claimed::default()
        });
        Decision::Done {
            writes: Writes::default(),
            reply,
        }
    }

    /// What this number got already, as far as it still holds it.
    fn answer_again(&self, row: &WorkerRow, view: &View) -> Decision {
        if row
            .claimed
            .iter()
            .any(|(key, _)| !view.tasks.contains_key(key))
        {
            let tasks = row.claimed.iter().map(|(key, _)| *key).collect();
            return Decision::Need(ReadSet {
                shard: self.shard,
                tasks,
                ..ReadSet::default()
            });
        }
        let held = |key: &TaskKey, fence: &Fence| match view.tasks.get(key) {
            Some(Found::Row(row))
                if row.fence == *fence && row.owner == Some(self.offer.worker) =>
            {
                Some(row.clone())
            }
            Some(Found::Row(_) | Found::Absent | Found::Busy) | None => None,
        };
        let tasks = row
            .claimed
            .iter()
            .filter_map(|(key, fence)| held(key, fence))
            .collect();
        let claimed = Claimed {
            now: view.now,
            tasks,
            more: true,
            left: Vec::new(),
            next_due: None,
        };
        Decision::Done {
            writes: Writes::default(),
            reply: Reply::Claimed(claimed),
        }
    }

    fn take(&self, worker: Option<&WorkerRow>, view: &View) -> Decision {
        let mut due: Vec<&TaskRow> = view.due.iter().collect();
        due.sort_by_key(|row| (row.priority, row.due_at, row.key));
        let mut engine = self.offer.engine;
        let mut slots: BTreeMap<&Name, u32> = self
            .offer
            .queues
            .iter()
            .map(|demand| (&demand.queue, demand.slots))
            .collect();
        let mut left: BTreeMap<Name, i16> = BTreeMap::new();
        let (mut tasks, mut updates) = (Vec::new(), Vec::new());
        for before in due {
            let row = self.leased(before, view);
            if is_paused(&row, view) {
                continue;
            }
            let free = match row.item() {
                Item::Attempt => slots.get_mut(&before.queue),
                Item::Loss
                | Item::Wait
                | Item::Deadline
                | Item::Chore(_)
                | Item::Delivery
                | Item::Firing => Some(&mut engine),
            };
            match free.filter(|free| **free > 0) {
                Some(free) => {
                    *free -= 1;
                    let mut written = row.clone();
                    if view.mutation.is(Mutant::LeaseEndsEarly) {
                        written.due_at = view.now.plus(self.offer.lease / 4);
                    }
                    updates.push(TaskUpdate {
                        row: written,
                        was: before.fence,
                        indexed: true,
                    });
                    tasks.push(row);
                }
                None => {
                    left.entry(before.queue.clone()).or_insert(before.priority);
                }
            }
        }
        updates.sort_by_key(|update| update.row.key);
        let more = !left.is_empty() || self.reached_a_limit(view);
        let left = left.into_iter().collect();
        let next_due = view.next_due.map(|due| due.since(view.now));
        let writes = Writes {
            worker: self.worker_row(worker, &tasks, view),
            tasks_updated: updates,
            ..Writes::default()
        };
        let reply = Reply::Claimed(Claimed {
            now: view.now,
            tasks,
            more,
            left,
            next_due,
        });
        Decision::Done { writes, reply }
    }

    /// The row under this worker's lease. One that has an owner fell due because that one's lease ended: the claim is
    /// there to record the loss, not to execute anything.
    fn leased(&self, before: &TaskRow, view: &View) -> TaskRow {
        let attempt = matches!(
            before.kind,
            TaskKind::Step | TaskKind::Stopping | TaskKind::Undo
        );
        let overdue = before.owner.is_some() && !view.mutation.is(Mutant::ExpiredReexecuted);
        let mut row = before.clone();
        row.expired = before.expired || attempt && overdue;
        row.owner = Some(self.offer.worker);
        if !view.mutation.is(Mutant::ClaimKeepsFence) {
            row.fence.claims += 1;
        }
        row.due_at = view.now.plus(self.offer.lease);
        row.hand_offs = 0;
        row.renew_until = if row.item() == Item::Attempt {
            renew_until(&row, view.now)
        } else {
            None
        };
        row
    }

    /// Whether the scan stopped at a limit somewhere, so that more may be due than it showed.
    fn reached_a_limit(&self, view: &View) -> bool {
        let mut found: BTreeMap<(&Name, i16, &Name), u32> = BTreeMap::new();
        for row in view.due.iter().filter(|row| !is_held_back(row, view)) {
            *found
                .entry((&row.queue, row.priority, &row.handler))
                .or_default() += 1;
        }
        let slots = |queue: &Name| {
            let demands = &self.offer.queues;
            let demand = demands.iter().find(|demand| demand.queue == *queue);
            demand.map_or(self.offer.engine, |demand| demand.slots)
        };
        found
            .iter()
            .any(|((queue, ..), count)| *count >= limit(slots(queue)))
    }

    /// The worker row as this claim leaves it: with what it took, or merely seen, or not written at all.
    fn worker_row(
        &self,
        before: Option<&WorkerRow>,
        tasks: &[TaskRow],
        view: &View,
    ) -> Option<WorkerRow> {
        let mut row = before.cloned().unwrap_or_else(|| self.unregistered(view));
        let seen = before.is_some() && view.now.since(row.seen) < SEEN;
        if tasks.is_empty() && seen {
            return None;
        }
        row.seen = view.now;
        if !tasks.is_empty() {
            row.claim = self.number;
            row.claim_shard = self.shard;
            row.claimed = tasks.iter().map(|task| (task.key, task.fence)).collect();
        }
        Some(row)
    }

    /// A worker whose registration the database lost (a failover, a restored backup) goes on under its incarnation.
    fn unregistered(&self, view: &View) -> WorkerRow {
        WorkerRow {
            incarnation: self.offer.worker,
            name: String::new(),
            handlers: Arc::clone(&self.offer.handlers),
            queues: self
                .offer
                .queues
                .iter()
                .map(|demand| demand.queue.clone())
                .collect(),
            started: view.now,
            seen: view.now,
            claim: 0,
            claim_shard: self.shard,
            claimed: Vec::new(),
        }
    }
}

/// Whether a row under this claim would be an attempt of a paused queue. Losses are recorded all the same: they execute
/// nothing.
fn is_paused(leased: &TaskRow, view: &View) -> bool {
    leased.item() == Item::Attempt
        && view.paused.contains(&leased.queue)
        && !view.mutation.is(Mutant::ClaimIgnoresPause)
}

/// Whether a due row stays behind because its queue is paused, however often it is claimed.
fn is_held_back(row: &TaskRow, view: &View) -> bool {
    row.owner.is_none() && view.paused.contains(&row.queue)
}
