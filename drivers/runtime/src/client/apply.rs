//! Performing commands that came as values.
//!
//! Invariant: a command goes through the builder that it stands for, and so through every check of it.

use serde_json::Value;
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{
    CancelReply, CommandReply, QueueReply, ScheduleReply, StartDelay,
};
use squid_mesh_core::time::Timestamp;

use super::command::{Command, CommandKind, ScheduleCommand, StartCommand};
use super::resolve::Decided;
use super::schedules::{Occasion, PlanSchedule, Planned};
use super::start::Options;
use super::word::Word;
use super::{
    CancelError, CancelRun, Client, CopyError, CopyRun, FireSchedule, QueueError, ResolveError,
    ResolveRun, RunHandle, ScheduleError, SetQueue, SetSchedule, SignalError, StartError,
};

/// What a command did.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Applied {
    /// A run was started, a copy included.
    Started {
        /// The run.
        run: RunId,
        /// Whether the same command, or another under the same key, had started it before.
        existing: bool,
    },
    /// A run was cancelled.
    Cancelled(CancelReply),
    /// A decision was made, or a signal sent.
    Obeyed(CommandReply),
    /// A queue was paused or resumed.
    Queue(QueueReply),
    /// A schedule was created, changed, paused, resumed or deleted.
    Schedule(ScheduleReply),
}

/// A command was not performed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// A start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A cancel.
    #[error(transparent)]
    Cancel(#[from] CancelError),
    /// A decision.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A signal.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// A copy.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// A pause or resume of a queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Something about a schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The command says something that cannot be honoured. Nothing was written.
    #[error("{field} of the command cannot be honoured: {why}")]
    Field {
        /// The field.
        field: &'static str,
        /// Why it cannot.
        why: &'static str,
    },
}

impl Client {
    /// Performs a command that came as a value. Dropped, it has been performed or not; applying it again is safe if it has a
    /// key.
    ///
    /// # Errors
    /// As the builder that the command stands for; [`ApplyError::Field`] for what no builder could say.
    pub async fn apply(&self, command: Command) -> Result<Applied, ApplyError> {
        // Boxed, since the futures of all commands together are large.
        Box::pin(self.apply_one(command)).await
    }

    async fn apply_one(&self, command: Command) -> Result<Applied, ApplyError> {
        let Command {
            what,
            actor,
            comment,
            metadata,
            key,
            time: _,
        } = command;
        let word = Word {
            actor,
            comment,
            metadata: metadata.map(Ok),
            key,
        };
        match what {
            CommandKind::Start(start) => self.apply_start(*start, word).await,
            CommandKind::Cancel { run, undo, force } => {
                let mut cancel = CancelRun::new(self.clone(), run).undo(undo).force(force);
                cancel.word = word;
                Ok(Applied::Cancelled(cancel.await?))
            }
            CommandKind::Approve { run, step } => {
                self.decide(run, step, Decided::Approve, word).await
            }
            CommandKind::Reject { run, step } => {
                self.decide(run, step, Decided::Reject, word).await
            }
            CommandKind::Resume { run, step } => {
                self.decide(run, step, Decided::Resume, word).await
            }
            CommandKind::ResolveRetry { run, step } => {
                self.decide(run, step, Decided::Retry, word).await
            }
            CommandKind::SkipUndo { run, step } => {
                self.decide(run, step, Decided::SkipUndo, word).await
            }
            CommandKind::ResolveSucceeded {
                run,
                step,
                payload,
                label,
            } => {
                let output = Ok(payload);
                let decision = Decided::Succeeded { output, label };
                self.decide(run, step, decision, word).await
            }
            CommandKind::ResolveFailed {
                run,
                step,
                code,
                message,
            } => {
                self.decide(run, step, Decided::Fail { code, message }, word)
                    .await
            }
            CommandKind::Signal {
                run,
                signal,
                payload,
            } => {
                let mut send = self.signal_json(run, signal, payload);
                send.word = word;
                Ok(Applied::Obeyed(send.await?))
            }
            CommandKind::Replay {
                run,
                same_version,
                allow_irreversible,
            } => {
                let mut copy = self.replay(run);
                copy.same_version = same_version;
                self.apply_copy(copy, allow_irreversible, word).await
            }
            CommandKind::Fork {
                run,
                from,
                allow_irreversible,
            } => {
                let copy = self.fork(run, from);
                self.apply_copy(copy, allow_irreversible, word).await
            }
            CommandKind::ResumeFailed {
                run,
                allow_irreversible,
            } => {
                let copy = self.resume_failed(run);
                self.apply_copy(copy, allow_irreversible, word).await
            }
            CommandKind::PauseQueue { queue } => set(self.pause_queue(queue), word).await,
            CommandKind::ResumeQueue { queue } => set(self.resume_queue(queue), word).await,
            CommandKind::CreateSchedule(schedule) => {
                self.plan(Planned::Create, *schedule, word).await
            }
            CommandKind::ChangeSchedule(schedule) => {
                self.plan(Planned::Change, *schedule, word).await
            }
            CommandKind::PauseSchedule { schedule } => {
                set_schedule(self.pause_schedule(schedule), word).await
            }
            CommandKind::ResumeSchedule { schedule } => {
                set_schedule(self.resume_schedule(schedule), word).await
            }
            CommandKind::DeleteSchedule { schedule } => {
                set_schedule(self.delete_schedule(schedule), word).await
            }
            CommandKind::TriggerSchedule { schedule } => {
                self.fire(schedule, Occasion::Trigger, word).await
            }
            CommandKind::FireSchedule {
                schedule,
                occurrence,
                signal,
            } => {
                let occasion = occasion(occurrence, signal)?;
                self.fire(schedule, occasion, word).await
            }
        }
    }

    async fn apply_start(&self, start: StartCommand, word: Word) -> Result<Applied, ApplyError> {
        let delay = match (start.delay, start.at) {
            (Some(_), Some(_)) => {
                return Err(ApplyError::Field {
                    field: "at",
                    why: "there is a delay, too",
                });
            }
            (Some(delay), None) => Some(StartDelay::In(delay)),
            (None, at) => at.map(StartDelay::At),
        };
        let mut run = self.start_json(&start.workflow, start.version, start.payload);
        run.options = Options {
            trigger: start.trigger,
            key: word.key.clone(),
            labels: start.labels,
            queue: start.queue,
            priority: start.priority,
            delay,
            deadline: start.deadline,
            trace: start.trace,
        };
        run.word = word;
        Ok(started(&run.await?))
    }

    async fn decide(
        &self,
        run: RunId,
        step: Option<String>,
        decision: Decided,
        word: Word,
    ) -> Result<Applied, ApplyError> {
        let mut resolve = ResolveRun::new(self.clone(), run, decision);
        (resolve.step, resolve.word) = (step, word);
        Ok(Applied::Obeyed(resolve.await?))
    }

    async fn plan(
        &self,
        what: Planned,
        schedule: ScheduleCommand,
        word: Word,
    ) -> Result<Applied, ApplyError> {
        let ScheduleCommand {
            schedule,
            workflow,
            trigger,
            plan,
            payload,
        } = schedule;
        let mut planned = PlanSchedule::new(self.clone(), what, schedule, workflow, plan);
        planned.trigger = trigger;
        planned.input = Ok(payload);
        planned.word = logged(word)?;
        Ok(Applied::Schedule(planned.await?))
    }

    async fn fire(
        &self,
        schedule: String,
        occasion: Occasion,
        word: Word,
    ) -> Result<Applied, ApplyError> {
        let mut fire = FireSchedule::new(self.clone(), schedule, occasion);
        fire.word = word;
        Ok(started(&fire.await?))
    }

    async fn apply_copy(
        &self,
        mut copy: CopyRun<Value>,
        allow_irreversible: bool,
        word: Word,
    ) -> Result<Applied, ApplyError> {
        (copy.allow_irreversible, copy.word) = (allow_irreversible, word);
        Ok(started(&copy.await?))
    }
}

async fn set(mut queue: SetQueue, word: Word) -> Result<Applied, ApplyError> {
    queue.word = logged(word)?;
    Ok(Applied::Queue(queue.await?))
}

async fn set_schedule(mut schedule: SetSchedule, word: Word) -> Result<Applied, ApplyError> {
    schedule.word = logged(word)?;
    Ok(Applied::Schedule(schedule.await?))
}

/// A field that cannot be honoured, and why.
struct Misfit(&'static str, &'static str);

impl From<Misfit> for ApplyError {
    fn from(Misfit(field, why): Misfit) -> ApplyError {
        ApplyError::Field { field, why }
    }
}

/// What the operator log can hold.
fn logged(word: Word) -> Result<Word, Misfit> {
    match word.metadata {
        None => Ok(word),
        Some(_) => Err(Misfit("metadata", "the operator log has no place for it")),
    }
}

fn occasion(at: Option<Timestamp>, signal: Option<String>) -> Result<Occasion, Misfit> {
    match (at, signal) {
        (at, Some(signal)) => Ok(Occasion::Signal { signal, at }),
        (Some(at), None) => Ok(Occasion::At(at)),
        (None, None) => Err(Misfit(
            "occurrence",
            "there is neither an occurrence nor a signal",
        )),
    }
}

fn started<O>(run: &RunHandle<O>) -> Applied {
    Applied::Started {
        run: run.id(),
        existing: run.existing(),
    }
}
