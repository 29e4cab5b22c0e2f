//! Commands on schedules: what they were answered, and what they make of a schedule.
//!
//! Invariant: what a schedule was declared to be follows from the commands that landed, and from nothing that the engine says.

use squid_mesh_core::operation::{
    Declaration, Operation, Rejection, ScheduleAction, ScheduleCommand, ScheduleReply,
};
use squid_mesh_core::schedule::Standing;

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
        let known = self.ghost.schedules.all.get(&command.schedule.id());
        let true_so = match rejection {
            Rejection::UnknownSchedule { .. } => known.is_none(),
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
            Rejection::NoOccurrence { at, .. } => {
                known.is_some_and(|known| known.plan().last_at_or_before(*at) != Some(*at))
            }
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
    pub(super) fn schedule_commanded(&mut self) {
        let Operation::Schedule(command) = self.operation else {
            return;
        };
        let id = command.schedule.id();
        let now = self.landed.at;
        let touched = self.landed.touched.schedules.contains(&id);
        let schedules = &mut self.ghost.schedules.all;
        match (&command.action, schedules.get_mut(&id)) {
            _ if !touched => {}
            (ScheduleAction::Create(declared), None) => {
                let created = GhostSchedule {
                    key: command.schedule.clone(),
                    life: declared.life,
                    declared: Declaration::clone(declared),
                    standing: Standing::Active,
                    created: now,
                    cursor: now,
                    previous: None,
                    waiting: None,
                };
                schedules.insert(id, created);
            }
            (ScheduleAction::Change(declared), Some(known)) => {
                if !declared.plan.fires_like(&known.declared.plan) {
                    known.cursor = known.cursor.max(now);
                }
                known.declared = Declaration::clone(declared);
                self.sometimes.reached(Milestone::ScheduleChanged);
            }
            (ScheduleAction::Pause, Some(known)) => known.standing = Standing::Paused,
            (ScheduleAction::Resume, Some(known)) => known.standing = Standing::Active,
            (ScheduleAction::Delete, Some(_)) => {
                schedules.remove(&id);
            }
            _ => {}
        }
    }
}
