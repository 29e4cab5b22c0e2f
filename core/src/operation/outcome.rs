//! How a claimed task ended, as its worker reports it.
//!
//! Invariant: equal digests are equal outcomes, so a repeated report is told from a contradicting one.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::definition::{DefinitionKey, LabelIndex, StepIndex};
use crate::event::{ChildEnd, Failure, Parent};
use crate::id::RunId;
use crate::payload::{Payload, PayloadDigest};
use crate::schedule::ScheduleId;
use crate::task::{Item, TaskKey, Token};
use crate::time::Timestamp;

/// One report of a settle.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The task.
    pub key: TaskKey,
    /// The step that was executed.
    pub step: StepIndex,
    /// The lease under which it was.
    pub token: Token,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a claimed task ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The handler returned an output.
    Succeeded {
        /// The output.
        output: Payload,
        /// The label that it returned.
        label: Option<LabelIndex>,
    },
    /// The attempt failed.
    Failed {
        /// How.
        failure: Failure,
        /// The failure's details, if any; their digest is in the failure.
        details: Option<Payload>,
    },
    /// The database undid what the attempt had done in its transaction.
    Conflicted,
    /// An engine item: the loss it was claimed for is to be recorded, the wait ended, the deadline passed.
    Engine(Item),
    /// What the step needs is not what any engine wrote, or is not there: nothing was done, and no other attempt could.
    Unreadable {
        /// What cannot be read, and why.
        detail: String,
    },
    /// A step of the engine's own was looked at.
    Found(Finding),
    /// Children are to be started.
    Spawn(Box<Spawn>),
    /// The results of a step's children, put together.
    Collected {
        /// The array of them.
        output: Payload,
    },
    /// Children are to be told that they are cancelled.
    Recall {
        /// The first of them.
        from: u32,
        /// The one after the last of them.
        upto: u32,
        /// Their runs, of children that a handler started; those of others follow from their numbers.
        called: Vec<RunId>,
    },
    /// The run has ended: its parent is to hear of it.
    ChildEnded {
        /// The parent.
        parent: Parent,
        /// How it ended.
        end: ChildEnd,
        /// Its result, or its failure as the parent's step fails with it.
        payload: Payload,
    },
    /// The run has ended: its schedule is to hear of it.
    Released {
        /// The schedule.
        schedule: ScheduleId,
    },
    /// The schedule whose task it is is due.
    Fired {
        /// What it starts; `None` if no definition of its workflow is known.
        definition: Option<DefinitionKey>,
    },
}

/// What came of looking at a step of the engine's own.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// A log line was written.
    Logged,
    /// The time of a gate in a delayed start has come.
    Reached,
    /// A route takes this label.
    Label(LabelIndex),
    /// A wait ends at this instant.
    Instant(Timestamp),
    /// That many children are to be started.
    Children(u32),
    /// It cannot be done.
    Failure(Failure),
}

/// Children to start.
#[derive(Debug, Clone, PartialEq)]
pub struct Spawn {
    /// What they run.
    pub definition: DefinitionKey,
    /// The number of the first of them.
    pub from: u32,
    /// Their inputs, checked against the contract, literal defaults filled in; each with the digest of what it was before.
    pub inputs: Vec<(Payload, PayloadDigest)>,
}

impl Report {
    /// The run that the report is about: of an end that a parent or a schedule is to hear of, that one. Reports with one home are
    /// settled one after the other, so that they do not wait for each other's locks.
    pub fn home(&self) -> RunId {
        match &self.outcome {
            Outcome::ChildEnded { parent, .. } => parent.run,
            Outcome::Released { schedule } => schedule.task().run,
            Outcome::Succeeded { .. }
            | Outcome::Failed { .. }
            | Outcome::Conflicted
            | Outcome::Engine(_)
            | Outcome::Unreadable { .. }
            | Outcome::Found(_)
            | Outcome::Spawn(_)
            | Outcome::Collected { .. }
            | Outcome::Recall { .. }
            | Outcome::Fired { .. } => self.key.run,
        }
    }

    /// The schedule that the report concerns, if one.
    pub(super) fn schedule(&self) -> Option<ScheduleId> {
        match &self.outcome {
            Outcome::Fired { .. } => Some(ScheduleId::of_task(self.key)),
            Outcome::Released { schedule } => Some(*schedule),
            Outcome::Succeeded { .. }
            | Outcome::Failed { .. }
            | Outcome::Conflicted
            | Outcome::Engine(_)
            | Outcome::Unreadable { .. }
            | Outcome::Found(_)
            | Outcome::Spawn(_)
            | Outcome::Collected { .. }
            | Outcome::Recall { .. }
            | Outcome::ChildEnded { .. } => None,
        }
    }

    /// The run whose task it is, unless that is a schedule's.
    pub(super) fn own(&self) -> Option<RunId> {
        let fires = matches!(self.outcome, Outcome::Fired { .. });
        (!fires).then_some(self.key.run)
    }

    /// Runs beside that of its task that the report concerns.
    pub(super) fn others(&self) -> BTreeSet<RunId> {
        let run = self.key.run;
        match &self.outcome {
            Outcome::Spawn(spawn) => {
                let count = u32::try_from(spawn.inputs.len()).unwrap_or(u32::MAX);
                (spawn.from..spawn.from.saturating_add(count))
                    .map(|child| RunId::child(run, self.step, child))
                    .collect()
            }
            Outcome::Recall { from, upto, called } if called.is_empty() => (*from..*upto)
                .map(|child| RunId::child(run, self.step, child))
                .collect(),
            Outcome::Recall { called, .. } => called.iter().copied().collect(),
            Outcome::ChildEnded { parent, .. } => BTreeSet::from([parent.run]),
            Outcome::Succeeded { .. }
            | Outcome::Failed { .. }
            | Outcome::Conflicted
            | Outcome::Engine(_)
            | Outcome::Unreadable { .. }
            | Outcome::Found(_)
            | Outcome::Collected { .. }
            | Outcome::Released { .. }
            | Outcome::Fired { .. } => BTreeSet::new(),
        }
    }
}

impl Outcome {
    /// Tells this outcome of an attempt from any other, labels aside. A success has the digest of its output.
    pub fn digest(&self) -> PayloadDigest {
        match self {
            Outcome::Succeeded { output, .. } => output.digest(),
            Outcome::Failed { failure, .. } => failure_digest(failure),
            Outcome::Unreadable { detail } => failure_digest(&Failure::unreadable(detail)),
            Outcome::Conflicted => PayloadDigest(*b"conflict"),
            Outcome::Engine(_)
            | Outcome::Found(_)
            | Outcome::Spawn(_)
            | Outcome::Collected { .. }
            | Outcome::Recall { .. }
            | Outcome::ChildEnded { .. }
            | Outcome::Released { .. }
            | Outcome::Fired { .. } => PayloadDigest([0; 8]),
        }
    }

    /// Whether it is of something that the engine does by itself, about which a run remembers nothing.
    pub(super) fn is_engine(&self) -> bool {
        match self {
            Outcome::Succeeded { .. } | Outcome::Failed { .. } | Outcome::Conflicted => false,
            Outcome::Engine(_)
            | Outcome::Unreadable { .. }
            | Outcome::Found(_)
            | Outcome::Spawn(_)
            | Outcome::Collected { .. }
            | Outcome::Recall { .. }
            | Outcome::ChildEnded { .. }
            | Outcome::Released { .. }
            | Outcome::Fired { .. } => true,
        }
    }

    /// Bytes of the payloads that it carries.
    pub fn payload_bytes(&self) -> usize {
        let of =
            |payload: &Option<Payload>| payload.as_ref().map_or(0, |payload| payload.bytes().len());
        match self {
            Outcome::Succeeded { output, .. } | Outcome::Collected { output } => {
                output.bytes().len()
            }
            Outcome::Failed { details, .. } => of(details),
            Outcome::Spawn(spawn) => spawn
                .inputs
                .iter()
                .map(|(input, _)| input.bytes().len())
                .sum(),
            Outcome::ChildEnded { payload, .. } => payload.bytes().len(),
            Outcome::Conflicted
            | Outcome::Engine(_)
            | Outcome::Unreadable { .. }
            | Outcome::Found(_)
            | Outcome::Recall { .. }
            | Outcome::Released { .. }
            | Outcome::Fired { .. } => 0,
        }
    }
}

/// Tells this failure from any other, and from every success.
pub(crate) fn failure_digest(failure: &Failure) -> PayloadDigest {
    let mut hash = Sha256::new();
    hash.update(b"failure\0");
    hash.update(
        postcard::to_stdvec(failure)
            .expect("a failure is plain data, which postcard can always write"),
    );
    let mut digest = [0; 8];
    digest.copy_from_slice(&hash.finalize()[..8]);
    PayloadDigest(digest)
}
