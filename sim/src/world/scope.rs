//! What the choices made while something happens are about.
//!
//! Invariant: nothing here changes what happens, and it costs nothing unless choices are told apart by place.

use squid_mesh_core::event::Role;
use squid_mesh_core::id::{CommandId, RunId};
use squid_mesh_core::operation::{Entry, Operation, Report};
use squid_mesh_core::task::TaskKey;

use super::request::{Sender, Wish};
use super::{Event, World};
use crate::choice::{Stretch, Topic, mix, scope};
use crate::fault::Fault;
use crate::ghost::{BodyId, ProcessId};
use crate::plan;

impl World {
    /// What follows is about this event. Answers what it was about before.
    pub(super) fn enter_event(&mut self, event: &Event) -> Stretch {
        if !self.choices.has_places() {
            return Stretch::default();
        }
        // What becomes of a request is about the request, from when it is sent until it is answered.
        let of_request = match event {
            Event::Arrive(id) | Event::LockTimeout(id) => {
                self.requests.get(id).map(|request| request.about)
            }
            Event::Resolve(id) => self.in_doubt.get(id).map(|doubt| doubt.request.about),
            Event::Deliver(delivery) => Some(delivery.about),
            _ => None,
        };
        if let Some(about) = of_request {
            return self.choices.resume(about);
        }
        let (topic, words) = self.event_words(event);
        self.choices.enter(topic, &words)
    }

    fn event_words(&self, event: &Event) -> (Topic, [u64; 2]) {
        let node = |process: &ProcessId| self.ghost.process(*process).node as u64;
        match event {
            Event::Boot(node) => (Topic::Process, [*node as u64, 0]),
            Event::Register(process) => (Topic::Process, [node(process), 1]),
            Event::Send { command, sending } => {
                let name = self.commands[*command].name;
                (Topic::Command, [name, u64::from(*sending)])
            }
            // Of a request that is gone.
            Event::Arrive(_) | Event::LockTimeout(_) | Event::Resolve(_) | Event::Deliver(_) => {
                (Topic::Request, [0, 0])
            }
            Event::Wake(process) => (Topic::Wake, [node(process), 0]),
            Event::Finish(body) => (Topic::BodyEvent, [self.body_word(*body), 0]),
            Event::Call(body, nth) => (Topic::BodyEvent, [self.body_word(*body), 1 + *nth as u64]),
            Event::Act(body) => (Topic::BodyEvent, [self.body_word(*body), 1 << 32]),
            Event::Deploy(node, release) => (Topic::Process, [*node as u64, 2 + *release as u64]),
            Event::Hint(process, _) => (Topic::Hint, [node(process), 0]),
            Event::Strike(strike) => (Topic::Strike, [strike.fault as u64, 1]),
            Event::Thaw(node, _) => (Topic::Thaw, [*node as u64, 0]),
            Event::BackUp => (Topic::Strike, [Fault::Restored as u64, 2]),
            Event::Operate => (Topic::Operator, [0, 0]),
            Event::Calm => (Topic::Calm, [0, 0]),
        }
    }

    /// What tells a request from others, as far as that does not depend on what came before.
    pub(super) fn wish_word(&self, sender: Sender, wish: &Wish) -> u64 {
        let who = match sender {
            Sender::Worker(process, _) => self.ghost.process(process).node as u64,
            Sender::Registration(process) => 100 + self.ghost.process(process).node as u64,
            Sender::Client { command, .. } => self.commands[command].name,
            Sender::Body(body, nth) => mix(self.body_word(body), nth as u64),
            Sender::InPlace(body) => self.body_word(body),
            Sender::Handler(question) => mix(1, question),
        };
        match wish {
            Wish::Fetch(_) => mix(who, 1),
            Wish::Perform(operation) => match operation.as_ref() {
                Operation::Register(_) | Operation::Claim(_) => mix(who, operation_word(operation)),
                // The same, whoever comes to do it.
                Operation::Submit(_)
                | Operation::Lease(_)
                | Operation::Settle(_)
                | Operation::Queue(_)
                | Operation::Schedule(_) => operation_word(operation),
            },
        }
    }

    pub(super) fn body_word(&self, body: BodyId) -> u64 {
        let body = &self.ghost.bodies[body.0];
        let grant = &self.ghost.grants[body.grant.0];
        step_word(body.attempt.key, grant.role)
    }
}

/// What tells an attempt from those of other steps.
pub(super) fn step_word(key: TaskKey, role: Role) -> u64 {
    mix(run_word(key.run), u64::from(key.lane.0) << 8 | role as u64)
}

/// A run's id as one number.
pub(super) fn run_word(run: RunId) -> u64 {
    fold(run.as_u128())
}

fn command_word(command: CommandId) -> u64 {
    fold(command.as_u128())
}

fn fold(bits: u128) -> u64 {
    let low = u64::try_from(bits & u128::from(u64::MAX)).expect("masked to 64 bits");
    let high = u64::try_from(bits >> 64).expect("shifted to 64 bits");
    mix(mix(0, low), high)
}

fn operation_word(operation: &Operation) -> u64 {
    match operation {
        Operation::Register(_) => 2,
        Operation::Claim(_) => 3,
        Operation::Lease(leases) => {
            let held = leases.renew.first().or(leases.begun.first());
            let held = held.or(leases.hand_back.first());
            mix(4, held.map_or(0, |held| step_word(held.key, Role::Step)))
        }
        Operation::Submit(submit) => {
            let entry = submit
                .groups
                .first()
                .and_then(|group| group.entries.first());
            mix(5, entry.map_or(0, entry_word))
        }
        Operation::Settle(settle) => {
            let report = |report: &Report| step_word(report.key, Role::Step);
            mix(6, settle.reports.first().map_or(0, report))
        }
        Operation::Queue(queue) => mix(7, command_word(queue.command)),
        Operation::Schedule(schedule) => mix(8, command_word(schedule.command)),
    }
}

/// What tells an entry from others.
pub(super) fn entry_word(entry: &Entry) -> u64 {
    command_word(match entry {
        Entry::Start(start) => start.command,
        Entry::Cancel(cancel) => cancel.command,
        Entry::Resolve(resolve) => resolve.command,
        Entry::Signal(signal) => signal.command,
        Entry::Call(call) => call.start.command,
    })
}

/// What tells a command from others, of those that nothing else is about.
pub(super) fn command_scope(wish: &plan::Wish) -> u64 {
    let word = match wish {
        plan::Wish::Group(group) => group.entries.first().map_or(0, entry_word),
        plan::Wish::Queue(queue) => command_word(queue.command),
        plan::Wish::Schedule(schedule) => command_word(schedule.command),
    };
    scope(Topic::Command, &[word])
}
