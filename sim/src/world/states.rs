//! What runs are in the middle of when a fault fires.
//!
//! Invariant: looked at only when a fault fires, and changes nothing but counters.

use squid_mesh_core::schedule::Standing;

use super::World;
use crate::fault::{Fault, Situation, State};
use crate::ghost::{GhostRun, Progress, Winding};

impl World {
    /// A fault has fired.
    pub(super) fn fired(&mut self, fault: Fault, during: Situation) {
        self.sometimes.fired(fault, during);
        for state in self.states() {
            self.sometimes.met(fault, state);
        }
    }

    /// What something is in the middle of, each once.
    fn states(&self) -> impl Iterator<Item = State> + use<> {
        let mut found = [false; State::COUNT];
        let mut see = |state: State, holds: bool| found[state as usize] |= holds;
        see(
            State::Attempt,
            self.nodes.iter().any(|node| !node.running.is_empty()),
        );
        see(State::InDoubt, !self.in_doubt.is_empty());
        see(State::Pause, self.ghost.queues.paused().next().is_some());
        let mut schedules = self.tables.schedules();
        see(
            State::Schedule,
            schedules.any(|row| row.standing == Standing::Active),
        );
        for run in self.ghost.runs.values().filter(|run| run.ended.is_none()) {
            of_run(run, &mut see);
        }
        State::ALL
            .iter()
            .copied()
            .filter(move |state| found[*state as usize])
    }
}

fn of_run(run: &GhostRun, see: &mut impl FnMut(State, bool)) {
    see(State::Cancelling, run.winding == Some(Winding::Cancelled));
    for step in &run.steps {
        see(State::Undo, step.undo.is_some() && run.winding.is_some());
        let state = match step.progress {
            Progress::Scheduled(_) if step.tries.accounted() > 0 => State::Retry,
            Progress::Waiting(_) => State::Wait,
            Progress::Open(..) => State::Gate,
            Progress::Listening(..) => State::Signal,
            Progress::Held => State::Doubt,
            Progress::Resting | Progress::Recalling => State::Children,
            Progress::Evaluating(_) | Progress::Spawning | Progress::Collecting => State::Chore,
            _ => continue,
        };
        see(state, true);
    }
}
