//! Hints: sent after a commit to every process that serves the queue, and lost, late or doubled on the way.
//!
//! Invariant: no hint is ever needed.

use squid_mesh_core::name::{ENGINE_QUEUE, Name};
use squid_mesh_core::store::Hint;
use squid_mesh_core::worker::Input;

use super::{Event, World};
use crate::choice::Label;
use crate::fault::{Fault, Situation};
use crate::ghost::ProcessId;
use crate::story::Trouble;
use crate::violation::Check;

impl World {
    /// A hint goes out to every process that serves a queue.
    pub(super) fn hint_nodes(&mut self, queue: &Name) {
        if self.settings.hints_off {
            return;
        }
        for node in 0..self.nodes.len() {
            let Some(process) = self.nodes[node]
                .process
                .filter(|_| self.nodes[node].worker.is_some())
            else {
                continue;
            };
            let served = self.settings.nodes[node]
                .queues
                .iter()
                .any(|served| served.name == *queue);
            if !served && queue.as_str() != ENGINE_QUEUE {
                continue;
            }
            let rate = |fault| self.settings.intensities.of(fault);
            let (lost, twice, late) = (
                rate(Fault::HintLost),
                rate(Fault::HintTwice),
                rate(Fault::HintLate),
            );
            if lost > 0 && self.choices.strikes(Label::Hint, lost) {
                self.fired(Fault::HintLost, Situation::Idle);
                self.trace.fault(Fault::HintLost, || Trouble::Hint(node));
                continue;
            }
            let mut span = self.latency();
            if late > 0 && self.choices.strikes(Label::Hint, late) {
                self.fired(Fault::HintLate, Situation::Idle);
                self.trace.fault(Fault::HintLate, || Trouble::Hint(node));
                span += self.choices.magnitude(Label::Hint, 1_000, 10_000_000);
            }
            self.push_in(span, Event::Hint(process, queue.clone()));
            if twice > 0 && self.choices.strikes(Label::Hint, twice) {
                self.fired(Fault::HintTwice, Situation::Idle);
                self.trace.fault(Fault::HintTwice, || Trouble::Hint(node));
                self.push_in(span + 1, Event::Hint(process, queue.clone()));
            }
        }
    }

    /// A hint arrives.
    pub(super) fn hint(&mut self, process: ProcessId, queue: Name) -> Check {
        let node = self.ghost.process(process).node;
        if self.nodes[node].process != Some(process) {
            return Ok(());
        }
        if self.nodes[node].frozen {
            self.nodes[node].backlog.push(Event::Hint(process, queue));
            return Ok(());
        }
        self.trace.event(self.now, 0x600 | (process.0 as u64) << 12);
        self.input(node, process, Input::Hint(Hint { queue: Some(queue) }))
    }
}
