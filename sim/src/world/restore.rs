//! Declared losses: the store goes back to what it held some time ago, as after a failover to a replica that lags or a restore
//! from a backup, while processes and everything outside go on from where they are.
//!
//! What must hold nevertheless: what the store then holds is consistent; what was acknowledged is missing only if it was committed
//! after the copy; whatever workers hold from the lost span is refused or is what is to be done now; only effects of that span are
//! had twice without a loss or a retry being recorded; every run that still exists finishes.
//!
//! Invariant: the ghost goes back with the store in what the store records, and in nothing else.

use super::liveness::Phase;
use super::strike::Strike;
use super::{Event, World};
use squid_mesh_core::operation::Operation;

use crate::choice::Label;
use crate::clock::SimTime;
use crate::fault::Fault;
use crate::fault::sometimes::Milestone;
use crate::ghost::Ghost;
use crate::oracle;
use crate::store::Tables;
use crate::story::Trouble;
use crate::violation::{Broken, Check};

/// How often a seed may lose something.
const LOSSES: u32 = 2;

/// What the store may go back to.
pub(super) struct Backup {
    tables: Tables,
    ghost: Ghost,
}

impl World {
    /// Draws when something is lost, and how much.
    pub(super) fn draw_restores(&mut self) {
        self.draw_apart(Fault::Restored, LOSSES, Label::Restore, |world| {
            let horizon = world.settings.horizon.0;
            let at = world.choices.magnitude(Label::Restore, 500_000, horizon);
            let lost = world.choices.magnitude(Label::Restore, 500, 40_000_000);
            let strike = Strike {
                fault: Fault::Restored,
                node: 0,
                span: world.choices.magnitude(Label::Restore, 5_000, 5_000_000),
                aimed: true,
            };
            world.push(SimTime(at.saturating_sub(lost)), Event::BackUp);
            world.push(SimTime(at), Event::Strike(strike));
        });
    }

    /// Copies the store, once every workflow is known to it: a process says once what it runs.
    pub(super) fn back_up(&mut self) {
        let mut workflows = self.settings.workflows.iter();
        if workflows.all(|known| self.tables.definition(known.key()).is_some()) {
            self.backup = Some(Backup {
                tables: self.tables.backup(),
                ghost: self.ghost.clone(),
            });
        }
    }

    /// Gives up on a world in which a claim of a lost span was taken for one that was made since.
    ///
    /// Where a run comes to the same place again in another way, the same worker may be given the same task under the token that
    /// it had before: what it still has of then, an input, a result, what it read, is taken for what belongs to now. No store
    /// can tell them apart. It would take a token that is never given twice, with a number of the worker's own for each
    /// operation that claims, which tokens do not have; so this is known, and what follows from it says nothing.
    pub(super) fn unless_mistaken(&mut self, operation: &Operation, broken: Box<Broken>) -> Check {
        if self.restored == 0 || !self.ghost.may_be_mistaken(operation) {
            return Err(broken);
        }
        self.mistaken = true;
        self.phase = Phase::Over;
        Ok(())
    }

    /// The store goes back to what was copied, after so many microseconds in which there is none.
    pub(super) fn restore(&mut self, span: u64) -> Check {
        let Some(Backup { tables, ghost }) = self.backup.take() else {
            return Ok(());
        };
        self.fired_everywhere(Fault::Restored);
        self.trace.fault(Fault::Restored, || Trouble::Store(span));
        for (_, doubt) in std::mem::take(&mut self.in_doubt) {
            self.hears_nothing(&doubt.request);
        }
        self.blocked.clear();
        self.drop_requests();
        self.tables = tables;
        let present = std::mem::take(&mut self.ghost);
        if present.runs.keys().any(|run| !ghost.runs.contains_key(run)) {
            self.sometimes.reached(Milestone::StartLost);
        }
        self.ghost = ghost.after_loss(present);
        let mut bodies = self.ghost.bodies.iter();
        if bodies.any(|body| body.lost && body.is_running()) {
            self.sometimes.reached(Milestone::RanOnBeyondLoss);
        }
        self.begin_on_new_server(span);
        self.restored = self.server;
        for process in &mut self.ghost.processes {
            process.trouble = process.trouble.max(self.trouble);
        }
        oracle::full_check(&self.ghost, &self.tables)
    }
}
