//! Requests to the store: how they travel there and back.
//!
//! Invariant: the fate of a request is drawn when it is sent, and whatever it is, the store performs the request wholly, at
//! one instant, or not at all.

use std::rc::Rc;

use squid_mesh_core::operation::Operation;
use squid_mesh_core::store::Fetch;
use squid_mesh_core::time::Timestamp;

use super::delivery::Answer;
use super::node::situation;
use super::{Event, World};
use crate::choice::{Label, Stretch, Topic};
use crate::clock::SimTime;
use crate::fault::{Fault, Situation};
use crate::ghost::{BodyId, ProcessId};
use crate::store::Asked;
use crate::story::Trouble;

/// Names one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RequestId(pub(super) u64);

/// Who sent a request, and what he calls it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sender {
    /// A worker.
    Worker(ProcessId, u64),
    /// A process that registers.
    Registration(ProcessId),
    /// A client, for this command.
    Client { command: usize, sending: u32 },
    /// A handler's body, for this of the runs that it starts.
    Body(BodyId, usize),
    /// A handler that is really executed, with this of all questions.
    Handler(u64),
    /// Whoever executes a body, at the end of its transaction.
    InPlace(BodyId),
}

/// What is asked for.
#[derive(Clone)]
pub(super) enum Wish {
    /// An operation.
    Perform(Rc<Operation>),
    /// Immutable things.
    Fetch(Rc<Fetch>),
}

/// One request under way.
pub(super) struct Request {
    pub(super) sender: Sender,
    pub(super) wish: Wish,
    pub(super) fate: Option<Fault>,
    /// The sender no longer waits for the answer.
    pub(super) given_up: bool,
    /// It is performed once more, after its sender has been answered.
    pub(super) echo: bool,
    /// What it saw when it first had to wait for a lock.
    pub(super) asked: Option<Asked>,
    /// Whether it waits for a lock.
    pub(super) waits: bool,
    /// What choices about it are about.
    pub(super) about: Stretch,
}

impl World {
    /// Sends a request.
    pub(super) fn send(&mut self, sender: Sender, wish: Wish) {
        self.note_idle();
        self.asked += 1;
        let id = RequestId(self.asked);
        let kind = match &wish {
            Wish::Perform(operation) => situation(operation),
            Wish::Fetch(_) => Situation::Fetch,
        };
        if let Sender::Worker(process, ticket) = sender {
            let node = self.ghost.process(process).node;
            self.nodes[node].in_flight.insert(ticket, kind);
        }
        let outer = self.enter_request(sender, &wish);
        self.send_away(id, sender, wish, kind);
        self.choices.leave(outer);
    }

    fn enter_request(&mut self, sender: Sender, wish: &Wish) -> Stretch {
        if !self.choices.has_places() {
            return Stretch::default();
        }
        let word = self.wish_word(sender, wish);
        self.choices.enter(Topic::Request, &[word])
    }

    /// Draws what becomes of a request on its way, and sends it there.
    fn send_away(&mut self, id: RequestId, sender: Sender, wish: Wish, kind: Situation) {
        let fate = self.fate(kind, &wish);
        if let Some(fault) = fate {
            self.fired(fault, kind);
            self.trouble_for(sender);
            let who = self.who(sender);
            self.trace.fault(fault, || {
                let operation = match &wish {
                    Wish::Perform(operation) => Some(Rc::clone(operation)),
                    Wish::Fetch(_) => None,
                };
                Trouble::Request { who, operation }
            });
        }
        let mut request = Request {
            sender,
            wish,
            fate,
            given_up: false,
            echo: false,
            asked: None,
            waits: false,
            about: self.choices.about(),
        };
        let mut span = self.latency();
        match fate {
            Some(Fault::LostRequest) => {
                let timeout = self.timeout();
                return self.give_up_on(&request, timeout);
            }
            Some(Fault::Stall) => {
                span += self.choices.magnitude(Label::Network, 1_000, 60_000_000);
                if self.choices.happens(Label::Network, 500) {
                    let timeout = self.timeout().min(span);
                    self.give_up_on(&request, timeout);
                    request.given_up = true;
                }
            }
            _ => {}
        }
        if fate.is_some() {
            self.trouble_until(sender, span);
        }
        self.requests.insert(id, request);
        self.push_in(span, Event::Arrive(id));
    }

    /// How long a sender waits for an answer that does not come.
    pub(super) fn timeout(&mut self) -> u64 {
        self.choices.magnitude(Label::Network, 5_000, 4_000_000)
    }

    /// What goes wrong with a request: one draw over all faults of the network and the store.
    fn fate(&mut self, kind: Situation, wish: &Wish) -> Option<Fault> {
        const FATES: [Fault; 9] = [
            Fault::LostRequest,
            Fault::LostReply,
            Fault::Conflict,
            Fault::InDoubtLands,
            Fault::InDoubtRollsBack,
            Fault::Doubled,
            Fault::Stall,
            Fault::SlowReply,
            Fault::ReplyTwice,
        ];
        // Commands of operators are few, and it takes two of them to meet.
        let operators = match wish {
            Wish::Perform(operation) => {
                matches!(**operation, Operation::Queue(_) | Operation::Schedule(_))
            }
            Wish::Fetch(_) => false,
        };
        let rates = FATES.iter().map(|fault| {
            let rate = self.settings.intensities.of(*fault);
            if *fault == Fault::InDoubtLands && operators {
                rate * 6
            } else {
                rate
            }
        });
        let fault = FATES[self.choices.fault(Label::Network, rates)?];
        let only_reads = kind == Situation::Fetch;
        let writes = matches!(
            fault,
            Fault::Conflict | Fault::InDoubtLands | Fault::InDoubtRollsBack | Fault::Doubled
        );
        (!(only_reads && writes)).then_some(fault)
    }

    /// The sender learns nothing: after a while he takes the outcome for unknown.
    pub(super) fn give_up_on(&mut self, request: &Request, after: u64) {
        self.trouble_until(request.sender, after);
        let answer = Answer::unavailable(&request.wish);
        self.answer(request.sender, request.wish.clone(), answer, after);
    }

    /// Answers a request, unless its sender has given up.
    pub(super) fn reply(&mut self, request: Request, answer: Answer) {
        if request.given_up {
            return;
        }
        let Request {
            sender, wish, fate, ..
        } = request;
        let mut span = self.latency();
        let failed = matches!(answer, Answer::Performed(Err(_)) | Answer::Fetched(Err(_)));
        match fate {
            Some(Fault::LostReply) => {
                let timeout = self.timeout();
                self.trouble_until(sender, timeout);
                let unavailable = Answer::unavailable(&wish);
                return self.answer(sender, wish, unavailable, timeout);
            }
            Some(Fault::SlowReply) => {
                span += self.choices.magnitude(Label::Network, 1_000, 40_000_000)
            }
            Some(Fault::ReplyTwice) => {
                if let Some(copy) = answer.copied() {
                    let later = span + self.choices.magnitude(Label::Network, 1, 1_000_000);
                    self.answer(sender, wish.clone(), copy, later);
                }
            }
            _ => {}
        }
        if failed || fate.is_some() {
            self.trouble_until(sender, span);
        }
        self.answer(sender, wish, answer, span);
    }

    /// Something went wrong for a sender: whatever it loses by that is not its fault.
    pub(super) fn trouble_for(&mut self, sender: Sender) {
        self.trouble_until(sender, 0);
    }

    /// The same, for a while.
    pub(super) fn trouble_until(&mut self, sender: Sender, span: u64) {
        let Some(process) = self.process_of(sender) else {
            return;
        };
        let until = self.now.plus_micros(span);
        let state = self.ghost.process_mut(process);
        state.trouble = state.trouble.max(until);
    }

    /// The process on whose behalf something is asked; none of a client, nor of a body that asks by itself.
    pub(super) fn process_of(&self, sender: Sender) -> Option<ProcessId> {
        match sender {
            Sender::Worker(process, _) | Sender::Registration(process) => Some(process),
            Sender::InPlace(body) => Some(self.ghost.bodies[body.0].process),
            Sender::Client { .. } | Sender::Body(..) | Sender::Handler(..) => None,
        }
    }

    /// The instant at which something is due, in true time, if the clock is not stepped.
    pub(super) fn instant_of(&self, due: Timestamp) -> SimTime {
        self.clock.reaches(self.now, due)
    }
}
