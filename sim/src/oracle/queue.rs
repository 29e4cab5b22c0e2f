//! Pauses of queues: what operators were told, and that nobody takes what is paused.
//!
//! Invariant: an operation is held to the pauses that had landed when it was decided, whenever it lands itself.

use squid_mesh_core::operation::{Offer, Operation, QueueCommand, QueueReply, Rejection};
use squid_mesh_core::task::{Item, TaskKind, TaskRow};

use super::Landing;
use crate::fault::sometimes::Milestone;
use crate::ghost::Ghost;
use crate::store::Tables;
use crate::violation::{Check, Promise, broken, ensure};

impl Landing<'_> {
    /// Checks the answer to a pause or resume, and takes note of it.
    pub(super) fn queue_set(
        &mut self,
        command: &QueueCommand,
        reply: &Result<QueueReply, Rejection>,
    ) -> Check {
        let reply = match reply {
            Ok(reply) => reply,
            Err(Rejection::ReservedQueue { .. }) if command.queue.is_engine() => {
                self.sometimes.reached(Milestone::QueueReserved);
                return Ok(());
            }
            Err(rejection) => {
                return broken(
                    Promise::TruthfulReply,
                    format!("queue {} is not set: {rejection}", command.queue),
                );
            }
        };
        if let Some(first) = self.ghost.queues.answers.get(&command.command) {
            ensure!(
                first == reply,
                Repeatable,
                "{:?} of queue {} was answered {first:?}, then {reply:?}",
                command.action,
                command.queue
            );
            return Ok(());
        }
        self.queue_set_first(command, reply)
    }

    fn queue_set_first(&mut self, command: &QueueCommand, reply: &QueueReply) -> Check {
        let paused = command.action.pauses();
        let before = self.ghost.queues.is_paused(&command.queue);
        // Nobody holds a queue that has no row: one may have come while this was in doubt.
        ensure!(
            self.was_in_doubt() || reply.changed == (before != paused),
            TruthfulReply,
            "{:?} of queue {}, which was paused: {before}, is told that it changed something: {}",
            command.action,
            command.queue,
            reply.changed
        );
        ensure!(
            reply.queue == command.queue && reply.paused == paused && reply.at == self.landed.at,
            TruthfulReply,
            "{:?} of queue {} is answered {reply:?}",
            command.action,
            command.queue
        );
        if reply.changed {
            self.sometimes.reached(if paused {
                Milestone::QueuePaused
            } else {
                Milestone::QueueResumed
            });
            self.ghost.queues.change(&command.queue, self.now, paused);
        }
        let answers = &mut self.ghost.queues.answers;
        answers.insert(command.command, reply.clone());
        queues_match(self.ghost, self.tables)
    }

    /// An attempt that was claimed or handed off is of no queue that was paused.
    pub(super) fn is_not_paused(&self, row: &TaskRow) -> Check {
        ensure!(
            !self
                .ghost
                .queues
                .must_be_known_paused(&row.queue, self.decided),
            PauseHolds,
            "queue {} is paused, and task {} of it was given to somebody by an operation decided at {}",
            row.queue,
            row.key,
            self.decided
        );
        Ok(())
    }

    /// Counts what a pause has held back, and what it has not.
    pub(super) fn count_pauses(&mut self) {
        if self.ghost.queues.paused().next().is_none() {
            return;
        }
        let clock = self.landed.at;
        let free = |row: &TaskRow| row.owner.is_none() && row.due_at <= clock;
        let held_back = |row: &TaskRow, offer: &Offer| {
            let slots = offer
                .queues
                .iter()
                .any(|demand| demand.queue == row.queue && demand.slots > 0);
            let handler = offer.handlers.contains(&row.handler);
            free(row) && slots && handler && self.ghost.queues.is_paused(&row.queue)
        };
        let touched = self.landed.touched.tasks.iter();
        let written = || touched.clone().filter_map(|key| self.tables.task(key));
        let milestone = match self.operation {
            Operation::Claim(claim) => {
                let lost = |row: &TaskRow| {
                    row.item() == Item::Loss && self.ghost.queues.is_paused(&row.queue)
                };
                if written().any(lost) {
                    self.sometimes.reached(Milestone::LossWhilePaused);
                }
                let mut rows = self.tables.tasks();
                rows.any(|row| held_back(row, &claim.offer))
                    .then_some(Milestone::ClaimHeldBack)
            }
            Operation::Settle(settle) => written()
                .any(|row| row.kind == TaskKind::Step && held_back(row, &settle.offer))
                .then_some(Milestone::HandOffHeldBack),
            Operation::Register(_)
            | Operation::Submit(_)
            | Operation::Lease(_)
            | Operation::Queue(_)
            | Operation::Schedule(_) => None,
        };
        if let Some(milestone) = milestone {
            self.sometimes.reached(milestone);
        }
    }
}

/// Every queue is in the store what the commands that landed have made it.
pub(super) fn queues_match(ghost: &Ghost, tables: &Tables) -> Check {
    for record in tables.queues() {
        ensure!(
            ghost.queues.is_paused(&record.name) == record.paused,
            Acknowledged,
            "the store says that queue {} is paused: {}",
            record.name,
            record.paused
        );
    }
    for queue in ghost.queues.paused() {
        ensure!(
            tables.is_paused(queue),
            Acknowledged,
            "queue {queue} was paused, and the store has forgotten it"
        );
    }
    Ok(())
}
