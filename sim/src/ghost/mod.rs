//! Ghost state: what the engine cannot see, kept from what really happened.
//!
//! Who holds a task is known here from the claims that committed, not from owners and fences; what a step returned is known
//! from the handler bodies that ran. Checking the engine's fences with the engine's fences would prove nothing.
//!
//! Invariant: ghost state is never read by the engine, and never written from what the engine believes.

mod body;
mod copy;
mod grant;
mod lost;
mod process;
mod queue;
mod run;
mod schedule;

use std::collections::{BTreeMap, BTreeSet};

use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::event::Role;
use squid_mesh_core::id::{Incarnation, Life, RunId};
use squid_mesh_core::run::Status;
use squid_mesh_core::task::{Fence, Item, Lane, TaskKey, Token};

pub use body::{Body, BodyEnd, BodyId};
pub use grant::{Grant, GrantEnd, GrantId};
pub use process::{ClaimRecord, Process, ProcessId};
pub use queue::GhostQueues;
pub use run::{GhostChildren, GhostRun, GhostStep, GhostTries, GhostUndo, Progress, Way, Winding};
pub use schedule::{GhostSchedule, GhostSchedules, is_missed, late_until};

/// What really happened so far.
#[derive(Debug, Clone, Default)]
pub struct Ghost {
    /// Every run whose start committed.
    pub runs: BTreeMap<RunId, GhostRun>,
    /// Every task that ever had a row.
    pub tasks: BTreeMap<TaskKey, GhostTask>,
    /// Every claim that committed, hand-offs included.
    pub grants: Vec<Grant>,
    /// Every handler body that began.
    pub bodies: Vec<Body>,
    /// Every process that ever started.
    pub processes: Vec<Process>,
    /// What each claim took: by incarnation and number.
    pub claims: BTreeMap<(Incarnation, u64), ClaimRecord>,
    /// Who has registered, under which name.
    pub workers: BTreeMap<Incarnation, String>,
    /// Queues that were paused and resumed.
    pub queues: GhostQueues,
    /// Schedules that were created and changed.
    pub schedules: GhostSchedules,
    /// Lines that processes really wrote to their logs, of which steps.
    pub lines: BTreeSet<(ProcessId, RunId, StepIndex)>,
    /// Operations that have landed.
    pub landings: u64,
    /// Whether some run's snapshot was damaged, or a task put aside.
    any_halted: bool,
    /// The runs that have not ended.
    unended: BTreeSet<RunId>,
}

/// One task, over all the rows it ever had.
#[derive(Debug, Clone, Default)]
pub struct GhostTask {
    /// Who holds it.
    pub grant: Option<GrantId>,
    /// The greatest fence ever seen on it, in this life.
    pub fence: Option<Fence>,
    /// The life of what it is of.
    pub life: Life,
}

impl Ghost {
    /// A run that was started.
    ///
    /// # Panics
    /// If it was not.
    #[track_caller]
    pub fn run(&self, id: RunId) -> &GhostRun {
        self.runs.get(&id).expect("the run was started")
    }

    /// The same, to be changed.
    ///
    /// # Panics
    /// If it was not started.
    #[track_caller]
    pub fn run_mut(&mut self, id: RunId) -> &mut GhostRun {
        self.runs.get_mut(&id).expect("the run was started")
    }

    /// A step of a run that was started.
    #[track_caller]
    pub fn step_mut(&mut self, id: RunId, step: StepIndex) -> &mut GhostStep {
        &mut self.run_mut(id).steps[step.at()]
    }

    /// Who holds a task.
    pub fn holder(&self, key: &TaskKey) -> Option<&Grant> {
        let id = self.tasks.get(key)?.grant?;
        Some(&self.grants[id.0])
    }

    /// Ends the current claim on a task, if there is one.
    pub fn end_grant(&mut self, key: &TaskKey, end: GrantEnd) {
        if let Some(id) = self.tasks.get_mut(key).and_then(|task| task.grant.take()) {
            self.grants[id.0].end = Some(end);
        }
    }

    /// The claim that a token was given for, whatever has become of it.
    pub fn grant_of(&self, key: &TaskKey, token: &Token) -> Option<GrantId> {
        let mut grants = self.grants.iter();
        let found = grants.rposition(|grant| grant.is_of(key, token));
        found.map(GrantId)
    }

    /// The latest body that ran under a token in a process.
    pub fn body_of(&self, process: ProcessId, key: &TaskKey, token: &Token) -> Option<BodyId> {
        let matches = |body: &Body| {
            body.process == process && body.attempt.key == *key && body.attempt.token == *token
        };
        self.bodies.iter().rposition(matches).map(BodyId)
    }

    /// The claim under which a step of a run, or its undo, is being attempted, if there is one.
    pub fn attempt_on(&self, run: RunId, step: StepIndex, role: Role) -> Option<&Grant> {
        let mut held = self.held_of(run);
        held.find(|grant| {
            grant.step == step
                && grant.role == role
                && matches!(grant.item, Item::Attempt | Item::Loss)
        })
    }

    /// Every current claim on a task of a run.
    pub fn held_of(&self, run: RunId) -> impl Iterator<Item = &Grant> {
        let tasks = self.tasks.range(TaskKey { run, lane: Lane(0) }..);
        let tasks = tasks.take_while(move |(key, _)| key.run == run);
        tasks
            .filter_map(|(_, task)| task.grant)
            .map(|id| &self.grants[id.0])
    }

    /// A process.
    pub fn process(&self, id: ProcessId) -> &Process {
        &self.processes[id.0]
    }

    /// The same, to be changed.
    pub fn process_mut(&mut self, id: ProcessId) -> &mut Process {
        &mut self.processes[id.0]
    }

    /// A run that was started.
    pub fn begin_run(&mut self, id: RunId, run: GhostRun) {
        self.unended.insert(id);
        self.runs.insert(id, run);
    }

    /// A run has ended.
    pub fn end_run(&mut self, id: RunId, status: Status) {
        self.unended.remove(&id);
        self.run_mut(id).ended = Some(status);
    }

    /// Whether some run that can be read is under way.
    pub fn any_open(&self) -> bool {
        let is_open = |id: &RunId| !self.run(*id).unreadable && !self.is_stuck(*id);
        if self.any_halted {
            self.unended.iter().any(is_open)
        } else {
            !self.unended.is_empty()
        }
    }

    /// Whether every run that can be read has ended.
    pub fn all_ended(&self) -> bool {
        !self.any_open()
    }

    /// A run's snapshot was damaged.
    pub fn spoil(&mut self, id: RunId) {
        self.run_mut(id).unreadable = true;
        self.any_halted = true;
    }

    /// A task was put aside because what it needs cannot be read.
    pub fn halt(&mut self, id: RunId, lane: Lane) {
        self.run_mut(id).halted.insert(lane);
        self.any_halted = true;
    }

    /// A task that may have been put aside is there again, or gone.
    pub fn go_on(&mut self, id: RunId, lane: Lane) {
        if self.any_halted
            && let Some(run) = self.runs.get_mut(&id)
        {
            run.halted.remove(&lane);
        }
    }

    /// Whether what a step of a run needs may be unreadable: its own journal, or that of a run which it is a copy of.
    pub fn is_marred(&self, id: RunId) -> bool {
        self.runs.get(&id).is_some_and(|run| {
            let copy = run.start.copy.as_ref();
            run.marred || copy.is_some_and(|copy| self.is_marred(copy.source))
        })
    }

    /// Whether a run needs what cannot be read, or waits for a child that does or cannot be read itself: only a person can end
    /// it.
    pub fn is_stuck(&self, id: RunId) -> bool {
        self.any_halted && self.waits_for_unreadable(id)
    }

    fn waits_for_unreadable(&self, id: RunId) -> bool {
        let run = self.run(id);
        if run.ended.is_none() && !run.halted.is_empty() {
            return true;
        }
        let steps = run.definition.indexes().zip(&run.steps);
        let mut waiting =
            steps.filter(|(_, state)| !state.progress.is_settled() && state.children.active() > 0);
        waiting.any(|(step, state)| {
            (0..state.children.started)
                .filter(|child| !state.children.ends.contains_key(child))
                .map(|child| state.children.run(id, step, child))
                .filter_map(|child| self.runs.get(&child).map(|run| (child, run)))
                .any(|(child, run)| run.unreadable || self.waits_for_unreadable(child))
        })
    }
}
