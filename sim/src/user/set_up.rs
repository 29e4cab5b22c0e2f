//! How the worlds of a campaign of one's own are set up.
//!
//! Invariant: an idle worker polls so rarely that the longest run of the workflows is a bounded number of events.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use squid_mesh_core::definition::{Definition, Retry, StepKind};
use squid_mesh_core::limits;
use squid_mesh_core::mutant::Mutation;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::HandlerSet;
use squid_mesh_core::time::Timestamp;

use crate::cast::Cast;
use crate::choice::{Choices, Label};
use crate::clock::{SimTime, micros};
use crate::fault::Fault;
use crate::fault::intensity::Intensities;
use crate::settings::{NodeSetup, Settings, Traffic, node};

/// What every world of a campaign has in common.
#[derive(Debug, Clone)]
pub(crate) struct SetUp {
    pub(crate) cast: Arc<Cast>,
    pub(crate) workflows: Vec<Arc<Definition>>,
    pub(crate) releases: Vec<Release>,
    pub(crate) workers: RangeInclusive<usize>,
    pub(crate) runs: RangeInclusive<usize>,
    /// How long attempts are said to take.
    pub(crate) attempts: Duration,
    /// When worlds are said to begin.
    pub(crate) begins: Option<Timestamp>,
}

/// What the processes of one release of a service register.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its workflows, those of the releases before included.
    pub workflows: Vec<Arc<Definition>>,
    /// Its handlers, those of the releases before included.
    pub handlers: Vec<Name>,
}

impl Release {
    /// The workflows by name, as children are started of.
    pub(crate) fn newest(&self) -> Arc<BTreeMap<Name, Arc<Definition>>> {
        let mut newest: BTreeMap<Name, Arc<Definition>> = BTreeMap::new();
        for one in &self.workflows {
            let known = newest.entry(one.name().clone());
            let known = known.or_insert_with(|| Arc::clone(one));
            if known.version() < one.version() {
                *known = Arc::clone(one);
            }
        }
        Arc::new(newest)
    }

    /// Its handlers, but for those that a node lacks.
    pub(crate) fn handlers_but(&self, lacks: &[Name]) -> Arc<HandlerSet> {
        let kept = self.handlers.iter().filter(|name| !lacks.contains(name));
        Arc::new(kept.cloned().collect())
    }
}

/// Leases that the longest attempt has at most, unless nobody says how long that is.
const LEASES: u32 = 100;
/// Polls that a worker makes at most while the longest run of all takes its time.
const POLLS: u32 = 300;

impl SetUp {
    /// Draws the set-up of one world.
    pub(crate) fn drawn(&self, choices: &mut Choices) -> Settings {
        let intensities = Intensities::drawn_of(self.cast.faults.as_slice(), choices);
        let slow = self.longest_run();
        let lease = choices.pick(Label::Knob, &[5_000, 30_000, 1_000, 300, 100, 10_000]);
        let lease = Duration::from_millis(lease).max(self.attempts / LEASES);
        let poll = choices.pick(Label::Knob, &[1_000, 5_000, 2_000, 20_000]);
        let poll = Duration::from_millis(poll).max(slow / POLLS);
        let (least, most) = (*self.workers.start(), *self.workers.end());
        let count = least + choices.index(Label::Topology, most.max(least) - least + 1);
        let nodes = (0..count.max(1))
            .map(|index| node(index, &intensities, &self.cast, choices))
            .collect();
        let (fewest, most_runs) = (*self.runs.start(), *self.runs.end());
        let runs = fewest + choices.index(Label::Knob, most_runs.max(fewest) - fewest + 1);
        // Where runs take long by themselves, faults strike for as long in every other world.
        let stretched = choices.index(Label::Knob, 2) == 1;
        let waits = if stretched {
            micros(waits(&self.workflows))
        } else {
            0
        };
        let horizon = choices.between(Label::Knob, 10_000_000, 60_000_000) + waits;
        let deploy = choices.choose(Label::Strike, horizon / 2);
        Settings {
            lease,
            poll,
            grace: lease * u32::try_from(choices.between(Label::Knob, 0, 2)).expect("small"),
            payload_limit: limits::PAYLOAD_BYTES_DEFAULT,
            settles: choices.pick(Label::Knob, &[1, 2, 4]),
            latency: choices.pick(
                Label::Knob,
                &[(300, 900), (50, 200), (1_000, 4_000), (1_000, 1_000)],
            ),
            // Drawn in any case: what else is drawn does not depend on it.
            base: self
                .begins
                .unwrap_or(Timestamp::from_micros(choices.pick(Label::Knob, &BASES))),
            grain: Duration::from_micros(choices.pick(Label::Knob, &[1, 1, 1, 1_000])),
            horizon: SimTime(horizon),
            runs,
            nodes: self.at_first(nodes),
            workflows: self.workflows.clone(),
            cast: Arc::clone(&self.cast),
            releases: self.releases.clone(),
            deploy: SimTime(deploy),
            hints_off: choices.happens(Label::Hint, intensities.of(Fault::HintsOff)),
            schedules: false,
            traffic: Traffic::Mixed,
            intensities,
            mutation: Mutation::NONE,
        }
    }

    /// Nodes as the first release has them.
    fn at_first(&self, mut nodes: Vec<NodeSetup>) -> Vec<NodeSetup> {
        let Some(first) = self.releases.first() else {
            return nodes;
        };
        for node in &mut nodes {
            node.handlers = first.handlers_but(&node.lacks(&self.cast));
        }
        nodes
    }

    /// The longest that a run waits by its own definition: timers and pauses between attempts.
    fn longest_run(&self) -> Duration {
        let pauses = |retry: &Retry| {
            let pause = retry.backoff.max * retry.max_attempts;
            pause.min(limits::SPAN_MAX)
        };
        let steps = self.workflows.iter().flat_map(|one| one.steps());
        let retries: Duration = steps
            .map(|step| {
                let undo = step.undo.as_ref().map(|undo| pauses(&undo.retry));
                pauses(&step.retry) + undo.unwrap_or_default()
            })
            .sum();
        waits(&self.workflows) + retries.min(Duration::from_secs(86_400)) + self.attempts
    }
}

/// How long the timers of some workflows take, one after the other.
pub(super) fn waits(workflows: &[Arc<Definition>]) -> Duration {
    let steps = workflows.iter().flat_map(|one| one.steps());
    let waits = steps.filter_map(|step| match &step.kind {
        StepKind::Wait { duration } => Some(*duration),
        _ => None,
    });
    waits.sum()
}

/// 2026-03-29T00:58:00Z, and a leap day's eve.
const BASES: [i64; 2] = [1_774_745_880_000_000, 1_835_481_540_000_000];
