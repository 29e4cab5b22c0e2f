//! Explanations: one reason that is true, evidence that exists, and actions that are accepted.
//!
//! Invariant: what the reason must be is read off what really happened, by a table of its own.

use std::collections::BTreeSet;

use squid_mesh_core::definition::{StepIndex, StepKind};
use squid_mesh_core::event::Role;
use squid_mesh_core::explain::{Evidence, Explanation, Reason, explain};
use squid_mesh_core::graph::RunGraph;
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::WorkerRow;
use squid_mesh_core::run::Status;
use squid_mesh_core::store::RunRecord;
use squid_mesh_core::task::{Item, TaskKey, TaskKind, TaskRow};
use squid_mesh_core::time::Timestamp;

use super::{Landing, offered};
use crate::ghost::{Ghost, GhostRun, Grant, Progress, Winding};
use crate::store::Tables;
use crate::violation::{Check, Promise, broken, ensure};

/// Of so many landings, one is followed by a look at the explanations of the runs that it touched.
const SAMPLE: u64 = 32;

/// The reasons of a run under way, the most active first.
const ACTIVE: [Reason; 13] = [
    Reason::Running,
    Reason::LeaseExpired,
    Reason::ReadyUnclaimed,
    Reason::QueuePaused,
    Reason::NoWorkerForHandler,
    Reason::Scheduled,
    Reason::RetryBackoff,
    Reason::Timer,
    Reason::Signal,
    Reason::Child,
    Reason::UnknownOutcome,
    Reason::Approval,
    Reason::Pause,
];

impl Landing<'_> {
    /// Looks at the runs that were touched, of some landings.
    pub(super) fn explained(&mut self) -> Check {
        self.ghost.landings += 1;
        if !self.ghost.landings.is_multiple_of(SAMPLE) {
            return Ok(());
        }
        let touched = &self.landed.touched;
        let by_task = touched.tasks.iter().map(|key| key.run);
        // A task may be a schedule's.
        let by_task = by_task.filter(|run| self.ghost.runs.contains_key(run));
        let runs: BTreeSet<RunId> = touched.runs.iter().copied().chain(by_task).collect();
        runs.into_iter()
            .try_for_each(|run| one(self.ghost, self.tables, run, self.clock))
    }
}

/// Looks at every run.
///
/// # Errors
/// The first explanation that is not true, or offers what is refused.
pub fn all(ghost: &mut Ghost, tables: &Tables, now: Timestamp) -> Check {
    let runs: Vec<RunId> = ghost.runs.keys().copied().collect();
    runs.into_iter()
        .try_for_each(|run| one(ghost, tables, run, now))
}

fn one(ghost: &mut Ghost, tables: &Tables, id: RunId, now: Timestamp) -> Check {
    let Some(record) = tables.record(id, now) else {
        return broken(Promise::Acknowledged, format!("run {id} is gone"));
    };
    let workers: Vec<WorkerRow> = tables.workers().into_iter().cloned().collect();
    let explanation = explain(&record, &ghost.run(id).definition, &workers);
    is_true(ghost, tables, &workers, &record, &explanation)?;
    let reason = explanation.reason;
    let is_tried = |offer| offered::is_sampled(id, now, offer);
    let refused = offered::refused(tables, id, now, &explanation, is_tried);
    ensure!(
        refused.is_none(),
        Explained,
        "run {id}, explained by {reason}, offers what is refused: {}",
        refused.unwrap_or_default()
    );
    Ok(())
}

fn is_true(
    ghost: &Ghost,
    tables: &Tables,
    workers: &[WorkerRow],
    record: &RunRecord,
    explanation: &Explanation,
) -> Check {
    let (id, now) = (record.row.id, record.now);
    let run = ghost.run(id);
    let expected = Situation {
        ghost,
        tables,
        id,
        run,
        workers,
        now,
    }
    .reason();
    ensure!(
        explanation.reason == expected,
        Explained,
        "run {id} is explained by {} ({}), but should be by {expected}",
        explanation.reason,
        explanation.summary
    );
    evidence_exists(ghost, tables, explanation)?;
    let drawn = RunGraph::of(record, &run.definition).is_ok_and(|graph| !graph.nodes.is_empty());
    ensure!(
        drawn != run.unreadable,
        Explained,
        "run {id}, explained by {expected}, has a graph: {drawn}"
    );
    Ok(())
}

fn evidence_exists(ghost: &Ghost, tables: &Tables, explanation: &Explanation) -> Check {
    let id = explanation.run;
    ensure!(
        !explanation.evidence.is_empty(),
        Explained,
        "run {id} is explained by {} without evidence",
        explanation.reason
    );
    for evidence in &explanation.evidence {
        let exists = match evidence {
            Evidence::Journal { seq } => tables
                .journal(id, *seq)
                .next()
                .is_some_and(|row| row.seq == *seq),
            Evidence::Task { lane, due_at } => {
                let row = tables.task(&TaskKey {
                    run: id,
                    lane: *lane,
                });
                row.is_some_and(|row| row.due_at == *due_at)
            }
        };
        ensure!(
            exists,
            Explained,
            "run {id}: the evidence {evidence:?} does not exist"
        );
    }
    let mut children = explanation.children.iter();
    let unborn = children.find(|child| !ghost.runs.contains_key(child));
    ensure!(
        unborn.is_none(),
        Explained,
        "run {id} is said to wait for a child that does not exist: {unborn:?}"
    );
    Ok(())
}

/// A run as it really is.
struct Situation<'a> {
    ghost: &'a Ghost,
    tables: &'a Tables,
    id: RunId,
    run: &'a GhostRun,
    workers: &'a [WorkerRow],
    now: Timestamp,
}

impl Situation<'_> {
    /// What its explanation must give as the reason.
    fn reason(&self) -> Reason {
        if self.run.unreadable {
            return Reason::Unreadable;
        }
        match (self.run.ended, self.run.winding) {
            (Some(Status::Completed), _) => return Reason::Completed,
            (Some(Status::Failed), _) => return Reason::Failed,
            (Some(_), _) => return Reason::Cancelled,
            (None, Some(Winding::Cancelled)) if self.run.steps.iter().all(|s| s.undo.is_none()) => {
                return Reason::Cancelling;
            }
            (None, Some(_)) => return Reason::Compensating,
            (None, None) => {}
        }
        let steps = self.run.definition.indexes();
        let reasons: BTreeSet<Reason> = steps.filter_map(|step| self.of_step(step)).collect();
        let first = ACTIVE.into_iter().find(|reason| reasons.contains(reason));
        first.unwrap_or(Reason::Unreadable)
    }

    fn of_step(&self, step: StepIndex) -> Option<Reason> {
        let kind = &self.run.definition.step(step).kind;
        let tries = &self.run.steps[step.at()].tries;
        Some(match self.run.steps[step.at()].progress {
            Progress::Scheduled(_) => match self.ghost.attempt_on(self.id, step, Role::Step) {
                Some(grant) => self.held(grant),
                None => self.free(step, tries.executed + tries.lost > 0),
            },
            Progress::Evaluating(_) | Progress::Spawning | Progress::Collecting => {
                match self.chore(step) {
                    Some(grant) => self.held(grant),
                    None => self.free(step, false),
                }
            }
            Progress::Waiting(_) => match self.run.fold.origin().due {
                Some(start) if self.now < start => Reason::Scheduled,
                Some(_) | None => Reason::Timer,
            },
            Progress::Open(..) if matches!(kind, StepKind::Pause { .. }) => Reason::Pause,
            Progress::Open(..) => Reason::Approval,
            Progress::Listening(..) => Reason::Signal,
            Progress::Held => Reason::UnknownOutcome,
            Progress::Resting | Progress::Recalling => Reason::Child,
            Progress::Blocked
            | Progress::Succeeded
            | Progress::Failed
            | Progress::Cancelled
            | Progress::Skipped => return None,
        })
    }

    fn chore(&self, step: StepIndex) -> Option<&Grant> {
        let mut held = self.ghost.held_of(self.id);
        held.find(|grant| grant.step == step && matches!(grant.item, Item::Chore(_)))
    }

    fn held(&self, grant: &Grant) -> Reason {
        if grant.item == Item::Loss || grant.until <= self.now {
            Reason::LeaseExpired
        } else {
            Reason::Running
        }
    }

    /// Of something that nobody holds. When it may be claimed is in its row only: what was handed back is due from then on.
    fn free(&self, step: StepIndex, again: bool) -> Reason {
        let mine = |row: &&TaskRow| {
            let timed = matches!(row.kind, TaskKind::Deadline | TaskKind::Delivery);
            row.step == step && !timed
        };
        let Some(row) = self.tables.tasks_of(self.id).find(mine) else {
            return Reason::Unreadable;
        };
        let serves = |worker: &WorkerRow| {
            worker.queues.contains(&row.queue) && worker.handlers.contains(&row.handler)
        };
        if self.run.halted.contains(&row.key.lane) {
            return Reason::Unreadable;
        }
        let engine = row.queue.is_engine() && !self.workers.is_empty();
        if row.due_at > self.now {
            return if again {
                Reason::RetryBackoff
            } else {
                Reason::Scheduled
            };
        }
        if self.ghost.queues.is_paused(&row.queue) {
            Reason::QueuePaused
        } else if engine || self.workers.iter().any(serves) {
            Reason::ReadyUnclaimed
        } else {
            Reason::NoWorkerForHandler
        }
    }
}
