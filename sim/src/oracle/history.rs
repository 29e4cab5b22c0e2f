//! New journal rows: is each event real, and does what was decided follow from it?
//!
//! Invariant: the ghost's progress moves only with rows that were checked.

use std::sync::Arc;

use squid_mesh_core::event::{Event, Started};
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Entry, JournalRow, Operation, Start, StartDelay};
use squid_mesh_core::run::{Run, Seq};

use super::Landing;
use super::change::Cause;
use crate::fault::sometimes::Milestone;
use crate::ghost::{GhostRun, GhostStep};
use crate::violation::{Check, Promise, broken, ensure};

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
        let start = start.clone();
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
        ensure!(
            started.command == start.command && row.payload.as_ref() == Some(&start.input),
            TruthfulReply,
            "run {id} was started with another command or input than its journal says"
        );
        let now = self.landed.at;
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
            cancel: None,
            forced: false,
            winding: None,
            ended: None,
            unreadable: false,
        };
        self.ghost.runs.insert(id, run);
        self.changes(id, &row.transition.changes, Cause::Start)
    }

    /// The start of this operation that made the run: the first one with its id.
    fn start_of(&self, id: RunId) -> Option<&Start> {
        let Operation::Submit(submit) = self.operation else {
            return None;
        };
        let command = match &self.tables.journal(id, Seq::FIRST).next()?.transition.event {
            Event::Started(started) => started.command,
            _ => return None,
        };
        submit
            .groups
            .iter()
            .flat_map(|group| &group.entries)
            .find_map(|entry| match entry {
                Entry::Start(start) if start.run == id && start.command == command => {
                    Some(&**start)
                }
                Entry::Start(_) | Entry::Cancel(_) => None,
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
        self.changes(id, &transition.changes, cause)?;
        if was_open {
            self.consequence(id, cause)
        } else {
            Ok(())
        }
    }

    /// Checks that the event really happened, and counts it.
    fn event<'e>(
        &mut self,
        id: RunId,
        row: &'e JournalRow,
    ) -> Result<Cause<'e>, Box<crate::violation::Broken>> {
        match &row.transition.event {
            Event::Started(_) => {
                broken(Promise::JournalGrows, format!("run {id} is started twice"))?;
                Ok(Cause::Start)
            }
            Event::Succeeded { step, output, .. } => {
                self.reported(id, *step, None)?;
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
                self.ghost.step_mut(id, *step).output = payload;
                Ok(Cause::Success(*step))
            }
            Event::Failed { step, failure, .. } => {
                self.reported(id, *step, Some(failure))?;
                Ok(Cause::Failure(*step, failure))
            }
            Event::Lost { step, .. } => {
                self.lost(id, *step)?;
                Ok(Cause::Loss(*step))
            }
            Event::Due { step } => {
                self.wait_ended(id, *step)?;
                Ok(Cause::Success(*step))
            }
            Event::DeadlineReached => {
                self.deadline_came(id)?;
                Ok(Cause::Other)
            }
            Event::CancelRequested(request) => {
                let seq = row.transition.seq;
                let run = self.ghost.run_mut(id);
                run.cancel.get_or_insert((request.command, seq));
                run.forced |= request.force;
                let milestone = if request.force {
                    Milestone::Forced
                } else {
                    Milestone::Cancelling
                };
                self.sometimes.reached(milestone);
                Ok(Cause::Other)
            }
        }
    }
}

fn ensure_err(holds: bool, promise: Promise, detail: impl FnOnce() -> String) -> Check {
    if holds {
        Ok(())
    } else {
        broken(promise, detail())
    }
}
