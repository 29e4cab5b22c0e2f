//! Answers on their way back.
//!
//! Invariant: an answer reaches the process that asked, or nobody.

use std::rc::Rc;

use squid_mesh_core::operation::{GroupReply, Operation, Reply};
use squid_mesh_core::store::{Fetched, StoreError};
use squid_mesh_core::worker::{Input, Ticket};

use super::request::{Sender, Wish};
use super::{Event, World};
use crate::choice::Stretch;
use crate::ghost::ProcessId;
use crate::oracle;
use crate::story::Deed;
use crate::violation::Check;

/// An answer on its way.
pub(super) struct Delivery {
    pub(super) sender: Sender,
    pub(super) wish: Wish,
    pub(super) answer: Answer,
    /// The server that answers.
    pub(super) server: u32,
    /// What choices about it are about.
    pub(super) about: Stretch,
}

/// What is answered.
pub(super) enum Answer {
    /// To an operation.
    Performed(Result<Reply, StoreError>),
    /// To a fetch.
    Fetched(Result<Fetched, StoreError>),
}

impl Answer {
    /// Nobody knows.
    pub(super) fn unavailable(wish: &Wish) -> Answer {
        let error = StoreError::Unavailable("no answer".into());
        match wish {
            Wish::Perform(_) => Answer::Performed(Err(error)),
            Wish::Fetch(_) => Answer::Fetched(Err(error)),
        }
    }

    /// The same once more, where it is no error.
    pub(super) fn copied(&self) -> Option<Answer> {
        match self {
            Answer::Performed(Ok(reply)) => Some(Answer::Performed(Ok(reply.clone()))),
            Answer::Fetched(Ok(fetched)) => Some(Answer::Fetched(Ok(fetched.clone()))),
            Answer::Performed(Err(_)) | Answer::Fetched(Err(_)) => None,
        }
    }
}

impl World {
    /// Sends an answer on its way.
    pub(super) fn answer(&mut self, sender: Sender, wish: Wish, answer: Answer, span: u64) {
        self.push_in(
            span,
            Event::Deliver(Box::new(Delivery {
                sender,
                wish,
                answer,
                server: self.server,
                about: self.choices.about(),
            })),
        );
    }

    /// An answer arrives.
    pub(super) fn deliver(&mut self, mut delivery: Box<Delivery>) -> Check {
        if !self.stands_still(delivery.sender) {
            self.maybe_cut(&mut delivery);
        }
        match delivery.sender {
            Sender::Client { command, sending } => {
                self.client_hears(command, sending, delivery.answer);
                return Ok(());
            }
            Sender::Body(body, nth) => {
                self.body_hears(body, nth, &delivery.answer);
                return Ok(());
            }
            Sender::Handler(question) => {
                self.handler_hears(question, delivery.answer);
                return Ok(());
            }
            Sender::Worker(..) | Sender::Registration(_) | Sender::InPlace(_) => {}
        }
        let process = self.process_of(delivery.sender);
        let process = process.expect("whoever is neither a client nor a body is a process");
        let node = self.ghost.process(process).node;
        if self.nodes[node].process != Some(process) {
            return Ok(());
        }
        if self.nodes[node].frozen {
            self.nodes[node].backlog.push(Event::Deliver(delivery));
            return Ok(());
        }
        self.process_hears(node, process, *delivery)
    }

    /// Whether who asked is there, and takes nothing in.
    fn stands_still(&self, sender: Sender) -> bool {
        self.process_of(sender).is_some_and(|process| {
            let node = &self.nodes[self.ghost.process(process).node];
            node.process == Some(process) && node.frozen
        })
    }

    fn process_hears(&mut self, node: usize, process: ProcessId, delivery: Delivery) -> Check {
        let Delivery {
            sender,
            wish,
            answer,
            ..
        } = delivery;
        self.trace.event(self.now, 0x300 | (process.0 as u64) << 12);
        let number = match sender {
            Sender::Worker(_, number) => number,
            Sender::InPlace(body) => return self.transaction_hears(node, body, &wish, answer),
            Sender::Registration(_)
            | Sender::Client { .. }
            | Sender::Body(..)
            | Sender::Handler(..) => {
                return self.registered(node, process, answer);
            }
        };
        let ticket = Ticket(number);
        let first = self.nodes[node].in_flight.remove(&number).is_some();
        let input = match (answer, wish) {
            (Answer::Fetched(result), _) => Input::Fetched { ticket, result },
            (Answer::Performed(result), Wish::Perform(operation)) => {
                self.note_answer(process, first, &operation, &result);
                Input::Performed { ticket, result }
            }
            (Answer::Performed(_), Wish::Fetch(_)) => {
                unreachable!("a fetch is answered by what was fetched")
            }
        };
        self.input(node, process, input)
    }

    fn note_answer(
        &mut self,
        process: ProcessId,
        first: bool,
        operation: &Rc<Operation>,
        result: &Result<Reply, StoreError>,
    ) {
        match result {
            Ok(reply) if first => {
                let busy = busy(reply);
                oracle::delivered(&mut self.ghost, process, operation, reply);
                if busy {
                    self.trouble_for(Sender::Worker(process, 0));
                }
            }
            Ok(_) => {}
            Err(error) => {
                self.trouble_for(Sender::Worker(process, 0));
                self.trace.say(|| Deed::Hears {
                    process,
                    error: error.to_string(),
                });
            }
        }
    }
}

/// Whether some slot has to be asked for again.
fn busy(reply: &Reply) -> bool {
    use squid_mesh_core::operation::{HeldReply, SlotReply};
    match reply {
        Reply::Registered(_) | Reply::Claimed(_) | Reply::Queue(_) | Reply::Schedule(_) => false,
        Reply::Submitted { groups, .. } => {
            groups.iter().any(|group| matches!(group, GroupReply::Busy))
        }
        Reply::Leased(replies) => replies.iter().any(|reply| matches!(reply, HeldReply::Busy)),
        Reply::Settled { slots, .. } => slots.iter().any(|slot| matches!(slot, SlotReply::Busy)),
    }
}
