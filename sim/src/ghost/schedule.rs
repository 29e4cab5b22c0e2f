//! Schedules by the commands that landed, and what was decided about their occurrences.
//!
//! Invariant: an occurrence up to the cursor was decided about once: it started a run, waits, or rightly never will.

use std::collections::{BTreeMap, BTreeSet};

use squid_mesh_core::id::{CommandId, Life, RunId};
use squid_mesh_core::operation::Declaration;
use squid_mesh_core::schedule::{Occurrence, Plan, ScheduleId, ScheduleKey, Standing};
use squid_mesh_core::time::Timestamp;

/// What became of every schedule.
#[derive(Debug, Clone, Default)]
pub struct GhostSchedules {
    /// Those that exist.
    pub all: BTreeMap<ScheduleId, GhostSchedule>,
    /// What each command was answered first: whether it changed something, and when.
    pub answers: BTreeMap<CommandId, (bool, Timestamp)>,
    /// Runs of occurrences that the operation which is looked at has started.
    pub begun: Vec<(RunId, Occurrence)>,
    /// Every occurrence that ever started a run by itself or by a host, by the schedule's id: over all its lives.
    pub started: BTreeSet<(ScheduleId, Timestamp)>,
}

/// One schedule.
#[derive(Debug, Clone)]
pub struct GhostSchedule {
    /// What it is called.
    pub key: ScheduleKey,
    /// Its life.
    pub life: Life,
    /// What was declared of it last.
    pub declared: Declaration,
    /// The highest version of its workflow that has said something of it; 0, if it was created at run time.
    pub version: u32,
    /// Whether it fires.
    pub standing: Standing,
    /// When it was created.
    pub created: Timestamp,
    /// Up to where its occurrences have been decided about.
    pub cursor: Timestamp,
    /// The run that further ones must not overlap with.
    pub previous: Option<RunId>,
    /// The occurrence that waits.
    pub waiting: Option<Timestamp>,
}

impl GhostSchedule {
    /// Its plan.
    pub fn plan(&self) -> &Plan {
        &self.declared.plan
    }
}

/// The last instant at which an occurrence of a plan may have been, to be late at `now`.
pub fn late_until(plan: &Plan, now: Timestamp) -> Timestamp {
    let on_time = now.minus(plan.grace.saturating_add(plan.jitter));
    on_time.minus(std::time::Duration::from_micros(1))
}

/// Whether an occurrence of a plan is rightly missed at `now`: it is late, and enough others after it are too.
pub fn is_missed(plan: &Plan, occurrence: Timestamp, now: Timestamp) -> bool {
    let late = late_until(plan, now);
    let mut next = occurrence;
    let newer =
        (0..plan.catch_up.most()).all(|_| match plan.next_after(next).filter(|at| *at <= late) {
            Some(at) => {
                next = at;
                true
            }
            None => false,
        });
    occurrence <= late && newer
}
