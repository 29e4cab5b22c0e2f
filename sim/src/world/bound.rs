//! How long runs may take at most once faults have stopped, computed from what there is then.
//!
//! Invariant: the bound holds for one node with one slot, whatever the order in which it works through everything.

use std::time::Duration;

use squid_mesh_core::definition::{Retry, Step, StepKind};
use squid_mesh_core::limits;

use super::World;
use crate::ghost::GhostRun;

/// What somebody takes at most to be served by an operator or the engine, however busy they are.
const SERVED: Duration = Duration::from_secs(60);

impl World {
    /// How long it can take at most until every run has ended, whatever the order in which one slot works through it all.
    pub(super) fn bound(&self) -> Duration {
        let longest = self.last_due();
        let open = self
            .ghost
            .runs
            .values()
            .filter(|run| run.ended.is_none() && !run.unreadable);
        let work: Duration = open.map(|run| self.work_left(run)).sum();
        let unsent = self.commands.iter().filter(|state| !state.answered).count();
        let schedules = self.ghost.schedules.all.len() * 4;
        let starts = u32::try_from(unsent + schedules).expect("commands are few");
        let starts = Duration::from_secs(600) * starts;
        // What is in flight takes up to a minute, after which a pause may have landed that is to be resumed, which may be in
        // flight for as long again; a slow clock doubles everything that a worker waits for.
        (longest
            + work
            + starts
            + Duration::from_secs(240)
            + self.settings.poll * 4
            + self.settings.lease * 4)
            * 2
    }

    /// How long it takes until the last of all tasks is due that are not parked.
    pub(super) fn last_due(&self) -> Duration {
        let now = self.database_now();
        let tasks = self.tables.tasks();
        let spans = tasks.map(|row| row.due_at.since(now).min(limits::SPAN_MAX));
        let parked = |span: &Duration| *span < Duration::from_secs(86_400);
        spans.filter(parked).max().unwrap_or_default()
    }

    fn work_left(&self, run: &GhostRun) -> Duration {
        let steps = run
            .definition
            .steps()
            .iter()
            .zip(&run.steps)
            .filter(|(_, state)| !state.progress.is_settled());
        let undo = run
            .definition
            .steps()
            .iter()
            .filter_map(|step| step.undo.as_ref());
        let back: Duration = undo.map(|undo| self.attempts(&undo.retry)).sum();
        steps
            .map(|(step, _)| self.step_work(step, 0))
            .sum::<Duration>()
            + back
    }

    /// How long a step may take, its children included.
    fn step_work(&self, step: &Step, depth: u32) -> Duration {
        match &step.kind {
            StepKind::Handler { .. } => self.attempts(&step.retry),
            StepKind::Wait { duration } => *duration + self.served(),
            StepKind::Child { workflow, .. } | StepKind::Each { workflow, .. } if depth < 4 => {
                let child = self
                    .settings
                    .workflows
                    .iter()
                    .find(|one| one.name() == workflow);
                let steps = child.map(|child| child.steps()).unwrap_or_default();
                let one: Duration = steps
                    .iter()
                    .map(|step| self.step_work(step, depth + 1))
                    .sum();
                (one * 2 + self.served()) * self.settings.cast.elements
            }
            _ => self.served() + self.settings.poll * 2,
        }
    }

    /// What somebody takes at most to be served.
    pub(super) fn served(&self) -> Duration {
        SERVED + self.settings.cast.patience
    }

    fn attempts(&self, retry: &Retry) -> Duration {
        let attempts = retry.max_attempts + retry.max_lost + 2;
        (self.settings.cast.longest
            + retry.backoff.max
            + self.settings.lease
            + self.settings.poll
            + SERVED)
            * attempts
            + Duration::from_secs(32) * retry.max_lost
    }
}
