//! Handlers of somebody's own workflows, and what is to hold of them.
//!
//! Invariant: a world without a play draws nothing here.

use std::rc::Rc;

use squid_mesh_core::event::Role;
use squid_mesh_core::worker::{Execution, StopReason};

use super::delivery::Answer;
use super::heap::EventId;
use super::request::{Sender, Wish};
use super::{Event, World};
use crate::choice::Label;
use crate::clock::micros;
use crate::ghost::BodyId;
use crate::script::{Ending, OnStop, Script};
use crate::user::line::{Asked, Said, What};
use crate::user::play::{Hurry, Next, Play};
use crate::user::view::Scene;
use crate::violation::Check;

/// How far into an attempt something happens: thousandths of its length.
const WHOLE: u64 = 1_000;

impl World {
    /// A world with handlers and properties of somebody's own.
    pub(crate) fn playing(mut self, play: Play) -> World {
        self.play = Some(Box::new(play));
        self
    }

    /// What a drawn script becomes for a handler of somebody's own.
    pub(super) fn direct(&mut self, execution: &Execution, script: &mut Script) {
        let Some(play) = &self.play else { return };
        // That a handler returns what its step does not declare is its own mistake, and no fault.
        if script.label.as_deref() == Some("nowhere") {
            script.label = None;
        }
        // Only a first attempt can say truly that nothing was done; and that an effect is not taken back, although nothing is
        // wrong with the handler, is no fault either.
        let first = execution.task.attempt == 1 && execution.role() == Role::Step;
        let harmless = matches!(script.ending, Ending::FinalFailure | Ending::Oversized);
        if harmless && !first {
            script.ending = Ending::Failure { retry_after: None };
        }
        let span = play.script(&execution.handler).and_then(|own| own.span());
        if let Some((span, lasts)) = span.cloned().zip(script.lasts.as_mut()) {
            let (low, high) = (micros(*span.start()), micros(*span.end()));
            let drawn = self.choices.magnitude(Label::Duration, low, high.max(low));
            *lasts = std::time::Duration::from_micros(drawn.max(low));
        }
    }

    /// A body begins in a play: gives where its end is in the heap, if that is known.
    pub(super) fn enters(
        &mut self,
        id: BodyId,
        execution: &Execution,
        script: &Script,
    ) -> Option<EventId> {
        let lasts = script.lasts.map(micros);
        let Some(play) = &mut self.play else {
            return lasts.map(|span| self.push_in(span, Event::Finish(id)));
        };
        let real = play.is_real(&execution.handler);
        // What fails for good says truly that nothing was done.
        let harmless = matches!(script.ending, Ending::FinalFailure | Ending::Oversized);
        let fails = script.ending != Ending::Success && script.ending != Ending::KillsHost;
        let in_vain = harmless || fails && self.choices.happens(Label::Script, 500);
        let at = self.choices.choose(Label::Duration, WHOLE + 1);
        let span = lasts.unwrap_or(1_000_000);
        let before = u64::try_from(u128::from(span) * u128::from(at) / u128::from(WHOLE))
            .expect("a part of a span");
        let play = self.play.as_mut().expect("it is there");
        if !real {
            play.enters(id, execution);
            if !in_vain {
                self.push_in(before, Event::Act(id));
            }
            return lasts.map(|span| self.push_in(span, Event::Finish(id)));
        }
        if in_vain {
            play.enters_in_vain(id, execution);
            return lasts.map(|span| self.push_in(span, Event::Finish(id)));
        }
        let node = self.ghost.process(self.ghost.bodies[id.0].process).node;
        let release = self.nodes[node].release;
        play.enters_really(id, (execution, release), lasts.map(|span| span - before));
        self.push_in(before, Event::Act(id));
        None
    }

    /// A body goes on: it has its effect, or its future is polled.
    pub(super) fn act_on(&mut self, id: BodyId) -> Check {
        let process = self.ghost.bodies[id.0].process;
        let node = self.ghost.process(process).node;
        if self.nodes[node].process != Some(process) || !self.ghost.bodies[id.0].is_running() {
            return Ok(());
        }
        if self.nodes[node].frozen {
            self.nodes[node].backlog.push(Event::Act(id));
            return Ok(());
        }
        self.trace.event(self.now, 0xa00 | (id.0 as u64) << 12);
        let Some(play) = &mut self.play else {
            return Ok(());
        };
        if let Next::Ends(span) = play.goes_on(id, self.now) {
            self.ends_in(id, span);
        }
        self.ask_for_handlers();
        Ok(())
    }

    /// What handlers ask the store goes on its way.
    fn ask_for_handlers(&mut self) {
        let stage = self.play.as_mut().and_then(|play| play.stage.as_mut());
        let asked = stage.map_or_else(Vec::new, |stage| stage.asked());
        for Asked { question, what } in asked {
            let wish = match what {
                What::Perform(operation) => Wish::Perform(Rc::new(*operation)),
                What::Fetch(wanted) => Wish::Fetch(Rc::new(wanted)),
            };
            self.send(Sender::Handler(question), wish);
        }
    }

    /// The store answers a handler, wherever it is by now.
    pub(super) fn handler_hears(&mut self, question: u64, answer: Answer) {
        let said = match answer {
            Answer::Performed(result) => Said::Performed(result),
            Answer::Fetched(result) => Said::Fetched(result),
        };
        if let Some(stage) = self.play.as_mut().and_then(|play| play.stage.as_mut()) {
            stage.answered(question, said);
        }
    }

    /// A body that is executed is told to stop; whether it is one.
    pub(super) fn stops(&mut self, id: BodyId, reason: StopReason) -> bool {
        let hurry = self.play.as_mut().and_then(|play| play.stops(id, reason));
        let Some(hurry) = hurry else { return false };
        let ignores = self.ghost.bodies[id.0].script.on_stop == OnStop::Ignores;
        let span = self.choices.magnitude(Label::Duration, 10, 5_000);
        match hurry {
            Hurry::Begins | Hurry::Polled => {
                self.push_in(span, Event::Act(id));
            }
            Hurry::Ends if ignores => {}
            Hurry::Ends => self.ends_in(id, span),
        }
        true
    }

    fn ends_in(&mut self, id: BodyId, span: u64) {
        let node = self.ghost.process(self.ghost.bodies[id.0].process).node;
        let key = self.push_in(span, Event::Finish(id));
        if let Some(Some(before)) = self.nodes[node].running.insert(id, Some(key)) {
            self.heap.remove(before);
        }
    }

    /// A body is gone, in whatever way.
    pub(super) fn exits(&mut self, id: BodyId) {
        if let Some(play) = &mut self.play {
            play.exits(id);
        }
    }

    /// Lets the futures of handlers go on up to the next event, or until some of them are woken.
    pub(super) fn advance_stage(&mut self) {
        let Some(stage) = self.play.as_mut().and_then(|play| play.stage.as_mut()) else {
            return;
        };
        let Some(next) = self.heap.next_at() else {
            return;
        };
        if let Some((at, woken)) = stage.advance(next) {
            for id in woken {
                self.push(at, Event::Act(id));
            }
        }
        self.ask_for_handlers();
    }

    /// Asks the properties, after an operation has landed or at the end.
    pub(super) fn judge(&mut self, over: bool) -> Check {
        let Some(play) = &mut self.play else {
            return Ok(());
        };
        let scene = Scene {
            ghost: &self.ghost,
            ledgers: &play.ledgers,
            sometimes: &self.sometimes,
            now: self.now,
            over,
        };
        if over {
            play.judge.over(scene)
        } else {
            play.judge.landed(scene)
        }
    }
}
