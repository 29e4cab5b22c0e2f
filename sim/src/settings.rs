//! How one world is set up: knobs, nodes and workflows.
//!
//! Invariant: everything here is drawn before the first event, and node 0 can execute everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::mutant::Mutation;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::HandlerSet;
use squid_mesh_core::time::Timestamp;
use squid_mesh_core::worker::QueueConfig;

use crate::cast::Cast;
use crate::choice::{Choices, Label, Topic};
use crate::clock::SimTime;
use crate::fault::Fault;
use crate::fault::intensity::{Intensities, Portfolio};
use crate::library;
use crate::store::Edition;
use crate::user::Release;

/// How a campaign wants its worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Short worlds, for every change.
    #[default]
    PullRequest,
    /// Longer worlds with more runs.
    Nightly,
    /// Short worlds whose store loses what was committed last, as after a failover to a replica that lags, or a restore.
    Loss,
}

impl Profile {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::PullRequest => "pr",
            Profile::Nightly => "nightly",
            Profile::Loss => "loss",
        }
    }

    /// Whether the store may lose what was committed.
    pub fn loses(self) -> bool {
        self == Profile::Loss
    }
}

/// What clients and people ask for in one world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Everything that there is.
    Mixed,
    /// Each run is started once, without a deadline; nothing is cancelled, paused, decided or copied.
    StartsOnly,
}

/// The set-up of one world.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often what goes wrong.
    pub intensities: Intensities,
    /// How long workers lease tasks.
    pub lease: Duration,
    /// How long an idle worker sleeps at most.
    pub poll: Duration,
    /// How long a drain lets handlers finish.
    pub grace: Duration,
    /// Largest output, in bytes.
    pub payload_limit: usize,
    /// Settles in flight at once per worker.
    pub settles: usize,
    /// The usual time between a node and the store, one way, in microseconds: from and to.
    pub latency: (u64, u64),
    /// What the database's clock shows at the beginning.
    pub base: Timestamp,
    /// The grain of the database's clock.
    pub grain: Duration,
    /// When clients and faults stop.
    pub horizon: SimTime,
    /// How many runs are started.
    pub runs: usize,
    /// The nodes.
    pub nodes: Vec<NodeSetup>,
    /// What is run.
    pub workflows: Vec<Arc<Definition>>,
    /// Which handlers and queues there are, and what clients do.
    pub cast: Arc<Cast>,
    /// What the processes of a node register, in the order in which releases are rolled out; all of `workflows`, if empty.
    pub releases: Vec<Release>,
    /// When the second release begins to be rolled out, if there is one.
    pub deploy: SimTime,
    /// Whether hints are never delivered.
    pub hints_off: bool,
    /// Whether there are schedules.
    pub schedules: bool,
    /// What is asked for.
    pub traffic: Traffic,
    /// The seeded bug of the engine or the store.
    pub mutation: Mutation,
}

/// The set-up of one node.
#[derive(Debug, Clone)]
pub struct NodeSetup {
    /// What it can execute.
    pub handlers: Arc<HandlerSet>,
    /// What it serves.
    pub queues: Vec<QueueConfig>,
    /// By how many parts in a million its clock is wrong.
    pub drift: i32,
    /// Which time zone database its processes have.
    pub edition: Edition,
}

impl NodeSetup {
    /// Whether it can execute every handler and serves every queue.
    pub fn is_capable(&self, cast: &Cast) -> bool {
        let mut handlers = cast.handlers.iter();
        handlers.all(|name| self.handlers.contains(name.as_str()))
            && self.queues.len() == cast.queues.len()
    }

    /// The handlers that it cannot execute.
    pub(crate) fn lacks(&self, cast: &Cast) -> Vec<Name> {
        let lacked = cast
            .handlers
            .iter()
            .filter(|name| !self.handlers.contains(name.as_str()));
        lacked.cloned().collect()
    }

    /// Whether its clock is far off.
    pub fn drifts(&self) -> bool {
        self.drift.unsigned_abs() > 1_000
    }
}

impl Settings {
    /// Draws a set-up.
    pub fn drawn(choices: &mut Choices, profile: Profile, mutation: Mutation) -> Settings {
        let outer = choices.enter(Topic::Setup, &[]);
        let mut intensities = Intensities::drawn(choices);
        if profile.loses() {
            intensities = intensities.with(Fault::Restored, RESTORED);
        }
        let lease = Duration::from_millis(
            choices.pick(Label::Knob, &[5_000, 30_000, 1_000, 300, 20_000, 10_000]),
        );
        let busy = match profile {
            Profile::PullRequest | Profile::Loss => 1,
            Profile::Nightly => 3,
        };
        let runs = choices.between(Label::Knob, 2, 4) * busy;
        let latency = choices.pick(
            Label::Knob,
            &[(300, 900), (50, 200), (1_000, 4_000), (1_000, 1_000)],
        );
        let count = choices.pick(Label::Topology, &[2_usize, 3, 1, 2, 4, 2]);
        let cast = Cast::library();
        let mut nodes: Vec<NodeSetup> = (0..count)
            .map(|index| {
                let outer = choices.enter(Topic::Node, &[index as u64]);
                let node = node(index, &intensities, &cast, choices);
                choices.leave(outer);
                node
            })
            .collect();
        let schedules = choices.happens(Label::Schedule, 350);
        // A deploy that brings another time zone database is under way.
        if schedules && choices.happens(Label::Schedule, 300) {
            for node in &mut nodes {
                node.edition = choices.pick(Label::Schedule, &Edition::BOTH);
            }
        }
        let settings = Settings {
            lease,
            poll: Duration::from_millis(choices.pick(Label::Knob, &[5_000, 1_000, 20_000, 10_000])),
            grace: lease
                * u32::try_from(choices.between(Label::Knob, 0, 2)).expect("a small number"),
            payload_limit: 256,
            settles: choices.pick(Label::Knob, &[1, 2, 4]),
            latency,
            base: base(schedules, choices),
            schedules,
            grain: Duration::from_micros(choices.pick(Label::Knob, &[1, 1, 1, 1_000])),
            horizon: SimTime(choices.between(Label::Knob, 10_000_000, 60_000_000) * busy),
            runs: usize::try_from(runs).expect("a small number"),
            nodes,
            workflows: workflows(choices),
            cast,
            releases: Vec::new(),
            deploy: SimTime(0),
            hints_off: choices.happens(Label::Hint, intensities.of(Fault::HintsOff)),
            traffic: Traffic::Mixed,
            intensities,
            mutation,
        };
        choices.leave(outer);
        settings
    }

    /// From when on clients start a workflow.
    pub(crate) fn known_from(&self, key: &DefinitionKey) -> SimTime {
        let first = self.releases.first();
        let brought = first.is_some_and(|first| {
            let mut first = first.workflows.iter();
            first.all(|definition| definition.key() != key)
        });
        if brought { self.deploy } else { SimTime(0) }
    }

    /// What processes of a release register.
    pub(crate) fn registered(&self, release: usize) -> Vec<Arc<Definition>> {
        let release = self.releases.get(release);
        release.map_or_else(
            || self.workflows.clone(),
            |release| release.workflows.clone(),
        )
    }

    /// What workers of a release run as children of a workflow's name.
    pub(crate) fn newest_of(&self, release: usize) -> Arc<BTreeMap<Name, Arc<Definition>>> {
        let release = self.releases.get(release);
        release.map_or_else(|| self.newest(), Release::newest)
    }

    /// What workers run as children of a workflow's name.
    pub fn newest(&self) -> Arc<BTreeMap<Name, Arc<Definition>>> {
        let named = |definition: &Arc<Definition>| (definition.name().clone(), definition.clone());
        Arc::new(self.workflows.iter().map(named).collect())
    }

    /// The effect of any node at which a process dies, in a crash sweep.
    pub fn sweep(&self) -> Option<u64> {
        match self.intensities.portfolio() {
            Portfolio::Sweep { effect } => Some(effect),
            Portfolio::Calm | Portfolio::Everything | Portfolio::Swarm | Portfolio::Pair(..) => {
                None
            }
        }
    }
}

/// In a profile of declared losses: how often each of them strikes, in thousandths.
const RESTORED: u32 = 700;

/// 2026-03-29T00:58:00Z (a change of clocks is near), the epoch, a leap day's eve, and the year 9998.
const BASES: [i64; 4] = [
    1_774_745_880_000_000,
    1_000_000,
    1_835_481_540_000_000,
    253_370_764_800_000_000,
];

/// Ten seconds before the clocks change in Berlin, both ways, and on Lord Howe Island, by half an hour.
const CHANGES: [i64; 3] = [
    1_774_745_990_000_000,
    1_792_889_990_000_000,
    1_791_041_390_000_000,
];

fn base(schedules: bool, choices: &mut Choices) -> Timestamp {
    let base = choices.pick(Label::Knob, &BASES);
    let near_a_change = schedules && choices.happens(Label::Schedule, 500);
    Timestamp::from_micros(if near_a_change {
        choices.pick(Label::Schedule, &CHANGES)
    } else {
        base
    })
}

fn workflows(choices: &mut Choices) -> Vec<Arc<Definition>> {
    let all = library::workflows();
    let kinds = choices.between(Label::Shape, 1, 3);
    let mut picked: Vec<Arc<Definition>> = Vec::new();
    for kind in 0..kinds {
        let outer = choices.enter(Topic::Workflow, &[kind]);
        let fixed = !choices.happens(Label::Shape, 550);
        let index = if fixed {
            choices.index(Label::Shape, library::fixed_shapes())
        } else {
            choices.index(Label::Shape, all.len())
        };
        if !picked.iter().any(|other| other.key() == all[index].key()) {
            picked.push(Arc::clone(&all[index]));
        }
        choices.leave(outer);
    }
    library::with_children(picked)
}

/// Draws a node. The first of all lacks nothing.
pub(crate) fn node(
    index: usize,
    intensities: &Intensities,
    cast: &Cast,
    choices: &mut Choices,
) -> NodeSetup {
    let lacks =
        index > 0 && choices.happens(Label::Topology, intensities.of(Fault::MissingHandler));
    let several = cast.handlers.len() > 1;
    let missing =
        (lacks && several).then(|| 1 + choices.index(Label::Topology, cast.handlers.len() - 1));
    let handlers = cast
        .handlers
        .iter()
        .enumerate()
        .filter(|(position, _)| Some(*position) != missing);
    let handlers = handlers.map(|(_, name)| name.clone()).collect();
    let slots =
        u32::try_from(choices.pick(Label::Topology, &[8_u64, 1, 2, 64])).expect("a small number");
    let queue = |name: &Name| QueueConfig {
        name: name.clone(),
        slots,
    };
    let served = if index > 0 && choices.happens(Label::Topology, 100) {
        1
    } else {
        cast.queues.len()
    };
    let far_off = choices.happens(Label::Topology, intensities.of(Fault::HostDrift));
    let drift = match far_off {
        true => choices.pick(Label::Topology, &[-400_000, 900_000, -50_000, 50_000]),
        false => choices.pick(Label::Topology, &[0, 40, -40, 200, -200]),
    };
    NodeSetup {
        handlers: Arc::new(handlers),
        queues: cast.queues[..served].iter().map(queue).collect(),
        drift,
        edition: Edition::Current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_node_of_every_world_can_execute_everything() {
        for seed in 0..200 {
            let settings = Settings::drawn(
                &mut Choices::seeded(seed),
                Profile::PullRequest,
                Mutation::NONE,
            );
            assert!(settings.nodes[0].is_capable(&settings.cast));
            assert!(!settings.workflows.is_empty());
        }
    }
}
