//! Runs that handlers start while they are executed.
//!
//! Invariant: a start is repeated with the same ids until it is answered, or its body is over.

use std::rc::Rc;

use squid_mesh_core::event::Role;
use squid_mesh_core::id::{CommandId, Life, RunId, Shard};
use squid_mesh_core::operation::{Call, Entry, Group, GroupReply, Operation, Reply, Start, Submit};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::worker::{Execution, Input, SubmitError};

use super::delivery::Answer;
use super::request::{Sender, Wish};
use super::{Event, World};
use crate::choice::Label;
use crate::ghost::BodyId;
use crate::library;
use crate::script::Script;
use crate::story::Deed;
use crate::violation::Check;

/// Marks the requests of bodies among those of workers.
pub(super) const OF_A_BODY: u64 = 1 << 63;
/// No body starts more runs.
const CALLS: u64 = 1 << 8;
/// Runs of handlers start others down to here only, so that a world comes to its end.
const DEEPEST: u16 = 2;

impl World {
    /// Some attempts start runs, where there is something to run.
    pub(super) fn draw_calls(&mut self, execution: &Execution, script: &mut Script) {
        let Some(run) = self.ghost.runs.get(&execution.run()) else {
            return;
        };
        let depth = run.start.parent.as_ref().map_or(0, |parent| parent.depth);
        let rate = library::calls(run.definition.name().as_str());
        let able = self.settings.cast.library
            && self.called_definition().is_some()
            && execution.role() == Role::Step
            && depth < DEEPEST
            && run.definition.name().as_str() != library::CALLED;
        if able && self.choices.happens(Label::Script, rate) {
            script.draw_calls(&mut self.choices);
        }
    }

    fn called_definition(&self) -> Option<squid_mesh_core::definition::DefinitionKey> {
        let mut workflows = self.settings.workflows.iter();
        let called = workflows.find(|definition| definition.name().as_str() == library::CALLED);
        called.map(|definition| definition.key().clone())
    }

    /// A body starts one of its runs, or something that outlives it does: a handler may leave tasks behind.
    pub(super) fn call(&mut self, id: BodyId, nth: usize) -> Check {
        let process = self.ghost.bodies[id.0].process;
        let node = self.ghost.process(process).node;
        if self.nodes[node].process != Some(process) {
            return Ok(());
        }
        if self.nodes[node].frozen {
            self.nodes[node].backlog.push(Event::Call(id, nth));
            return Ok(());
        }
        let Some(call) = self.call_of(id, nth) else {
            return Ok(());
        };
        let direct = self.ghost.bodies[id.0].script.calls[nth].direct;
        self.trace.event(self.now, 0x900 | (id.0 as u64) << 12);
        let of = self.attempted(id);
        let key = self.ghost.bodies[id.0].script.calls[nth].key;
        self.trace.say(|| Deed::Calls { body: id, of, key });
        let group = Group {
            entries: vec![Entry::Call(Box::new(call))],
        };
        if !direct {
            let request = OF_A_BODY | (id.0 as u64 * CALLS + nth as u64);
            return self.input(node, process, Input::Submit { request, group });
        }
        let submit = Submit {
            shard: Shard::default(),
            groups: vec![group],
            offer: None,
            wait: true,
        };
        let wish = Wish::Perform(Rc::new(Operation::Submit(submit)));
        self.send(Sender::Body(id, nth), wish);
        Ok(())
    }

    fn call_of(&self, id: BodyId, nth: usize) -> Option<Call> {
        let body = &self.ghost.bodies[id.0];
        let calling = body.script.calls[nth];
        let grant = &self.ghost.grants[body.grant.0];
        let input = format!("{{\"key\":{},\"input\":{}}}", calling.key, calling.input);
        let input = Payload::new(input.into_bytes());
        let command = CommandId::from_u128((id.0 as u128 + 1) << 16 | nth as u128);
        // Whoever makes a call of it gives it its run and its life.
        let (run, life) = (RunId::from_u128(0), Life(0));
        let start = Start::new(run, life, command, self.called_definition()?, input);
        let attempt = (body.attempt.key, grant.step, body.attempt.token);
        let key = calling.key.to_string();
        Some(Call::new(attempt, key, calling.detached, start))
    }

    /// A worker answers a body of its process.
    pub(super) fn body_answered(&mut self, request: u64, result: Result<GroupReply, SubmitError>) {
        let request = request & !OF_A_BODY;
        let id = usize::try_from(request / CALLS).expect("bodies are few");
        let nth = usize::try_from(request % CALLS).expect("below the number of calls");
        self.trace.say(|| Deed::CallAnswered {
            body: BodyId(id),
            result: format!("{result:?}"),
        });
        if result.is_err() {
            self.call_again(BodyId(id), nth);
        }
    }

    /// The store answers a body.
    pub(super) fn body_hears(&mut self, id: BodyId, nth: usize, answer: &Answer) {
        let known = match answer {
            Answer::Performed(Ok(Reply::Submitted { groups, .. })) => {
                !groups.contains(&GroupReply::Busy)
            }
            Answer::Performed(_) | Answer::Fetched(_) => false,
        };
        if !known {
            self.call_again(id, nth);
        }
    }

    fn call_again(&mut self, id: BodyId, nth: usize) {
        if !self.ghost.bodies[id.0].is_running() {
            return;
        }
        let span = self.choices.magnitude(Label::Script, 1_000, 500_000);
        self.push_in(span, Event::Call(id, nth));
    }
}
