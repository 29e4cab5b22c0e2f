//! Why a run is where it is, and what can be done about it.
//!
//! Invariant: every run has exactly one reason, each piece of evidence names a row that exists, and each next action
//! would be accepted.

mod action;
mod reason;
mod situation;

use serde::Serialize;

pub use action::NextAction;
pub use reason::Reason;

use crate::change::{Cause, Heading};
use crate::definition::Definition;
use crate::event::{By, Event, Resolution};
use crate::id::RunId;
use crate::limits;
use crate::operation::WorkerRow;
use crate::run::{Phase, Run, Seq, Status, UndoStage};
use crate::store::RunRecord;
use crate::task::{Lane, TaskRow};
use crate::time::Timestamp;
use crate::transition::{DecodeError, Transition};
use situation::{Scene, Situation};

/// Why a run is where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The run.
    pub run: RunId,
    /// Its status.
    pub status: Status,
    /// The one reason.
    pub reason: Reason,
    /// A sentence for people.
    pub summary: String,
    /// The rows that show it: first those of the reason, then those of whatever else goes on.
    pub evidence: Vec<Evidence>,
    /// What would be accepted.
    pub next_actions: Vec<NextAction>,
    /// The first of the children that it waits for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<RunId>,
    /// The journal row that brought the end about, of a run that is ending or has ended: see [`Explanation::told`].
    pub cause: Option<Seq>,
    /// Who asked for that and why, if it was somebody, once the row was told.
    pub asked: Option<Asked>,
}

/// Who asked for something, and why. What else they gave is in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Who.
    pub actor: Option<String>,
    /// Why.
    pub comment: Option<String>,
}

/// A row that shows something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// A row of the run's journal.
    Journal {
        /// Its position.
        seq: Seq,
    },
    /// A row of the agenda.
    Task {
        /// Its lane.
        lane: Lane,
        /// When it is due.
        due_at: Timestamp,
    },
}

impl Evidence {
    fn of(row: &TaskRow) -> Evidence {
        Evidence::Task {
            lane: row.key.lane,
            due_at: row.due_at,
        }
    }
}

/// Explains a run. `definition` is the one the run is pinned to; `workers` are those that were seen lately.
///
/// Who is behind the end of a run is in its journal only: read the row that [`Explanation::cause`] names, and have it
/// [`told`](Explanation::told).
pub fn explain(record: &RunRecord, definition: &Definition, workers: &[WorkerRow]) -> Explanation {
    let run = match Run::decode(&record.row.state) {
        Ok(run) if run.steps().len() == definition.steps().len() => run,
        Ok(_) => return unreadable(record, DecodeError::Corrupt),
        Err(error) => return unreadable(record, error),
    };
    let scene = Scene {
        record,
        run: &run,
        definition,
        workers,
    };
    match run.phase() {
        Phase::Ended(heading) => ended(&scene, heading),
        Phase::Winding(heading) => winding(&scene, heading),
        Phase::Open => open(&scene),
    }
}

impl Explanation {
    /// Adds who asked for the end of the run and why, if `row`, the one that [`Explanation::cause`] names, says so.
    #[must_use]
    pub fn told(mut self, row: &Transition) -> Explanation {
        if self.cause != Some(row.seq) {
            return self;
        }
        let (by, verb) = match &row.event {
            Event::CancelRequested(request) => (&request.by, "asked"),
            Event::Resolved(resolved) => (&resolved.by, decided(&resolved.verdict)),
            Event::Started(_)
            | Event::Succeeded { .. }
            | Event::Failed { .. }
            | Event::Lost { .. }
            | Event::Conflicted { .. }
            | Event::Evaluated { .. }
            | Event::Due { .. }
            | Event::DeadlineReached { .. }
            | Event::Signalled(_)
            | Event::Spawned { .. }
            | Event::Recalled { .. }
            | Event::ChildEnded { .. }
            | Event::Collected { .. }
            | Event::Called { .. } => return self,
        };
        let By { actor, comment, .. } = by.clone();
        let who = actor.as_deref().unwrap_or("somebody");
        self.summary.push_str(&format!("; {who} {verb}"));
        if let Some(comment) = &comment {
            self.summary.push_str(&format!(": {comment}"));
        }
        self.asked = Some(Asked { actor, comment });
        self
    }

    fn new(scene: &Scene<'_>, reason: Reason, summary: String) -> Explanation {
        Explanation {
            run: scene.record.row.id,
            status: scene.run.status(),
            reason,
            summary,
            evidence: Vec::new(),
            next_actions: Vec::new(),
            children: Vec::new(),
            cause: None,
            asked: None,
        }
    }
}

fn decided(verdict: &Resolution) -> &'static str {
    match verdict {
        Resolution::Resume => "resumed it",
        Resolution::Approve => "approved",
        Resolution::Reject => "rejected",
        Resolution::Succeeded { .. } => "said that it had succeeded",
        Resolution::Retry => "had it tried again",
        Resolution::Fail { .. } => "said that it had failed",
        Resolution::SkipUndo => "gave up taking it back",
    }
}

fn unreadable(record: &RunRecord, error: DecodeError) -> Explanation {
    let seq = record.row.seq;
    let next_actions = match error {
        DecodeError::Newer { .. } => vec![NextAction::Upgrade],
        DecodeError::Corrupt => Vec::new(),
    };
    Explanation {
        run: record.row.id,
        status: record.row.status,
        reason: Reason::Unreadable,
        summary: format!(
            "the snapshot at journal row {} cannot be read: {error}",
            seq.0
        ),
        evidence: vec![Evidence::Journal { seq }],
        next_actions,
        children: Vec::new(),
        cause: None,
        asked: None,
    }
}

fn ended(scene: &Scene<'_>, heading: &Heading) -> Explanation {
    let run = scene.run;
    let (reason, summary) = match heading {
        Heading::Completed => (Reason::Completed, "every step has ended".to_owned()),
        Heading::Failed(cause) => (Reason::Failed, failed(scene, cause)),
        Heading::Cancelled => (Reason::Cancelled, "it was cancelled".to_owned()),
    };
    let cause = cause_of(run, heading);
    let tasks = scene.record.tasks.iter().map(Evidence::of);
    let seq = cause.unwrap_or(run.seq());
    Explanation {
        evidence: [Evidence::Journal { seq }]
            .into_iter()
            .chain(tasks)
            .collect(),
        next_actions: action::of_ended(run, scene.definition),
        cause,
        ..Explanation::new(scene, reason, summary)
    }
}

fn winding(scene: &Scene<'_>, heading: &Heading) -> Explanation {
    let (reason, mut summary) = match heading {
        Heading::Cancelled if scene.run.status() == Status::Cancelling => {
            (Reason::Cancelling, "it was cancelled".to_owned())
        }
        Heading::Cancelled => (Reason::Compensating, "it was cancelled".to_owned()),
        Heading::Failed(cause) => (Reason::Compensating, failed(scene, cause)),
        Heading::Completed => (Reason::Compensating, "every step has ended".to_owned()),
    };
    let situations = scene.situations();
    if let Some(first) = situations.first() {
        summary.push_str(&format!("; {}", first.summary));
    }
    let cause = cause_of(scene.run, heading);
    let journal = cause.map(|seq| Evidence::Journal { seq });
    let all = situations
        .iter()
        .flat_map(|one| one.evidence.iter().copied());
    Explanation {
        evidence: distinct(journal.into_iter().chain(all)),
        next_actions: action::of_open(scene.record, scene.run, scene.definition, &situations),
        children: children_of(&situations),
        cause,
        ..Explanation::new(scene, reason, summary)
    }
}

/// An open run: the most active of its situations gives the reason, the others are evidence.
fn open(scene: &Scene<'_>) -> Explanation {
    let situations = scene.situations();
    let (reason, summary) = match situations.first() {
        Some(first) => (first.reason, first.summary.clone()),
        None => (
            Reason::Unreadable,
            "no step of it is awaited, and yet it has not ended".to_owned(),
        ),
    };
    let stuck = situations.is_empty().then_some(Evidence::Journal {
        seq: scene.run.seq(),
    });
    let all = situations
        .iter()
        .flat_map(|one| one.evidence.iter().copied());
    let deadline = scene.deadline().map(Evidence::of);
    Explanation {
        evidence: distinct(stuck.into_iter().chain(all).chain(deadline)),
        next_actions: action::of_open(scene.record, scene.run, scene.definition, &situations),
        children: children_of(&situations),
        ..Explanation::new(scene, reason, summary)
    }
}

fn children_of(situations: &[Situation]) -> Vec<RunId> {
    let children = situations.iter().flat_map(|one| &one.children);
    children.take(limits::CHILDREN_NAMED).copied().collect()
}

/// Each piece of evidence once, in the order in which they come.
fn distinct(all: impl Iterator<Item = Evidence>) -> Vec<Evidence> {
    let mut seen = std::collections::BTreeSet::new();
    all.filter(|one| seen.insert(*one)).collect()
}

/// The journal row that began the end.
fn cause_of(run: &Run, heading: &Heading) -> Option<Seq> {
    match heading {
        Heading::Completed => None,
        Heading::Cancelled => run.cancel().map(|cancel| cancel.seq),
        Heading::Failed(Cause::Step { step, .. }) => Some(run.step(*step).settled),
        Heading::Failed(Cause::DeadlineExceeded { place }) => Some(place.seq),
        // The end of the last step; what was taken back after it is no cause.
        Heading::Failed(Cause::NoResult) => run.steps().iter().map(|step| step.settled).max(),
    }
}

fn failed(scene: &Scene<'_>, cause: &Cause) -> String {
    let mut text = match cause {
        Cause::Step { step, code } => {
            format!(
                "step {} failed with {code}",
                scene.definition.step(*step).name
            )
        }
        Cause::DeadlineExceeded { .. } => "its deadline came before its end".to_owned(),
        Cause::NoResult => "none of the steps that its result comes from succeeded".to_owned(),
    };
    let undos = scene.definition.steps().iter().zip(scene.run.steps());
    for (step, state) in undos {
        let undo = state.undo.as_ref().map(|undo| undo.stage);
        if undo == Some(UndoStage::Failed) {
            text.push_str(&format!("; step {} could not be taken back", step.name));
        }
    }
    text
}
