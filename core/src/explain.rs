//! Why a run is where it is, and what can be done about it.
//!
//! Invariant: every run has exactly one reason, each piece of evidence names a row that exists, and each next action
//! would be accepted.

use serde::Serialize;

use crate::change::Cause;
use crate::definition::{Definition, StepIndex};
use crate::id::RunId;
use crate::name::Name;
use crate::operation::WorkerRow;
use crate::run::{Run, Seq, Status};
use crate::store::RunRecord;
use crate::task::{Lane, TaskKind, TaskRow};
use crate::time::Timestamp;

/// Why a run is where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The run.
    pub run: RunId,
    /// Its status.
    pub status: Status,
    /// The one reason.
    pub reason: Reason,
    /// A sentence for people.
    pub summary: String,
    /// The rows that show it.
    pub evidence: Vec<Evidence>,
    /// What would be accepted.
    pub next_actions: Vec<NextAction>,
}

/// The reasons there are. The more active one wins where several steps differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Its delayed start is still to come.
    Scheduled,
    /// A step is ready, and some worker will claim it.
    ReadyUnclaimed,
    /// A step is ready, and no worker that was seen has its handler.
    NoWorkerForHandler,
    /// A worker holds a step under lease.
    Running,
    /// A lease has ended; some worker will record the loss.
    LeaseExpired,
    /// A step waits for its next attempt.
    RetryBackoff,
    /// A wait has not ended yet.
    Timer,
    /// Cancelled, with attempts still out.
    Cancelling,
    /// Failing, with attempts still out.
    Compensating,
    /// It cannot be read: corrupt, or written by a newer engine.
    Unreadable,
    /// Ended with a result.
    Completed,
    /// Ended with a failure.
    Failed,
    /// Ended by a cancel.
    Cancelled,
}

/// A row that shows something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

/// Something that would be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NextAction {
    /// Cancel the run.
    Cancel,
    /// End a cancelling run without waiting for its attempts.
    CancelForce,
    /// Start a worker that has the handler.
    StartWorker,
    /// Deploy a binary that can read the run.
    Upgrade,
}

/// Explains a run. `definition` is the one the run is pinned to; `workers` are those that were seen lately.
pub fn explain(record: &RunRecord, definition: &Definition, workers: &[WorkerRow]) -> Explanation {
    let (id, status) = (record.row.id, record.row.status);
    let run = match Run::decode(&record.row.state) {
        Ok(run) if run.steps().len() == definition.steps().len() => run,
        Ok(_) | Err(_) => {
            return Explanation {
                run: id,
                status,
                reason: Reason::Unreadable,
                summary: format!(
                    "the snapshot at journal row {} cannot be read",
                    record.row.seq.0
                ),
                evidence: vec![Evidence::Journal {
                    seq: record.row.seq,
                }],
                next_actions: vec![NextAction::Upgrade],
            };
        }
    };
    let (reason, summary, evidence, next_actions) = match status {
        Status::Completed => ended(&run, Reason::Completed, "every step is settled".to_owned()),
        Status::Cancelled => ended(&run, Reason::Cancelled, "it was cancelled".to_owned()),
        Status::Failed => ended(&run, Reason::Failed, cause(&run, definition)),
        Status::Cancelling => winding(
            record,
            Reason::Cancelling,
            "cancelled, with attempts still out".to_owned(),
        ),
        Status::Compensating => winding(record, Reason::Compensating, cause(&run, definition)),
        Status::Scheduled
        | Status::Pending
        | Status::Running
        | Status::Retrying
        | Status::Waiting
        | Status::Paused => open(record, definition, workers),
    };
    Explanation {
        run: id,
        status,
        reason,
        summary,
        evidence,
        next_actions,
    }
}

type Parts = (Reason, String, Vec<Evidence>, Vec<NextAction>);

fn ended(run: &Run, reason: Reason, summary: String) -> Parts {
    let seq = run
        .cancel()
        .filter(|_| reason == Reason::Cancelled)
        .map_or(run.seq(), |cancel| cancel.seq);
    (reason, summary, vec![Evidence::Journal { seq }], Vec::new())
}

fn winding(record: &RunRecord, reason: Reason, summary: String) -> Parts {
    let actions = if reason == Reason::Cancelling {
        vec![NextAction::CancelForce]
    } else {
        Vec::new()
    };
    (
        reason,
        summary,
        record.tasks.iter().map(task).collect(),
        actions,
    )
}

fn cause(run: &Run, definition: &Definition) -> String {
    match run.cause() {
        Some(Cause::Step { step, code }) => {
            format!("step {} failed with {code}", definition.step(*step).name)
        }
        Some(Cause::DeadlineExceeded) => "its deadline came before its end".to_owned(),
        None => "it failed".to_owned(),
    }
}

/// An open run: the most active of its tasks gives the reason, the others are evidence.
fn open(record: &RunRecord, definition: &Definition, workers: &[WorkerRow]) -> Parts {
    let rank = |row: &&TaskRow| (reason_of(row, record, workers).1, row.due_at, row.key.lane);
    let mut tasks: Vec<&TaskRow> = record
        .tasks
        .iter()
        .filter(|row| row.kind != TaskKind::Deadline)
        .collect();
    tasks.sort_by_key(rank);
    let Some(first) = tasks.first() else {
        let evidence = vec![Evidence::Journal {
            seq: record.row.seq,
        }];
        return (
            Reason::Unreadable,
            "nothing on the agenda moves it".to_owned(),
            evidence,
            Vec::new(),
        );
    };
    let (reason, _) = reason_of(first, record, workers);
    let step = step_name(definition, first.step);
    let summary = match reason {
        Reason::Scheduled => format!("it starts at {}", first.due_at),
        Reason::NoWorkerForHandler => {
            format!(
                "step {step} is ready, but no worker serves queue {} with handler {}",
                first.queue, first.handler
            )
        }
        Reason::Running => format!("a worker holds step {step} until {}", first.due_at),
        Reason::LeaseExpired => format!("the lease on step {step} ended at {}", first.due_at),
        Reason::RetryBackoff => format!("step {step} is tried again at {}", first.due_at),
        Reason::Timer => format!("step {step} ends at {}", first.due_at),
        _ => format!("step {step} is ready since {}", first.due_at),
    };
    let mut actions = vec![NextAction::Cancel];
    if reason == Reason::NoWorkerForHandler {
        actions.push(NextAction::StartWorker);
    }
    (
        reason,
        summary,
        tasks.into_iter().map(task).collect(),
        actions,
    )
}

/// The reason one task gives, and how active it is: lower comes first.
fn reason_of(row: &TaskRow, record: &RunRecord, workers: &[WorkerRow]) -> (Reason, u8) {
    let due = row.due_at <= record.now;
    match (row.kind, row.owner.is_some(), due) {
        (TaskKind::Wait, ..) => (Reason::Timer, 5),
        (_, true, false) => (Reason::Running, 0),
        (_, true, true) => (Reason::LeaseExpired, 1),
        (_, false, true) if is_served(row, workers) => (Reason::ReadyUnclaimed, 2),
        (_, false, true) => (Reason::NoWorkerForHandler, 3),
        (_, false, false) if record.row.status == Status::Scheduled => (Reason::Scheduled, 4),
        (_, false, false) => (Reason::RetryBackoff, 4),
    }
}

fn is_served(row: &TaskRow, workers: &[WorkerRow]) -> bool {
    let serves = |queues: &[Name]| queues.contains(&row.queue);
    workers
        .iter()
        .any(|worker| worker.handlers.contains(&row.handler) && serves(&worker.queues))
}

fn step_name(definition: &Definition, step: StepIndex) -> String {
    definition
        .steps()
        .get(step.at())
        .map_or_else(|| format!("#{}", step.0), |step| step.name.to_string())
}

fn task(row: &TaskRow) -> Evidence {
    Evidence::Task {
        lane: row.key.lane,
        due_at: row.due_at,
    }
}
