//! Processes that are called alike: on different nodes, or one that stands still and the one that was started in its place.
//!
//! Invariant: a name is for people; whatever the engine does is the same as if every process had one of its own.

use super::liveness::Phase;
use super::node::Node;
use super::{Event, World};
use crate::choice::{Label, Topic};
use crate::clock::micros;
use crate::fault::Fault;
use crate::fault::sometimes::Milestone;
use crate::story::Trouble;

/// Most successors in one world.
const SUCCESSORS: usize = 3;

impl World {
    /// Draws which nodes are called like the one before them.
    pub(super) fn draw_names(&mut self) {
        let rate = self.settings.intensities.of(Fault::Namesake);
        for node in (1..self.nodes.len()).filter(|_| rate > 0) {
            let outer = self.choices.enter(Topic::Node, &[node as u64]);
            if self.choices.happens(Label::Namesake, rate) {
                let other = self.choices.index(Label::Namesake, node);
                self.nodes[node].named = self.nodes[other].named;
            }
            self.choices.leave(outer);
        }
    }

    /// The other nodes with a process of the same name.
    pub(super) fn namesakes(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        let named = self.nodes[node].named;
        (0..self.nodes.len()).filter(move |other| {
            let state = &self.nodes[*other];
            *other != node && state.named == named && state.process.is_some()
        })
    }

    /// A process starts, perhaps beside others of its name.
    pub(super) fn meets_namesakes(&mut self, node: usize) {
        let mut situations: Vec<_> = self
            .namesakes(node)
            .flat_map(|other| self.nodes[other].situations())
            .collect();
        situations.sort_unstable();
        situations.dedup();
        if situations.is_empty() {
            return;
        }
        for during in situations {
            self.fired(Fault::Namesake, during);
        }
        self.trace
            .fault(Fault::Namesake, || Trouble::Node(node, None));
    }

    /// A process stands still: whoever looks after it may take it for dead, and start another one in its place, on a node of
    /// the same set-up. It goes on later all the same.
    pub(super) fn maybe_replace(&mut self, node: usize) {
        let rate = self.settings.intensities.of(Fault::Replaced);
        let full = self.nodes.len() >= self.drawn_nodes + SUCCESSORS;
        if rate == 0
            || full
            || self.nodes[node].replaced
            || !matches!(self.phase, Phase::Faults)
            || !self.choices.happens(Label::Namesake, rate)
        {
            return;
        }
        self.fired_at(Fault::Replaced, node);
        let successor = self.nodes.len();
        let before = &mut self.nodes[node];
        before.replaced = true;
        let state = Node {
            installed: before.installed,
            lacks: before.lacks.clone(),
            booting: true,
            ..Node::called(before.named)
        };
        self.nodes.push(state);
        let setup = self.settings.nodes[node].clone();
        self.settings.nodes.push(setup);
        let longest = (micros(self.settings.lease) * 2).min(60_000_000);
        let span = self.choices.magnitude(Label::Namesake, 1_000, longest);
        self.push_in(span, Event::Boot(successor));
    }

    /// A process goes on that stood still.
    pub(super) fn goes_on_beside_successor(&mut self, node: usize) {
        if self.nodes[node].replaced && self.namesakes(node).next().is_some() {
            self.sometimes.reached(Milestone::OvertakenByName);
        }
    }
}
