//! Commands on schedules: what they were answered, and what they make of a schedule.
//!
//! Invariant: what a schedule was declared to be follows from the commands that landed, and from nothing that the engine says.

use squid_mesh_core::operation::{
    Declaration, Operation, Rejection, ScheduleAction, ScheduleCommand, ScheduleReply,
};
use squid_mesh_core::schedule::{ScheduleKey, Standing};

use super::Landing;
use crate::fault::sometimes::Milestone;
use crate::ghost::GhostSchedule;
use crate::violation::{Check, ensure};

impl Landing<'_> {
    /// Checks the answer to a command on a schedule, and takes note of what it has made of it.
    pub(super) fn schedule_set(
        &mut self,
        command: &ScheduleCommand,
        reply: &Result<ScheduleReply, Rejection>,
    ) -> Check {
        match reply {
            Ok(reply) => self.schedule_obeyed(command, reply),
            Err(rejection) => self.schedule_refused(command, rejection),
        }
    }

    fn schedule_obeyed(&mut self, command: &ScheduleCommand, reply: &ScheduleReply) -> Check {
        if command.action.logged().is_some() {
            let answers = &mut self.ghost.schedules.answers;
            let first = answers
                .entry(command.command)
                .or_insert((reply.changed, reply.at));
            ensure!(
                *first == (reply.changed, reply.at),
                Repeatable,
                "a command on schedule {} was answered {first:?}, then {reply:?}",
                command.schedule
            );
        }
        if let Some(started) = reply.started {
            ensure!(
                self.ghost.runs.contains_key(&started.run),
                Acknowledged,
                "run {} of schedule {} is acknowledged, and does not exist",
                started.run,
                command.schedule
            );
        }
        Ok(())
    }

    fn schedule_refused(&mut self, command: &ScheduleCommand, rejection: &Rejection) -> Check {
        let schedules = &self.ghost.schedules;
        // One in doubt may have been refused before another sending of it was carried out.
        ensure!(
            !schedules.answers.contains_key(&command.command) || self.was_in_doubt(),
            Repeatable,
            "{:?} of schedule {} was carried out, and is refused now: {rejection}",
            command.action,
            command.schedule
        );
        let known = schedules.all.get(&command.schedule.id());
        let true_so = match rejection {
            Rejection::UnknownSchedule { .. } => {
                known.is_none_or(|known| known.standing == Standing::Retired)
            }
            Rejection::DeclaredSchedule { .. } => matches!(
                (&command.schedule, &command.action),
                (
                    ScheduleKey::Declared { .. },
                    ScheduleAction::Create(_) | ScheduleAction::Change(_) | ScheduleAction::Delete
                )
            ),
            Rejection::ScheduleExists { .. } => known.is_some(),
            Rejection::UnfitSchedule { .. } => {
                let definition = command.action.definition();
                let workflow = known.map(|known| &known.declared.workflow);
                definition.map(|definition| &definition.name) != workflow
            }
            Rejection::UnknownWorkflow { definition } => {
                self.tables.definition(definition).is_none()
            }
            Rejection::OccurrenceNotDue { occurrence, .. } => *occurrence > self.landed.at,
            Rejection::NoOccurrence { at, .. } => known.is_some_and(|known| {
                let plan = self.landed.edition.of(known.plan());
                plan.last_at_or_before(*at) != Some(*at)
            }),
            _ => false,
        };
        // Nobody holds a row that does not exist: one may have come, or gone, while this was in doubt.
        ensure!(
            (true_so || self.was_in_doubt()) && self.landed.touched.is_empty(),
            TruthfulReply,
            "{:?} of schedule {} is refused: {rejection}",
            command.action,
            command.schedule
        );
        Ok(())
    }

    /// Takes note of what a command makes of a schedule, before its row is looked at.
    pub(super) fn schedule_commanded(&mut self) -> Check {
        let Operation::Schedule(command) = self.operation else {
            return Ok(());
        };
        let id = command.schedule.id();
        let now = self.landed.at;
        let touched = self.landed.touched.schedules.contains(&id);
        self.newest_stands(command, touched)?;
        let schedules = &mut self.ghost.schedules.all;
        match (&command.action, schedules.get_mut(&id)) {
            _ if !touched => {}
            (ScheduleAction::Create(declared) | ScheduleAction::Declare(declared), None) => {
                let created = GhostSchedule {
                    key: command.schedule.clone(),
                    life: declared.life,
                    declared: Declaration::clone(declared),
                    version: declared.version,
                    standing: Standing::Active,
                    created: now,
                    cursor: now,
                    previous: None,
                    waiting: None,
                };
                schedules.insert(id, created);
            }
            (ScheduleAction::Change(declared) | ScheduleAction::Declare(declared), Some(known)) => {
                let returns = known.standing == Standing::Retired;
                if returns || !declared.plan.fires_like(&known.declared.plan) {
                    known.cursor = known.cursor.max(now);
                }
                if returns {
                    known.standing = Standing::Active;
                    self.sometimes.reached(Milestone::ScheduleReturned);
                }
                known.version = declared.version;
                known.declared = Declaration::clone(declared);
                self.sometimes.reached(Milestone::ScheduleChanged);
            }
            (ScheduleAction::Retire { version }, Some(known)) => {
                known.version = *version;
                known.standing = Standing::Retired;
                known.waiting = None;
                self.sometimes.reached(Milestone::ScheduleRetired);
            }
            (ScheduleAction::Pause, Some(known)) => known.standing = Standing::Paused,
            (ScheduleAction::Resume, Some(known)) => known.standing = Standing::Active,
            (ScheduleAction::Delete, Some(_)) => {
                schedules.remove(&id);
            }
            _ => {}
        }
        Ok(())
    }

    /// What the highest version of a workflow has said of a schedule is what it is, whichever process says it when.
    fn newest_stands(&mut self, command: &ScheduleCommand, touched: bool) -> Check {
        let known = self.ghost.schedules.all.get(&command.schedule.id());
        let version = known.map_or(0, |known| known.version);
        let retired = known.is_some_and(|known| known.standing == Standing::Retired);
        let (by, changes) = match &command.action {
            ScheduleAction::Declare(declared) => {
                let says_so = known.is_some_and(|known| {
                    known.declared.plan == declared.plan && known.declared.input == declared.input
                });
                let news = known.is_none() || declared.version > version || retired || !says_so;
                (declared.version, declared.version >= version && news)
            }
            // It may have been decided while there was none: nothing is locked of what does not exist.
            ScheduleAction::Retire { .. } if !touched && self.was_in_doubt() => return Ok(()),
            ScheduleAction::Retire { version: by } => {
                (*by, known.is_some() && *by > version && !retired)
            }
            _ => return Ok(()),
        };
        if by < version {
            self.sometimes.reached(Milestone::OlderVersionIgnored);
        }
        ensure!(
            touched == changes,
            NewestVersionStands,
            "{:?} of schedule {}, which stands at version {version}, retired {retired}, changes it: {touched}",
            command.action,
            command.schedule
        );
        Ok(())
    }
}
