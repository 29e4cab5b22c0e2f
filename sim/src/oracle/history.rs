//! New journal rows: is each event real, and does what was decided follow from it?
//!
//! Invariant: the ghost's progress moves only with rows that were checked.

use std::sync::Arc;

use squid_mesh_core::change::{Change, Heading, StepEnd};
use squid_mesh_core::definition::{StepIndex, StepKind};
use squid_mesh_core::event::{Event, Failure, Started};
use squid_mesh_core::id::RunId;
use squid_mesh_core::limits;
use squid_mesh_core::operation::{Entry, JournalRow, Operation, Start, StartDelay};
use squid_mesh_core::run::{Run, Seq, Status};
use squid_mesh_core::time::Timestamp;

use super::Landing;
use crate::fault::sometimes::Milestone;
use crate::ghost::{GhostRun, GhostStep, Progress, Winding};
use crate::violation::{Check, Promise, broken, ensure};

/// What a step's next due time is counted from.
#[derive(Debug, Clone, Copy)]
enum Cause<'e> {
    /// The run's start.
    Start,
    /// A failed attempt of this step.
    Failure(StepIndex, &'e Failure),
    /// A lost attempt of this step.
    Loss(StepIndex),
    /// The end of this step.
    Success(StepIndex),
    /// Something that concerns no step.
    Other,
}

impl Landing<'_> {
    /// Checks the journal rows of a run that this operation appended.
    pub(super) fn history(&mut self, id: RunId) -> Check {
        let tables = self.tables;
        let from = self.ghost.runs.get(&id).map_or(Seq::FIRST, |run| run.seq.next());
        for row in tables.journal(id, from) {
            match (&row.transition.event, self.ghost.runs.contains_key(&id)) {
                (Event::Started(started), false) => self.started(id, row, started)?,
                (_, true) => self.moved_on(id, row)?,
                (_, false) => return broken(Promise::JournalGrows, format!("run {id} begins without a start")),
            }
            self.follows(id)?;
        }
        let row = tables.run(id).expect("a run that was written exists");
        let known = self.ghost.runs.get(&id).map(|run| run.seq);
        ensure!(Some(row.seq) == known, JournalIsTruth, "run {id} is at {}, its journal ends at {known:?}", row.seq.0);
        Ok(())
    }

    fn started(&mut self, id: RunId, row: &JournalRow, started: &Started) -> Check {
        let Some(start) = self.start_of(id) else {
            return broken(Promise::JournalGrows, format!("run {id} was started by no start of this operation"));
        };
        let start = start.clone();
        let Some(definition) = self.tables.definition(&start.definition).cloned() else {
            return broken(Promise::TruthfulReply, format!("run {id} runs {}, which is not stored", start.definition));
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
            return broken(Promise::JournalIsTruth, format!("the first row of run {id} does not fold"));
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
        let Operation::Submit(submit) = self.operation else { return None };
        let command = match &self.tables.journal(id, Seq::FIRST).next()?.transition.event {
            Event::Started(started) => started.command,
            _ => return None,
        };
        submit.groups.iter().flat_map(|group| &group.entries).find_map(|entry| match entry {
            Entry::Start(start) if start.run == id && start.command == command => Some(&**start),
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
        if was_open { self.consequence(id, cause) } else { Ok(()) }
    }

    /// Checks that the event really happened, and counts it.
    fn event<'e>(&mut self, id: RunId, row: &'e JournalRow) -> Result<Cause<'e>, Box<crate::violation::Broken>> {
        match &row.transition.event {
            Event::Started(_) => {
                broken(Promise::JournalGrows, format!("run {id} is started twice"))?;
                Ok(Cause::Start)
            }
            Event::Succeeded { step, output, .. } => {
                self.reported(id, *step, None)?;
                let payload = row.payload.clone();
                ensure_err(
                    payload.as_ref().is_some_and(|payload| payload.digest() == *output),
                    Promise::ResultIsReal,
                    || format!("run {id}: the output of step {} is not the one recorded", step.0),
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
                let milestone = if request.force { Milestone::Forced } else { Milestone::Cancelling };
                self.sometimes.reached(milestone);
                Ok(Cause::Other)
            }
        }
    }

    fn changes(&mut self, id: RunId, changes: &[Change], cause: Cause<'_>) -> Check {
        for change in changes {
            match change {
                Change::Schedule { step, due, .. } => self.scheduled(id, *step, *due, cause)?,
                Change::Await { step, due, .. } => self.awaited(id, *step, *due)?,
                Change::ArmDeadline { due, .. } => {
                    let expected = self.ghost.run(id).deadline;
                    ensure!(
                        expected == Some(*due),
                        TimersAreExact,
                        "run {id} must have ended by {expected:?}, its deadline is armed for {due}"
                    );
                }
                Change::DisarmDeadline | Change::Report { .. } | Change::Lose { .. } | Change::Stop { .. } => {}
                Change::Settle { step, end } => self.settled(id, *step, *end, cause)?,
                Change::Wind { heading } => self.winds(id, heading)?,
                Change::Finish => self.finished(id)?,
            }
        }
        Ok(())
    }

    fn scheduled(&mut self, id: RunId, step: StepIndex, due: Timestamp, cause: Cause<'_>) -> Check {
        let clock = self.landed.at;
        let run = self.ghost.run(id);
        let name = &run.definition.step(step).name;
        ensure!(
            run.is_open(),
            CancelIsFinal,
            "run {id} is ending ({:?}), and step {name} is scheduled",
            run.winding
        );
        let (least, most) = match (run.steps[step.at()].progress, cause) {
            (Progress::Blocked, _) => {
                ensure!(run.is_ready(step), FollowsTheGraph, "run {id} step {name} is scheduled before it is ready");
                let base = if matches!(cause, Cause::Start) { run.base } else { clock };
                (base, base)
            }
            (Progress::Scheduled(_), Cause::Failure(failed, failure)) if failed == step => {
                let (least, most) = match failure.retry_after {
                    Some(span) => (span.min(limits::SPAN_MAX), span.min(limits::SPAN_MAX)),
                    None => run.retry_delay(step, run.steps[step.at()].executed),
                };
                self.sometimes.reached(Milestone::Retried);
                (clock.plus(least), clock.plus(most))
            }
            (Progress::Scheduled(_), Cause::Loss(lost)) if lost == step => {
                (clock, clock.plus(std::time::Duration::from_secs(60)))
            }
            (progress, _) => {
                return broken(
                    Promise::SettlesOnce,
                    format!("run {id} step {name} is scheduled while it is {progress:?}"),
                );
            }
        };
        ensure!(
            (least..=most).contains(&due),
            TimersAreExact,
            "run {id} step {name} is due at {due}, and should be between {least} and {most}"
        );
        let run = self.ghost.run(id);
        if run.definition.step(step).needs.len() > 1 && matches!(cause, Cause::Success(_)) {
            self.sometimes.reached(Milestone::Joined);
        }
        self.ghost.step_mut(id, step).progress = Progress::Scheduled(due);
        Ok(())
    }

    fn awaited(&mut self, id: RunId, step: StepIndex, due: Timestamp) -> Check {
        let run = self.ghost.run(id);
        let spec = run.definition.step(step);
        let StepKind::Wait { duration } = &spec.kind else {
            return broken(Promise::FollowsTheGraph, format!("run {id} step {} is no wait", spec.name));
        };
        ensure!(
            run.is_open() && run.steps[step.at()].progress == Progress::Blocked && run.is_ready(step),
            FollowsTheGraph,
            "run {id} waits at {} before it is ready",
            spec.name
        );
        let base = if run.seq == Seq::FIRST { run.base } else { self.landed.at };
        let expected = base.plus(*duration);
        ensure!(
            due == expected,
            TimersAreExact,
            "run {id} waits at {} until {due}, and should until {expected}",
            spec.name
        );
        self.ghost.step_mut(id, step).progress = Progress::Waiting(due);
        Ok(())
    }

    fn settled(&mut self, id: RunId, step: StepIndex, end: StepEnd, cause: Cause<'_>) -> Check {
        let forced = self.ghost.run(id).forced;
        let out = self.ghost.attempt_on(id, step).is_some();
        let run = self.ghost.run(id);
        let name = run.definition.step(step).name.clone();
        let own = match cause {
            Cause::Success(own) | Cause::Failure(own, _) | Cause::Loss(own) => own == step,
            Cause::Start | Cause::Other => false,
        };
        let state = &run.steps[step.at()];
        ensure!(!state.progress.is_settled(), SettlesOnce, "run {id} step {name} is settled twice");
        let progress = match end {
            StepEnd::Succeeded => {
                ensure!(
                    own && matches!(cause, Cause::Success(_)),
                    ResultIsReal,
                    "run {id} step {name} succeeds without having reported so"
                );
                Progress::Succeeded
            }
            StepEnd::Failed => {
                ensure!(own, ResultIsReal, "run {id} step {name} fails without having reported so");
                Progress::Failed
            }
            StepEnd::Cancelled => {
                ensure!(
                    run.winding.is_some(),
                    FollowsTheGraph,
                    "run {id} step {name} is cancelled in a run that goes on"
                );
                ensure!(
                    forced || own || !out,
                    EndsWithItsAttempts,
                    "run {id} step {name} ends while an attempt is out"
                );
                Progress::Cancelled
            }
        };
        self.ghost.step_mut(id, step).progress = progress;
        Ok(())
    }

    fn winds(&mut self, id: RunId, heading: &Heading) -> Check {
        let clock = self.landed.at;
        let run = self.ghost.run_mut(id);
        let all = |progress: Progress| run.steps.iter().all(|step| step.progress == progress);
        let any_failed = run.steps.iter().any(|step| step.progress == Progress::Failed);
        let overdue = run.deadline.is_some_and(|deadline| clock >= deadline);
        let (winding, allowed) = match heading {
            Heading::Completed => (Winding::Completed, all(Progress::Succeeded)),
            Heading::Failed(_) => (Winding::Failed, any_failed || overdue),
            Heading::Cancelled => (Winding::Cancelled, run.cancel.is_some()),
        };
        ensure!(allowed && run.winding.is_none(), FollowsTheGraph, "run {id} heads for {winding:?} without a reason");
        run.winding = Some(winding);
        if winding == Winding::Failed {
            let milestone = if any_failed { Milestone::FailedByStep } else { Milestone::FailedByDeadline };
            self.sometimes.reached(milestone);
        }
        Ok(())
    }

    fn finished(&mut self, id: RunId) -> Check {
        let run = self.ghost.run(id);
        let open = self.ghost.held_of(id).find(|grant| grant.body.is_some() && grant.end.is_none());
        ensure!(
            run.forced || open.is_none(),
            EndsWithItsAttempts,
            "run {id} ends while an attempt of step {} is out",
            open.map_or(0, |grant| grant.step.0)
        );
        let status = match run.winding {
            Some(Winding::Completed) => Status::Completed,
            Some(Winding::Failed) => Status::Failed,
            Some(Winding::Cancelled) => Status::Cancelled,
            None => return broken(Promise::FollowsTheGraph, format!("run {id} ends without heading for an end")),
        };
        match status {
            Status::Completed => self.sometimes.reached(Milestone::Completed),
            Status::Cancelled => self.sometimes.reached(Milestone::Cancelled),
            _ => {}
        }
        self.ghost.run_mut(id).ended = Some(status);
        Ok(())
    }

    /// After a failure or a loss: was the step tried again exactly when its policy says so?
    fn consequence(&mut self, id: RunId, cause: Cause<'_>) -> Check {
        let run = self.ghost.run(id);
        let (step, again, exhausted) = match cause {
            Cause::Failure(step, failure) => {
                let state = &run.steps[step.at()];
                let allowed = run.definition.step(step).retry.max_attempts;
                (step, failure.retryable && state.executed < allowed, Milestone::Exhausted)
            }
            Cause::Loss(step) => {
                let allowed = run.definition.step(step).retry.max_lost;
                (step, run.steps[step.at()].lost <= allowed, Milestone::LostTooOften)
            }
            Cause::Start | Cause::Success(_) | Cause::Other => return Ok(()),
        };
        let state = &run.steps[step.at()];
        let name = &run.definition.step(step).name;
        let tried_again = matches!(state.progress, Progress::Scheduled(_));
        ensure!(
            tried_again == again,
            RetryPolicy,
            "run {id} step {name} after {} attempts and {} losses: it should {}be tried again, and is {:?}",
            state.executed,
            state.lost,
            if again { "" } else { "not " },
            state.progress
        );
        if !again {
            self.sometimes.reached(exhausted);
        }
        Ok(())
    }

    /// Whatever is ready is scheduled, and a run with nothing left to do has ended.
    fn follows(&self, id: RunId) -> Check {
        let run = self.ghost.run(id);
        if !run.is_open() {
            return Ok(());
        }
        for step in run.definition.indexes() {
            ensure!(
                run.steps[step.at()].progress != Progress::Blocked || !run.is_ready(step),
                FollowsTheGraph,
                "run {id} step {} is ready and was not scheduled",
                run.definition.step(step).name
            );
        }
        ensure!(
            run.steps.iter().any(|step| !step.progress.is_settled()),
            FollowsTheGraph,
            "every step of run {id} is settled, and it goes on"
        );
        Ok(())
    }
}

fn ensure_err(holds: bool, promise: Promise, detail: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { broken(promise, detail()) }
}
