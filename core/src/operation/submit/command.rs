//! Commands about a run that exists: cancelling it, deciding about a step, sending it a signal.
//!
//! Invariant: the same command again has no further effect and gets the first one's answer, before and after the end.

use super::{Refusal, unreadable};
use crate::definition::{Definition, StepIndex};
use crate::eval;
use crate::event::{By, CancelRequested, Event, Failure, Resolution, Resolved, Signalled, code};
use crate::id::{CommandId, RunId};
use crate::mutant::Mutant;
use crate::name::Name;
use crate::operation::batch::{Batch, Lookup};
use crate::operation::{CancelReply, CommandReply, Rejection, Wants, words};
use crate::payload::Payload;
use crate::run::{Phase, Run, named};
use crate::time::Timestamp;

/// Cancel a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// The run.
    pub run: RunId,
    /// Identifies this cancel, however often it is submitted.
    pub command: CommandId,
    /// Who asks.
    pub by: By,
    /// End at once; later reports of running attempts are rejected.
    pub force: bool,
    /// Take back what was done, before ending.
    pub undo: bool,
}

/// Decide about a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolve {
    /// The run.
    pub run: RunId,
    /// Identifies this decision, however often it is submitted.
    pub command: CommandId,
    /// The step, if the run waits at several that the decision fits.
    pub step: Option<Name>,
    /// What is decided.
    pub ruling: Ruling,
    /// Who decides.
    pub by: By,
}

/// What is decided about a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Ruling {
    /// A pause ends.
    Resume,
    /// An approval is given.
    Approve,
    /// An approval is refused.
    Reject,
    /// An attempt of unknown outcome succeeded.
    Succeeded {
        /// With this output.
        output: Payload,
        /// And this label.
        label: Option<Name>,
    },
    /// A step whose attempt has an unknown outcome is tried again.
    Retry,
    /// An attempt of unknown outcome failed for good.
    Fail {
        /// With this code; `failed_by_operator` if there is none.
        code: Option<String>,
        /// And this message.
        message: String,
    },
    /// What takes a step's effect back is not attempted any more.
    SkipUndo,
}

/// Send a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// The run.
    pub run: RunId,
    /// Identifies this signal, however often it is submitted.
    pub command: CommandId,
    /// Its name.
    pub signal: Name,
    /// What it carries, checked against the contract.
    pub payload: Payload,
    /// Who sends it.
    pub by: By,
}

impl Cancel {
    pub(super) fn obey(&self, batch: &mut Batch<'_>) -> Result<CancelReply, Refusal> {
        let id = self.run;
        find(batch, id)?;
        words::by(&self.by, false)?;
        let (run, _) = batch.run(id);
        let winding = matches!(run.phase(), Phase::Winding(_));
        if let Some(first) = run.cancel() {
            if first.undo != self.undo && first.command != self.command && !self.force {
                return Err(Refusal::Rejected(Rejection::OtherCancel {
                    run: id,
                    undo: first.undo,
                }));
            }
            let more = self.force && !first.force && winding;
            if !more {
                return Ok(first_cancel(run));
            }
        }
        // A cancel frees lanes that only a read of all tasks shows, so it reads them before it decides.
        if batch.claimed(id).is_none() {
            return Err(Refusal::NeedTasksOf(id));
        }
        let event = Event::CancelRequested(Box::new(CancelRequested {
            command: self.command,
            by: self.by.clone(),
            force: self.force,
            undo: self.undo,
        }));
        batch.decide(id, event, None)?;
        Ok(first_cancel(batch.run(id).0))
    }
}

impl Resolve {
    /// Bytes of the payloads that it carries.
    pub fn payload_bytes(&self) -> usize {
        match &self.ruling {
            Ruling::Succeeded { output, .. } => output.bytes().len(),
            Ruling::Resume
            | Ruling::Approve
            | Ruling::Reject
            | Ruling::Retry
            | Ruling::Fail { .. }
            | Ruling::SkipUndo => 0,
        }
    }

    pub(super) fn obey(&self, batch: &mut Batch<'_>) -> Result<CommandReply, Refusal> {
        let id = self.run;
        find(batch, id)?;
        if let Some(reply) = first_answer(batch, id, self.command) {
            return Ok(reply);
        }
        let needs_actor = matches!(self.ruling, Ruling::Approve | Ruling::Reject);
        words::by(&self.by, needs_actor)?;
        self.ruling.check()?;
        let (run, definition) = batch.run(id);
        let step = self.step(run, definition)?;
        let at = batch.view.now.max(run.at());
        let (verdict, payload) = self.verdict(run, definition, step, at)?;
        let event = Event::Resolved(Box::new(Resolved {
            command: self.command,
            step,
            verdict,
            by: self.by.clone(),
            payload: payload.as_ref().map(Payload::digest),
        }));
        batch.decide(id, event, payload)?;
        Ok(answer(batch.run(id).0, self.command))
    }

    /// The step that is meant: the one that is named, or the only one that waits for such a decision.
    fn step(&self, run: &Run, definition: &Definition) -> Result<StepIndex, Refusal> {
        if run.is_ended() {
            return Err(Refusal::Rejected(run.finished()));
        }
        if let Some(name) = &self.step {
            return definition.index_of(name.as_str()).ok_or_else(|| {
                Refusal::Rejected(Rejection::UnknownStep {
                    run: self.run,
                    step: name.to_string(),
                })
            });
        }
        let mut fitting = run.waits(definition);
        fitting.retain(|(_, wants)| *wants == self.ruling.answers());
        match fitting.as_slice() {
            [(step, _)] => Ok(*step),
            [] => Err(Refusal::Rejected(run.not_waiting(definition))),
            several => Err(Refusal::Rejected(Rejection::AmbiguousGate {
                run: self.run,
                waits: named(definition, several),
            })),
        }
    }

    /// What is written down, with the payload that the step ends with.
    fn verdict(
        &self,
        run: &Run,
        definition: &Definition,
        step: StepIndex,
        at: Timestamp,
    ) -> Result<(Resolution, Option<Payload>), Refusal> {
        let gate = |decision: &str| {
            let by = &self.by;
            let metadata = by
                .metadata
                .as_ref()
                .map(|text| Payload::new(text.as_bytes()));
            let (actor, comment) = (by.actor.as_deref(), by.comment.as_deref());
            Some(eval::gate_output(
                decision,
                actor,
                comment,
                metadata.as_ref(),
                at,
            ))
        };
        Ok(match &self.ruling {
            Ruling::Resume => (Resolution::Resume, gate("resumed")),
            Ruling::Approve => (Resolution::Approve, gate("approved")),
            Ruling::Reject => (Resolution::Reject, gate("rejected")),
            Ruling::Retry => (Resolution::Retry, None),
            Ruling::SkipUndo => (Resolution::SkipUndo, None),
            Ruling::Succeeded { output, label } => {
                let label = match label {
                    None => None,
                    Some(label) => {
                        Some(definition.step(step).way(label.as_str()).ok_or_else(|| {
                            let (step, run) = (&definition.step(step).name, run.id());
                            let problem =
                                format!("not one that step {step:?} of run {run} returns");
                            words::invalid("the label", &problem)
                        })?)
                    }
                };
                (Resolution::Succeeded { label }, Some(output.clone()))
            }
            Ruling::Fail { code, message } => {
                let code = code.as_deref().unwrap_or(code::FAILED_BY_OPERATOR);
                let failure = Failure::new(code, message, false);
                let payload = eval::failure_payload(&failure, None);
                (Resolution::Fail { code: failure.code }, Some(payload))
            }
        })
    }
}

impl Ruling {
    /// Whether every store can hold what it carries.
    fn check(&self) -> Result<(), Rejection> {
        match self {
            Ruling::Succeeded { output, .. } => words::json("the output", output),
            Ruling::Fail { code, message } => {
                words::plain("the code", code.as_deref().unwrap_or_default())?;
                words::plain("the message", message)
            }
            Ruling::Resume
            | Ruling::Approve
            | Ruling::Reject
            | Ruling::Retry
            | Ruling::SkipUndo => Ok(()),
        }
    }

    /// What a step waits for that this decides.
    fn answers(&self) -> Wants {
        match self {
            Ruling::Resume => Wants::Resume,
            Ruling::Approve | Ruling::Reject => Wants::Approval,
            Ruling::Succeeded { .. } | Ruling::Retry | Ruling::Fail { .. } => Wants::Outcome,
            Ruling::SkipUndo => Wants::Undo,
        }
    }
}

impl Signal {
    pub(super) fn obey(&self, batch: &mut Batch<'_>) -> Result<CommandReply, Refusal> {
        let id = self.run;
        find(batch, id)?;
        if let Some(reply) = first_answer(batch, id, self.command) {
            return Ok(reply);
        }
        words::by(&self.by, false)?;
        words::json("the payload", &self.payload)?;
        let event = Event::Signalled(Box::new(Signalled {
            command: self.command,
            signal: self.signal.clone(),
            by: self.by.clone(),
            payload: self.payload.digest(),
        }));
        batch.decide(id, event, Some(self.payload.clone()))?;
        Ok(answer(batch.run(id).0, self.command))
    }
}

fn find(batch: &mut Batch<'_>, id: RunId) -> Result<(), Refusal> {
    match batch.find(id) {
        Lookup::Absent => Err(Refusal::Rejected(Rejection::UnknownRun { run: id })),
        Lookup::Busy => Err(Refusal::Busy),
        Lookup::Unreadable(error) => Err(unreadable(id, error)),
        Lookup::Here => Ok(()),
    }
}

/// The answer to a command that had its effect already; a run takes only so many.
fn first_answer(batch: &Batch<'_>, id: RunId, command: CommandId) -> Option<CommandReply> {
    let (run, _) = batch.run(id);
    let forgetful = batch.view.mutation.is(Mutant::CommandForgotten);
    run.obeyed(command).filter(|_| !forgetful)?;
    let first = answer(run, command);
    let anew = batch.view.mutation.is(Mutant::RepeatAnsweredAnew);
    let seq = if anew { run.seq() } else { first.seq };
    Some(CommandReply { seq, ..first })
}

fn answer(run: &Run, command: CommandId) -> CommandReply {
    let record = run.obeyed(command);
    let record = record.expect("a command that had its effect is on record");
    CommandReply {
        run: run.id(),
        seq: record.seq,
        at: record.at,
        status: run.status(),
    }
}

/// What every cancel of this run is told.
fn first_cancel(run: &Run) -> CancelReply {
    let first = run
        .cancel()
        .expect("a run that was cancelled keeps the cancel that came first");
    CancelReply {
        run: run.id(),
        seq: first.seq,
        at: first.at,
        command: first.command,
        status: run.status(),
    }
}
