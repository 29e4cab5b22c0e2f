//! Schedules: each occurrence starts at most one run, none vanishes beyond the stated policy, and what was edited is fired.
//!
//! Invariant: what a schedule was declared to be comes from the commands that landed; its row is compared with that.

use squid_mesh_core::event::Started;
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Operation, Outcome, ScheduleAction, Start};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::schedule::{Occasion, Occurrence, Overlap, Schedule, ScheduleId, Standing};
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::verify;

use super::Landing;
use crate::fault::sometimes::Milestone;
use crate::ghost::{Ghost, GhostSchedule, is_missed, late_until};
use crate::store::Tables;
use crate::violation::{Check, Promise, broken, ensure};

/// Most occurrences that are accounted for one by one when a cursor moves on.
const ACCOUNTED: usize = 3_000;

impl Landing<'_> {
    /// The start that a schedule's firing, or a command on it, amounts to.
    pub(super) fn scheduled_start(&self, id: RunId, started: &Started) -> Option<Start> {
        let run = self.tables.run(id)?;
        let schedule = self.ghost.schedules.all.get(&run.schedule?)?;
        let sid = schedule.key.id();
        let (definition, at, occasion) = match self.operation {
            Operation::Settle(settle) => settle.reports.iter().find_map(|report| {
                let Outcome::Fired { definition } = &report.outcome else {
                    return None;
                };
                let state = self.tables.schedule(sid)?.read_state().ok()?;
                let at = state.fired?.occurrence;
                let own = report.key == sid.task() && definition.as_ref() == Some(&run.definition);
                own.then_some((definition.clone()?, at, Occasion::Due))
            }),
            Operation::Schedule(command) if command.schedule == schedule.key => {
                match &command.action {
                    ScheduleAction::Trigger { definition } => {
                        Some((definition.clone(), self.landed.at, Occasion::Triggered))
                    }
                    ScheduleAction::Fire {
                        definition,
                        occurrence,
                        ..
                    } => Some((definition.clone(), *occurrence, Occasion::Fired)),
                    _ => None,
                }
            }
            _ => None,
        }?;
        let declared = &schedule.declared;
        let contract = &self.tables.definition(&definition)?;
        let contract = &contract.trigger(declared.trigger.as_str())?.contract;
        let given = serde_json::from_slice(declared.input.bytes()).ok()?;
        let filled = contract.check(&given).ok()?.to_string();
        let input = Payload::new(filled.into_bytes());
        Some(Start {
            trigger: declared.trigger.clone(),
            occurrence: Some(self.expected(schedule, at, occasion)),
            zone: declared.plan.zone(),
            ..Start::new(id, run.life, started.command, definition, input)
        })
    }

    /// What a run is to know of its occurrence, worked out once more.
    fn expected(&self, schedule: &GhostSchedule, at: Timestamp, occasion: Occasion) -> Occurrence {
        let plan = self.landed.edition.of(schedule.plan());
        let before = at.minus(std::time::Duration::from_micros(1));
        let first = plan.start.unwrap_or(schedule.created).min(at);
        Occurrence {
            schedule: schedule.key.id(),
            name: schedule.key.to_string(),
            at,
            window_start: plan.last_at_or_before(before).unwrap_or(first),
            received_at: self.landed.at,
            occasion,
            reports: plan.overlap != Overlap::Allow && occasion == Occasion::Due,
        }
    }

    /// A run says that it is of an occurrence: the one that its start says, or that of the run it is a copy of.
    pub(super) fn belongs(&mut self, id: RunId, occurrence: &Occurrence) -> Check {
        let run = self.ghost.run(id);
        let source = run.start.copy.as_ref().map(|copy| copy.source);
        let expected = match source {
            Some(source) => {
                let of = self.ghost.run(source).fold.origin().occurrence.clone();
                of.map(|of| Occurrence {
                    reports: false,
                    ..*of
                })
            }
            None => run.start.occurrence.clone(),
        };
        ensure!(
            expected.as_ref() == Some(occurrence),
            OneRunPerOccurrence,
            "run {id} says that it is of {occurrence:?}, and is of {expected:?}"
        );
        if source.is_none() {
            let begun = &mut self.ghost.schedules.begun;
            begun.push((id, occurrence.clone()));
        }
        Ok(())
    }

    /// Checks what became of every schedule that was written.
    pub(super) fn schedules(&mut self) -> Check {
        let begun = std::mem::take(&mut self.ghost.schedules.begun);
        for (run, occurrence) in &begun {
            self.begun(*run, occurrence)?;
        }
        for index in 0..self.landed.touched.schedules.len() {
            let id = self.landed.touched.schedules[index];
            let mut due = begun
                .iter()
                .filter(|(_, of)| of.schedule == id && of.occasion == Occasion::Due);
            let started = due.next().map(|(_, of)| of.at);
            ensure!(
                due.next().is_none(),
                OneRunPerOccurrence,
                "schedule {id} starts two runs in one turn"
            );
            self.schedule_moved(id, started)?;
        }
        Ok(())
    }

    /// A run was started for an occurrence.
    fn begun(&mut self, run: RunId, of: &Occurrence) -> Check {
        let id = of.schedule;
        match of.occasion {
            Occasion::Triggered => self.sometimes.reached(Milestone::ScheduleTriggered),
            Occasion::Fired | Occasion::Due => {
                let first = self.ghost.schedules.started.insert((id, of.at));
                ensure!(
                    first && run == id.occurrence(of.at),
                    OneRunPerOccurrence,
                    "occurrence {} of schedule {id} starts run {run}, and has started one before",
                    of.at
                );
                if of.occasion == Occasion::Fired {
                    self.sometimes.reached(Milestone::FiredByHost);
                }
            }
        }
        let schedule = &self.ghost.schedules.all[&id];
        let due = match of.occasion {
            Occasion::Due => self.landed.edition.of(schedule.plan()).due(id, of.at),
            Occasion::Fired | Occasion::Triggered => of.at,
        };
        // What was due once and waits stays due, even if the clock has been stepped back since.
        let waited = schedule.waiting == Some(of.at);
        ensure!(
            due <= self.landed.at || waited,
            NothingEarly,
            "occurrence {} of schedule {id} is due at {due}, and fires at {}",
            of.at,
            self.landed.at
        );
        Ok(())
    }

    /// A schedule's row was written: everything between its old cursor and its new one is accounted for.
    fn schedule_moved(&mut self, id: ScheduleId, started: Option<Timestamp>) -> Check {
        let Some(row) = self.tables.schedule(id) else {
            return Ok(());
        };
        let Ok(row) = row.read() else {
            return broken(
                Promise::JournalIsTruth,
                format!("the row of schedule {id} cannot be read"),
            );
        };
        let Some(ghost) = self.ghost.schedules.all.get(&id).cloned() else {
            return broken(
                Promise::Acknowledged,
                format!("schedule {id} has a row, and was never created"),
            );
        };
        self.is_as_declared(&ghost, &row)?;
        self.is_accounted(&ghost, &row, started)?;
        self.waits_rightly(&ghost, &row, started)?;
        self.is_armed(&row)?;
        let known = self.ghost.schedules.all.get_mut(&id);
        let known = known.expect("it was found above");
        known.cursor = row.state.cursor;
        known.previous = row.state.previous;
        known.waiting = row.state.waiting;
        Ok(())
    }

    fn is_as_declared(&self, ghost: &GhostSchedule, row: &Schedule) -> Check {
        let declared = &ghost.declared;
        ensure!(
            row.standing == ghost.standing
                && row.life == ghost.life
                && row.version == ghost.version
                && *row.plan == declared.plan
                && row.input == declared.input
                && row.workflow == declared.workflow
                && row.trigger == declared.trigger
                && row.created == ghost.created,
            Acknowledged,
            "schedule {} is {row:?}, and was declared as {declared:?}, {:?}",
            ghost.key,
            ghost.standing
        );
        Ok(())
    }

    /// Every occurrence that the cursor has passed has started a run, waits, overlaps, or has rightly been missed.
    fn is_accounted(
        &mut self,
        ghost: &GhostSchedule,
        row: &Schedule,
        started: Option<Timestamp>,
    ) -> Check {
        let (id, now) = (row.id, self.landed.at);
        let (old, new) = (ghost.cursor, row.state.cursor);
        let plan = self.landed.edition.of(ghost.plan());
        if let Some(at) = started {
            ensure!(
                ghost.standing == Standing::Active,
                PauseHolds,
                "schedule {} is {:?}, and fires {at}",
                ghost.key,
                ghost.standing
            );
            ensure!(
                ghost.waiting == Some(at) || at > old && at == new,
                OneRunPerOccurrence,
                "schedule {} fires {at} when it has decided about everything up to {old}, and says {new}",
                ghost.key
            );
            ensure!(
                ghost.plan().overlap == Overlap::Allow || !self.is_still_going_on(ghost),
                OverlapPolicy,
                "schedule {} fires {at} while run {:?} goes on",
                ghost.key,
                ghost.previous
            );
            ensure!(
                ghost.waiting == Some(at) || !is_missed(&plan, at, now),
                CatchUpPolicy,
                "schedule {} fires {at} at {now}, which is late, and enough others after it are too",
                ghost.key
            );
            self.sometimes.reached(Milestone::ScheduleFired);
        }
        ensure!(
            new >= old,
            NoneVanishes,
            "the cursor of schedule {} goes back from {old} to {new}",
            ghost.key
        );
        let mut next = plan.next_after(old);
        if next != ghost.plan().next_after(old) {
            self.sometimes.reached(Milestone::OtherEdition);
        }
        for _ in 0..ACCOUNTED {
            let Some(at) = next.filter(|at| *at <= new) else {
                break;
            };
            let host = self.ghost.schedules.started.contains(&(id, at));
            let overlaps = at == new && ghost.plan().overlap != Overlap::Allow;
            let waits = overlaps && row.state.waiting == Some(at);
            let skipped = overlaps && (self.is_going_on(ghost) || waits);
            let missed = is_missed(&plan, at, now);
            ensure!(
                host || started == Some(at) || skipped || missed,
                NoneVanishes,
                "schedule {} has passed its occurrence {at} at {now}, and nothing came of it",
                ghost.key
            );
            if missed {
                self.sometimes.reached(Milestone::ScheduleMissed);
            }
            if skipped && !waits {
                self.sometimes.reached(Milestone::ScheduleSkipped);
            }
            if started == Some(at) && at <= late_until(&plan, now) {
                self.sometimes.reached(Milestone::ScheduleCaughtUp);
            }
            next = plan.next_after(at);
        }
        Ok(())
    }

    /// Whether the run before was going on before this operation, or until it.
    fn is_going_on(&self, ghost: &GhostSchedule) -> bool {
        let touched = &self.landed.touched.runs;
        ghost.previous.is_some_and(|id| {
            let run = self.ghost.runs.get(&id);
            run.is_some_and(|run| run.ended.is_none() || touched.contains(&id))
        })
    }

    /// What waits was due, waits for a run that goes on, and is not forgotten.
    fn waits_rightly(
        &mut self,
        ghost: &GhostSchedule,
        row: &Schedule,
        started: Option<Timestamp>,
    ) -> Check {
        let (old, new) = (ghost.waiting, row.state.waiting);
        if let Some(at) = old.filter(|at| new != Some(*at)) {
            let replaced = ghost.plan().overlap == Overlap::CancelRunning && new > old;
            let host = self.ghost.schedules.started.contains(&(row.id, at));
            ensure!(
                started == Some(at) || host || replaced,
                NoneVanishes,
                "schedule {} forgets occurrence {at}, which waited",
                ghost.key
            );
        }
        if let Some(at) = new.filter(|at| old != Some(*at)) {
            self.sometimes.reached(Milestone::ScheduleWaits);
            let policy = ghost.plan().overlap;
            let waits = matches!(policy, Overlap::QueueOne | Overlap::CancelRunning);
            ensure!(
                waits && self.is_going_on(ghost) && at == row.state.cursor,
                OverlapPolicy,
                "occurrence {at} of schedule {} waits, by {policy:?}, for {:?}",
                ghost.key,
                ghost.previous
            );
            let cancelled = ghost.previous.is_some_and(|run| {
                let run = self.ghost.run(run);
                run.cancel.is_some() || run.winding.is_some() || run.unreadable
            });
            ensure!(
                policy != Overlap::CancelRunning || cancelled,
                OverlapPolicy,
                "schedule {} waits for run {:?}, which was to be cancelled",
                ghost.key,
                ghost.previous
            );
        }
        let own = started.map(|at| row.id.occurrence(at));
        let previous = row.state.previous;
        ensure!(
            previous.is_none() || previous == ghost.previous || previous == own,
            OverlapPolicy,
            "schedule {} waits for run {previous:?}, which it did not start last",
            ghost.key
        );
        let forgotten = previous != ghost.previous && previous != own || previous.is_none();
        let allows = ghost.plan().overlap == Overlap::Allow;
        ensure!(
            allows || !forgotten || !self.is_still_going_on(ghost) || own.is_some(),
            OverlapPolicy,
            "schedule {} has forgotten run {:?}, which goes on",
            ghost.key,
            ghost.previous
        );
        Ok(())
    }

    fn is_still_going_on(&self, ghost: &GhostSchedule) -> bool {
        let run = ghost.previous.and_then(|run| self.ghost.runs.get(&run));
        run.is_some_and(|run| run.ended.is_none())
    }

    /// A schedule that fires has a task in time for what comes next.
    fn is_armed(&self, row: &Schedule) -> Check {
        let plan = self.landed.edition.of(&row.plan);
        let next = plan.next_after(row.state.cursor);
        let due = next.map(|at| plan.due(row.id, at));
        let woken = row.state.waiting.is_none() || row.state.previous.is_some();
        let armed = row.state.armed.map(|(due, _)| due);
        let fits = match (row.standing, due) {
            (Standing::Active, _) if row.state.trouble.is_some() => armed.is_some(),
            (Standing::Active, Some(due)) => {
                armed.is_some_and(|armed| armed <= due.max(self.landed.at))
            }
            (Standing::Active, None) => true,
            (Standing::Paused | Standing::Retired, _) => armed.is_none(),
        };
        let early = armed.is_some_and(|armed| armed <= self.landed.at);
        ensure!(
            fits && (woken || early || row.standing != Standing::Active),
            NoneVanishes,
            "schedule {} is armed for {armed:?}, its next occurrence is due at {due:?}: {:?}",
            row.key,
            row.state
        );
        task_matches(self.tables, row)
    }
}

/// The task of a schedule follows from its row, leases aside.
fn task_matches(tables: &Tables, row: &Schedule) -> Check {
    match verify::schedule(row, tables.task(&row.id.task())).first() {
        Some(found) => broken(
            Promise::JournalIsTruth,
            format!("schedule {}: {found}", row.key),
        ),
        None => Ok(()),
    }
}

/// Every schedule in the store is one that was created, as it was left, and its task with it.
pub(super) fn schedules_match(ghost: &Ghost, tables: &Tables) -> Check {
    ensure!(
        tables.schedules().count() == ghost.schedules.all.len(),
        Acknowledged,
        "{} schedules were created, the store has {}",
        ghost.schedules.all.len(),
        tables.schedules().count()
    );
    for (id, known) in &ghost.schedules.all {
        let row = tables.schedule(*id).and_then(|row| row.read().ok());
        let Some(row) = row else {
            return broken(
                Promise::Acknowledged,
                format!("schedule {} is gone", known.key),
            );
        };
        ensure!(
            row.state.cursor == known.cursor && row.standing == known.standing,
            Acknowledged,
            "schedule {} is at {}, and was left at {}",
            known.key,
            row.state.cursor,
            known.cursor
        );
        task_matches(tables, &row)?;
    }
    Ok(())
}

/// The end of a run that its schedule waits for is reported, until the schedule has heard of it.
pub(super) fn release_is_done(ghost: &Ghost, tables: &Tables, id: RunId) -> Check {
    let run = ghost.run(id);
    let Some(of) = run.start.occurrence.as_ref().filter(|of| of.reports) else {
        return Ok(());
    };
    if run.ended.is_none() || tables.tasks_of(id).next().is_some() {
        return Ok(());
    }
    let row = tables.schedule(of.schedule);
    let state = row.and_then(|row| row.read_state().ok());
    ensure!(
        state.is_none_or(|state| state.previous != Some(id)),
        NoneVanishes,
        "run {id} has ended, and schedule {} will never hear of it",
        of.name
    );
    Ok(())
}
