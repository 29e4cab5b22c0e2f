//! Handlers: bodies that begin, are told to stop, are dropped, or end by themselves.
//!
//! Invariant: a body's end reaches its worker once, or its process is gone.

use squid_mesh_core::definition::OnLost;
use squid_mesh_core::event::Role;
use squid_mesh_core::name::Name;
use squid_mesh_core::worker::{AttemptFailure, AttemptId, Execution, Input, Returned, StopReason};

use super::scope::step_word;
use super::{Event, World};
use crate::choice::{Label, Topic};
use crate::fault::sometimes::Milestone;
use crate::fault::{Fault, Situation};
use crate::ghost::{BodyEnd, BodyId, ProcessId};
use crate::oracle::{self, Beginning};
use crate::script::{Ending, OnStop, Script};
use crate::story::{Attempted, Deed, Trouble};
use crate::violation::Check;

impl World {
    pub(super) fn execute(
        &mut self,
        node: usize,
        process: ProcessId,
        execution: Box<Execution>,
    ) -> Check {
        let about = step_word(execution.attempt.key, execution.role());
        let outer = self.choices.enter(Topic::Body, &[about]);
        let begun = self.begin_body(node, process, execution);
        self.choices.leave(outer);
        begun
    }

    fn begin_body(&mut self, node: usize, process: ProcessId, execution: Box<Execution>) -> Check {
        let labels = self.labels_of(&execution);
        let (mut script, faults) = Script::drawn(
            &self.settings,
            execution.timeout,
            &labels,
            &mut self.choices,
        );
        let of = Attempted {
            key: execution.attempt.key,
            fence: execution.attempt.token.fence,
            step: execution.index(),
            role: execution.role(),
        };
        for fault in faults {
            self.fired(fault, Situation::Attempt);
            self.trace.fault(fault, || Trouble::Attempt(process, of));
        }
        let fails = self.settings.intensities.of(Fault::HandlerFails);
        let library = self.settings.cast.library;
        if library
            && execution.role() == Role::Undo
            && self.choices.happens(Label::Script, fails / 2)
        {
            script.ending = Ending::FinalFailure;
            let trouble = || Trouble::Attempt(process, of);
            self.trace.fault(Fault::HandlerFails, trouble);
        }
        self.direct(&execution, &mut script);
        if execution.transactional {
            self.transact(process, of, &execution, &mut script);
        } else {
            self.draw_calls(&execution, &mut script);
        }
        let body = BodyId(self.ghost.bodies.len());
        self.trace.say(|| Deed::Begins {
            process,
            body,
            of,
            attempt: execution.task.attempt,
            script: Box::new(script.clone()),
        });
        let played = script.clone();
        let beginning = Beginning {
            process,
            execution: &execution,
            script,
            now: self.now,
            clock: self.clock.read(self.now),
            stepped: self.stepped,
            ghost: &mut self.ghost,
        };
        let body = oracle::begin(beginning, &mut self.sometimes)?;
        let key = self.enters(body, &execution, &played);
        self.nodes[node].running.insert(body, key);
        if self.must_not_repeat(&execution) {
            self.maybe_freeze_holder(process, 6);
        }
        if execution.transactional {
            self.nodes[node].transactions.insert(body, execution);
        }
        for (nth, call) in played.calls.iter().enumerate() {
            self.push(self.now.plus(call.after), Event::Call(body, nth));
        }
        Ok(())
    }

    /// Whether nobody may repeat an attempt blindly.
    fn must_not_repeat(&self, execution: &Execution) -> bool {
        let run = self.ghost.runs.get(&execution.run());
        let holds = |on_lost| execution.role() == Role::Step && on_lost == OnLost::Hold;
        run.is_some_and(|run| holds(run.definition.step(execution.index()).on_lost))
    }

    /// The labels that an attempt may return.
    fn labels_of(&self, execution: &Execution) -> Vec<Name> {
        let run = self.ghost.runs.get(&execution.run());
        let own = execution.role() == Role::Step;
        run.filter(|_| own)
            .map(|run| run.definition.step(execution.index()).labels.clone())
            .unwrap_or_default()
    }

    /// A body ends by itself.
    pub(super) fn finish(&mut self, id: BodyId) -> Check {
        let process = self.ghost.bodies[id.0].process;
        let node = self.ghost.process(process).node;
        if self.nodes[node].process != Some(process) || !self.ghost.bodies[id.0].is_running() {
            return Ok(());
        }
        if self.nodes[node].frozen {
            self.nodes[node].backlog.push(Event::Finish(id));
            return Ok(());
        }
        self.trace.event(self.now, 0x500 | (id.0 as u64) << 12);
        let Script { ending, label, .. } = self.ghost.bodies[id.0].script.clone();
        if ending == Ending::KillsHost {
            self.trace.say(|| Deed::Kills(process));
            self.kill(node);
            return Ok(());
        }
        let (body, of) = (id, self.attempted(id));
        self.trace.say(|| Deed::Returns { body, of, ending });
        self.nodes[node].running.remove(&id);
        self.ghost.bodies[id.0].ended = self.now;
        if let Some(execution) = self.nodes[node].transactions.remove(&id) {
            return self.end_transaction(node, process, id, execution);
        }
        let result = self.result_of(id, ending, label);
        self.exits(id);
        let body = &mut self.ghost.bodies[id.0];
        body.end = Some(BodyEnd::Returned(result.clone()));
        let attempt = body.attempt;
        self.input(node, process, Input::Finished { attempt, result })
    }

    /// What a body returns that ends in a way.
    pub(super) fn result_of(
        &mut self,
        id: BodyId,
        ending: Ending,
        label: Option<String>,
    ) -> Result<Returned, AttemptFailure> {
        let limit = self.settings.payload_limit;
        match &mut self.play {
            Some(play) => play.result(id, ending, label, limit),
            None => Script::result(ending, label, id.0, limit),
        }
    }

    fn running_body(&self, node: usize, process: ProcessId, attempt: &AttemptId) -> Option<BodyId> {
        let body = self.ghost.body_of(process, &attempt.key, &attempt.token)?;
        self.nodes[node].running.contains_key(&body).then_some(body)
    }

    pub(super) fn stop_body(
        &mut self,
        node: usize,
        process: ProcessId,
        attempt: &AttemptId,
        reason: StopReason,
    ) {
        self.sometimes.reached(Milestone::Stopped);
        let Some(id) = self.running_body(node, process, attempt) else {
            return;
        };
        let of = self.attempted(id);
        self.trace.say(|| Deed::Stops {
            process,
            of,
            reason,
        });
        let body = &mut self.ghost.bodies[id.0];
        if body.told.replace(self.now).is_some() {
            return;
        }
        if self.stops(id, reason) {
            return;
        }
        let body = &mut self.ghost.bodies[id.0];
        let ending = match body.script.on_stop {
            OnStop::Ignores => return,
            OnStop::GivesUp => Ending::Failure { retry_after: None },
            OnStop::Hurries => Ending::Success,
        };
        body.script.ending = ending;
        let span = self.choices.magnitude(Label::Duration, 10, 5_000);
        let key = self.push_in(span, Event::Finish(id));
        if let Some(Some(before)) = self.nodes[node].running.insert(id, Some(key)) {
            self.heap.remove(before);
        }
    }

    pub(super) fn abort_body(&mut self, node: usize, process: ProcessId, attempt: &AttemptId) {
        let Some(id) = self.running_body(node, process, attempt) else {
            return;
        };
        let of = self.attempted(id);
        self.trace.say(|| Deed::Aborts { process, of });
        self.sometimes.reached(Milestone::Aborted);
        if let Some(Some(key)) = self.nodes[node].running.remove(&id) {
            self.heap.remove(key);
        }
        self.nodes[node].transactions.remove(&id);
        self.exits(id);
        let body = &mut self.ghost.bodies[id.0];
        body.end = Some(BodyEnd::Aborted);
        body.ended = self.now;
    }
}
