//! Schedules whose task is due, and those that wait for the end of a run.
//!
//! Invariant: the run of an occurrence, and the cursor that has passed it, are written by one operation.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{Settle, Slot, Unread, parked};
use crate::definition::DefinitionKey;
use crate::event::{By, CancelRequested, Event};
use crate::id::{CommandId, RunId};
use crate::operation::batch::{Batch, Lookup, ScheduleLookup};
use crate::operation::occurrence::{Beginning, begin};
use crate::operation::{Report, SlotReply};
use crate::schedule::{Occasion, Overlap, Schedule, ScheduleId};
use crate::task::TaskRow;

impl Settle {
    /// Has a schedule take its turn. A report that comes late finds its lease gone, and what it was about done.
    pub(super) fn fire(
        &self,
        batch: &mut Batch<'_>,
        report: &Report,
        definition: Option<&DefinitionKey>,
    ) -> Slot {
        let id = ScheduleId::of_task(report.key);
        let found = batch.find_schedule(id);
        // The task of a schedule that is locked elsewhere has not been read.
        if let ScheduleLookup::Busy = found {
            return Ok(SlotReply::Busy);
        }
        let held = |task: &Cow<'_, TaskRow>| task.is_held_by(&report.token);
        let Some(task) = batch.kept_task(report.key).filter(held) else {
            return Ok(SlotReply::Accepted);
        };
        match found {
            ScheduleLookup::Here => {}
            ScheduleLookup::Absent | ScheduleLookup::Busy => {
                batch.remove(report.key);
                return Ok(SlotReply::Accepted);
            }
            ScheduleLookup::Unreadable(error) => {
                let task: TaskRow = task.into_owned();
                batch.put(parked(task, error, batch.view.now));
                return Ok(SlotReply::Accepted);
            }
        }
        let schedule = batch.schedule(id).clone();
        let now = batch.view.now;
        let wanted = schedule.wants(now, batch.view.mutation);
        let unread = [wanted.next, wanted.previous].into_iter().flatten();
        let unread: BTreeSet<RunId> = unread.filter(|run| !batch.knows(*run)).collect();
        let active = match wanted.previous {
            Some(previous) if !unread.contains(&previous) => match batch.find(previous) {
                Lookup::Here => !batch.run(previous).0.is_ended(),
                Lookup::Absent => false,
                Lookup::Busy => return Ok(SlotReply::Busy),
                // It is halted, not ended.
                Lookup::Unreadable(_) => true,
            },
            previous => previous.is_some(),
        };
        let cancels = wanted.previous.filter(|previous| {
            active
                && schedule.plan.overlap == Overlap::CancelRunning
                && batch.tasks_of(*previous).is_none()
        });
        if !unread.is_empty() || cancels.is_some() {
            return Err(Unread {
                runs: unread,
                tasks_of: cancels.into_iter().collect(),
            });
        }
        let mut turn = schedule.turn(now, active, batch.view.mutation);
        if let Some(at) = turn.start {
            let run = schedule.run_of(at, batch.view.mutation);
            match batch.find(run) {
                Lookup::Absent => {
                    let Some(definition) = definition else {
                        let message =
                            format!("no definition of workflow {} is known", schedule.workflow);
                        batch.put_schedule(
                            schedule.troubled(now, "unknown_workflow", &message),
                            false,
                        );
                        return Ok(SlotReply::Accepted);
                    };
                    let beginning = Beginning {
                        run,
                        command: CommandId::from_u128(run.as_u128()),
                        definition: definition.clone(),
                        occurrence: schedule.occurrence(at, now, Occasion::Due),
                        by: By::default(),
                    };
                    if let Err(fault) = begin(batch, &schedule, beginning) {
                        let troubled = schedule.troubled(now, fault.code(), &fault.to_string());
                        batch.put_schedule(troubled, false);
                        return Ok(SlotReply::Accepted);
                    }
                }
                Lookup::Busy => return Ok(SlotReply::Busy),
                // A scheduler of the host's own was first; the end of that run is not reported.
                Lookup::Here | Lookup::Unreadable(_) => turn.schedule.state.previous = None,
            }
        }
        if let Some(previous) = turn.cancel {
            cancel(batch, previous, &schedule);
        }
        batch.put_schedule(turn.schedule, false);
        Ok(SlotReply::Accepted)
    }

    /// Tells a schedule that a run of it has ended. One that is gone, or waits for another, need not hear of it.
    pub(super) fn release(&self, batch: &mut Batch<'_>, row: &TaskRow, id: ScheduleId) -> Slot {
        match batch.find_schedule(id) {
            ScheduleLookup::Here => {
                let schedule = batch.schedule(id);
                if schedule.state.previous == Some(row.key.run) {
                    let released = schedule.released(batch.view.now, batch.view.mutation);
                    batch.put_schedule(released, false);
                }
            }
            ScheduleLookup::Busy => return Ok(SlotReply::Busy),
            ScheduleLookup::Unreadable(error) => {
                batch.put(parked(row.clone(), error, batch.view.now));
                return Ok(SlotReply::Accepted);
            }
            ScheduleLookup::Absent => {}
        }
        batch.remove(row.key);
        Ok(SlotReply::Accepted)
    }
}

/// Cancels the run before, whose tasks are all known. One that is ending already goes on as it does.
fn cancel(batch: &mut Batch<'_>, run: RunId, schedule: &Schedule) {
    let Lookup::Here = batch.find(run) else {
        return;
    };
    let event = Event::CancelRequested(Box::new(CancelRequested {
        command: CommandId::from_u128(run.as_u128()),
        by: By {
            comment: Some(format!("schedule {} is due again", schedule.key)),
            ..By::default()
        },
        force: false,
        undo: false,
    }));
    let _ = batch.decide(run, event, None);
}
