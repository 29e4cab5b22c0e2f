//! Renewals, begun marks and hand-backs: one operation on leases.
//!
//! Invariant: only the whole token moves a lease; a skipped (locked) row is answered `Busy`, never waited for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Decision, Found, HeldReply, ReadSet, Reply, TaskUpdate, View, Writes};
use crate::id::Shard;
use crate::mutant::Mutant;
use crate::task::{TaskKey, TaskKind, TaskRow, Token};

/// What a worker wants of its leases.
#[derive(Debug, Clone, PartialEq)]
pub struct Leases {
    /// The shard.
    pub shard: Shard,
    /// How long to renew for.
    pub lease: Duration,
    /// Leases to renew.
    pub renew: Vec<Held>,
    /// Bodies about to begin.
    pub begun: Vec<Held>,
    /// Claims to give back: their bodies never began.
    pub hand_back: Vec<Held>,
}

/// A lease: the task and the token that proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The task.
    pub key: TaskKey,
    /// The lease.
    pub token: Token,
}

/// What is wanted of one lease.
#[derive(Clone, Copy)]
enum Want {
    Renew,
    Begin,
    HandBack,
}

impl Leases {
    fn wants(&self) -> impl Iterator<Item = (&Held, Want)> {
        let renew = self.renew.iter().map(|held| (held, Want::Renew));
        let begun = self.begun.iter().map(|held| (held, Want::Begin));
        renew
            .chain(begun)
            .chain(self.hand_back.iter().map(|held| (held, Want::HandBack)))
    }

    pub(super) fn reads(&self) -> ReadSet {
        let tasks = self.wants().map(|(held, _)| held.key).collect();
        ReadSet {
            shard: self.shard,
            tasks,
            ..ReadSet::default()
        }
    }

    pub(super) fn decide(&self, view: &View) -> Decision {
        let mut writes = Writes::default();
        let mut replies = Vec::new();
        // One lease may be renewed and marked at once: each want sees what the one before it left.
        let mut changed: BTreeMap<TaskKey, TaskRow> = BTreeMap::new();
        for (held, want) in self.wants() {
            let before = match view
                .tasks
                .get(&held.key)
                .expect("every task of an operation is in its read set")
            {
                Found::Absent => {
                    replies.push(HeldReply::Lost);
                    continue;
                }
                Found::Busy => {
                    replies.push(HeldReply::Busy);
                    continue;
                }
                Found::Row(row) => row,
            };
            let row = changed.get(&held.key).unwrap_or(before);
            let (reply, after) = self.answer(row, held, want, view);
            replies.push(reply);
            changed.extend(after.map(|after| (held.key, after)));
        }
        for (key, after) in changed {
            let Some(Found::Row(row)) = view.tasks.get(&key) else {
                continue;
            };
            if after == *row {
                continue;
            }
            if after.owner.is_none() {
                writes.hints.insert(after.queue.clone());
            }
            let indexed = after.due_at != row.due_at || after.handler != row.handler;
            writes.tasks_updated.push(TaskUpdate {
                row: after,
                was: row.fence,
                indexed,
            });
        }
        Decision::Done {
            writes,
            reply: Reply::Leased(replies),
        }
    }

    fn answer(
        &self,
        row: &TaskRow,
        held: &Held,
        want: Want,
        view: &View,
    ) -> (HeldReply, Option<TaskRow>) {
        let ignores = view.mutation.is(Mutant::RenewalIgnoresFence) && row.owner.is_some();
        if !row.is_held_by(&held.token) && !ignores {
            return (HeldReply::Lost, None);
        }
        match want {
            Want::Renew => self.renewed(row, view),
            Want::Begin if row.kind == TaskKind::Step => {
                let (reply, after) = self.renewed(row, view);
                (
                    reply,
                    after.map(|after| TaskRow {
                        begun: true,
                        ..after
                    }),
                )
            }
            Want::Begin => self.renewed(row, view),
            Want::HandBack => (HeldReply::HandedBack, Some(handed_back(row, view))),
        }
    }

    /// The lease moved on, but not beyond the row's cap, and never back.
    fn renewed(&self, row: &TaskRow, view: &View) -> (HeldReply, Option<TaskRow>) {
        let wanted = view.now.plus(self.lease);
        let capped = row
            .renew_until
            .map_or(wanted, |cap| wanted.min(cap))
            .max(row.due_at);
        let reply = HeldReply::Held {
            lease: capped.since(view.now),
            stop: row.kind == TaskKind::Stopping,
        };
        (
            reply,
            Some(TaskRow {
                due_at: capped,
                ..row.clone()
            }),
        )
    }
}

/// Due at once, found where it belongs. A claim that is there to record a loss keeps its owner: whoever takes it next has
/// to record that loss still.
fn handed_back(row: &TaskRow, view: &View) -> TaskRow {
    let owner = row
        .owner
        .filter(|_| row.expired || row.kind == TaskKind::Stopping);
    TaskRow {
        owner,
        begun: row.begun && row.expired,
        handler: row.own_handler().clone(),
        due_at: view.now,
        renew_until: None,
        ..row.clone()
    }
}
