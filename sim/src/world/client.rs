//! Clients: they send commands, directly or through a node, until they are answered. Operators are clients too.
//!
//! Invariant: a command is repeated with the same ids until its answer is known; what was acknowledged stays so.

use std::rc::Rc;

use squid_mesh_core::id::Shard;
use squid_mesh_core::operation::{EntryReply, GroupReply, Operation, Rejection, Reply, Submit};
use squid_mesh_core::worker::{Input, SubmitError};

use super::call::OF_A_BODY;
use super::delivery::Answer;
use super::request::{Sender, Wish};
use super::{Event, World};
use crate::choice::Label;
use crate::plan::{self, Command};
use crate::story::Deed;
use crate::violation::Check;

/// One command, and how far it came.
pub(super) struct CommandState {
    pub(super) command: Command,
    /// What the choices about it are about, where they are told apart.
    pub(super) name: u64,
    /// How often it was sent.
    sendings: u32,
    /// Whether it is to wait for locks.
    waits: bool,
    /// Whether it was answered.
    pub(super) answered: bool,
}

impl CommandState {
    pub(super) fn new(command: Command, name: u64) -> CommandState {
        CommandState {
            command,
            name,
            sendings: 0,
            waits: false,
            answered: false,
        }
    }
}

/// Requests through a worker are numbered by command and sending.
const SENDINGS: u64 = 1 << 20;

impl World {
    /// Sends a command, unless it was answered or sent again since.
    pub(super) fn send_command(&mut self, command: usize, sending: u32) -> Check {
        let state = &mut self.commands[command];
        if state.answered || state.sendings != sending {
            return Ok(());
        }
        state.sendings += 1;
        let sending = state.sendings;
        let (wish, waits) = (state.command.wish.clone(), state.waits);
        // A client whose first route did not answer tries the store itself.
        let via = state.command.via.filter(|_| sending < 3);
        let patience = self.choices.between(Label::Command, 3_000_000, 20_000_000);
        self.push_in(patience, Event::Send { command, sending });
        let node =
            via.filter(|node| self.nodes[*node].worker.is_some() && !self.nodes[*node].frozen);
        let process = node.and_then(|node| self.nodes[node].process);
        self.trace.say(|| {
            let wish = wish.clone();
            Deed::Sends { command, via, wish }
        });
        let group = match wish {
            plan::Wish::Group(group) => group,
            plan::Wish::Queue(queue) => {
                let wish = Wish::Perform(Rc::new(Operation::Queue(queue)));
                self.send(Sender::Client { command, sending }, wish);
                return Ok(());
            }
            plan::Wish::Schedule(schedule) => {
                let wish = Wish::Perform(Rc::new(Operation::Schedule(schedule)));
                self.send(Sender::Client { command, sending }, wish);
                return Ok(());
            }
        };
        match (node, process) {
            (Some(node), Some(process)) => {
                self.trace.event(self.now, 0x800 | (command as u64) << 12);
                let request = command as u64 * SENDINGS + u64::from(sending);
                self.input(node, process, Input::Submit { request, group })
            }
            _ => {
                let submit = Submit {
                    shard: Shard::default(),
                    groups: vec![group],
                    offer: None,
                    wait: waits,
                };
                let wish = Wish::Perform(Rc::new(Operation::Submit(submit)));
                self.send(Sender::Client { command, sending }, wish);
                Ok(())
            }
        }
    }

    /// The store answers a client.
    pub(super) fn client_hears(&mut self, command: usize, sending: u32, answer: Answer) {
        match answer {
            Answer::Performed(Ok(Reply::Submitted { mut groups, .. })) => {
                if let Some(reply) = groups.pop() {
                    self.command_answered(command, reply);
                }
            }
            Answer::Performed(Ok(Reply::Queue(_) | Reply::Schedule(_))) => {
                self.commands[command].answered = true;
            }
            Answer::Performed(_) | Answer::Fetched(_) => self.send_again(command, sending),
        }
    }

    /// A worker answers a client of its process.
    pub(super) fn worker_answers(&mut self, request: u64, result: Result<GroupReply, SubmitError>) {
        if request & OF_A_BODY != 0 {
            return self.body_answered(request, result);
        }
        let command = usize::try_from(request / SENDINGS).expect("commands are few");
        let sending = u32::try_from(request % SENDINGS).expect("below the number of sendings");
        match result {
            Ok(reply) => self.command_answered(command, reply),
            Err(_) => self.send_again(command, sending),
        }
    }

    fn command_answered(&mut self, command: usize, reply: GroupReply) {
        self.trace.say(|| {
            let reply = reply.clone();
            Deed::Answered { command, reply }
        });
        match reply {
            GroupReply::Busy => {
                self.commands[command].waits = true;
                let sending = self.commands[command].sendings;
                self.send_again(command, sending);
            }
            GroupReply::Refused {
                rejection: Rejection::UnknownWorkflow { .. },
                ..
            } => {
                // No worker that declares it has registered yet.
                let sending = self.commands[command].sendings;
                self.send_again(command, sending);
            }
            GroupReply::Refused { .. } => self.commands[command].answered = true,
            GroupReply::Done(replies) => {
                self.commands[command].answered = true;
                for reply in replies {
                    let run = match reply {
                        EntryReply::Started(start) => start.run,
                        EntryReply::Cancelled(cancel) => cancel.run,
                        EntryReply::Obeyed(obeyed) => obeyed.run,
                    };
                    // The full check at the end finds every run of the ghost in the store; here, that the ghost knows it.
                    assert!(
                        self.ghost.runs.contains_key(&run),
                        "run {run} was acknowledged and never landed"
                    );
                }
            }
        }
    }

    fn send_again(&mut self, command: usize, sending: u32) {
        let span = self.choices.magnitude(Label::Command, 1_000, 500_000);
        self.push_in(span, Event::Send { command, sending });
    }
}
