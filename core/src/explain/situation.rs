//! What goes on in a run: one situation for each step that something is awaited of, or done about.
//!
//! Invariant: a situation follows from the fold and the agenda alone, and its evidence names rows of theirs.

use super::{Evidence, Reason};
use crate::definition::{Definition, StepIndex, StepKind};
use crate::id::RunId;
use crate::limits;
use crate::operation::WorkerRow;
use crate::run::{Armed, Fan, Run, Seq, Stage};
use crate::store::RunRecord;
use crate::task::{TASK_FORMAT, TaskKind, TaskRow, Work};
use crate::time::Timestamp;

/// Something that goes on in a run.
#[derive(Debug)]
pub(super) struct Situation {
    /// Why it is not over.
    pub(super) reason: Reason,
    /// The step it concerns.
    pub(super) step: StepIndex,
    /// When it changes by itself, or has been ready to.
    pub(super) due: Option<Timestamp>,
    /// A sentence for people.
    pub(super) summary: String,
    /// The rows that show it.
    pub(super) evidence: Vec<Evidence>,
    /// The first of the children that it waits for.
    pub(super) children: Vec<RunId>,
}

/// All there is to look at.
pub(super) struct Scene<'a> {
    pub(super) record: &'a RunRecord,
    pub(super) run: &'a Run,
    pub(super) definition: &'a Definition,
    pub(super) workers: &'a [WorkerRow],
}

impl Scene<'_> {
    /// Every situation, the most active one first.
    pub(super) fn situations(&self) -> Vec<Situation> {
        let steps = self.definition.indexes();
        let mut all: Vec<Situation> = steps.flat_map(|step| self.of_step(step)).collect();
        all.sort_by_key(|one| {
            let due = one.due.unwrap_or(Timestamp::MAX);
            (one.reason.precedence(), due, one.step)
        });
        all
    }

    fn of_step(&self, step: StepIndex) -> impl Iterator<Item = Situation> + use<> {
        let undo = self.run.step(step).undoing();
        let undo = undo.map(|armed| self.task(step, armed, "taking back step"));
        self.of_stage(step).into_iter().chain(undo)
    }

    fn of_stage(&self, step: StepIndex) -> Option<Situation> {
        Some(match self.run.step(step).stage {
            Stage::Scheduled(armed) => self.task(step, armed, "step"),
            Stage::Stopping(armed) => self.task(step, armed, "the step told to stop,"),
            Stage::Evaluating(armed) => self.task(step, armed, "the engine's look at step"),
            Stage::Spawning(armed) => self.task(step, armed, "starting children of step"),
            Stage::Collecting(armed) => self.task(step, armed, "collecting results for step"),
            Stage::Waiting(armed) => self.timer(step, armed),
            Stage::Open { since, deadline } => self.gate(step, since, deadline),
            Stage::Listening { since, deadline } => self.listening(step, since, deadline),
            Stage::Held { since, .. } => self.held(step, since),
            Stage::Resting => self.children(step, None),
            Stage::Recalling(armed) => self.children(step, Some(armed)),
            Stage::Blocked
            | Stage::Succeeded
            | Stage::Failed
            | Stage::Cancelled
            | Stage::Skipped => return None,
        })
    }

    /// Something that a worker does: an attempt, or the engine's own work.
    fn task(&self, step: StepIndex, armed: Armed, what: &str) -> Situation {
        let name = &self.definition.step(step).name;
        let Some(row) = self.row(armed) else {
            return self.missing(step, armed);
        };
        let (reason, due) = (self.reason_of(row), row.due_at);
        let summary = match reason {
            Reason::Unreadable => {
                format!("{what} {name} was put aside by a worker that could not read what it needs")
            }
            Reason::Running => format!("a worker holds {what} {name} until {due}"),
            Reason::LeaseExpired => format!("the lease on {what} {name} has ended, by {due}"),
            Reason::QueuePaused => {
                format!("{what} {name} is ready, but queue {} is paused", row.queue)
            }
            Reason::NoWorkerForHandler => format!(
                "{what} {name} is ready, but no worker serves queue {} with handler {}",
                row.queue, row.handler
            ),
            Reason::RetryBackoff => format!("{what} {name} is tried again at {due}"),
            Reason::Scheduled => format!("{what} {name} is put off until {due}"),
            Reason::ReadyUnclaimed
            | Reason::LimitReached
            | Reason::Timer
            | Reason::Approval
            | Reason::Pause
            | Reason::Signal
            | Reason::Child
            | Reason::UnknownOutcome
            | Reason::Cancelling
            | Reason::Compensating
            | Reason::Completed
            | Reason::Failed
            | Reason::Cancelled => format!("{what} {name} is ready since {due}"),
        };
        let mut evidence = vec![Evidence::of(row)];
        if reason == Reason::Unreadable {
            evidence.extend(needed(row));
        }
        self.situation(reason, step, Some(due), summary, evidence)
    }

    fn reason_of(&self, row: &TaskRow) -> Reason {
        let due = row.due_at <= self.record.now;
        match (row.owner.is_some(), due) {
            (false, _) if row.format > TASK_FORMAT || row.due_at == Timestamp::MAX => {
                Reason::Unreadable
            }
            // Whoever holds it then is there to record the loss.
            (true, _) if row.expired => Reason::LeaseExpired,
            (true, false) => Reason::Running,
            (true, true) => Reason::LeaseExpired,
            (false, true) if self.record.paused.contains(&row.queue) => Reason::QueuePaused,
            (false, true) if self.is_served(row) => Reason::ReadyUnclaimed,
            (false, true) => Reason::NoWorkerForHandler,
            (false, false) if row.attempt > 1 => Reason::RetryBackoff,
            (false, false) => Reason::Scheduled,
        }
    }

    /// Whether some worker would claim it. Every worker does what is the engine's own.
    fn is_served(&self, row: &TaskRow) -> bool {
        let serves = |worker: &WorkerRow| {
            worker.handlers.contains(&row.handler) && worker.queues.contains(&row.queue)
        };
        let mut workers = self.workers.iter();
        workers.any(|worker| row.handler.is_engine() || serves(worker))
    }

    fn timer(&self, step: StepIndex, armed: Armed) -> Situation {
        let Some(row) = self.row(armed) else {
            return self.missing(step, armed);
        };
        let name = &self.definition.step(step).name;
        let put_off = self.run.origin().due.filter(|due| self.record.now < *due);
        let (reason, summary) = match put_off {
            Some(start) => (
                Reason::Scheduled,
                format!("step {name} begins to wait at {start}, until {}", armed.due),
            ),
            None if armed.due <= self.record.now => (
                Reason::Timer,
                format!(
                    "step {name} has waited until {}, and is to be ended",
                    armed.due
                ),
            ),
            None => (
                Reason::Timer,
                format!("step {name} waits until {}", armed.due),
            ),
        };
        let evidence = vec![Evidence::of(row)];
        self.situation(reason, step, Some(armed.due), summary, evidence)
    }

    fn gate(&self, step: StepIndex, since: Seq, deadline: Option<Armed>) -> Situation {
        let spec = self.definition.step(step);
        let (reason, who) = if matches!(spec.kind, StepKind::Pause { .. }) {
            (Reason::Pause, "somebody to resume it")
        } else {
            (Reason::Approval, "somebody to approve or reject")
        };
        self.open(reason, step, since, deadline, who)
    }

    fn listening(&self, step: StepIndex, since: Seq, deadline: Option<Armed>) -> Situation {
        let awaited = if let StepKind::Signal { signal, .. } = &self.definition.step(step).kind {
            format!("signal {signal}")
        } else {
            "a signal".to_owned()
        };
        self.open(Reason::Signal, step, since, deadline, &awaited)
    }

    fn open(
        &self,
        reason: Reason,
        step: StepIndex,
        since: Seq,
        deadline: Option<Armed>,
        awaited: &str,
    ) -> Situation {
        let name = &self.definition.step(step).name;
        let mut summary = format!("step {name} waits for {awaited}");
        let mut evidence = vec![Evidence::Journal { seq: since }];
        if let Some(armed) = deadline {
            summary.push_str(&format!(", and closes at {}", armed.due));
            evidence.extend(self.row(armed).map(Evidence::of));
        }
        let due = deadline.map(|armed| armed.due);
        self.situation(reason, step, due, summary, evidence)
    }

    fn held(&self, step: StepIndex, since: Seq) -> Situation {
        let name = &self.definition.step(step).name;
        let summary = format!(
            "whether an attempt of step {name} had its effect is unknown, and somebody has to say"
        );
        let evidence = vec![Evidence::Journal { seq: since }];
        self.situation(Reason::UnknownOutcome, step, None, summary, evidence)
    }

    fn children(&self, step: StepIndex, armed: Option<Armed>) -> Situation {
        let name = &self.definition.step(step).name;
        let fan = self.run.step(step).fan.as_ref();
        let out = fan.map_or(0, |fan| fan.active());
        let mut summary = format!("step {name} waits for {out} of its children");
        if armed.is_some() {
            summary.push_str(", which are being told to cancel");
        }
        let since = fan.map_or(self.run.seq(), |fan| fan.since);
        let mut evidence = vec![Evidence::Journal { seq: since }];
        evidence.extend(armed.and_then(|armed| self.row(armed)).map(Evidence::of));
        let children = fan.map_or_else(Vec::new, |fan| self.first_out(step, fan));
        Situation {
            children,
            ..self.situation(Reason::Child, step, None, summary, evidence)
        }
    }

    fn first_out(&self, step: StepIndex, fan: &Fan) -> Vec<RunId> {
        let out = (0..fan.started).filter(|child| !fan.has_arrived(*child));
        out.take(limits::CHILDREN_NAMED)
            .map(|child| fan.run(self.run.id(), step, child))
            .collect()
    }

    /// The agenda lacks what the fold implies: nothing moves the step until it is rebuilt.
    fn missing(&self, step: StepIndex, armed: Armed) -> Situation {
        let name = &self.definition.step(step).name;
        let summary = format!(
            "the agenda has no task in lane {} for step {name}",
            armed.lane.0
        );
        let evidence = vec![Evidence::Journal { seq: armed.seq }];
        self.situation(Reason::Unreadable, step, None, summary, evidence)
    }

    fn situation(
        &self,
        reason: Reason,
        step: StepIndex,
        due: Option<Timestamp>,
        summary: String,
        evidence: Vec<Evidence>,
    ) -> Situation {
        Situation {
            reason,
            step,
            due,
            summary,
            evidence,
            children: Vec::new(),
        }
    }

    fn row(&self, armed: Armed) -> Option<&TaskRow> {
        let mut rows = self.record.tasks.iter();
        rows.find(|row| row.key.lane == armed.lane)
    }

    /// What closes the run by itself: shown last, and never the reason.
    pub(super) fn deadline(&self) -> Option<&TaskRow> {
        let mut rows = self.record.tasks.iter();
        rows.find(|row| row.kind == TaskKind::Deadline)
    }
}

/// The rows of the run's own journal that a task needs.
fn needed(row: &TaskRow) -> impl Iterator<Item = Evidence> {
    let sources = row.brief.sources.iter().flatten();
    let own = sources.filter(|source| source.run.is_none());
    let collected = match row.brief.work {
        Work::Collect { upto, .. } => Some(upto),
        Work::Plain
        | Work::Spawn { .. }
        | Work::Recall { .. }
        | Work::Deliver { .. }
        | Work::RecallCalled { .. }
        | Work::Fire { .. }
        | Work::Release { .. } => None,
    };
    own.map(|source| source.seq)
        .chain(collected)
        .map(|seq| Evidence::Journal { seq })
}
