//! Reports on how claimed tasks ended.
//!
//! Invariant: a report counts only under its own token; each is decided in its own slot and spoils no other.

use std::collections::BTreeSet;

use super::batch::{Batch, Lookup};
use super::poison::guarded;
use super::{Decision, Offer, Outcome, ReadSet, Rejection, Reply, Report, SlotReply, View};
use crate::event::Event;
use crate::id::{RunId, Shard};
use crate::mutant::Mutant;
use crate::payload::Payload;
use crate::run::{Facts, Run, Verdict};
use crate::task::{Item, TaskRow};
use crate::time::Timestamp;
use crate::transition::DecodeError;

/// Reports on how claimed tasks ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Settle {
    /// The shard of every run below.
    pub shard: Shard,
    /// In the order in which they are decided.
    pub reports: Vec<Report>,
    /// Free slots that steps which become ready may be handed to.
    pub offer: Offer,
    /// Whether to wait for runs that are locked elsewhere, rather than answering `Busy`.
    pub wait: bool,
}

/// Either the slot's answer, or the run whose tasks must all be read first.
type Slot = Result<SlotReply, RunId>;

impl Settle {
    pub(super) fn reads(&self) -> ReadSet {
        ReadSet {
            shard: self.shard,
            runs: self.reports.iter().map(|report| report.key.run).collect(),
            tasks: self.reports.iter().map(|report| report.key).collect(),
            wait: self.wait,
            ..ReadSet::default()
        }
    }

    pub(super) fn decide(&self, view: &View) -> Decision {
        let (batch, slots) = guarded(
            || Batch::new(view, Some(&self.offer)),
            self.reports.len(),
            view.mutation,
            |batch, index| self.report(batch, &self.reports[index]),
            |index| Ok(SlotReply::Rejected(poisoned(self.reports[index].key.run))),
        );
        let mut wanted: BTreeSet<RunId> = BTreeSet::new();
        let mut replies = Vec::with_capacity(slots.len());
        for slot in slots {
            match slot {
                Ok(reply) => replies.push(reply),
                // The clock was read again since, and what was not due then is now: another operation's turn.
                Err(_) if view.is_complete() => replies.push(SlotReply::Busy),
                Err(run) => {
                    wanted.insert(run);
                }
            }
        }
        if !wanted.is_empty() {
            return Decision::Need(ReadSet {
                shard: self.shard,
                tasks_of: wanted,
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

    fn report(&self, batch: &mut Batch<'_>, report: &Report) -> Slot {
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
        let row = batch.task(report.key).cloned();
        let ignores = batch.view.mutation.is(Mutant::SettleIgnoresFence);
        let held =
            |row: &TaskRow| (row.is_held_by(&report.token) || ignores) && row.step == report.step;
        match row.filter(held) {
            Some(row) => self.record(batch, report, &row),
            None => self.repeated(batch, report),
        }
    }

    fn record(&self, batch: &mut Batch<'_>, report: &Report, row: &TaskRow) -> Slot {
        let id = report.key.run;
        let claimed = batch.claimed(id);
        let view = batch.view;
        let (run, definition) = batch.run(id);
        let Some((event, payload)) = event(report) else {
            return Ok(SlotReply::Accepted);
        };
        let facts = Facts {
            now: view.now,
            claimed: claimed.as_ref(),
            mutation: view.mutation,
        };
        match run.decide(definition, event, &facts) {
            Verdict::Claims => Err(id),
            Verdict::Refused(rejection) => {
                if let Rejection::NotDue { due, .. } = rejection {
                    batch.put(put_back(row, due));
                }
                Ok(SlotReply::Rejected(rejection))
            }
            Verdict::Decided(decided) if !batch.knows_rows_of(id, &decided.transition) => Err(id),
            Verdict::Decided(decided) => {
                batch.advance(id, *decided, payload);
                Ok(SlotReply::Accepted)
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
        if verdict == SlotReply::Accepted
            && batch
                .hand_again(id, self.offer.worker, report.token.fence.seq)
                .is_none()
        {
            return Err(id);
        }
        Ok(verdict)
    }
}

/// What a report without a current lease is told.
fn standing(run: &Run, report: &Report, forgetful: bool) -> SlotReply {
    let stale = SlotReply::Rejected(Rejection::Stale {
        run: run.id(),
        step: report.step.0,
    });
    if run.life() != report.token.life {
        return stale;
    }
    if matches!(report.outcome, Outcome::Engine(_)) {
        // An engine item is a nudge: whoever holds the row now will do what is left to do.
        return SlotReply::Accepted;
    }
    let reported = run
        .steps()
        .get(report.step.at())
        .and_then(|step| step.reported);
    match reported.filter(|reported| reported.fence == report.token.fence && !forgetful) {
        Some(reported) if reported.digest == report.outcome.digest() => SlotReply::Accepted,
        Some(_) => SlotReply::Rejected(Rejection::OtherOutcome {
            run: run.id(),
            step: report.step.0,
        }),
        None if run.is_ended() => SlotReply::Rejected(Rejection::Finished {
            run: run.id(),
            status: run.status(),
        }),
        None => stale,
    }
}

/// The event a report becomes, with the payload of its journal row. `None` for a report that says nothing: an engine item
/// on an attempt's row, or the other way round.
fn event(report: &Report) -> Option<(Event, Option<Payload>)> {
    let (step, fence) = (report.step, report.token.fence);
    match &report.outcome {
        Outcome::Succeeded { output } => Some((
            Event::Succeeded {
                step,
                fence,
                output: output.digest(),
            },
            Some(output.clone()),
        )),
        Outcome::Failed { failure, details } => Some((
            Event::Failed {
                step,
                fence,
                failure: failure.clone(),
            },
            details.clone(),
        )),
        Outcome::Engine(Item::Loss) => Some((Event::Lost { step, fence }, None)),
        Outcome::Engine(Item::Wait) => Some((Event::Due { step }, None)),
        Outcome::Engine(Item::Deadline) => Some((Event::DeadlineReached, None)),
        Outcome::Engine(Item::Attempt) => None,
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

/// Takes an unreadable run's task off the agenda: until a newer engine comes if it is one's work, else for good.
fn park(batch: &mut Batch<'_>, report: &Report, error: DecodeError) {
    let Some(row) = batch
        .task(report.key)
        .filter(|row| row.is_held_by(&report.token))
        .cloned()
    else {
        return;
    };
    let row = TaskRow {
        owner: None,
        expired: false,
        ..row
    };
    batch.put(match error {
        DecodeError::Newer { format, .. } => TaskRow {
            format: u16::from(format).max(row.format + 1),
            due_at: batch.view.now,
            ..row
        },
        DecodeError::Corrupt => TaskRow {
            due_at: Timestamp::MAX,
            ..row
        },
    });
}

fn poisoned(run: RunId) -> Rejection {
    Rejection::Unreadable {
        run,
        detail: "deciding on it failed".into(),
    }
}
