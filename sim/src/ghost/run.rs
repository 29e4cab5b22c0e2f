//! Runs as a reader of the journal who knows the semantics would expect them to be.
//!
//! Invariant: progress here follows from events and definitions alone; the engine's changes are compared with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use squid_mesh_core::definition::{Definition, LabelIndex, Retry, StepIndex};
use squid_mesh_core::event::{ChildEnd, Role};
use squid_mesh_core::id::{CommandId, RunId};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::Start;
use squid_mesh_core::payload::{Payload, PayloadDigest};
use squid_mesh_core::run::{Run, Seq, Status};
use squid_mesh_core::task::{Fence, Lane};
use squid_mesh_core::time::Timestamp;

/// One run.
#[derive(Debug, Clone)]
pub struct GhostRun {
    /// What it runs.
    pub definition: Arc<Definition>,
    /// The start that made it.
    pub start: Box<Start>,
    /// The fold of its journal so far.
    pub fold: Run,
    /// Its last transition.
    pub seq: Seq,
    /// When that was.
    pub at: Timestamp,
    /// When its first steps were due.
    pub base: Timestamp,
    /// When it must have ended.
    pub deadline: Option<Timestamp>,
    /// Its steps.
    pub steps: Vec<GhostStep>,
    /// Signals that came and that no step has taken, oldest first.
    pub signals: VecDeque<(Name, Payload)>,
    /// Decisions and signals that had their effect, with the rows that say so.
    pub commands: BTreeMap<CommandId, Seq>,
    /// The cancel that came first.
    pub cancel: Option<(CommandId, Seq)>,
    /// Whether it asked to take back what was done.
    pub takes_back: bool,
    /// Whether a forced cancel came.
    pub forced: bool,
    /// What it is heading for, once it is ending.
    pub winding: Option<Winding>,
    /// The step whose failure it fails with.
    pub failed_by: Option<StepIndex>,
    /// How it ended.
    pub ended: Option<Status>,
    /// Whether its parent has heard of that.
    pub reported: bool,
    /// Whether its snapshot was damaged.
    pub unreadable: bool,
    /// Lanes of tasks that were put aside because what they need cannot be read.
    pub halted: BTreeSet<Lane>,
    /// Journal rows that cannot be read any more.
    pub spoilt: BTreeSet<Seq>,
    /// Whether one of those, or the payload of some row, was damaged.
    pub marred: bool,
}

/// What a run is heading for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Winding {
    /// Every step has ended.
    Completed,
    /// A step has failed for good, or the deadline has come.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
}

/// One step.
#[derive(Debug, Clone, Default)]
pub struct GhostStep {
    /// Where it stands.
    pub progress: Progress,
    /// Its attempts.
    pub tries: GhostTries,
    /// Its output.
    pub output: Option<Payload>,
    /// What its handler returned, whether or not it has ended by that.
    pub returned: Option<Payload>,
    /// Its failure.
    pub failure: Option<Payload>,
    /// The label it returned.
    pub label: Option<LabelIndex>,
    /// The transition that ended it.
    pub settled: Seq,
    /// Whether a copy took it over.
    pub inherited: bool,
    /// Whether an attempt of it may have had its effect, and nobody said.
    pub doubtful: bool,
    /// Its children.
    pub children: GhostChildren,
    /// How far taking its effect back has come.
    pub undo: Option<GhostUndo>,
}

/// Attempts of a step, or of its undo.
#[derive(Debug, Clone, Default)]
pub struct GhostTries {
    /// Attempts that reported.
    pub executed: u32,
    /// Attempts that were lost.
    pub lost: u32,
    /// Those of them that reported after all.
    pub found: u32,
    /// Attempts whose transaction met another.
    pub conflicts: u32,
    /// How often somebody had it tried again whose outcome was unknown.
    pub granted: u32,
    /// The last report: under which claim, and what.
    pub reported: Option<(Fence, PayloadDigest)>,
    /// Bodies that began.
    pub begun: u32,
    /// The scheduling of it that was claimed last.
    pub claimed: Option<Seq>,
}

impl GhostTries {
    /// Attempts that the journal accounts for.
    pub fn accounted(&self) -> u32 {
        self.executed + self.lost + self.conflicts
    }
}

/// The children of one step.
#[derive(Debug, Clone, Default)]
pub struct GhostChildren {
    /// How many there are to be.
    pub count: u32,
    /// Those before this one exist.
    pub started: u32,
    /// Those before this one were told to cancel.
    pub told: u32,
    /// What those gave that have ended.
    pub ends: BTreeMap<u32, (ChildEnd, Payload)>,
    /// The code that the step fails with once they have ended.
    pub spoilt: Option<String>,
    /// Those that the step's handler started, in the order of their numbers.
    pub called: Vec<RunId>,
}

impl GhostChildren {
    /// How many exist and have not ended.
    pub fn active(&self) -> u32 {
        self.started - u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// The run that is a child of a step.
    pub fn run(&self, parent: RunId, step: StepIndex, child: u32) -> RunId {
        let called = self.called.get(child as usize).copied();
        called.unwrap_or_else(|| RunId::child(parent, step, child))
    }
}

/// The undo of one step.
#[derive(Debug, Clone)]
pub struct GhostUndo {
    /// When it may be claimed; ended, if never.
    pub due: Option<Timestamp>,
    /// Whether it was done.
    pub done: bool,
    /// Its attempts.
    pub tries: GhostTries,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// Something it waits for is missing.
    #[default]
    Blocked,
    /// May be claimed from then on.
    Scheduled(Timestamp),
    /// The engine looks at it from then on.
    Evaluating(Timestamp),
    /// A wait that ends then.
    Waiting(Timestamp),
    /// A gate that is open since a transition, and closes then.
    Open(Seq, Option<Timestamp>),
    /// A gate that has waited for a signal since a transition, and closes then.
    Listening(Seq, Option<Timestamp>),
    /// What came of it is unknown.
    Held,
    /// Children are to be started.
    Spawning,
    /// Children are out.
    Resting,
    /// What children gave is put together.
    Collecting,
    /// Children are told to cancel.
    Recalling,
    /// Ended with a result.
    Succeeded,
    /// Failed for good.
    Failed,
    /// Ended with the run.
    Cancelled,
    /// Not reached.
    Skipped,
}

impl Progress {
    /// Whether it has ended.
    pub fn is_settled(self) -> bool {
        matches!(
            self,
            Progress::Succeeded | Progress::Failed | Progress::Cancelled | Progress::Skipped
        )
    }
}

/// Whether a blocked step may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It must.
    On,
    /// Not yet.
    NotYet,
    /// It must be skipped.
    Never,
}

impl GhostStep {
    /// Its attempts in a role; none of an undo that was not begun.
    pub fn tries(&self, role: Role) -> Option<&GhostTries> {
        match role {
            Role::Step => Some(&self.tries),
            Role::Undo => self.undo.as_ref().map(|undo| &undo.tries),
        }
    }

    /// The same, to be changed.
    pub fn tries_mut(&mut self, role: Role) -> Option<&mut GhostTries> {
        match role {
            Role::Step => Some(&mut self.tries),
            Role::Undo => self.undo.as_mut().map(|undo| &mut undo.tries),
        }
    }
}

impl GhostRun {
    /// Whether steps may still become ready.
    pub fn is_open(&self) -> bool {
        self.winding.is_none() && self.ended.is_none()
    }

    /// The semantics of S3.3 once more: what a blocked step is to do.
    pub fn way(&self, step: StepIndex) -> Way {
        let spec = self.definition.step(step);
        let at = |index: StepIndex| &self.steps[index.at()];
        // Each condition with whether it holds, and whether that is final.
        let mut conditions: Vec<(bool, bool)> = Vec::new();
        for need in &spec.needs {
            let progress = at(*need).progress;
            conditions.push((progress == Progress::Succeeded, progress.is_settled()));
        }
        for failed in &spec.failures {
            let progress = at(*failed).progress;
            conditions.push((progress == Progress::Failed, progress.is_settled()));
        }
        for group in &spec.either {
            let any = group
                .iter()
                .any(|one| at(*one).progress == Progress::Succeeded);
            let settled = group.iter().all(|one| at(*one).progress.is_settled());
            conditions.push((settled && any, settled));
        }
        for guard in &spec.guards {
            let state = at(guard.step);
            let holds = match &guard.way {
                squid_mesh_core::definition::Way::Failed => state.progress == Progress::Failed,
                squid_mesh_core::definition::Way::Label(label) => {
                    state.progress == Progress::Succeeded && state.label == Some(*label)
                }
            };
            conditions.push((holds, state.progress.is_settled()));
        }
        let followed = spec
            .after
            .iter()
            .all(|before| at(*before).progress.is_settled());
        if conditions.iter().any(|(holds, done)| *done && !holds) {
            Way::Never
        } else if followed && conditions.iter().all(|(holds, _)| *holds) {
            Way::On
        } else {
            Way::NotYet
        }
    }

    /// Steps that failed for good, and whose failure nobody takes.
    pub fn unrouted(&self) -> impl Iterator<Item = StepIndex> {
        self.definition.indexes().filter(|step| {
            self.steps[step.at()].progress == Progress::Failed && self.is_left_alone(*step)
        })
    }

    /// Whether nobody takes, or still may take, the failure of a step.
    fn is_left_alone(&self, failed: StepIndex) -> bool {
        self.definition.indexes().all(|step| {
            let spec = self.definition.step(step);
            let guarded = spec.guards.iter().any(|guard| {
                guard.step == failed && guard.way == squid_mesh_core::definition::Way::Failed
            });
            let takes = guarded || spec.failures.contains(&failed);
            !takes || self.steps[step.at()].progress == Progress::Skipped
        })
    }

    /// Whether what was done is taken back before the end.
    pub fn compensates(&self) -> bool {
        match self.winding {
            Some(Winding::Failed) => true,
            Some(Winding::Cancelled) => self.takes_back && !self.forced,
            Some(Winding::Completed) | None => false,
        }
    }

    /// What is to be taken back next: of what this run did, what succeeded last.
    pub fn next_undo(&self) -> Option<StepIndex> {
        let done = self.definition.indexes().filter(|step| {
            let state = &self.steps[step.at()];
            state.progress == Progress::Succeeded
                && !state.inherited
                && state.undo.is_none()
                && self.definition.step(*step).undo.is_some()
        });
        done.max_by_key(|step| (self.steps[step.at()].settled, *step))
    }

    /// The shortest and the longest time that may pass before the next attempt, after `executed` of them have failed:
    /// the semantics once more, independent of the engine's arithmetic.
    pub fn retry_delay(&self, step: StepIndex, role: Role, executed: u32) -> (Duration, Duration) {
        use squid_mesh_core::definition::BackoffKind;
        let backoff = &self.retry(step, role).backoff;
        let (min, max) = (backoff.min.as_micros(), backoff.max.as_micros());
        let whole = match backoff.kind {
            BackoffKind::None => 0,
            BackoffKind::Constant => min,
            BackoffKind::Linear => (min * u128::from(executed)).min(max),
            BackoffKind::Exponential => {
                let factor = u128::from(backoff.factor_thousandths);
                let grown = (1..executed).fold(min * 1_000, |delay, _| {
                    (delay * factor / 1_000).min(max * 1_000)
                });
                (grown / 1_000).min(max)
            }
        };
        let least = whole * u128::from(1_000 - backoff.jitter_thousandths.min(1_000)) / 1_000;
        let micros = |span: u128| Duration::from_micros(u64::try_from(span).unwrap_or(u64::MAX));
        // The engine rounds once at the end, this rounds at every step.
        let slack = Duration::from_micros(10);
        (micros(least).saturating_sub(slack), micros(whole) + slack)
    }

    /// The retry policy of a step or of its undo.
    pub fn retry(&self, step: StepIndex, role: Role) -> &Retry {
        let spec = self.definition.step(step);
        match (role, &spec.undo) {
            (Role::Undo, Some(undo)) => &undo.retry,
            (Role::Step | Role::Undo, _) => &spec.retry,
        }
    }
}
