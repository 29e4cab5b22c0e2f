//! New journal rows: is each event real, and does what was decided follow from it?
//!
//! Invariant: the ghost's progress moves only with rows that were checked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde_json::Value;
use squid_mesh_core::change::Chore;
use squid_mesh_core::definition::{Definition, StepKind};
use squid_mesh_core::event::{CancelRequested, ChildEnd, Event, Role, Started};
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Entry, JournalRow, Operation, Outcome, Start, StartDelay};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Run, Seq};

use super::attempt::Said;
use super::change::Cause;
use super::{Landing, stamped};
use crate::fault::sometimes::Milestone;
use crate::ghost::{GhostRun, GhostStep};
use crate::violation::{Broken, Check, Promise, broken, ensure};

impl Landing<'_> {
    /// Checks the journal rows of a run that this operation appended.
    pub(super) fn history(&mut self, id: RunId) -> Check {
        let tables = self.tables;
        let from = self
            .ghost
            .runs
            .get(&id)
            .map_or(Seq::FIRST, |run| run.seq.next());
        for row in tables.journal(id, from) {
            match (&row.transition.event, self.ghost.runs.contains_key(&id)) {
                (Event::Started(started), false) => self.started(id, row, started)?,
                (_, true) => self.moved_on(id, row)?,
                (_, false) => {
                    return broken(
                        Promise::JournalGrows,
                        format!("run {id} begins without a start"),
                    );
                }
            }
            self.follows(id)?;
        }
        let row = tables.run(id).expect("a run that was written exists");
        let known = self.ghost.runs.get(&id).map(|run| run.seq);
        ensure!(
            Some(row.seq) == known,
            JournalIsTruth,
            "run {id} is at {}, its journal ends at {known:?}",
            row.seq.0
        );
        Ok(())
    }

    fn started(&mut self, id: RunId, row: &JournalRow, started: &Started) -> Check {
        let Some(start) = self.start_of(id) else {
            return broken(
                Promise::JournalGrows,
                format!("run {id} was started by no start of this operation"),
            );
        };
        let Some(definition) = self.tables.definition(&start.definition).cloned() else {
            return broken(
                Promise::TruthfulReply,
                format!("run {id} runs {}, which is not stored", start.definition),
            );
        };
        ensure!(
            row.transition.seq == Seq::FIRST && row.transition.at == self.landed.at,
            JournalGrows,
            "run {id} does not begin at 1 and now"
        );
        if let Some(parent) = &started.parent {
            self.child_is_recorded(id, started, parent)?;
        }
        let now = self.landed.at;
        self.input_is_stored(id, row, started, &start, &definition)?;
        let input = row.payload.clone().unwrap_or_else(Payload::null);
        let start = Start { input, ..start };
        let base = match start.delay {
            None => now,
            Some(StartDelay::In(span)) => now.plus(span),
            Some(StartDelay::At(at)) => at.max(now),
        };
        if base > now {
            self.sometimes.reached(Milestone::Delayed);
        }
        let span = start.deadline.or(definition.deadline());
        let fold = Run::fold(id, start.life, definition.steps().len(), [&row.transition]);
        let Ok(fold) = fold else {
            return broken(
                Promise::JournalIsTruth,
                format!("the first row of run {id} does not fold"),
            );
        };
        let run = GhostRun {
            steps: vec![GhostStep::default(); definition.steps().len()],
            definition: Arc::clone(&definition),
            start: Box::new(start),
            fold,
            seq: Seq::FIRST,
            at: now,
            base,
            deadline: span.map(|span| base.plus(span)),
            signals: VecDeque::new(),
            commands: BTreeMap::new(),
            cancel: None,
            takes_back: false,
            forced: false,
            winding: None,
            failed_by: None,
            ended: None,
            reported: false,
            unreadable: false,
            halted: BTreeSet::new(),
            spoilt: BTreeSet::new(),
            marred: false,
        };
        self.ghost.begin_run(id, run);
        self.changes(id, &row.transition.changes, &Cause::Start)?;
        self.copy_is_safe(id)
    }

    /// The input that a start stores is what was asked for, with the stamps of the database's clock; that of a copy is what
    /// its source has.
    fn input_is_stored(
        &mut self,
        id: RunId,
        row: &JournalRow,
        started: &Started,
        start: &Start,
        definition: &Definition,
    ) -> Check {
        let stored = row.payload.as_ref();
        let stamped = stamped::stored(definition, &start.trigger, &start.input, self.landed.at);
        let same = match stamped.filter(|_| start.copy.is_none()) {
            None => stored == Some(&start.input),
            Some(stamped) => {
                self.sometimes.reached(Milestone::Stamped);
                let value = |stored: &Payload| serde_json::from_slice::<Value>(stored.bytes()).ok();
                stored.and_then(value) == Some(stamped)
            }
        };
        let digest = stored.map(Payload::digest);
        ensure!(
            started.command == start.command && digest == Some(started.input) && same,
            TruthfulReply,
            "run {id} was started with another command or input than its journal says"
        );
        Ok(())
    }

    /// The start of this operation that made the run: the first one with its id; of a child, what its parent's worker
    /// prepared.
    fn start_of(&self, id: RunId) -> Option<Start> {
        let row = self.tables.journal(id, Seq::FIRST).next()?;
        let Event::Started(started) = &row.transition.event else {
            return None;
        };
        let own = self.entries().find_map(|entry| match entry {
            Entry::Start(start) if start.run == id && start.command == started.command => {
                Some((**start).clone())
            }
            Entry::Call(call) if call.start.run == id && call.start.command == started.command => {
                let parent = started.parent.clone();
                Some(Start {
                    parent,
                    ..call.start.clone()
                })
            }
            _ => None,
        });
        own.or_else(|| self.child_start(id, row, started))
            .or_else(|| self.scheduled_start(id, started))
    }

    fn child_start(&self, id: RunId, row: &JournalRow, started: &Started) -> Option<Start> {
        let Operation::Settle(settle) = self.operation else {
            return None;
        };
        let parent = started.parent.as_ref()?;
        let prepared = settle
            .reports
            .iter()
            .find_map(|report| match &report.outcome {
                Outcome::Spawn(spawn)
                    if report.key.run == parent.run && report.step == parent.step =>
                {
                    // A report that comes too late may have prepared others.
                    let at = parent.child.checked_sub(spawn.from)?;
                    Some((spawn, spawn.inputs.get(at as usize)?.clone()))
                }
                _ => None,
            });
        let (prepared, (input, raw_input)) = prepared?;
        let step = self
            .ghost
            .run(parent.run)
            .definition
            .step(parent.step)
            .clone();
        Some(Start {
            run: id,
            life: self.tables.run(id)?.life,
            command: started.command,
            definition: prepared.definition.clone(),
            trigger: started.trigger.clone(),
            input,
            raw_input,
            key: None,
            labels: BTreeMap::new(),
            queue: step.queue,
            priority: step.priority,
            delay: None,
            deadline: None,
            trace: row_trace(row),
            parent: Some(parent.clone()),
            copy: None,
            occurrence: None,
            zone: None,
            by: squid_mesh_core::event::By::default(),
        })
    }

    fn moved_on(&mut self, id: RunId, row: &JournalRow) -> Check {
        let transition = &row.transition;
        let clock = self.landed.at;
        let run = self.ghost.run_mut(id);
        ensure!(
            run.ended.is_none(),
            TerminalIsFinal,
            "run {id} has ended as {:?}, and its journal grows by {:?}",
            run.ended,
            transition.event
        );
        ensure!(
            transition.seq == run.seq.next() && transition.at == run.at.max(clock),
            JournalGrows,
            "run {id}: row {} at {} follows row {} at {}, with the clock at {clock}",
            transition.seq.0,
            transition.at,
            run.seq.0,
            run.at
        );
        if let Err(error) = run.fold.apply(transition) {
            return broken(Promise::JournalIsTruth, format!("run {id}: {error}"));
        }
        (run.seq, run.at) = (transition.seq, transition.at);
        let was_open = run.is_open();
        let cause = self.event(id, row)?;
        self.labels_follow(id, transition, &cause)?;
        self.changes(id, &transition.changes, &cause)?;
        let undo = matches!(
            cause,
            Cause::Failure(_, Role::Undo, _) | Cause::Loss(_, Role::Undo, _)
        );
        if was_open || undo {
            self.consequence(id, &cause)
        } else {
            Ok(())
        }
    }

    /// Checks that the event really happened, and counts it.
    fn event<'e>(&mut self, id: RunId, row: &'e JournalRow) -> Result<Cause<'e>, Box<Broken>> {
        match &row.transition.event {
            Event::Started(_) => {
                broken(Promise::JournalGrows, format!("run {id} is started twice"))?;
                Ok(Cause::Start)
            }
            Event::Succeeded {
                step,
                role,
                fence,
                output,
                label,
            } => {
                self.reported(id, (*step, *role, *fence), Said::Output)?;
                self.label_is_recorded(id, (*step, *role, *fence), *label)?;
                let payload = row.payload.clone();
                ensure_err(
                    payload
                        .as_ref()
                        .is_some_and(|payload| payload.digest() == *output),
                    Promise::ResultIsReal,
                    || {
                        format!(
                            "run {id}: the output of step {} is not the one recorded",
                            step.0
                        )
                    },
                )?;
                Ok(match role {
                    Role::Step => Cause::Success(*step, payload),
                    Role::Undo => Cause::Undone(*step),
                })
            }
            Event::Failed {
                step,
                role,
                fence,
                failure,
                ..
            } => {
                self.reported(id, (*step, *role, *fence), Said::Failure(failure))?;
                Ok(Cause::Failure(*step, *role, failure))
            }
            Event::Lost {
                step, role, begun, ..
            } => {
                self.lost(id, *step, *role, *begun)?;
                Ok(Cause::Loss(*step, *role, *begun))
            }
            Event::Conflicted { step, fence, .. } => {
                self.reported(id, (*step, Role::Step, *fence), Said::Conflict)?;
                Ok(Cause::Conflict(*step))
            }
            Event::Evaluated { step, found } => self.evaluated(id, *step, found, row),
            Event::Due { step, .. } => self.time_came(id, *step, row),
            Event::DeadlineReached { .. } => {
                self.deadline_came(id)?;
                Ok(Cause::Other)
            }
            Event::CancelRequested(request) => {
                self.cancelled(id, request, row.transition.seq)?;
                Ok(Cause::Other)
            }
            Event::Resolved(resolved) => self.resolved(id, resolved, row.payload.clone()),
            Event::Signalled(signalled) => self.signalled(id, signalled, row.payload.clone()),
            Event::Spawned { step, .. } => {
                self.chore_by_holder(id, *step, Chore::Spawn)?;
                let detached = matches!(
                    self.ghost.run(id).definition.step(*step).kind,
                    StepKind::Child { detach: true, .. }
                );
                Ok(if detached {
                    Cause::Success(*step, row.payload.clone())
                } else {
                    Cause::Children(*step)
                })
            }
            Event::Recalled { step, .. } => {
                self.chore_by_holder(id, *step, Chore::Recall)?;
                Ok(Cause::Children(*step))
            }
            Event::ChildEnded {
                step, child, end, ..
            } => {
                let payload = row.payload.clone().unwrap_or_else(Payload::null);
                self.child_ended(id, *step, *child, *end, &payload)?;
                let run = self.ghost.run(id);
                let single = matches!(run.definition.step(*step).kind, StepKind::Child { .. });
                let gives = single && run.is_open() && *end == ChildEnd::Completed;
                Ok(if gives {
                    Cause::Success(*step, row.payload.clone())
                } else {
                    Cause::ChildEnded(*step, *end)
                })
            }
            Event::Collected { step, .. } => {
                self.chore_by_holder(id, *step, Chore::Collect)?;
                let output = row.payload.clone().unwrap_or_else(Payload::null);
                self.collected(id, *step, &output)?;
                Ok(Cause::Success(*step, row.payload.clone()))
            }
            Event::Called { .. } => {
                self.called(id, &row.transition)?;
                Ok(Cause::Other)
            }
        }
    }

    /// A cancel is recorded when it is the first, or the first that does not wait.
    fn cancelled(&mut self, id: RunId, request: &CancelRequested, seq: Seq) -> Check {
        let run = self.ghost.run_mut(id);
        ensure!(
            run.cancel.is_none() || request.force && !run.forced,
            CancelIsFinal,
            "run {id} is cancelled once more, and nothing follows from it"
        );
        if run.cancel.is_none() {
            // What the first one says about what was done stands.
            (run.cancel, run.takes_back) = (Some((request.command, seq)), request.undo);
        }
        run.forced |= request.force;
        let milestone = if request.force {
            Milestone::Forced
        } else {
            Milestone::Cancelling
        };
        self.sometimes.reached(milestone);
        Ok(())
    }
}

fn row_trace(row: &JournalRow) -> Option<String> {
    match &row.transition.event {
        Event::Started(started) => started.trace.clone(),
        _ => None,
    }
}

fn ensure_err(holds: bool, promise: Promise, detail: impl FnOnce() -> String) -> Check {
    if holds {
        Ok(())
    } else {
        broken(promise, detail())
    }
}
