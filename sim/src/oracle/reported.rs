//! Answers to reports: what is accepted was recorded, now or before, and what is refused had to be.
//!
//! Invariant: who holds a task is asked of the ghost, as it was before the operation.

use squid_mesh_core::event::Role;
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Operation, Outcome, Rejection, Report, Settle, SlotReply};
use squid_mesh_core::task::Item;

use super::Landing;
use crate::fault::sometimes::Milestone;
use crate::ghost::{Ghost, ProcessId, Progress};
use crate::violation::{Check, ensure};

impl Landing<'_> {
    /// Remembers, before the writes are looked at, which reports the store has already.
    pub(super) fn note_repeats(&mut self, settle: &Settle) -> Check {
        self.repeats = settle
            .reports
            .iter()
            .map(|report| is_repeat(self.ghost, report))
            .collect();
        self.in_doubt = settle
            .reports
            .iter()
            .map(|report| self.says_what_came(report))
            .collect();
        self.holders = settle
            .reports
            .iter()
            .map(|report| truly_held(self.ghost, report, self.process()))
            .collect();
        Ok(())
    }

    /// How many reports of this settle may move a run on: of steps of its own, of children of it that end, and all by which
    /// children are told to cancel.
    fn reports_on(&self, run: RunId) -> usize {
        let Operation::Settle(settle) = self.operation else {
            return 0;
        };
        let concerns = |report: &&Report| match &report.outcome {
            Outcome::ChildEnded { parent, .. } => parent.run == run || report.key.run == run,
            Outcome::Recall { .. } => true,
            _ => report.key.run == run,
        };
        settle.reports.iter().filter(concerns).count()
    }

    pub(super) fn slot(&mut self, report: &Report, slot: &SlotReply) -> Check {
        let (run, step) = (report.key.run, report.step.0);
        let index = self.slots_seen;
        self.slots_seen += 1;
        let (repeat, held) = (self.repeats[index], self.holders[index]);
        let state = self.ghost.runs.get(&run);
        let unreadable = state.is_some_and(|state| state.unreadable);
        let was_forced = state.is_some_and(|state| state.forced);
        match slot {
            SlotReply::Busy => self.busy("a report")?,
            SlotReply::Accepted => {
                let recorded = held && !is_held(self.ghost, report);
                let engine = is_engine(report) && !held;
                if repeat {
                    self.sometimes.reached(Milestone::SettleRepeated);
                }
                ensure!(
                    recorded || repeat || engine || is_repeat(self.ghost, report),
                    TruthfulReply,
                    "a report on run {run} step {step} was accepted, and not recorded"
                );
            }
            SlotReply::Rejected(rejection) => {
                self.count(rejection);
                if let Rejection::Unreadable { detail, .. } = rejection {
                    ensure!(
                        unreadable,
                        PoisonIsContained,
                        "a report on run {run} step {step}, which can be read, is refused: {detail}"
                    );
                    return Ok(());
                }
                ensure!(
                    !repeat,
                    Repeatable,
                    "a report on run {run} step {step} was repeated, and refused: {rejection}"
                );
                let early =
                    matches!(rejection, Rejection::NotDue { due, .. } if self.landed.at < *due);
                // Its parent's forced end, reported in the same operation, does not wait for it.
                let forced = was_forced && matches!(rejection, Rejection::Finished { .. });
                // What an earlier report of this operation had moved on.
                let shared = is_engine(report) && self.reports_on(run) > 1;
                ensure!(
                    !held || early || forced || shared,
                    TruthfulReply,
                    "the report of the holder of run {run} step {step} was refused: {rejection}"
                );
                // The same operation had its run cancelled or fail, which waits for nobody whose outcome is unknown.
                let cancelled = self.ghost.runs.get(&run).is_some_and(|run| {
                    let step = run.steps.get(report.step.at());
                    step.is_some_and(|step| step.progress == Progress::Cancelled)
                });
                let overtaken = cancelled && self.landed.touched.runs.contains(&run);
                ensure!(
                    !self.in_doubt[index] || overtaken,
                    TruthfulReply,
                    "run {run} step {step} is in doubt, and the report that says what came of it was refused: {rejection}"
                );
            }
        }
        Ok(())
    }
}

/// Whether a report is of something that the engine does by itself, and that may be done again.
pub(super) fn is_engine(report: &Report) -> bool {
    !matches!(
        report.outcome,
        Outcome::Succeeded { .. } | Outcome::Failed { .. } | Outcome::Conflicted
    )
}

/// Whether the store recorded this very report last.
fn is_repeat(ghost: &Ghost, report: &Report) -> bool {
    let run = ghost.runs.get(&report.key.run);
    // What was started again has another life, and its claims are others.
    let run = run.filter(|run| run.start.life == report.token.life);
    let step = run.and_then(|run| run.steps.get(report.step.at()));
    let reported: Vec<_> = [Role::Step, Role::Undo]
        .into_iter()
        .filter_map(|role| step?.tries(role)?.reported)
        .collect();
    !is_engine(report) && reported.contains(&(report.token.fence, report.outcome.digest()))
}

/// Whether a report comes from the process that holds its task, under the claim it holds it by.
fn truly_held(ghost: &Ghost, report: &Report, process: Option<ProcessId>) -> bool {
    let grant = ghost.holder(&report.key);
    let mine = grant
        .filter(|grant| Some(grant.process) == process && grant.is_of(&report.key, &report.token));
    let fits = |item: Item| match report.outcome {
        Outcome::Engine(engine) => engine == item,
        Outcome::Succeeded { .. } | Outcome::Failed { .. } | Outcome::Conflicted => {
            item == Item::Attempt
        }
        Outcome::Unreadable { .. } => matches!(item, Item::Attempt | Item::Chore(_)),
        Outcome::Found(_)
        | Outcome::Spawn(_)
        | Outcome::Collected { .. }
        | Outcome::Recall { .. }
        | Outcome::ChildEnded { .. }
        | Outcome::Released { .. } => matches!(item, Item::Chore(_) | Item::Delivery),
        Outcome::Fired { .. } => item == Item::Firing,
    };
    mine.is_some_and(|grant| grant.step == report.step && fits(grant.item))
}

fn is_held(ghost: &Ghost, report: &Report) -> bool {
    ghost
        .holder(&report.key)
        .is_some_and(|grant| grant.is_of(&report.key, &report.token))
}
