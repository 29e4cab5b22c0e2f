//! Leases that end, renewals and hand-backs.
//!
//! Invariant: a lease that ends under a healthy worker and a healthy store is a bug of the worker.

use std::time::Duration;

use squid_mesh_core::operation::{Held, HeldReply, Leases};
use squid_mesh_core::task::{Item, TaskKind};

use super::Landing;
use crate::fault::sometimes::Milestone;
use crate::ghost::Grant;
use crate::violation::{Check, Promise, broken, ensure};

/// How long after the end of all trouble a worker may need to try a renewal again.
const BACKOFF: Duration = Duration::from_secs(6);

impl Landing<'_> {
    /// The lease of an attempt has ended, and its loss was claimed.
    pub(super) fn lease_ended(&self, grant: &Grant) -> Check {
        let process = self.ghost.process(grant.process);
        // A clock that is stepped at the very instant of the grant may be after it.
        let clock_held = self.stepped < grant.since;
        let over = self.clock.since(grant.until);
        let ended = self.now.0.saturating_sub(crate::clock::micros(over));
        let length = Duration::from_micros(ended.saturating_sub(grant.since.0));
        // A step of the clock shortens what a worker believes in, until it hears of the next renewal.
        let steady = self.stepped < grant.granted;
        if process.is_healthy() && steady && process.thawed <= grant.since {
            self.told_in_time(grant)?;
        }
        let trouble = process.trouble.max(self.trouble).max(process.thawed);
        let quiet = Duration::from_micros(ended.saturating_sub(trouble.max(grant.since).0));
        // Renewals are due after a third of the lease, so a worker left in peace for longer has missed one.
        // What went wrong at the very instant of the grant has it back off, too.
        let needed = if trouble >= grant.since {
            length * 2 / 3 + BACKOFF
        } else {
            length * 2 / 3
        };
        let known = !grant.abandoned;
        let capped = grant.cap.is_some_and(|cap| grant.until >= cap);
        let run = self.ghost.runs.get(&grant.key.run);
        let readable = run.is_some_and(|run| !run.unreadable) && !self.is_unheard_of(grant);
        ensure!(
            !(process.is_healthy() && clock_held && known && readable && !capped && quiet > needed),
            HealthyKeepsLeases,
            "{} lost its lease on task {} (granted or renewed at {}, ended at {}), and nothing was wrong since {}",
            grant.owner,
            grant.key,
            grant.since,
            grant.until,
            trouble
        );
        Ok(())
    }

    /// Whether a claim may have been handed over with an answer that was lost, and is not told again because the run whose step
    /// led there, its parent, cannot be read since: nothing was ever done under it.
    fn is_unheard_of(&self, grant: &Grant) -> bool {
        let run = self.ghost.runs.get(&grant.key.run);
        let parent = run.and_then(|run| run.start.parent.as_ref());
        let parent = parent.and_then(|parent| self.ghost.runs.get(&parent.run));
        let untouched = grant.body.is_none() && grant.since == grant.granted;
        untouched && parent.is_some_and(|parent| parent.unreadable)
    }

    fn told_in_time(&self, grant: &Grant) -> Check {
        let Some(body) = grant.body.map(|body| &self.ghost.bodies[body.0]) else {
            return Ok(());
        };
        ensure!(
            !body.is_running() || body.told.is_some(),
            ToldBeforeLeaseEnds,
            "the lease on task {} has ended at {}, and its handler runs on without having been told to stop",
            grant.key,
            grant.until
        );
        Ok(())
    }

    /// Checks the answers to renewals and hand-backs.
    pub(super) fn leased(&mut self, leases: &Leases, replies: &[HeldReply]) -> Check {
        let held: Vec<Held> = leases.renew.iter().chain(&leases.begun).copied().collect();
        ensure!(
            replies.len() == held.len() + leases.hand_back.len(),
            TruthfulReply,
            "{} leases got {} answers",
            held.len() + leases.hand_back.len(),
            replies.len()
        );
        for (held, reply) in held.iter().zip(replies) {
            self.renewed(held, *reply)?;
        }
        for (held, reply) in leases.hand_back.iter().zip(&replies[held.len()..]) {
            self.handed_back(held, *reply)?;
        }
        Ok(())
    }

    fn renewed(&mut self, held: &Held, reply: HeldReply) -> Check {
        let process = self.process();
        let mine =
            |grant: &&Grant| grant.is_of(&held.key, &held.token) && Some(grant.process) == process;
        let holds = self.ghost.holder(&held.key).filter(mine).is_some();
        match reply {
            HeldReply::Held { lease, stop } => {
                ensure!(
                    holds,
                    OldClaimsWriteNothing,
                    "a renewal of task {} was granted to {}, who does not hold it",
                    held.key,
                    held.token.owner
                );
                let row = self.tables.task(&held.key).expect("a renewed task exists");
                ensure!(
                    row.due_at.since(self.landed.at) == lease,
                    TruthfulReply,
                    "a lease on task {} was granted for {lease:?}, and ends at {}",
                    held.key,
                    row.due_at
                );
                let ending = row.kind == TaskKind::Stopping;
                ensure!(
                    stop == ending,
                    TruthfulReply,
                    "the holder of task {} is told to stop: {stop}",
                    held.key
                );
            }
            HeldReply::Lost => {
                self.sometimes.reached(Milestone::LeaseLost);
                ensure!(
                    !holds,
                    TruthfulReply,
                    "the holder of task {} is told that its lease is lost",
                    held.key
                );
            }
            HeldReply::Busy => self.busy("a renewal")?,
            HeldReply::HandedBack => {
                return broken(
                    Promise::TruthfulReply,
                    "a renewal is answered as a hand-back",
                );
            }
        }
        Ok(())
    }

    fn handed_back(&mut self, held: &Held, reply: HeldReply) -> Check {
        match reply {
            HeldReply::HandedBack => {
                self.sometimes.reached(Milestone::HandedBack);
                let grant = self
                    .ghost
                    .grant_of(&held.key, &held.token)
                    .map(|id| &self.ghost.grants[id.0]);
                let begun =
                    grant.is_some_and(|grant| grant.item == Item::Attempt && grant.body.is_some());
                ensure!(
                    !begun,
                    DrainIsClean,
                    "task {} was handed back, and its handler had begun",
                    held.key
                );
                // The claim on a step that is to end stays until its end is recorded.
                if let Some(id) = self.ghost.grant_of(&held.key, &held.token) {
                    self.ghost.grants[id.0].abandoned = true;
                }
                Ok(())
            }
            HeldReply::Lost => Ok(()),
            HeldReply::Busy => self.busy("a hand-back"),
            HeldReply::Held { .. } => broken(
                Promise::TruthfulReply,
                "a hand-back is answered as a renewal",
            ),
        }
    }

    /// Something was answered busy: then somebody else must really have been at it.
    pub(super) fn busy(&mut self, what: &str) -> Check {
        self.sometimes.reached(Milestone::Busy);
        ensure!(
            self.contended,
            TruthfulReply,
            "{what} was answered busy, and nobody else holds a lock"
        );
        Ok(())
    }
}
