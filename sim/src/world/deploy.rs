//! Rolling deploys: nodes start again as another release of their service, and some go back to the one before.
//!
//! Invariant: when the faults stop, whoever lives on is of the last release.

use squid_mesh_core::worker::Input;

use super::liveness::Phase;
use super::{Event, World};
use crate::choice::Label;
use crate::story::Deed;
use crate::violation::Check;

impl World {
    /// Draws when which node gets the second release, and which go back in between. Without one nothing is drawn.
    pub(super) fn draw_deploys(&mut self) {
        if self.settings.releases.len() < 2 {
            return;
        }
        let mut at = self.settings.deploy;
        for node in 0..self.nodes.len() {
            self.nodes[node].lacks = self.lacked(node);
            self.push(at, Event::Deploy(node, 1));
            if self.choices.happens(Label::Strike, 250) {
                let back = self.choices.magnitude(Label::Strike, 100_000, 10_000_000);
                self.push(at.plus_micros(back), Event::Deploy(node, 0));
                let again = back + self.choices.magnitude(Label::Strike, 100_000, 10_000_000);
                self.push(at.plus_micros(again), Event::Deploy(node, 1));
            }
            at = at.plus_micros(self.choices.magnitude(Label::Strike, 1_000, 10_000_000));
        }
    }

    /// What a node can execute of no release.
    fn lacked(&self, node: usize) -> Vec<squid_mesh_core::name::Name> {
        let first = &self.settings.releases[0].handlers;
        let mut lacks = self.settings.nodes[node].lacks(&self.settings.cast);
        lacks.retain(|name| first.contains(name));
        lacks
    }

    /// A node is to start again as a release: gracefully, or not.
    pub(super) fn deploy(&mut self, node: usize, release: usize) -> Check {
        if self.phase != Phase::Faults {
            return Ok(());
        }
        self.trace.say(|| Deed::Installs { node, release });
        self.nodes[node].installed = release;
        let Some(process) = self.nodes[node].process else {
            return Ok(());
        };
        let gracefully = self.nodes[node].worker.is_some()
            && !self.nodes[node].frozen
            && !self.ghost.process(process).draining
            && self.choices.happens(Label::Strike, 700);
        if !gracefully {
            self.kill(node);
            return Ok(());
        }
        self.ghost.process_mut(process).draining = true;
        self.trace.event(self.now, 0x700 | (process.0 as u64) << 12);
        self.input(node, process, Input::Drain)
    }

    /// Every node that is not of the last release starts again as that.
    pub(super) fn end_deploys(&mut self) {
        let Some(last) = self.settings.releases.len().checked_sub(1) else {
            return;
        };
        for node in 0..self.nodes.len() {
            self.nodes[node].installed = last;
            if self.nodes[node].release == last {
                continue;
            }
            if self.nodes[node].process.is_some() {
                self.kill(node);
            }
            self.installs(node);
        }
    }

    /// A process of a node starts: it is of what is installed there.
    pub(super) fn installs(&mut self, node: usize) {
        let state = &mut self.nodes[node];
        state.release = state.installed;
        if let Some(release) = self.settings.releases.get(state.release) {
            self.settings.nodes[node].handlers = release.handlers_but(&state.lacks);
        }
    }
}
