//! Checks that the simulator and the online `verify` both make, written once.
//!
//! Invariant: a healthy run has no discrepancy at any commit; leases, deliveries and parking are no discrepancies.

use crate::definition::Definition;
use crate::operation::RunRow;
use crate::run::{FoldError, Run, Seq};
use crate::schedule::{Schedule, ScheduleId};
use crate::store::StoredRow;
use crate::task::{Lane, TASK_FORMAT, TaskKind, TaskRow};
use crate::time::Timestamp;
use crate::transition::{DecodeError, Transition};

/// Something in the store that does not follow from the journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Discrepancy {
    /// The journal does not fold.
    #[error("the journal does not fold: {0}")]
    Fold(#[from] FoldError),
    /// A journal row cannot be read.
    #[error("journal row {} cannot be read: {error}", seq.0)]
    Unreadable {
        /// Its position.
        seq: Seq,
        /// Why.
        error: DecodeError,
    },
    /// The snapshot cannot be read.
    #[error("the snapshot cannot be read: {0}")]
    Snapshot(#[from] DecodeError),
    /// The snapshot is not what the journal folds to.
    #[error("the snapshot is not what the journal folds to, which ends at {}", folded.0)]
    Differs {
        /// The last row of the journal.
        folded: Seq,
    },
    /// A column of the run's row is not what the fold says.
    #[error("the run row's {column} is not what the fold says")]
    Row {
        /// The column.
        column: &'static str,
    },
    /// The fold implies a task that is not there.
    #[error("the task in lane {} is missing", lane.0)]
    TaskMissing {
        /// Its lane.
        lane: Lane,
    },
    /// A task is there that the fold does not imply.
    #[error("the task in lane {} should not be there", lane.0)]
    TaskDangling {
        /// Its lane.
        lane: Lane,
    },
    /// A task is not what the fold implies.
    #[error("the task in lane {} has another {column} than the fold implies", lane.0)]
    Task {
        /// Its lane.
        lane: Lane,
        /// The column.
        column: &'static str,
    },
}

/// Refolds a run's whole journal and compares its row and its tasks (all of them, in lane order) with the fold.
pub fn run<'a>(
    definition: &Definition,
    row: &RunRow,
    journal: impl IntoIterator<Item = &'a Transition>,
    tasks: &[TaskRow],
) -> Vec<Discrepancy> {
    let folded = match Run::fold(row.id, row.life, definition.steps().len(), journal) {
        Ok(folded) => folded,
        Err(error) => return vec![error.into()],
    };
    let mut found = Vec::new();
    match Run::decode(&row.state) {
        Ok(snapshot) if snapshot == folded => {}
        Ok(_) => found.push(Discrepancy::Differs {
            folded: folded.seq(),
        }),
        Err(error) => found.push(error.into()),
    }
    let columns = [
        ("seq", row.seq == folded.seq()),
        ("status", row.status == folded.status()),
        ("updated", row.updated == folded.at()),
        ("created", row.created == folded.origin().at),
        ("definition", row.definition == *folded.definition()),
        (
            "parent",
            row.parent == folded.origin().parent.as_ref().map(|parent| parent.run),
        ),
        (
            "source",
            row.source == folded.origin().copy.as_ref().map(|copy| copy.run),
        ),
        ("schedule", row.schedule == started_by(&folded)),
    ];
    found.extend(
        columns
            .into_iter()
            .filter(|(_, same)| !same)
            .map(|(column, _)| Discrepancy::Row { column }),
    );
    found.extend(agenda(&folded, definition, tasks));
    found
}

/// The same for rows as a store gives them: names each that cannot be read, and then refolds nothing. What the tasks are to be is
/// taken from the snapshot in that case.
pub fn stored<'a>(
    definition: &Definition,
    row: &RunRow,
    journal: impl IntoIterator<Item = &'a StoredRow>,
    tasks: &[TaskRow],
) -> Vec<Discrepancy> {
    let mut transitions = Vec::new();
    let mut found = Vec::new();
    for stored in journal {
        match &stored.row {
            Ok(row) => transitions.push(&row.transition),
            Err(error) => found.push(Discrepancy::Unreadable {
                seq: stored.seq,
                error: *error,
            }),
        }
    }
    if found.is_empty() {
        return run(definition, row, transitions, tasks);
    }
    match Run::decode(&row.state) {
        Ok(snapshot) => found.extend(agenda(&snapshot, definition, tasks)),
        Err(error) => found.push(error.into()),
    }
    found
}

/// The schedule that started a run. A copy of such a run knows of the occurrence, and was started by somebody else.
fn started_by(run: &Run) -> Option<ScheduleId> {
    let origin = run.origin();
    let occurrence = origin.occurrence.as_ref();
    let occurrence = occurrence.filter(|_| origin.copy.is_none());
    occurrence.map(|occurrence| occurrence.schedule)
}

/// Compares the task of a schedule with the one that its row implies.
pub fn schedule(schedule: &Schedule, task: Option<&TaskRow>) -> Vec<Discrepancy> {
    let lane = schedule.id.task().lane;
    match (schedule.task(), task) {
        (None, None) => Vec::new(),
        (None, Some(_)) => vec![Discrepancy::TaskDangling { lane }],
        (Some(_), None) => vec![Discrepancy::TaskMissing { lane }],
        (Some(implied), Some(task)) => task_columns(&implied, task),
    }
}

/// Compares the tasks of a run (all of them, in lane order) with those its fold implies.
pub fn agenda(run: &Run, definition: &Definition, tasks: &[TaskRow]) -> Vec<Discrepancy> {
    let implied = run.agenda(definition);
    let mut found = Vec::new();
    let mut stored = tasks.iter().peekable();
    for row in &implied {
        while let Some(extra) = stored.next_if(|task| task.key.lane < row.key.lane) {
            found.push(Discrepancy::TaskDangling {
                lane: extra.key.lane,
            });
        }
        match stored.next_if(|task| task.key.lane == row.key.lane) {
            Some(task) => found.extend(task_columns(row, task)),
            // Whether its end has been reported to its parent is nothing that a run's own journal tells.
            None if row.kind == TaskKind::Delivery => {}
            None => found.push(Discrepancy::TaskMissing { lane: row.key.lane }),
        }
    }
    found.extend(stored.map(|extra| Discrepancy::TaskDangling {
        lane: extra.key.lane,
    }));
    found
}

fn task_columns(implied: &TaskRow, task: &TaskRow) -> Vec<Discrepancy> {
    let parked = task.due_at == Timestamp::MAX || task.format > TASK_FORMAT;
    let free = task.owner.is_none();
    // A row that was claimed and handed back is due from then on, even if the clock went back in between; one that is
    // claimed is due when its lease ends, and may still be found where its lane was found before.
    let handed_back = task.fence.claims > 0;
    let columns = [
        ("life", task.life == implied.life),
        ("kind", task.kind == implied.kind),
        ("step", task.step == implied.step),
        ("fence", task.fence.seq == implied.fence.seq),
        ("attempt", task.attempt == implied.attempt),
        ("brief", task.brief == implied.brief),
        ("queue", task.queue == implied.queue),
        ("priority", task.priority == implied.priority),
        ("handler", !free || task.handler == implied.handler),
        (
            "due_at",
            !free || parked || handed_back || task.due_at == implied.due_at,
        ),
    ];
    let wrong = columns.into_iter().filter(|(_, same)| !same);
    wrong
        .map(|(column, _)| Discrepancy::Task {
            lane: implied.key.lane,
            column,
        })
        .collect()
}
