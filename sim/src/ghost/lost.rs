//! What is left when the store goes back to what it held some time ago: rows as they were then, and whatever else has really
//! happened since.
//!
//! Invariant: bodies, processes and logs are never undone; nothing that the store has lost counts as held or as recorded.

use squid_mesh_core::operation::Operation;
use squid_mesh_core::task::{TaskKey, Token};

use super::{Ghost, Grant, GrantEnd};

impl Ghost {
    /// What really happened, when the store is again what it was when this was copied, and `present` is what there is now.
    #[must_use]
    pub fn after_loss(mut self, present: Ghost) -> Ghost {
        let (kept, begun) = (self.grants.len(), self.bodies.len());
        self.bodies = present.bodies;
        for (grant, now) in self.grants.iter_mut().zip(&present.grants) {
            // Who has reported, or has been told that it is over, does not renew it.
            grant.abandoned |= now.abandoned || now.end.is_some();
            if grant.end.is_some() || now.end.is_none() {
                grant.body = grant.body.or(now.body);
                continue;
            }
            // What came of it is no longer recorded, so nothing accounts for it.
            let counted = grant.body.take();
            let counted = counted.filter(|body| !self.bodies[body.0].lost);
            if let Some(body) = now.body {
                self.bodies[body.0].lost = true;
            }
            let run = self.runs.get_mut(&grant.key.run);
            let step = run.and_then(|run| run.steps.get_mut(grant.step.at()));
            let tries = step.and_then(|step| step.tries_mut(grant.role));
            if let Some(tries) = tries.filter(|_| counted.is_some()) {
                tries.begun -= 1;
            }
        }
        let lost = present.grants.into_iter().skip(kept);
        self.grants.extend(lost.map(|grant| Grant {
            lost: true,
            end: grant.end.or(Some(GrantEnd::Dropped)),
            ..grant
        }));
        for (number, record) in &mut self.claims {
            if let Some(now) = present.claims.get(number) {
                record.answered |= now.answered;
                record.superseded |= now.superseded;
            }
        }
        self.processes = present.processes;
        self.lines = present.lines;
        self.landings = present.landings;
        for body in &mut self.bodies[begun..] {
            body.lost = true;
        }
        self
    }

    /// Whether this very claim was made before, in a span that was lost: its worker may take the one for the other.
    pub fn was_made_before(&self, key: &TaskKey, token: &Token) -> bool {
        let mut lost = self.grants.iter().filter(|grant| grant.lost);
        lost.any(|grant| grant.is_of(key, token))
    }

    /// Whether somebody reports under a claim that was made both in a span that was lost and again since.
    pub fn may_be_mistaken(&self, operation: &Operation) -> bool {
        let Operation::Settle(settle) = operation else {
            return false;
        };
        settle.reports.iter().any(|report| {
            let (key, token) = (&report.key, &report.token);
            let now = self.grant_of(key, token).map(|id| &self.grants[id.0]);
            now.is_some_and(|grant| !grant.lost) && self.was_made_before(key, token)
        })
    }
}
