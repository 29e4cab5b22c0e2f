//! Tasks that were put aside because what they need cannot be read.
//!
//! Invariant: only a task of a run with a damaged row is, and only by who held it and says so.

use squid_mesh_core::operation::{Operation, Outcome, Report};
use squid_mesh_core::task::{TASK_FORMAT, TaskKey, TaskRow, Work};
use squid_mesh_core::time::Timestamp;

use super::Landing;
use crate::fault::sometimes::Milestone;
use crate::violation::{Check, ensure};

impl Landing<'_> {
    /// Remembers whether a row that was written is put aside, which nobody claims until a person has mended the run.
    pub(super) fn note_halted(&mut self, row: &TaskRow) -> Check {
        let (id, lane) = (row.key.run, row.key.lane);
        let aside = row.owner.is_none()
            && (row.due_at == Timestamp::MAX || row.format > TASK_FORMAT)
            && self.ghost.runs.contains_key(&id);
        if !aside {
            self.ghost.go_on(id, lane);
            return Ok(());
        }
        // Nothing can be told to a parent that cannot be read.
        let told = match &row.brief.work {
            Work::Deliver { parent, .. } => parent.run,
            Work::Plain
            | Work::Spawn { .. }
            | Work::Collect { .. }
            | Work::Recall { .. }
            | Work::RecallCalled { .. }
            | Work::Fire { .. }
            | Work::Release { .. } => id,
        };
        if self.ghost.run(told).unreadable {
            return Ok(());
        }
        ensure!(
            self.ghost.is_marred(id) && self.is_said_unreadable(&row.key),
            PoisonIsContained,
            "task {} was put aside, and everything that it needs can be read",
            row.key
        );
        self.sometimes.reached(Milestone::UnreadableInput);
        self.ghost.halt(id, lane);
        Ok(())
    }

    /// Whether a report of this operation says that what a task needs cannot be read, by who held it before.
    pub(super) fn is_said_unreadable(&self, key: &TaskKey) -> bool {
        let Operation::Settle(settle) = self.operation else {
            return false;
        };
        let holder = self.ghost.holder(key);
        let says = |report: &Report| {
            matches!(report.outcome, Outcome::Unreadable { .. })
                && holder.is_some_and(|grant| grant.is_of(&report.key, &report.token))
        };
        settle.reports.iter().any(says)
    }
}
