//! Reports on how claimed tasks ended.
//!
//! Invariant: a report counts only under its own token; each is decided in its own slot and spoils no other.

mod children;
mod event;
mod firing;

use std::collections::BTreeSet;

use super::advance::Undecided;
use super::batch::{Batch, Lookup};
use super::poison::guarded;
use super::queue::offered;
use super::{Decision, Offer, Outcome, ReadSet, Rejection, Reply, Report, SlotReply, View};
use crate::definition::DefinitionKey;
use crate::id::{RunId, Shard};
use crate::mutant::{Mutant, Mutation};
use crate::run::{Run, Seq, held_report};
use crate::schedule::ScheduleId;
use crate::task::{Item, TaskKind, TaskRow};
use crate::time::Timestamp;
use crate::transition::DecodeError;

/// Reports on how claimed tasks ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Settle {
    /// The shard of every run below.
    pub shard: Shard,
    /// In the order in which they are decided, but for losses, which come first.
    pub reports: Vec<Report>,
    /// Free slots that steps which become ready may be handed to.
    pub offer: Offer,
    /// Whether to wait for runs that are locked elsewhere, rather than answering `Busy`.
    pub wait: bool,
}

/// Either the slot's answer, or what must be read first.
type Slot = Result<SlotReply, Unread>;

/// What must be read before a slot can be decided.
#[derive(Debug, Default)]
struct Unread {
    /// Runs.
    runs: BTreeSet<RunId>,
    /// Runs whose tasks must all be.
    tasks_of: BTreeSet<RunId>,
}

impl Unread {
    fn tasks_of(runs: BTreeSet<RunId>) -> Unread {
        Unread {
            tasks_of: runs,
            ..Unread::default()
        }
    }
}

impl Settle {
    pub(super) fn reads(&self) -> ReadSet {
        let own = self.reports.iter().filter_map(Report::own);
        let others = self.reports.iter().flat_map(Report::others);
        let schedules: BTreeSet<ScheduleId> =
            self.reports.iter().filter_map(Report::schedule).collect();
        let tasks = self.reports.iter().map(|report| report.key);
        ReadSet {
            shard: self.shard,
            definitions: self.definitions(),
            runs: own.chain(others).collect(),
            tasks: tasks.chain(schedules.iter().map(|id| id.task())).collect(),
            schedules,
            wait: self.wait,
            queues: offered(&self.offer),
            ..ReadSet::default()
        }
    }

    /// What children and runs of schedules that are to be started run.
    fn definitions(&self) -> BTreeSet<DefinitionKey> {
        let spawned = |report: &Report| match &report.outcome {
            Outcome::Spawn(spawn) => Some(spawn.definition.clone()),
            Outcome::Fired { definition } => definition.clone(),
            _ => None,
        };
        self.reports.iter().filter_map(spawned).collect()
    }

    pub(super) fn decide(&self, view: &View) -> Decision {
        let order = self.order();
        let (batch, slots) = guarded(
            || Batch::new(view, Some(&self.offer)),
            self.reports.len(),
            view.mutation,
            |batch, nth| self.report(batch, &self.reports[order[nth]]),
            |nth| {
                let run = self.reports[order[nth]].key.run;
                Ok(SlotReply::Rejected(poisoned(run)))
            },
        );
        let mut wanted = Unread::default();
        let mut replies = vec![SlotReply::Busy; slots.len()];
        for (index, slot) in order.into_iter().zip(slots) {
            match slot {
                Ok(reply) => replies[index] = reply,
                // The clock was read again since, and what was not due then is now: another operation's turn.
                Err(_) if self.has_read_further(view) => {}
                Err(unread) => {
                    wanted.runs.extend(unread.runs);
                    wanted.tasks_of.extend(unread.tasks_of);
                }
            }
        }
        if !wanted.runs.is_empty() || !wanted.tasks_of.is_empty() {
            self.widen(&mut wanted.tasks_of);
            return Decision::Need(ReadSet {
                shard: self.shard,
                runs: wanted.runs,
                tasks_of: wanted.tasks_of,
                wait: self.wait,
                queues: offered(&self.offer),
                ..ReadSet::default()
            });
        }
        let reply = Reply::Settled {
            now: view.now,
            slots: replies,
            handed: batch.handed(),
            ended: batch.ended(),
            next_due: batch.next_due(),
        };
        Decision::Done {
            writes: batch.finish(),
            reply,
        }
    }

    /// Whether the one further read that an operation may ask for has been made.
    fn has_read_further(&self, view: &View) -> bool {
        let first = self.reads().runs;
        !view.tasks_of.is_empty() || view.runs.keys().any(|run| !first.contains(run))
    }

    /// In which order the reports are decided: losses first. A late report of the very attempt whose loss leaves its outcome
    /// unknown says what became of it, now as well as when the operation is performed again.
    fn order(&self) -> Vec<usize> {
        let loss = |index: &usize| self.reports[*index].outcome == Outcome::Engine(Item::Loss);
        let (mut first, others): (Vec<usize>, Vec<usize>) = (0..self.reports.len()).partition(loss);
        first.extend(others);
        first
    }

    /// Adds the runs of every report that shares one with those wanted: once an earlier slot has been decided, it may need
    /// their tasks too, and there is one further read.
    fn widen(&self, wanted: &mut BTreeSet<RunId>) {
        let runs = |report: &Report| {
            let mut runs = report.others();
            runs.extend(report.own());
            runs
        };
        let sets: Vec<BTreeSet<RunId>> = self.reports.iter().map(runs).collect();
        let shared = |set: &&BTreeSet<RunId>| set.iter().any(|run| wanted.contains(run));
        let more: Vec<RunId> = sets.iter().filter(shared).flatten().copied().collect();
        wanted.extend(more);
    }

    fn report(&self, batch: &mut Batch<'_>, report: &Report) -> Slot {
        if let Outcome::Fired { definition } = &report.outcome {
            return self.fire(batch, report, definition.as_ref());
        }
        let id = report.key.run;
        match batch.find(id) {
            Lookup::Busy => return Ok(SlotReply::Busy),
            Lookup::Absent => return Ok(SlotReply::Rejected(Rejection::UnknownRun { run: id })),
            Lookup::Unreadable(error) => {
                park(batch, report, error);
                let detail = error.to_string();
                return Ok(SlotReply::Rejected(Rejection::Unreadable {
                    run: id,
                    detail,
                }));
            }
            Lookup::Here => {}
        }
        let row = batch.kept_task(report.key);
        let row = row.as_deref();
        let ignores = batch.view.mutation.is(Mutant::SettleIgnoresFence);
        let alike = batch.view.mutation.is(Mutant::SettleIgnoresOwner);
        let held = |row: &&TaskRow| {
            let mistaken = ignores || alike && row.fence == report.token.fence;
            let fits = row.step == report.step && is_told_by(row, &report.outcome);
            (row.is_held_by(&report.token) || mistaken) && fits
        };
        match (row.filter(held), &report.outcome) {
            (Some(row), Outcome::Spawn(spawn)) => self.spawn(batch, report, row, spawn),
            (Some(row), Outcome::Recall { from, upto, called }) => {
                self.recall(batch, report, row, (*from..*upto, called))
            }
            (
                Some(row),
                Outcome::ChildEnded {
                    parent,
                    end,
                    payload,
                },
            ) => self.deliver(batch, row, parent, *end, payload),
            (Some(row), Outcome::Released { schedule }) => self.release(batch, row, *schedule),
            (Some(row), Outcome::Unreadable { .. }) if !fails_unreadable(row, batch.view) => {
                if batch.view.mutation.is(Mutant::UnreadableRetried) {
                    batch.put(put_back(row, batch.view.now));
                } else {
                    batch.put(parked(row.clone(), DecodeError::Corrupt, batch.view.now));
                }
                Ok(SlotReply::Accepted)
            }
            (Some(row), _) => self.record(batch, report, Some(row)),
            (None, _) if resolves(batch.run(id).0, report, batch.view.mutation) => {
                self.record(batch, report, None)
            }
            (None, _) => self.repeated(batch, report),
        }
    }

    /// Decides on what a report says about its own run. One of an attempt whose outcome is unknown has no row any more.
    fn record(&self, batch: &mut Batch<'_>, report: &Report, row: Option<&TaskRow>) -> Slot {
        let id = report.key.run;
        let now = batch.view.now;
        let (run, definition) = batch.run(id);
        let Some((event, payload)) = event::of(report, row, run, definition, now) else {
            return Ok(SlotReply::Accepted);
        };
        match batch.decide(id, event, payload) {
            Ok(()) => Ok(SlotReply::Accepted),
            Err(Undecided::NeedTasksOf(run)) => Err(Unread::tasks_of(BTreeSet::from([run]))),
            Err(Undecided::Refused(rejection)) => {
                if let (Rejection::NotDue { due, .. }, Some(row)) = (&rejection, row) {
                    batch.put(put_back(row, *due));
                }
                Ok(SlotReply::Rejected(rejection))
            }
        }
    }

    /// A report whose lease is not current: either it was recorded before, word for word, or it came too late.
    fn repeated(&self, batch: &mut Batch<'_>, report: &Report) -> Slot {
        let id = report.key.run;
        let (run, _) = batch.run(id);
        let verdict = standing(
            run,
            report,
            batch.view.mutation.is(Mutant::RepeatTreatedAsStale),
        );
        if verdict != SlotReply::Accepted {
            return Ok(verdict);
        }
        // What the first settle may have handed over: steps of the run, of its children, or of its parent.
        let mut unread = BTreeSet::new();
        let own = [(id, report.token.fence.seq)];
        let others = report.others().into_iter().map(|other| (other, Seq(0)));
        for (run, after) in own.into_iter().chain(others) {
            match batch.find(run) {
                Lookup::Busy => return Ok(SlotReply::Busy),
                Lookup::Absent | Lookup::Unreadable(_) => {}
                Lookup::Here => {
                    if batch.hand_again(run, self.offer.worker, after).is_none() {
                        unread.insert(run);
                    }
                }
            }
        }
        if unread.is_empty() {
            Ok(verdict)
        } else {
            Err(Unread::tasks_of(unread))
        }
    }
}

/// Whether what a run's end is told by is the task for that: once it is told, the task is gone, and no other task may go with it.
/// A claim can be made twice where a store has lost the first one, for something else the second time.
fn is_told_by(row: &TaskRow, outcome: &Outcome) -> bool {
    let tells = matches!(
        outcome,
        Outcome::ChildEnded { .. } | Outcome::Released { .. }
    );
    !tells || row.kind == TaskKind::Delivery
}

/// Whether a task whose step needs what cannot be read fails for it. A run that goes on is halted there, and nothing is taken
/// back; one that is ending waits for the step, which did nothing.
fn fails_unreadable(row: &TaskRow, view: &View) -> bool {
    let mutant = view.mutation.is(Mutant::UnreadableFailsStep) && row.item() == Item::Attempt;
    row.kind == TaskKind::Stopping || mutant
}

/// Whether a report says what came of an attempt whose outcome is unknown. What the engine does by itself says nothing about
/// an attempt.
fn resolves(run: &Run, report: &Report, mutation: Mutation) -> bool {
    let own = held_report(run, report.step, &report.token);
    own && !report.outcome.is_engine() && !mutation.is(Mutant::DoubtReportRefused)
}

/// What a report without a current lease is told.
fn standing(run: &Run, report: &Report, forgetful: bool) -> SlotReply {
    let stale = SlotReply::Rejected(run.stale_report(report.step));
    if run.life() != report.token.life {
        return stale;
    }
    if report.outcome.is_engine() {
        // An engine item is a nudge: whoever holds the row now will do what is left to do.
        return SlotReply::Accepted;
    }
    let Some(state) = run.steps().get(report.step.at()) else {
        return stale;
    };
    let undo = state.undo.as_ref().and_then(|undo| undo.tries.reported);
    let mut reported = state.tries.reported.into_iter().chain(undo);
    let same_label = match &report.outcome {
        Outcome::Succeeded { label, .. } => *label == state.label,
        _ => true,
    };
    match reported.find(|reported| reported.fence == report.token.fence && !forgetful) {
        Some(reported) if reported.digest == report.outcome.digest() && same_label => {
            SlotReply::Accepted
        }
        Some(_) => SlotReply::Rejected(Rejection::OtherOutcome {
            run: run.id(),
            step: report.step.0,
        }),
        None if run.is_ended() => SlotReply::Rejected(run.finished()),
        None => stale,
    }
}

/// The row as it was before it was claimed, due at its time.
fn put_back(row: &TaskRow, due: Timestamp) -> TaskRow {
    TaskRow {
        owner: None,
        expired: false,
        due_at: due,
        ..row.clone()
    }
}

/// Takes an unreadable run's task off the agenda.
fn park(batch: &mut Batch<'_>, report: &Report, error: DecodeError) {
    let row = batch.task(report.key).cloned();
    if let Some(row) = row.filter(|row| row.is_held_by(&report.token)) {
        batch.put(parked(row, error, batch.view.now));
    }
}

/// A task that is not to be claimed: until a newer engine comes if it is one's work, else for good. It is found where it
/// belongs, like one that was handed back.
fn parked(row: TaskRow, error: DecodeError, now: Timestamp) -> TaskRow {
    let row = TaskRow {
        owner: None,
        expired: false,
        begun: false,
        handler: row.own_handler().clone(),
        renew_until: None,
        ..row
    };
    match error {
        DecodeError::Newer { format, .. } => TaskRow {
            format: u16::from(format).max(row.format + 1),
            due_at: now,
            ..row
        },
        DecodeError::Corrupt => TaskRow {
            due_at: Timestamp::MAX,
            ..row
        },
    }
}

fn poisoned(run: RunId) -> Rejection {
    Rejection::Unreadable {
        run,
        detail: "deciding on it failed".into(),
    }
}
