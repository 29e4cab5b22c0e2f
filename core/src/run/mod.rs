//! A run: the fold of its transitions. Small, and without payloads.
//!
//! Invariant: `fold(journal) == snapshot`, and the agenda implied by the fold is the agenda stored, leases aside.

mod agenda;
mod apply;
mod decide;
mod ready;
mod snapshot;
mod status;

use serde::{Deserialize, Serialize};

pub use apply::FoldError;
pub use decide::{Decided, Facts, Verdict};
pub use snapshot::SNAPSHOT_FORMAT;
pub use status::{Status, UnknownStatus};

use crate::change::{Cause, Heading};
use crate::definition::{DefinitionKey, StepIndex};
use crate::id::{CommandId, Life, RunId};
use crate::name::Name;
use crate::payload::{OutputRef, PayloadDigest};
use crate::task::{Fence, Lane};
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

/// A run as its journal tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    id: RunId,
    life: Life,
    seq: Seq,
    at: Timestamp,
    definition: DefinitionKey,
    origin: Origin,
    phase: Phase,
    cancel: Option<CancelRecord>,
    deadline: Option<Armed>,
    steps: Vec<StepState>,
}

/// What of a run's start later decisions need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The command that started it.
    pub command: CommandId,
    /// When it was started.
    pub at: Timestamp,
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
}

/// Where a run stands as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Steps become ready and are executed.
    Open,
    /// Nothing further is scheduled; claimed attempts are awaited.
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
}

/// A lane that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armed {
    /// The lane.
    pub lane: Lane,
    /// When it is due.
    pub due: Timestamp,
    /// The transition that scheduled it.
    pub seq: Seq,
}

/// One step as the journal tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StepState {
    /// Where it stands.
    pub stage: Stage,
    /// Attempts that reported.
    pub executed: u32,
    /// Attempts that were lost.
    pub lost: u32,
    /// The last report.
    pub reported: Option<Reported>,
}

impl StepState {
    /// Where the output lives, of a step that succeeded with one.
    pub fn output(&self) -> Option<OutputRef> {
        let reported = self
            .reported
            .as_ref()
            .filter(|_| self.stage == Stage::Succeeded)?;
        Some(OutputRef {
            seq: reported.seq,
            digest: reported.digest,
        })
    }

    /// The attempt that is next, or under way.
    pub fn attempt(&self) -> u32 {
        self.executed + self.lost + 1
    }
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Stage {
    /// Something it needs is not there yet.
    #[default]
    Blocked,
    /// It has a task: to be claimed from its due time on, or claimed.
    Scheduled(Armed),
    /// A wait that was reached.
    Waiting(Armed),
    /// It was claimed when the run began to end, and was told to stop.
    Stopping(Armed),
    /// It ended with an output (none for a wait).
    Succeeded,
    /// It ended with a failure.
    Failed,
    /// It was ended with the run.
    Cancelled,
}

impl Stage {
    /// Whether it has ended for good.
    pub fn is_settled(self) -> bool {
        match self {
            Stage::Succeeded | Stage::Failed | Stage::Cancelled => true,
            Stage::Blocked | Stage::Scheduled(_) | Stage::Waiting(_) | Stage::Stopping(_) => false,
        }
    }

    /// The lane it holds, if it does.
    pub fn armed(self) -> Option<Armed> {
        match self {
            Stage::Scheduled(armed) | Stage::Waiting(armed) | Stage::Stopping(armed) => Some(armed),
            Stage::Blocked | Stage::Succeeded | Stage::Failed | Stage::Cancelled => None,
        }
    }
}

/// The last report of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The claim under which it ran.
    pub fence: Fence,
    /// The journal row that recorded it; holds the output.
    pub seq: Seq,
    /// Tells the outcome from any other; of a success, the output's digest.
    pub digest: PayloadDigest,
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
