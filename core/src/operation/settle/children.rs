//! Reports that concern other runs: children that are started or cancelled, and a parent that hears of an end.
//!
//! Invariant: what a parent records of a child, and the child itself, are written by one operation.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use super::{Settle, Slot, Unread, parked};
use crate::change::Heading;
use crate::definition::{Definition, StepKind};
use crate::event::{By, CancelRequested, ChildEnd, Event, Parent, code};
use crate::id::{CommandId, Life, RunId};
use crate::mutant::{Mutant, Mutation};
use crate::operation::advance::Undecided;
use crate::operation::batch::{Batch, Lookup};
use crate::operation::{Finding, Outcome, Report, SlotReply, Spawn, Start};
use crate::payload::Payload;
use crate::run::{Phase, Run};
use crate::task::{TaskRow, Work};

impl Settle {
    /// Starts children, as many of those that were prepared as there is room for, and has their parent record them.
    pub(super) fn spawn(
        &self,
        batch: &mut Batch<'_>,
        report: &Report,
        row: &TaskRow,
        spawn: &Spawn,
    ) -> Slot {
        let id = report.key.run;
        let Some(definition) = batch.view.definitions.get(&spawn.definition) else {
            return self.failed(batch, report, row, code::UNKNOWN_WORKFLOW);
        };
        let definition = Arc::clone(definition);
        let (run, own) = batch.run(id);
        let Some(count) = room(run, own, report, spawn, batch.view.mutation) else {
            return Ok(SlotReply::Rejected(run.stale_report(report.step)));
        };
        let starts: Vec<Start> = (0..count)
            .map(|nth| child(run, own, report, spawn, nth))
            .collect();
        for start in &starts {
            match batch.find(start.run) {
                Lookup::Absent => {}
                Lookup::Busy => return Ok(SlotReply::Busy),
                // Somebody else's run has the id, which only a hash collision can do.
                Lookup::Here | Lookup::Unreadable(_) => {
                    return self.failed(batch, report, row, code::UNREADABLE);
                }
            }
        }
        let detached = matches!(
            &batch.run(id).1.step(report.step).kind,
            StepKind::Child { detach: true, .. }
        );
        let payload = starts
            .first()
            .filter(|_| detached)
            .map(|start| Payload::new(format!("\"{}\"", start.run).into_bytes()));
        let event = Event::Spawned {
            step: report.step,
            from: spawn.from,
            upto: spawn.from + count,
            payload: payload.as_ref().map(Payload::digest),
        };
        let slot = self.decided(batch, id, event, payload)?;
        if slot == SlotReply::Accepted {
            let torn = batch.view.mutation.is(Mutant::ChildForgotten);
            for start in starts.iter().skip(usize::from(torn)) {
                start.begin_as_is(batch, &definition);
            }
        }
        Ok(slot)
    }

    /// Cancels children that have not ended, and has their parent record that they were told.
    pub(super) fn recall(
        &self,
        batch: &mut Batch<'_>,
        report: &Report,
        row: &TaskRow,
        (range, called): (Range<u32>, &[RunId]),
    ) -> Slot {
        let id = report.key.run;
        let (run, _) = batch.run(id);
        let (from, upto) = (range.start, range.end);
        let expected = if called.is_empty() {
            Work::Recall { from, upto }
        } else {
            let runs = called.to_vec();
            Work::RecallCalled { from, runs }
        };
        if row.brief.work != expected {
            return Ok(SlotReply::Rejected(run.stale_report(report.step)));
        }
        let mut children = live(run, report, range.clone());
        if batch.view.mutation.is(Mutant::RecallOfFirstOnly) {
            children.truncate(1);
        }
        let (force, undo) = manner(run);
        let undo = undo && !batch.view.mutation.is(Mutant::RecallKeepsEffects);
        let mut unread = BTreeSet::new();
        for child in &children {
            match batch.find(*child) {
                Lookup::Busy => return Ok(SlotReply::Busy),
                Lookup::Here if batch.tasks_of(*child).is_none() => {
                    unread.insert(*child);
                }
                Lookup::Here | Lookup::Absent | Lookup::Unreadable(_) => {}
            }
        }
        // Deciding on the parent may need its tasks too, and there is one further read.
        if !unread.is_empty() {
            unread.insert(id);
            return Err(Unread::tasks_of(unread));
        }
        let event = Event::Recalled {
            step: report.step,
            upto: range.end,
        };
        let slot = self.decided(batch, id, event, None)?;
        if slot == SlotReply::Accepted {
            for child in children {
                cancel(batch, child, id, force, undo);
            }
        }
        Ok(slot)
    }

    /// Tells a parent that a child has ended. A parent that is gone, or has ended, need not hear of it.
    pub(super) fn deliver(
        &self,
        batch: &mut Batch<'_>,
        row: &TaskRow,
        parent: &Parent,
        end: ChildEnd,
        payload: &Payload,
    ) -> Slot {
        match batch.find(parent.run) {
            Lookup::Busy => return Ok(SlotReply::Busy),
            Lookup::Unreadable(error) => {
                batch.put(parked(row.clone(), error, batch.view.now));
                return Ok(SlotReply::Accepted);
            }
            Lookup::Here if batch.run(parent.run).0.life() == parent.life => {
                let event = Event::ChildEnded {
                    step: parent.step,
                    child: parent.child,
                    end,
                    payload: payload.digest(),
                };
                self.decided(batch, parent.run, event, Some(payload.clone()))?;
            }
            Lookup::Here | Lookup::Absent => {}
        }
        batch.remove(row.key);
        Ok(SlotReply::Accepted)
    }

    /// Has a run decide on an event.
    fn decided(
        &self,
        batch: &mut Batch<'_>,
        id: RunId,
        event: Event,
        payload: Option<Payload>,
    ) -> Slot {
        match batch.decide(id, event, payload) {
            Ok(()) => Ok(SlotReply::Accepted),
            Err(Undecided::NeedTasksOf(run)) => Err(Unread::tasks_of(BTreeSet::from([run]))),
            Err(Undecided::Refused(rejection)) => Ok(SlotReply::Rejected(rejection)),
        }
    }

    /// The children cannot be started.
    fn failed(&self, batch: &mut Batch<'_>, report: &Report, row: &TaskRow, code: &str) -> Slot {
        let failure = crate::event::Failure::new(code, "the child cannot be started", false);
        let report = Report {
            outcome: Outcome::Found(Finding::Failure(failure)),
            ..report.clone()
        };
        self.record(batch, &report, Some(row))
    }
}

/// How many of the prepared children may start; `None` if they are not those whose turn it is.
fn room(
    run: &Run,
    definition: &Definition,
    report: &Report,
    spawn: &Spawn,
    mutation: Mutation,
) -> Option<u32> {
    let fan = run.steps().get(report.step.at())?.fan.as_ref()?;
    let parallel = match &definition.step(report.step).kind {
        _ if mutation.is(Mutant::EachOverParallel) => u32::MAX,
        StepKind::Each { parallel, .. } => *parallel,
        _ => 1,
    };
    let prepared = u32::try_from(spawn.inputs.len()).ok()?;
    let room = (fan.count - fan.started).min(parallel.saturating_sub(fan.active()));
    let count = prepared.min(room);
    (spawn.from == fan.started && count > 0).then_some(count)
}

/// The start of one child. It runs on its definition's queue unless the step names another.
fn child(run: &Run, definition: &Definition, report: &Report, spawn: &Spawn, nth: u32) -> Start {
    let number = spawn.from + nth;
    let id = RunId::child(run.id(), report.step, number);
    let at = usize::try_from(nth).expect("children of one operation are few");
    let (input, raw_input) = spawn.inputs[at].clone();
    let step = definition.step(report.step);
    let life = Life::child(run.life(), id);
    let command = CommandId::from_u128(id.as_u128());
    Start {
        raw_input,
        queue: step.queue.clone(),
        priority: step.priority,
        trace: run.origin().trace.clone(),
        parent: Some(Parent {
            run: run.id(),
            life: run.life(),
            step: report.step,
            child: number,
            depth: run.origin().depth() + 1,
            detached: matches!(step.kind, StepKind::Child { detach: true, .. }),
        }),
        ..Start::new(id, life, command, spawn.definition.clone(), input)
    }
}

/// Children in a range that exist and have not ended.
fn live(run: &Run, report: &Report, range: Range<u32>) -> Vec<RunId> {
    let fan = run.step(report.step).fan.as_ref();
    range
        .filter(|child| fan.is_some_and(|fan| *child < fan.started && !fan.has_arrived(*child)))
        .filter_map(|child| Some(fan?.run(run.id(), report.step, child)))
        .collect()
}

/// How a run's children are cancelled: at once if it was to end at once, and taking back what they did if it does.
fn manner(run: &Run) -> (bool, bool) {
    let cancel = run.cancel();
    let failing = matches!(run.phase(), Phase::Winding(Heading::Failed(_)));
    (
        cancel.is_some_and(|cancel| cancel.force),
        failing || cancel.is_some_and(|cancel| cancel.undo),
    )
}

/// Cancels one child whose tasks are all known. One that is ending already goes on as it does.
fn cancel(batch: &mut Batch<'_>, child: RunId, parent: RunId, force: bool, undo: bool) {
    let Lookup::Here = batch.find(child) else {
        return;
    };
    let event = Event::CancelRequested(Box::new(CancelRequested {
        command: CommandId::from_u128(child.as_u128()),
        by: By {
            comment: Some(format!("its parent {parent} ends")),
            ..By::default()
        },
        force,
        undo,
    }));
    // Its tasks are known, so what does not fit is a child that is ending already.
    let _ = batch.decide(child, event, None);
}
