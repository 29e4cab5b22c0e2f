//! Runs that a schedule is made to start: by hand, or by a scheduler of the host's own.
//!
//! Invariant: what starts a run names it, so that the same occurrence, identity or command has one run.

use super::{ScheduleCommand, ScheduleReply};
use crate::definition::DefinitionKey;
use crate::operation::batch::{Batch, Lookup};
use crate::operation::occurrence::{Beginning, Fault, begin};
use crate::operation::{Rejection, StartReply};
use crate::schedule::{Occasion, Schedule, Standing, Timing};
use crate::time::Timestamp;

impl ScheduleCommand {
    pub(super) fn fire(
        &self,
        batch: &mut Batch<'_>,
        found: Schedule,
        (occurrence, named): (Timestamp, bool),
        definition: &DefinitionKey,
    ) -> Result<ScheduleReply, Rejection> {
        let now = batch.view.now;
        if occurrence > now {
            return Err(Rejection::OccurrenceNotDue {
                schedule: self.schedule.to_string(),
                occurrence,
                now,
            });
        }
        let external = found.plan.timing == Timing::External;
        if !found.plan.has(occurrence) && (external || !named) {
            return Err(Rejection::NoOccurrence {
                schedule: self.schedule.to_string(),
                at: occurrence,
            });
        }
        self.start(batch, &found, definition, (occurrence, Occasion::Fired))
    }

    /// Starts the run, unless it exists.
    pub(super) fn start(
        &self,
        batch: &mut Batch<'_>,
        found: &Schedule,
        definition: &DefinitionKey,
        (at, occasion): (Timestamp, Occasion),
    ) -> Result<ScheduleReply, Rejection> {
        if found.standing == Standing::Retired {
            return Err(self.unknown());
        }
        let run = self.run().expect("only what starts a run gets here");
        let (absent, existing) = match batch.find(run) {
            Lookup::Absent => (true, false),
            // The same command again is told what it was told first.
            Lookup::Here => (false, batch.run(run).0.origin().command != self.command),
            Lookup::Unreadable(_) => (false, true),
            Lookup::Busy => unreachable!("a command waits for its runs"),
        };
        if absent {
            let mut occurrence = found.occurrence(at, batch.view.now, occasion);
            // What a schedule waits for is what it started by itself.
            occurrence.reports = false;
            let beginning = Beginning {
                run,
                command: self.command,
                definition: definition.clone(),
                occurrence,
                by: self.by.clone(),
            };
            begin(batch, found, beginning).map_err(|fault| self.faulty(fault))?;
        }
        let mut reply = self.reply(batch, !existing, Some(found));
        reply.started = Some(StartReply { run, existing });
        Ok(reply)
    }

    fn faulty(&self, fault: Fault) -> Rejection {
        match fault {
            Fault::UnknownWorkflow { definition } => Rejection::UnknownWorkflow { definition },
            Fault::OtherWorkflow { .. }
            | Fault::UnknownTrigger { .. }
            | Fault::InvalidInput { .. } => Rejection::UnfitSchedule {
                schedule: self.schedule.to_string(),
                problem: fault.to_string(),
            },
        }
    }
}
