//! What is done to schedules: created, changed, paused, resumed, deleted, and made to start a run.
//!
//! Invariant: a command that is performed again has no further effect and is answered alike, and nothing that is done to a
//! schedule lets an occurrence before its cursor start a run by itself.

mod change;
mod check;
mod declaration;
mod firing;

use std::collections::BTreeSet;

use super::batch::{Batch, ScheduleLookup};
use super::{Decision, OperatorAction, OperatorEntry, ReadSet, Rejection, Reply, StartReply, View};
use crate::definition::DefinitionKey;
use crate::event::By;
use crate::id::{CommandId, Life, RunId, Shard};
use crate::mutant::Mutant;
use crate::name::Name;
use crate::payload::Payload;
use crate::schedule::{Occasion, Plan, Schedule, ScheduleKey, Standing};
use crate::time::Timestamp;

/// Something that is done to a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleCommand {
    /// The schedule's shard.
    pub shard: Shard,
    /// The schedule.
    pub schedule: ScheduleKey,
    /// What is done.
    pub action: ScheduleAction,
    /// Identifies this command, however often it is performed.
    pub command: CommandId,
    /// Who asks.
    pub by: By,
}

/// What is done to a schedule.
#[derive(Debug, Clone, PartialEq)]
pub enum ScheduleAction {
    /// It is created. One of the same content may be there already.
    Create(Box<Declaration>),
    /// One that is there gets another plan, target or input. Occurrences that are past never fire by a plan that has other
    /// times; what was pending stays so if the times are the same.
    Change(Box<Declaration>),
    /// A binary declares it with a version of its workflow's definition: created, or changed unless a newer version has
    /// declared it. Not in the operator log.
    Declare(Box<Declaration>),
    /// A binary whose version of the workflow's definition does not declare it retires it, unless a newer version has declared
    /// it. Not in the operator log.
    Retire {
        /// The version.
        version: u32,
    },
    /// It fires no more by itself until it is resumed.
    Pause,
    /// It fires again; what became of occurrences meanwhile is up to its catch-up policy.
    Resume,
    /// It is gone. Its runs go on.
    Delete,
    /// It starts a run at once, paused or not, whatever its overlap policy says, and as if it had not.
    Trigger {
        /// What to start.
        definition: DefinitionKey,
    },
    /// A scheduler of the host's own says that an occurrence's time has come.
    Fire {
        /// The occurrence; of one that has an identity of its own, when it was.
        occurrence: Timestamp,
        /// The identity that the host's scheduler gives it, in place of its time.
        signal: Option<String>,
        /// What to start.
        definition: DefinitionKey,
    },
}

/// What is declared of a schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// The life of a schedule that is created by this.
    pub life: Life,
    /// The version of the definition that declares it; 0 of one that is created at run time.
    pub version: u32,
    /// The workflow that it starts.
    pub workflow: Name,
    /// The trigger that it starts it by.
    pub trigger: Name,
    /// When, and what if it is late or the run before goes on.
    pub plan: Plan,
    /// The input of its runs, checked against the trigger's contract, without defaults.
    pub input: Payload,
}

/// The answer to a [`ScheduleCommand`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleReply {
    /// The schedule.
    pub schedule: ScheduleKey,
    /// Whether this command changed it, by this operation or by an earlier one. A declaration or retirement that is
    /// performed again has changed nothing.
    pub changed: bool,
    /// Whether it fires by itself; `None` if it is gone.
    pub standing: Option<Standing>,
    /// When it fires next by itself, if it does.
    pub next: Option<Timestamp>,
    /// The run that it started, or that had been started for the same occurrence.
    pub started: Option<StartReply>,
    /// When, by the database's clock.
    pub at: Timestamp,
}

impl ScheduleAction {
    /// What the operator log calls it, if it is in there.
    pub const fn logged(&self) -> Option<OperatorAction> {
        match self {
            ScheduleAction::Create(_) => Some(OperatorAction::CreateSchedule),
            ScheduleAction::Change(_) => Some(OperatorAction::ChangeSchedule),
            ScheduleAction::Pause => Some(OperatorAction::PauseSchedule),
            ScheduleAction::Resume => Some(OperatorAction::ResumeSchedule),
            ScheduleAction::Delete => Some(OperatorAction::DeleteSchedule),
            ScheduleAction::Trigger { .. } => Some(OperatorAction::TriggerSchedule),
            ScheduleAction::Declare(_)
            | ScheduleAction::Retire { .. }
            | ScheduleAction::Fire { .. } => None,
        }
    }

    /// What it starts, if it does.
    pub fn definition(&self) -> Option<&DefinitionKey> {
        match self {
            ScheduleAction::Trigger { definition } | ScheduleAction::Fire { definition, .. } => {
                Some(definition)
            }
            ScheduleAction::Create(_)
            | ScheduleAction::Change(_)
            | ScheduleAction::Declare(_)
            | ScheduleAction::Retire { .. }
            | ScheduleAction::Pause
            | ScheduleAction::Resume
            | ScheduleAction::Delete => None,
        }
    }
}

impl ScheduleCommand {
    /// The run that it starts, if it does.
    fn run(&self) -> Option<RunId> {
        let id = self.schedule.id();
        match &self.action {
            ScheduleAction::Trigger { .. } => Some(id.triggered(self.command)),
            ScheduleAction::Fire {
                signal: Some(signal),
                ..
            } => Some(id.signal(signal)),
            ScheduleAction::Fire { occurrence, .. } => Some(id.occurrence(*occurrence)),
            ScheduleAction::Create(_)
            | ScheduleAction::Change(_)
            | ScheduleAction::Declare(_)
            | ScheduleAction::Retire { .. }
            | ScheduleAction::Pause
            | ScheduleAction::Resume
            | ScheduleAction::Delete => None,
        }
    }

    pub(super) fn reads(&self) -> ReadSet {
        let id = self.schedule.id();
        ReadSet {
            shard: self.shard,
            definitions: self.action.definition().cloned().into_iter().collect(),
            schedules: BTreeSet::from([id]),
            runs: self.run().into_iter().collect(),
            tasks: BTreeSet::from([id.task()]),
            wait: true,
            entry: self.action.logged().map(|_| self.command),
            ..ReadSet::default()
        }
    }

    pub(super) fn decide(&self, view: &View) -> Decision {
        let mut batch = Batch::new(view, None);
        let replied = self.obey(&mut batch);
        let mut writes = match &replied {
            Ok(_) => batch.finish(),
            Err(_) => super::Writes::default(),
        };
        if let (Ok(reply), None) = (&replied, &view.entry) {
            writes.entry = self.entry(reply);
        }
        Decision::Done {
            writes,
            reply: Reply::Schedule(replied),
        }
    }

    fn is_declared(&self) -> bool {
        matches!(self.schedule, ScheduleKey::Declared { .. })
    }

    fn entry(&self, reply: &ScheduleReply) -> Option<OperatorEntry> {
        Some(OperatorEntry {
            id: self.command,
            actor: self.by.actor.clone(),
            action: self.action.logged()?,
            target: self.schedule.to_string(),
            comment: self.by.comment.clone(),
            changed: reply.changed,
            at: reply.at,
        })
    }

    fn obey(&self, batch: &mut Batch<'_>) -> Result<ScheduleReply, Rejection> {
        let found = match batch.find_schedule(self.schedule.id()) {
            ScheduleLookup::Here => Some(batch.schedule(self.schedule.id()).clone()),
            ScheduleLookup::Absent => None,
            ScheduleLookup::Busy => unreachable!("a command waits for its schedule"),
            ScheduleLookup::Unreadable(error) => {
                return Err(Rejection::UnreadableSchedule {
                    schedule: self.schedule.to_string(),
                    detail: error.to_string(),
                });
            }
        };
        if let Some(entry) = &batch.view.entry {
            let reply = self.reply(batch, entry.changed, found.as_ref());
            return Ok(ScheduleReply {
                at: entry.at,
                ..reply
            });
        }
        self.check()?;
        match &self.action {
            // Only its workflow makes one of those.
            ScheduleAction::Create(_) if self.is_declared() => Err(Rejection::DeclaredSchedule {
                schedule: self.schedule.to_string(),
            }),
            ScheduleAction::Create(declaration) | ScheduleAction::Declare(declaration) => {
                self.create(batch, found, declaration)
            }
            ScheduleAction::Retire { version } => Ok(self.retire(batch, found, *version)),
            other => self.act(batch, found.ok_or_else(|| self.unknown())?, other),
        }
    }

    fn act(
        &self,
        batch: &mut Batch<'_>,
        found: Schedule,
        action: &ScheduleAction,
    ) -> Result<ScheduleReply, Rejection> {
        match action {
            ScheduleAction::Change(_) | ScheduleAction::Delete if self.is_declared() => {
                Err(Rejection::DeclaredSchedule {
                    schedule: self.schedule.to_string(),
                })
            }
            ScheduleAction::Pause | ScheduleAction::Resume
                if found.standing == Standing::Retired =>
            {
                Err(self.unknown())
            }
            ScheduleAction::Change(declaration) => Ok(self.change(batch, found, declaration)),
            ScheduleAction::Pause => Ok(self.stand(batch, found, Standing::Paused)),
            ScheduleAction::Resume => Ok(self.stand(batch, found, Standing::Active)),
            ScheduleAction::Delete => {
                batch.remove_schedule(found.id);
                Ok(self.reply(batch, true, None))
            }
            ScheduleAction::Trigger { definition } => {
                let now = batch.view.now;
                self.start(batch, &found, definition, (now, Occasion::Triggered))
            }
            ScheduleAction::Fire {
                occurrence,
                signal,
                definition,
            } => self.fire(batch, found, (*occurrence, signal.is_some()), definition),
            ScheduleAction::Create(_)
            | ScheduleAction::Declare(_)
            | ScheduleAction::Retire { .. } => {
                unreachable!("what may make a schedule is done before")
            }
        }
    }

    fn create(
        &self,
        batch: &mut Batch<'_>,
        found: Option<Schedule>,
        declaration: &Declaration,
    ) -> Result<ScheduleReply, Rejection> {
        let declares = matches!(self.action, ScheduleAction::Declare(_));
        let Some(found) = found else {
            let schedule = declaration.schedule(&self.schedule, batch.view.now);
            let reply = self.reply(batch, true, Some(&schedule));
            batch.insert_schedule(schedule);
            return Ok(reply);
        };
        if declares {
            // What a newer version says stands.
            let older = declaration.version < found.version
                && !batch.view.mutation.is(Mutant::OlderVersionDeclares);
            return Ok(if older {
                self.reply(batch, false, Some(&found))
            } else {
                self.change(batch, found, declaration)
            });
        }
        if declaration.is_of(&found) {
            return Ok(self.reply(batch, false, Some(&found)));
        }
        Err(Rejection::ScheduleExists {
            schedule: self.schedule.to_string(),
        })
    }

    fn unknown(&self) -> Rejection {
        Rejection::UnknownSchedule {
            schedule: self.schedule.to_string(),
        }
    }

    fn reply(&self, batch: &Batch<'_>, changed: bool, now: Option<&Schedule>) -> ScheduleReply {
        let started = self.run().filter(|_| batch.view.entry.is_some());
        ScheduleReply {
            schedule: self.schedule.clone(),
            changed,
            standing: now.map(|schedule| schedule.standing),
            next: now.and_then(Schedule::next_firing),
            started: started.map(|run| StartReply {
                run,
                existing: false,
            }),
            at: batch.view.now,
        }
    }
}
