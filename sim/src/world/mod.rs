//! One simulated world: an event heap, a store, nodes, clients, faults, and the oracles that watch them.
//!
//! Invariant: a world is a function of its choices; true time moves only from one event to the next.

mod bound;
mod call;
mod client;
mod damage;
mod delivery;
mod deploy;
mod failover;
mod handler;
mod heap;
mod hint;
mod in_place;
mod liveness;
mod lost;
mod namesake;
mod node;
mod operator;
mod outcome;
mod perform;
mod play;
mod process;
mod request;
mod restore;
mod scope;
mod states;
mod strike;
mod telling;

use std::collections::BTreeMap;

use squid_mesh_core::id::Shards;
use squid_mesh_core::mutant::{Mutant, Mutation};
use squid_mesh_core::name::Name;
use squid_mesh_core::time::Timestamp;

use crate::choice::{Choices, Label, Topic};
use crate::clock::{DatabaseClock, SimTime};
use crate::fault::Fault;
use crate::fault::sometimes::Sometimes;
use crate::ghost::{BodyId, Ghost, ProcessId};
use crate::oracle;
use crate::panics;
use crate::settings::{NodeSetup, Profile, Settings, Traffic};
use crate::store::Tables;
use crate::story::Trouble;
use crate::trace::Trace;
use crate::user::play::Play;
use crate::violation::{Broken, Check, Promise, Violation, broken};

pub use outcome::Outcome;

use client::CommandState;
use delivery::Delivery;
use heap::{EventId, Heap};
use liveness::Phase;
use node::Node;
use perform::InDoubtRequest;
use request::{Request, RequestId};
use restore::Backup;
use scope::command_scope;
use strike::Strike;

/// More events than any world of bounded work has.
const EVENTS: u64 = 60_000;
/// As many have a world in which nobody stops what goes wrong.
const EVENTS_UNCHECKED: u64 = 6_000;
/// The same for each run of somebody's own workflows, which may be of many steps.
const EVENTS_OF_A_RUN: u64 = 5_000;
/// Every so many events everything is checked from the beginning.
const FULL_CHECK: u64 = 512;

/// A world.
pub struct World {
    now: SimTime,
    heap: Heap,
    choices: Choices,
    settings: Settings,
    clock: DatabaseClock,
    tables: Tables,
    nodes: Vec<Node>,
    /// How many of them there were at the beginning, before any had a successor.
    drawn_nodes: usize,
    /// What each process was set up with, in the order of their starts.
    setups: Vec<NodeSetup>,
    commands: Vec<CommandState>,
    requests: BTreeMap<RequestId, Request>,
    in_doubt: BTreeMap<RequestId, InDoubtRequest>,
    blocked: Vec<RequestId>,
    ghost: Ghost,
    sometimes: Sometimes,
    trace: Trace,
    phase: Phase,
    /// When the store itself was last in trouble.
    trouble: SimTime,
    /// When the database's clock was last stepped.
    stepped: SimTime,
    /// When something was last left to do while faults struck.
    stirred: SimTime,
    /// Until when the store is out, or read-only.
    outage: Option<(Fault, SimTime)>,
    /// How many servers have been the store before this one: connections are to one of them.
    server: u32,
    /// The last of them that began with less than the one before had.
    restored: u32,
    /// What the store may go back to.
    backup: Option<Backup>,
    /// Whether it ended because a claim of a lost span was taken for another.
    mistaken: bool,
    /// Actions of workers so far, over all nodes.
    effects: u64,
    /// Requests to the store so far.
    asked: u64,
    /// For how many microseconds a run was open.
    open_for: u64,
    /// Handlers and properties of somebody's own.
    play: Option<Box<Play>>,
    /// The only promise that is asked about, if it is one.
    only: Option<Promise>,
}

/// Something that will happen.
enum Event {
    /// A node's process starts.
    Boot(usize),
    /// A process registers once more.
    Register(ProcessId),
    /// A client sends a command, for the n-th time.
    Send { command: usize, sending: u32 },
    /// A request reaches the store.
    Arrive(RequestId),
    /// A request has waited for a lock for too long.
    LockTimeout(RequestId),
    /// An operation in doubt lands, or is rolled back.
    Resolve(RequestId),
    /// An answer reaches who asked.
    Deliver(Box<Delivery>),
    /// A worker's deadline comes.
    Wake(ProcessId),
    /// A handler's body ends.
    Finish(BodyId),
    /// A handler's body goes on.
    Act(BodyId),
    /// A handler's body starts the n-th of its runs.
    Call(BodyId, usize),
    /// A hint reaches a process.
    Hint(ProcessId, Name),
    /// A fault strikes.
    Strike(Strike),
    /// A node that stood still goes on.
    Thaw(usize, ProcessId),
    /// A node is to start again as a release.
    Deploy(usize, usize),
    /// The store is copied, to go back to that.
    BackUp,
    /// Somebody looks at runs.
    Operate,
    /// Faults and clients stop.
    Calm,
}

impl World {
    /// A world that these choices make.
    pub fn new(mut choices: Choices, profile: Profile, mutation: Mutation, trace: Trace) -> World {
        let settings = Settings::drawn(&mut choices, profile, mutation);
        World::with(settings, choices, trace)
    }

    /// A world of given settings.
    pub fn with(settings: Settings, mut choices: Choices, trace: Trace) -> World {
        let outer = choices.enter(Topic::Plans, &[]);
        let commands = crate::plan::drawn(&settings, &mut choices);
        let commands = commands.into_iter().map(|command| {
            let name = choices.name(command_scope(&command.wish));
            CommandState::new(command, name)
        });
        let commands = commands.collect();
        choices.leave(outer);
        let mut world = World {
            now: SimTime(0),
            heap: Heap::default(),
            clock: DatabaseClock::new(settings.base, settings.grain),
            tables: Tables::new(Shards::ONE).with_mutation(settings.mutation),
            nodes: (0..settings.nodes.len()).map(Node::called).collect(),
            drawn_nodes: settings.nodes.len(),
            setups: Vec::new(),
            commands,
            requests: BTreeMap::new(),
            in_doubt: BTreeMap::new(),
            blocked: Vec::new(),
            ghost: Ghost::default(),
            sometimes: Sometimes::default(),
            trace,
            phase: Phase::Faults,
            trouble: SimTime(0),
            stepped: SimTime(0),
            stirred: SimTime(0),
            outage: None,
            server: 0,
            restored: 0,
            backup: None,
            mistaken: false,
            effects: 0,
            asked: 0,
            open_for: 0,
            play: None,
            only: None,
            choices,
            settings,
        };
        world.populate();
        world
    }

    fn populate(&mut self) {
        self.draw_names();
        for node in 0..self.nodes.len() {
            let at = SimTime(self.choices.choose(Label::Topology, 200_000));
            self.nodes[node].booting = true;
            self.push(at, Event::Boot(node));
        }
        for command in 0..self.commands.len() {
            self.push(
                self.commands[command].command.at,
                Event::Send {
                    command,
                    sending: 0,
                },
            );
        }
        self.draw_strikes();
        self.draw_losses();
        self.draw_damage();
        self.draw_failovers();
        self.draw_restores();
        self.draw_deploys();
        if self.settings.hints_off {
            self.fired(Fault::HintsOff, crate::fault::Situation::Idle);
            self.trace.fault(Fault::HintsOff, || Trouble::World);
        }
        if self.settings.traffic == Traffic::Mixed {
            self.push_in(1_000_000, Event::Operate);
        }
        self.push(self.settings.horizon, Event::Calm);
    }

    /// Asks about one promise only: whatever breaks another is looked over, and the world goes on as well as it can.
    #[must_use]
    pub fn asking_only(self, promise: Promise) -> World {
        let only = Some(promise);
        World { only, ..self }
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.run_for(u64::MAX)
    }

    /// Runs it until so many events have happened, or to its end. A panic is a violation like any other, even one that the
    /// engine contains.
    pub fn run_for(mut self, events: u64) -> Outcome {
        let only = self.only.map(Promise::alone);
        let (check, panicked) = panics::caught(|| self.run_until(events));
        drop(only);
        // This seeded bug is a panic: what is measured is whether it spreads.
        let seeded = self.settings.mutation.is(Mutant::PoisonSpreads);
        let check = match (check, panicked) {
            (Some(Ok(())), Some(message)) if !seeded => broken(Promise::NoPanic, message),
            (Some(check), _) => check,
            (None, message) => broken(Promise::NoPanic, message.unwrap_or_default()),
        };
        self.outcome(check)
    }

    /// Runs it to its end; what is in its store then.
    #[cfg(test)]
    pub(crate) fn into_tables(mut self) -> Tables {
        let (check, panicked) = panics::caught(|| self.run_until(u64::MAX));
        assert!(matches!(check, Some(Ok(()))) && panicked.is_none());
        self.tables
    }

    fn outcome(self, check: Check) -> Outcome {
        let World {
            now,
            open_for,
            trace,
            choices,
            sometimes,
            ghost,
            settings,
            ..
        } = self;
        let violation = check.err().map(|broken| {
            let Broken { promise, detail } = *broken;
            Violation {
                promise,
                detail,
                at: now,
                event: trace.events(),
            }
        });
        Outcome::new(
            SimTime(open_for),
            trace,
            choices,
            sometimes,
            &ghost,
            &settings,
            violation,
        )
    }

    fn run_until(&mut self, events: u64) -> Check {
        let mut checked = 0;
        while self.phase != Phase::Over && self.trace.events() < events {
            self.advance_stage();
            let Some((at, event)) = self.heap.pop() else {
                if self.only.is_some() {
                    break;
                }
                return self.nothing_left();
            };
            if self.ghost.any_open() {
                self.open_for += at.0.saturating_sub(self.now.0);
            }
            self.now = at.max(self.now);
            self.trace.at(self.now);
            let outer = self.enter_event(&event);
            self.happen(event)?;
            self.choices.leave(outer);
            self.advance_phase()?;
            if self.mistaken {
                break;
            }
            if self.trace.events() >= checked + FULL_CHECK {
                checked = self.trace.events();
                oracle::full_check(&self.ghost, &self.tables)?;
            }
            let most = self.most_events();
            if self.only.is_some() && (self.trace.events() > most || self.is_overdue()) {
                break;
            }
            if self.trace.events() > most {
                return broken(
                    Promise::Bounded,
                    format!("more than {most} events; {}", self.standing()),
                );
            }
        }
        if self.mistaken {
            return Ok(());
        }
        oracle::full_check(&self.ghost, &self.tables)?;
        let now = self.database_now();
        oracle::all_explained(&mut self.ghost, &self.tables, now)?;
        let (largest, mutation) = (self.settings.payload_limit, self.settings.mutation);
        // What was done in a span that was lost is not what is recorded.
        if self.restored == 0 {
            oracle::all_modelled(&self.ghost, &self.tables, largest, mutation)?;
        }
        if self.phase == Phase::Over {
            self.judge(true)?;
        }
        Ok(())
    }

    /// Whether every run should have finished by now.
    fn is_overdue(&self) -> bool {
        matches!(self.phase, Phase::Finishing { until } if self.now > until)
    }

    /// More events than a world of this kind has.
    fn most_events(&self) -> u64 {
        if self.only.is_some() {
            return EVENTS_UNCHECKED;
        }
        if self.settings.cast.library {
            return EVENTS;
        }
        EVENTS + EVENTS_OF_A_RUN * self.settings.runs as u64
    }

    fn happen(&mut self, event: Event) -> Check {
        match event {
            Event::Boot(node) => self.boot(node),
            Event::Register(process) => {
                self.register(process);
                Ok(())
            }
            Event::Send { command, sending } => self.send_command(command, sending),
            Event::Arrive(id) => self.arrive(id),
            Event::LockTimeout(id) => {
                self.lock_timeout(id);
                Ok(())
            }
            Event::Resolve(id) => self.resolve(id),
            Event::Deliver(delivery) => self.deliver(delivery),
            Event::Wake(process) => self.wake(process),
            Event::Finish(body) => self.finish(body),
            Event::Act(body) => self.act_on(body),
            Event::Call(body, nth) => self.call(body, nth),
            Event::Hint(process, queue) => self.hint(process, queue),
            Event::Strike(strike) => self.strike(strike),
            Event::Thaw(node, process) => {
                self.thaw(node, process);
                Ok(())
            }
            Event::Deploy(node, release) => self.deploy(node, release),
            Event::BackUp => {
                self.back_up();
                Ok(())
            }
            Event::Operate => {
                self.operate();
                Ok(())
            }
            Event::Calm if self.phase == Phase::Faults => self.calm(),
            Event::Calm => Ok(()),
        }
    }

    /// Puts an event into the heap.
    fn push(&mut self, at: SimTime, event: Event) -> EventId {
        let tie = self.choices.choose(Label::Tie, 1 << 16);
        self.heap.push(at.max(self.now), tie, event)
    }

    /// Puts an event into the heap, that many microseconds from now.
    fn push_in(&mut self, span: u64, event: Event) -> EventId {
        self.push(self.now.plus_micros(span), event)
    }

    /// The usual time that a message takes.
    fn latency(&mut self) -> u64 {
        let (low, high) = self.settings.latency;
        self.choices.between(Label::Latency, low, high)
    }

    /// What the database's clock shows.
    fn database_now(&self) -> Timestamp {
        self.clock.read(self.now)
    }
}
