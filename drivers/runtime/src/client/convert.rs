//! Builders as commands.
//!
//! Invariant: a builder and the command that is made of it say the same.

use squid_mesh_core::event::CopyKind;
use squid_mesh_core::operation::{QueueAction, StartDelay};

use super::command::{Command, CommandKind, ScheduleCommand, StartCommand, UnwritableCommand};
use super::resolve::Decided;
use super::schedules::{Occasion, Planned, Standing};
use super::word::Word;
use super::{
    CancelRun, CopyRun, FireSchedule, PlanSchedule, ResolveRun, SendSignal, SetQueue, SetSchedule,
    StartRun,
};

type Written = Result<Command, UnwritableCommand>;

fn unwritable(what: &'static str) -> impl Fn(&String) -> UnwritableCommand {
    move |why| UnwritableCommand {
        what,
        why: why.clone(),
    }
}

impl Word {
    fn say(&self, what: CommandKind) -> Written {
        let metadata = self.metadata.as_ref();
        let metadata = metadata.map(|it| it.as_ref().map_err(unwritable("the metadata")));
        Ok(Command {
            actor: self.actor.clone(),
            comment: self.comment.clone(),
            metadata: metadata.transpose()?.cloned(),
            key: self.key.clone(),
            ..Command::new(what)
        })
    }
}

impl<O> StartRun<O> {
    /// This start as a command, to be applied elsewhere or later.
    ///
    /// # Errors
    /// If the input or metadata cannot be written as JSON, or the workflow has no proper name.
    pub fn to_command(&self) -> Result<Command, UnwritableCommand> {
        let workflow = self.workflow.as_ref();
        let workflow = workflow.map_err(|error| unwritable("the workflow")(&error.to_string()))?;
        let input = self.input.as_ref();
        let input = input.map_err(|error| unwritable("the input")(&error.to_string()))?;
        let (delay, at) = match self.options.delay {
            Some(StartDelay::In(delay)) => (Some(delay), None),
            Some(StartDelay::At(at)) => (None, Some(at)),
            None => (None, None),
        };
        let start = StartCommand {
            workflow: workflow.to_string(),
            version: self.version,
            payload: input.clone(),
            trigger: self.options.trigger.clone(),
            labels: self.options.labels.clone(),
            queue: self.options.queue.clone(),
            priority: self.options.priority,
            delay,
            at,
            deadline: self.options.deadline,
            trace: self.options.trace.clone(),
        };
        let mut command = self.word.say(CommandKind::Start(Box::new(start)))?;
        command.key.clone_from(&self.options.key);
        Ok(command)
    }
}

impl CancelRun {
    /// This cancel as a command, to be applied elsewhere or later.
    ///
    /// # Errors
    /// If the metadata cannot be written as JSON.
    pub fn to_command(&self) -> Result<Command, UnwritableCommand> {
        self.word.say(CommandKind::Cancel {
            run: self.run,
            undo: self.undo,
            force: self.force,
        })
    }
}

impl ResolveRun {
    /// This decision as a command, to be applied elsewhere or later.
    ///
    /// # Errors
    /// If the output or metadata cannot be written as JSON.
    pub fn to_command(&self) -> Result<Command, UnwritableCommand> {
        let (run, step) = (self.run, self.step.clone());
        self.word.say(match &self.decision {
            Decided::Resume => CommandKind::Resume { run, step },
            Decided::Approve => CommandKind::Approve { run, step },
            Decided::Reject => CommandKind::Reject { run, step },
            Decided::Retry => CommandKind::ResolveRetry { run, step },
            Decided::SkipUndo => CommandKind::SkipUndo { run, step },
            Decided::Succeeded { output, label } => CommandKind::ResolveSucceeded {
                run,
                step,
                payload: output.as_ref().map_err(unwritable("the output"))?.clone(),
                label: label.clone(),
            },
            Decided::Fail { code, message } => CommandKind::ResolveFailed {
                run,
                step,
                code: code.clone(),
                message: message.clone(),
            },
        })
    }
}

impl SendSignal {
    /// This signal as a command, to be applied elsewhere or later.
    ///
    /// # Errors
    /// If the payload or metadata cannot be written as JSON.
    pub fn to_command(&self) -> Result<Command, UnwritableCommand> {
        let payload = self.payload.as_ref().map_err(unwritable("the payload"))?;
        self.word.say(CommandKind::Signal {
            run: self.run,
            signal: self.signal.clone(),
            payload: payload.clone(),
        })
    }
}

impl<O> CopyRun<O> {
    /// This copy as a command, to be applied elsewhere or later.
    ///
    /// # Errors
    /// If the metadata cannot be written as JSON.
    pub fn to_command(&self) -> Result<Command, UnwritableCommand> {
        let (run, allow_irreversible) = (self.source, self.allow_irreversible);
        self.word.say(match self.kind {
            CopyKind::Replay => CommandKind::Replay {
                run,
                same_version: self.same_version,
                allow_irreversible,
            },
            CopyKind::Fork => CommandKind::Fork {
                run,
                from: self.from.clone(),
                allow_irreversible,
            },
            CopyKind::Resume => CommandKind::ResumeFailed {
                run,
                allow_irreversible,
            },
        })
    }
}

impl SetQueue {
    /// This pause or resume as a command, to be applied elsewhere or later.
    pub fn to_command(&self) -> Command {
        let queue = self.queue.clone();
        let what = match self.action {
            QueueAction::Pause => CommandKind::PauseQueue { queue },
            QueueAction::Resume => CommandKind::ResumeQueue { queue },
        };
        let written = self.word.say(what);
        written.expect("a pause has no metadata that could not be written")
    }
}

impl PlanSchedule {
    /// This creation or change as a command, to be applied elsewhere or later.
    ///
    /// # Errors
    /// If the input cannot be written as JSON.
    pub fn to_command(&self) -> Result<Command, UnwritableCommand> {
        let input = self.input.as_ref();
        let input = input.map_err(|error| unwritable("the input")(&error.to_string()))?;
        let schedule = Box::new(ScheduleCommand {
            schedule: self.schedule.clone(),
            workflow: self.workflow.clone(),
            trigger: self.trigger.clone(),
            plan: self.plan.clone(),
            payload: input.clone(),
        });
        self.word.say(match self.what {
            Planned::Create => CommandKind::CreateSchedule(schedule),
            Planned::Change => CommandKind::ChangeSchedule(schedule),
        })
    }
}

impl SetSchedule {
    /// This pause, resume or deletion as a command, to be applied elsewhere or later.
    pub fn to_command(&self) -> Command {
        let schedule = self.schedule.clone();
        let what = match self.standing {
            Standing::Active => CommandKind::ResumeSchedule { schedule },
            Standing::Paused => CommandKind::PauseSchedule { schedule },
            Standing::Deleted => CommandKind::DeleteSchedule { schedule },
        };
        let written = self.word.say(what);
        written.expect("a pause has no metadata that could not be written")
    }
}

impl FireSchedule {
    /// This trigger or firing as a command, to be applied elsewhere or later.
    ///
    /// # Errors
    /// If the metadata cannot be written as JSON.
    pub fn to_command(&self) -> Result<Command, UnwritableCommand> {
        let schedule = self.schedule.clone();
        self.word.say(match self.occasion.clone() {
            Occasion::Trigger => CommandKind::TriggerSchedule { schedule },
            Occasion::At(occurrence) => CommandKind::FireSchedule {
                schedule,
                occurrence: Some(occurrence),
                signal: None,
            },
            Occasion::Signal { signal, at } => CommandKind::FireSchedule {
                schedule,
                occurrence: at,
                signal: Some(signal),
            },
        })
    }
}
