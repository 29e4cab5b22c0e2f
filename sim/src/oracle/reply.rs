//! What operations answered.
//!
//! Invariant: every answer is true of the ghost state at the instant at which the operation landed.

use std::collections::BTreeSet;

use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{
    Claim, Claimed, Entry, Operation, Register, Rejection, Reply, Report, ScheduleAction,
    ScheduleReply, SlotReply, Submit,
};
use squid_mesh_core::task::TaskRow;

use super::Landing;
use super::reported::is_engine;
use crate::fault::sometimes::Milestone;
use crate::ghost::{ClaimRecord, Ghost, ProcessId};
use crate::violation::{Check, Promise, broken, ensure};

impl Landing<'_> {
    /// What must hold before an operation's writes are looked at.
    pub(super) fn before(&mut self) -> Check {
        match self.operation {
            Operation::Claim(claim) => self.claims_in_turn(claim),
            Operation::Settle(settle) => self.note_repeats(settle),
            Operation::Register(_)
            | Operation::Submit(_)
            | Operation::Lease(_)
            | Operation::Queue(_)
            | Operation::Schedule(_) => Ok(()),
        }
    }

    /// Checks the answers, once the writes are known to be right.
    pub(super) fn answers(&mut self) -> Check {
        match (self.operation, &self.landed.reply) {
            (Operation::Register(register), Reply::Registered(conflicts)) => {
                ensure!(
                    conflicts.is_empty(),
                    TruthfulReply,
                    "a registration met {} conflicts",
                    conflicts.len()
                );
                self.is_registered(register)
            }
            (Operation::Submit(submit), Reply::Submitted { groups, handed, .. }) => {
                if !handed.is_empty() {
                    self.sometimes.reached(Milestone::HandedAtStart);
                }
                self.hand_outs_are_held(handed)?;
                self.submitted(submit, groups)
            }
            (Operation::Claim(claim), Reply::Claimed(claimed)) => self.claimed(claim, claimed),
            (Operation::Lease(leases), Reply::Leased(replies)) => self.leased(leases, replies),
            (Operation::Queue(command), Reply::Queue(reply)) => self.queue_set(command, reply),
            (Operation::Schedule(command), Reply::Schedule(reply)) => {
                self.schedule_set(command, reply)
            }
            (Operation::Settle(settle), Reply::Settled { slots, handed, .. }) => {
                self.hand_outs_are_held(handed)?;
                if settle.reports.len() > 1 {
                    self.sometimes.reached(Milestone::Batched);
                }
                ensure!(
                    slots.len() == settle.reports.len(),
                    TruthfulReply,
                    "a settle has {} answers",
                    slots.len()
                );
                settle
                    .reports
                    .iter()
                    .zip(slots)
                    .try_for_each(|(report, slot)| self.slot(report, slot))
            }
            (operation, reply) => broken(
                Promise::TruthfulReply,
                format!("{operation:?} was answered by {reply:?}"),
            ),
        }
    }

    /// Every process that has registered is known by itself, whatever others are called.
    fn is_registered(&mut self, register: &Register) -> Check {
        if let Some(worker) = &register.worker {
            let name = worker.name.clone();
            self.ghost.workers.insert(worker.incarnation, name);
        }
        for (incarnation, name) in &self.ghost.workers {
            let row = self.tables.worker(*incarnation);
            ensure!(
                row.is_some_and(|row| row.name == *name),
                Acknowledged,
                "{incarnation} has registered as {name:?}, and is not known by that"
            );
        }
        Ok(())
    }

    /// What is handed out is held by the one who asked, by the store's own rows.
    fn hand_outs_are_held(&self, handed: &[TaskRow]) -> Check {
        let process = self.process();
        for row in handed {
            let holder = self.ghost.holder(&row.key);
            let held = holder
                .is_some_and(|grant| Some(grant.process) == process && grant.fence == row.fence);
            ensure!(
                held,
                TruthfulReply,
                "task {} was handed to somebody who does not hold it",
                row.key
            );
        }
        Ok(())
    }

    /// Whether this is a claim that its process has gone on from: it was under way for so long that it was given up.
    pub(super) fn is_superseded(&self) -> bool {
        match (self.operation, self.process()) {
            (Operation::Claim(claim), Some(process)) => {
                let landed = self
                    .ghost
                    .claims
                    .contains_key(&(claim.offer.worker, claim.number));
                self.late && (landed || self.ghost.process(process).claims > claim.number)
            }
            _ => false,
        }
    }

    /// Whether this is a submit that its sender has given up: he is told of what it handed to him only if all of the group
    /// can still be read when he repeats it.
    pub(super) fn was_given_up_at_start(&self) -> bool {
        self.late && matches!(self.operation, Operation::Submit(_))
    }

    /// Whether what this operation gives its sender is known to nobody: he has gone on without it, or was answered before.
    pub(super) fn nobody_knows(&self) -> bool {
        let echoed = self.echo && matches!(self.operation, Operation::Settle(_));
        echoed || self.is_superseded() || self.was_given_up_at_start()
    }

    fn claims_in_turn(&mut self, claim: &Claim) -> Check {
        if self.is_superseded() {
            return Ok(());
        }
        let owner = claim.offer.worker;
        let earlier = self.ghost.claims.range((owner, 0)..(owner, claim.number));
        let mut earlier = earlier.filter(|(_, record)| {
            !record.answered && !record.superseded && !record.took.is_empty()
        });
        let unknown = earlier.next_back();
        ensure!(
            unknown.is_none(),
            ClaimsInTurn,
            "{owner} claims under number {}, and was never told what number {} took",
            claim.number,
            unknown.map_or(0, |((_, number), _)| *number)
        );
        Ok(())
    }

    fn claimed(&mut self, claim: &Claim, claimed: &Claimed) -> Check {
        let (owner, number) = (claim.offer.worker, claim.number);
        let took: Vec<_> = claimed
            .tasks
            .iter()
            .map(|row| (row.key, row.fence))
            .collect();
        self.hand_outs_are_held(&claimed.tasks)?;
        let mut later = self
            .ghost
            .claims
            .range((owner, number + 1)..=(owner, u64::MAX));
        if later.any(|(_, record)| !record.took.is_empty()) {
            ensure!(
                took.is_empty(),
                ClaimsInTurn,
                "claim {number} of {owner} landed after a later one, and took something"
            );
            return Ok(());
        }
        if let Some(record) = self.ghost.claims.get(&(owner, number))
            && !record.took.is_empty()
        {
            self.sometimes.reached(Milestone::ClaimRepeated);
            ensure!(
                self.landed.touched.tasks.is_empty(),
                Repeatable,
                "claim {number} of {owner} was repeated, and took something again"
            );
            ensure!(
                took.iter().all(|task| record.took.contains(task)),
                Repeatable,
                "claim {number} of {owner} was repeated, and answered otherwise"
            );
            return Ok(());
        }
        for row in &claimed.tasks {
            self.claimed_as_said(claim, row)?;
        }
        let record = ClaimRecord {
            took,
            answered: false,
            superseded: self.is_superseded(),
        };
        self.ghost.claims.insert((owner, number), record);
        Ok(())
    }

    /// A claimed row has the lease that was asked for, in the answer and in the store alike.
    fn claimed_as_said(&self, claim: &Claim, row: &TaskRow) -> Check {
        let lease = row.due_at.since(self.landed.at);
        ensure!(
            lease <= claim.offer.lease && row.due_at > self.landed.at,
            TruthfulReply,
            "task {} was claimed for {lease:?} instead of {:?}",
            row.key,
            claim.offer.lease
        );
        let stored = self.tables.task(&row.key).map(|stored| stored.due_at);
        ensure!(
            stored == Some(row.due_at),
            TruthfulReply,
            "a claim answers that the lease on {} ends at {}, the store has {stored:?}",
            row.key,
            row.due_at
        );
        Ok(())
    }

    pub(super) fn count(&mut self, rejection: &Rejection) {
        match rejection {
            Rejection::Stale { .. } => self.sometimes.reached(Milestone::Stale),
            Rejection::Finished { .. } => self.sometimes.reached(Milestone::LateForRun),
            Rejection::NotDue { .. } => self.sometimes.reached(Milestone::NotDue),
            Rejection::KeyConflict { .. } => self.sometimes.reached(Milestone::KeyConflict),
            Rejection::Unreadable { .. } => self.sometimes.reached(Milestone::Unreadable),
            Rejection::NotWaiting { .. } => self.sometimes.reached(Milestone::NotWaiting),
            Rejection::NotFinished { .. } => self.sometimes.reached(Milestone::CopiedTooEarly),
            Rejection::UnsafeReplay { .. } => self.sometimes.reached(Milestone::UnsafeReplay),
            _ => {}
        }
    }
}

/// Remembers what a process was told.
pub fn delivered(ghost: &mut Ghost, process: ProcessId, operation: &Operation, reply: &Reply) {
    match (operation, reply) {
        (Operation::Claim(claim), Reply::Claimed(_)) => {
            let mut earlier = ghost
                .claims
                .range_mut((claim.offer.worker, 0)..=(claim.offer.worker, claim.number));
            if let Some((_, record)) = earlier
                .next_back()
                .filter(|((_, number), _)| *number == claim.number)
            {
                record.answered = true;
            }
        }
        (Operation::Settle(settle), Reply::Settled { slots, .. }) => {
            let definite = |slot: &SlotReply| !matches!(slot, SlotReply::Busy);
            for (report, _) in settle
                .reports
                .iter()
                .zip(slots)
                .filter(|(_, slot)| definite(slot))
            {
                if let Some(body) = ghost.body_of(process, &report.key, &report.token) {
                    ghost.bodies[body.0].answered = true;
                }
            }
        }
        (Operation::Lease(leases), Reply::Leased(replies)) => {
            let held = leases.renew.iter().zip(replies);
            let lost = held
                .filter(|(_, reply)| matches!(reply, squid_mesh_core::operation::HeldReply::Lost));
            for (held, _) in lost {
                if let Some(body) = ghost.body_of(process, &held.key, &held.token) {
                    ghost.bodies[body.0].answered = true;
                }
            }
        }
        _ => {}
    }
}

/// Whether an operation that was performed twice, at once, was answered the same.
pub fn same_reply(operation: &Operation, first: &Reply, second: &Reply) -> bool {
    let keys =
        |rows: &[TaskRow]| -> Vec<_> { rows.iter().map(|row| (row.key, row.fence)).collect() };
    let handed_again = |first: &[TaskRow], second: &[TaskRow]| {
        let again = keys(second);
        keys(first).iter().all(|task| again.contains(task))
    };
    match (operation, first, second) {
        (_, Reply::Registered(a), Reply::Registered(b)) => a == b,
        (_, Reply::Queue(a), Reply::Queue(b)) => a == b,
        (Operation::Schedule(command), Reply::Schedule(Ok(a)), Reply::Schedule(Ok(b)))
            if is_statement(&command.action) =>
        {
            let expected = ScheduleReply {
                changed: a.changed,
                ..b.clone()
            };
            *a == expected && !b.changed
        }
        (_, Reply::Schedule(a), Reply::Schedule(b)) => a == b,
        (
            Operation::Submit(submit),
            Reply::Submitted { groups, handed, .. },
            Reply::Submitted {
                groups: groups_again,
                handed: again,
                ..
            },
        ) => {
            let answered = !is_apart(submit) || groups == groups_again;
            answered && handed_again(handed, again)
        }
        (_, Reply::Claimed(a), Reply::Claimed(b)) => {
            a.tasks.is_empty() || keys(&a.tasks) == keys(&b.tasks)
        }
        (Operation::Lease(leases), Reply::Leased(a), Reply::Leased(b)) => {
            let kept = leases.renew.len() + leases.begun.len();
            a[..kept] == b[..kept]
        }
        (
            Operation::Settle(settle),
            Reply::Settled { slots, handed, .. },
            Reply::Settled {
                slots: slots_again,
                handed: again,
                ..
            },
        ) => {
            let mut slots = settle.reports.iter().zip(slots.iter().zip(slots_again));
            slots.all(|(report, (a, b))| same_slot(report, a, b)) && handed_again(handed, again)
        }
        _ => false,
    }
}

/// Whether an action says how a schedule is to be, which no log keeps: the second time, it is so.
fn is_statement(action: &ScheduleAction) -> bool {
    matches!(
        action,
        ScheduleAction::Declare(_) | ScheduleAction::Retire { .. }
    )
}

/// Whether no two entries concern the same run: otherwise an earlier one finds, the second time, what a later one did.
fn is_apart(submit: &Submit) -> bool {
    let entries = || submit.groups.iter().flat_map(|group| &group.entries);
    let runs: BTreeSet<RunId> = entries().map(Entry::run).collect();
    runs.len() == entries().count()
}

/// A late report may be refused as stale first and because its run has ended then: a later slot ended it.
fn same_slot(report: &Report, first: &SlotReply, second: &SlotReply) -> bool {
    let refused = |slot: &SlotReply| matches!(slot, SlotReply::Rejected(_));
    is_engine(report) || first == second || refused(first) && refused(second)
}
