//! A run: the fold of its transitions. Small, and without payloads.
//!
//! Invariant: `fold(journal) == snapshot`, and the agenda implied by the fold is the agenda stored, leases aside.

mod agenda;
mod apply;
#[cfg(test)]
mod chaos;
mod copy;
mod decide;
mod deciding;
mod fan;
mod snapshot;
mod status;
mod step;
mod waits;

use serde::{Deserialize, Serialize};

pub use apply::FoldError;
pub(crate) use decide::held_report;
pub use decide::{Decided, Facts, Verdict};
pub use fan::{Fan, Spoilt};
pub use snapshot::SNAPSHOT_FORMAT;
pub use status::{Status, UnknownStatus};
pub use step::{Armed, Reported, Stage, StepState, Tries, UndoStage, UndoState};
pub(crate) use waits::named;

use crate::change::{Cause, Heading};
use crate::definition::{DefinitionKey, Origin as From, StepIndex};
use crate::event::{Copied, Parent};
use crate::id::{CommandId, Life, RunId};
use crate::name::Name;
use crate::payload::{OutputRef, PayloadDigest};
use crate::schedule::Occurrence;
use crate::time::Timestamp;

/// Position in one run's journal, from 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Seq(pub u32);

impl Seq {
    /// The first transition of every run: its start.
    pub const FIRST: Seq = Seq(1);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self
            .0
            .checked_add(1)
            .expect("a journal has fewer than 2^32 rows: every event is bounded by a limit"))
    }
}

/// A run as its journal tells it. What never changes is at the end, and so at the end of the snapshot: a log that leaves out
/// what an update has in common with the row before it leaves that out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    seq: Seq,
    at: Timestamp,
    phase: Phase,
    cancel: Option<CancelRecord>,
    deadline: Option<Armed>,
    delivery: Option<Armed>,
    signals: Vec<Kept>,
    commands: Vec<CommandRecord>,
    steps: Vec<StepState>,
    id: RunId,
    life: Life,
    definition: DefinitionKey,
    origin: Origin,
}

/// What of a run's start later decisions need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The command that started it.
    pub command: CommandId,
    /// When it was started.
    pub at: Timestamp,
    /// The trigger it was started by.
    pub trigger: Name,
    /// When its first steps were due, if delayed.
    pub due: Option<Timestamp>,
    /// Digest of the stored input.
    pub input: PayloadDigest,
    /// Digest of the caller's input before defaults.
    pub raw_input: PayloadDigest,
    /// Queue of steps that name none.
    pub queue: Option<Name>,
    /// Priority of steps that name none.
    pub priority: Option<i16>,
    /// W3C trace context of the starter.
    pub trace: Option<String>,
    /// The run whose step started it.
    pub parent: Option<Parent>,
    /// The run it is a copy of.
    pub copy: Option<Copied>,
    /// The occurrence of a schedule that it is of.
    pub occurrence: Option<Box<Occurrence>>,
}

impl Origin {
    /// How many runs are above it.
    pub fn depth(&self) -> u16 {
        self.parent.as_ref().map_or(0, |parent| parent.depth)
    }

    /// Whether a parent or a schedule is to hear of the run's end.
    pub fn is_awaited(&self) -> bool {
        let parent = self.parent.as_ref();
        let occurrence = self.occurrence.as_ref();
        parent.is_some_and(|parent| !parent.detached)
            || occurrence.is_some_and(|occurrence| occurrence.reports)
    }
}

/// Where a run stands as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Steps become ready and are executed.
    Open,
    /// Nothing further is scheduled but what takes effects back; claimed attempts and children are awaited.
    Winding(Heading),
    /// Terminal.
    Ended(Heading),
}

/// The cancel that came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelRecord {
    /// The command.
    pub command: CommandId,
    /// Its journal row.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
    /// Whether what was done is taken back.
    pub undo: bool,
    /// Whether this or a later cancel asked to end without waiting.
    pub force: bool,
}

/// A command that had its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRecord {
    /// The command.
    pub command: CommandId,
    /// Its journal row.
    pub seq: Seq,
    /// When.
    pub at: Timestamp,
}

/// A signal that came before a step waited for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its name.
    pub signal: Name,
    /// Its journal row.
    pub seq: Seq,
    /// Digest of what it carries.
    pub payload: PayloadDigest,
}

impl Run {
    /// The run's id.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// Its life.
    pub fn life(&self) -> Life {
        self.life
    }

    /// Its last transition.
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// Time of the last transition; never goes back.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// What it runs.
    pub fn definition(&self) -> &DefinitionKey {
        &self.definition
    }

    /// How it was started.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where it stands as a whole.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The cancel that came first, if one did.
    pub fn cancel(&self) -> Option<&CancelRecord> {
        self.cancel.as_ref()
    }

    /// The run's armed deadline.
    pub fn deadline(&self) -> Option<Armed> {
        self.deadline
    }

    /// The task that reports its end to its parent. The fold cannot tell whether that has been done.
    pub fn delivery(&self) -> Option<Armed> {
        self.delivery
    }

    /// Signals that no step has waited for, oldest first.
    pub fn kept(&self) -> &[Kept] {
        &self.signals
    }

    /// The record of a command that had its effect.
    pub fn obeyed(&self, command: CommandId) -> Option<&CommandRecord> {
        self.commands
            .iter()
            .find(|record| record.command == command)
    }

    /// Every lane that is taken.
    pub fn lanes(&self) -> impl Iterator<Item = Armed> {
        let steps = self.steps.iter().flat_map(StepState::armed);
        steps.chain(self.deadline).chain(self.delivery)
    }

    /// Every step, in declaration order.
    pub fn steps(&self) -> &[StepState] {
        &self.steps
    }

    /// The step at `index`.
    ///
    /// # Panics
    /// If the run's definition has no such step.
    pub fn step(&self, index: StepIndex) -> &StepState {
        &self.steps[index.at()]
    }

    /// Where the bytes of a source live: `None` for a constant, and for what is not there or is null.
    pub fn place(&self, origin: &From) -> Option<OutputRef> {
        match origin {
            From::Input => Some(self.input()),
            From::Output(step) => self.step(*step).output(),
            From::Failure(step) => self.step(*step).failure(),
            From::Either(steps) => {
                let succeeded = |step: &&StepIndex| self.step(**step).stage == Stage::Succeeded;
                steps
                    .iter()
                    .find(succeeded)
                    .and_then(|step| self.step(*step).output())
            }
            From::Constant(_) => None,
        }
    }

    /// Where the run's input lives.
    pub fn input(&self) -> OutputRef {
        OutputRef::here(Seq::FIRST, self.origin.input)
    }

    /// Where the failure lives that the run fails with, or is about to.
    pub fn failure(&self) -> Option<OutputRef> {
        match self.cause()? {
            Cause::Step { step, .. } => self.step(*step).place,
            Cause::DeadlineExceeded { place } => Some(*place),
            Cause::NoResult => None,
        }
    }

    /// Whether nothing will ever change any more.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
    }

    /// Why it failed, or is about to.
    pub fn cause(&self) -> Option<&Cause> {
        match &self.phase {
            Phase::Winding(Heading::Failed(cause)) | Phase::Ended(Heading::Failed(cause)) => {
                Some(cause)
            }
            Phase::Open | Phase::Winding(_) | Phase::Ended(_) => None,
        }
    }
}
