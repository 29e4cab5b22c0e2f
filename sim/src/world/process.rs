//! Processes: how they start, what they take in, what their workers do, how they end.
//!
//! Invariant: a worker is called as a driver calls it: an input, then every action until there is none, then its deadline.

use std::rc::Rc;
use std::sync::Arc;

use squid_mesh_core::definition::StepKind;
use squid_mesh_core::id::{Incarnation, Shards};
use squid_mesh_core::mutant::Mutant;
use squid_mesh_core::operation::{Operation, Register, Registration, Reply};
use squid_mesh_core::worker::{Action, Config, Input, LogLine, Worker};

use super::delivery::Answer;
use super::request::{Sender, Wish};
use super::{Event, World};
use crate::choice::Label;
use crate::clock::HostClock;
use crate::fault::sometimes::Milestone;
use crate::fault::{Fault, Situation};
use crate::ghost::{BodyEnd, Process, ProcessId};
use crate::story::{Deed, Trouble};
use crate::violation::{Check, Promise, broken, ensure};

impl World {
    /// A node's process starts: first of all it registers.
    pub(super) fn boot(&mut self, node: usize) -> Check {
        self.nodes[node].booting = false;
        if self.nodes[node].process.is_some() || self.nodes[node].lost {
            return Ok(());
        }
        let fresh = Incarnation::from_u128(self.choices.bits());
        let incarnation = self.mistaken_for(node).unwrap_or(fresh);
        self.installs(node);
        let setup = self.settings.nodes[node].clone();
        let process = ProcessId(self.ghost.processes.len());
        self.ghost.processes.push(Process::started(
            node,
            incarnation,
            setup.drifts(),
            self.now,
        ));
        if setup.drifts() {
            self.fired(Fault::HostDrift, Situation::Idle);
            let trouble = || Trouble::Node(node, None);
            self.trace.fault(Fault::HostDrift, trouble);
        }
        if !setup.is_capable(&self.settings.cast) {
            self.fired(Fault::MissingHandler, Situation::Idle);
            let trouble = || Trouble::Node(node, None);
            self.trace.fault(Fault::MissingHandler, trouble);
        }
        self.meets_namesakes(node);
        let start = self.choices.choose(Label::Topology, 1_000_000_000);
        let drift = setup.drift;
        self.setups.push(setup);
        let state = &mut self.nodes[node];
        state.process = Some(process);
        state.incarnation = Some(incarnation);
        state.clock = HostClock::new(self.now, start, drift);
        self.trace.say(|| Deed::Boots {
            node,
            process,
            incarnation,
        });
        self.register(process);
        Ok(())
    }

    /// Whose identity a process takes, where seeded bugs have it take one.
    fn mistaken_for(&self, node: usize) -> Option<Incarnation> {
        let mutation = self.settings.mutation;
        if mutation.is(Mutant::IncarnationReused) {
            return self.nodes[node].incarnation;
        }
        let namesake = self.namesakes(node).next();
        let namesake = namesake.filter(|_| mutation.is(Mutant::NameIsIdentity));
        namesake.and_then(|other| self.nodes[other].incarnation)
    }

    pub(super) fn register(&mut self, process: ProcessId) {
        if !self.ghost.process(process).alive {
            return;
        }
        let Process {
            node, incarnation, ..
        } = *self.ghost.process(process);
        let setup = &self.settings.nodes[node];
        let worker = Registration {
            incarnation,
            name: self.nodes[node].name(),
            handlers: Arc::clone(&setup.handlers),
            queues: setup
                .queues
                .iter()
                .map(|queue| queue.name.clone())
                .collect(),
        };
        let register = Register {
            worker: Some(worker),
            definitions: self.settings.registered(self.nodes[node].release),
        };
        let wish = Wish::Perform(Rc::new(Operation::Register(register)));
        self.send(Sender::Registration(process), wish);
    }

    /// The answer to a registration: the worker begins, or registers again.
    pub(super) fn registered(&mut self, node: usize, process: ProcessId, answer: Answer) -> Check {
        if self.nodes[node].worker.is_some() {
            return Ok(());
        }
        if !matches!(answer, Answer::Performed(Ok(Reply::Registered(_)))) {
            let span = self.choices.magnitude(Label::Latency, 10_000, 500_000);
            self.push_in(span, Event::Register(process));
            return Ok(());
        }
        let config = self.config(node, process);
        let moment = self.nodes[node].clock.read(self.now);
        self.nodes[node].worker = Some(Box::new(Worker::new(config, moment)));
        self.turn(node, process, None)
    }

    /// How a process's worker works.
    pub(super) fn config(&self, node: usize, process: ProcessId) -> Config {
        let setup = &self.settings.nodes[node];
        Config {
            incarnation: self.ghost.process(process).incarnation,
            name: self.nodes[node].name(),
            handlers: Arc::clone(&setup.handlers),
            workflows: self.settings.newest_of(self.nodes[node].release),
            queues: setup.queues.clone(),
            shards: Shards::ONE,
            lease: self.settings.lease,
            poll: self.settings.poll,
            grace: self.settings.grace,
            payload_limit: self.settings.payload_limit,
            settles: self.settings.settles,
            mutation: self.settings.mutation,
        }
    }

    /// A worker takes an input in.
    pub(super) fn input(&mut self, node: usize, process: ProcessId, input: Input) -> Check {
        if self.dies_here(node) {
            return Ok(());
        }
        self.turn(node, process, Some(input))
    }

    /// A worker's deadline comes.
    pub(super) fn wake(&mut self, process: ProcessId) -> Check {
        let node = self.ghost.process(process).node;
        if self.nodes[node].process != Some(process) {
            return Ok(());
        }
        self.nodes[node].wake = None;
        if self.nodes[node].frozen {
            self.nodes[node].backlog.push(Event::Wake(process));
            return Ok(());
        }
        self.trace.event(self.now, 0x400 | (process.0 as u64) << 12);
        self.turn(node, process, None)
    }

    /// Lets a worker take an input in and do what it wants to, until it wants nothing more.
    fn turn(&mut self, node: usize, process: ProcessId, input: Option<Input>) -> Check {
        let Some(mut worker) = self.nodes[node].worker.take() else {
            return Ok(());
        };
        let moment = self.nodes[node].clock.read(self.now);
        if let Some(input) = input {
            worker.handle(input, moment);
        }
        let mut actions = 0;
        while let Some(action) = worker.poll(moment) {
            if self.dies_here(node) {
                return Ok(());
            }
            self.act(node, process, action)?;
            if self.nodes[node].process != Some(process) {
                return Ok(());
            }
            actions += 1;
            ensure!(
                actions < 10_000,
                Bounded,
                "a worker wants 10,000 things at once"
            );
        }
        let deadline = worker.deadline();
        self.nodes[node].worker = Some(worker);
        if let Some(key) = self.nodes[node].wake.take() {
            self.heap.remove(key);
        }
        if let Some((at, _)) = deadline {
            let instant = self.nodes[node].clock.reaches(self.now, at);
            let key = self.push(instant, Event::Wake(process));
            self.nodes[node].wake = Some(key);
        }
        Ok(())
    }

    fn act(&mut self, node: usize, process: ProcessId, action: Action) -> Check {
        ensure!(
            !self.ghost.process(process).stopped,
            DrainIsClean,
            "process {} has stopped, and wants {action:?}",
            process.0
        );
        match action {
            Action::Perform { ticket, operation } => {
                if let Operation::Claim(claim) = &operation {
                    let state = self.ghost.process_mut(process);
                    state.claims = state.claims.max(claim.number);
                }
                self.send(
                    Sender::Worker(process, ticket.0),
                    Wish::Perform(Rc::new(operation)),
                );
            }
            Action::Fetch { ticket, wanted } => {
                self.send(
                    Sender::Worker(process, ticket.0),
                    Wish::Fetch(Rc::new(wanted)),
                );
            }
            Action::Execute(execution) => return self.execute(node, process, execution),
            Action::Log(line) => return self.log(process, &line),
            Action::Stop { attempt, reason } => self.stop_body(node, process, &attempt, reason),
            Action::Abort { attempt } => self.abort_body(node, process, &attempt),
            Action::Answer { request, result } => self.worker_answers(request, result),
            Action::Ended(ended) => {
                let run = self.ghost.runs.get(&ended.run);
                ensure!(
                    run.is_some_and(|run| run.ended == Some(ended.status)),
                    TruthfulReply,
                    "process {} says that run {} has ended as {}",
                    process.0,
                    ended.run,
                    ended.status
                );
            }
            Action::Stopped => return self.stopped(node, process),
        }
        Ok(())
    }

    /// A line is written to the log of a process: it says what its step is to say.
    fn log(&mut self, process: ProcessId, line: &LogLine) -> Check {
        self.trace.say(|| Deed::Logs {
            process,
            line: format!("{line:?}"),
        });
        // What was told to log may be lost since.
        if self.restored > 0 && !self.ghost.runs.contains_key(&line.run) {
            return Ok(());
        }
        let run = self.ghost.run(line.run);
        let step = run.definition.index_of(line.step.as_str());
        let said = step.filter(|step| {
            let LogLine { level, message, .. } = line;
            matches!(
                &run.definition.step(*step).kind,
                StepKind::Log { level: own, message: text } if own == level && text == message
            )
        });
        ensure!(
            said.is_some(),
            ResultIsReal,
            "process {} logs {line:?}, which no step says",
            process.0
        );
        self.ghost
            .lines
            .extend(said.map(|step| (process, line.run, step)));
        Ok(())
    }

    fn stopped(&mut self, node: usize, process: ProcessId) -> Check {
        self.trace.say(|| Deed::Stopped(process));
        if let Some(body) = self.nodes[node].running.keys().next() {
            let attempt = self.ghost.bodies[body.0].attempt;
            return broken(
                Promise::DrainIsClean,
                format!(
                    "process {} has stopped, and {} still runs in it",
                    process.0, attempt.key
                ),
            );
        }
        self.sometimes.reached(Milestone::Drained);
        self.ghost.process_mut(process).stopped = true;
        self.kill(node);
        Ok(())
    }

    /// A process ends, with everything in it. The node starts another one a little later.
    pub(super) fn kill(&mut self, node: usize) {
        let Some(process) = self.nodes[node].process.take() else {
            return;
        };
        self.trace.say(|| Deed::Gone { node, process });
        let state = &mut self.nodes[node];
        state.worker = None;
        state.frozen = false;
        state.backlog.clear();
        state.in_flight.clear();
        state.transactions.clear();
        let running = std::mem::take(&mut state.running);
        let wake = state.wake.take();
        for key in running.values().copied().flatten().chain(wake) {
            self.heap.remove(key);
        }
        for id in running.keys() {
            let body = &mut self.ghost.bodies[id.0];
            body.end = Some(BodyEnd::Died);
            body.ended = self.now;
            self.exits(*id);
        }
        let gone = self.ghost.process_mut(process);
        (gone.alive, gone.frozen) = (false, false);
        if self.may_restart(node) {
            let span = self.choices.magnitude(Label::Strike, 1_000, 6_000_000);
            self.nodes[node].booting = true;
            self.push_in(span, Event::Boot(node));
        }
    }
}
