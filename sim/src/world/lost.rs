//! Nodes that are lost for ever.
//!
//! Invariant: at least one node stays that can execute everything.

use super::liveness::Phase;
use super::request::Sender;
use super::strike::Strike;
use super::{Event, World};
use crate::choice::Label;
use crate::clock::SimTime;
use crate::fault::Fault;
use crate::fault::sometimes::Milestone;

/// How many losses a seed may draw, besides those of nodes that have just claimed or decided something.
const LOSSES: u32 = 2;

impl World {
    /// Draws when nodes are lost.
    pub(super) fn draw_losses(&mut self) {
        self.draw_apart(Fault::NodeLost, LOSSES, Label::Loss, |world| {
            let horizon = world.settings.horizon.0;
            let at = world.choices.magnitude(Label::Loss, 200_000, horizon);
            let strike = Strike {
                fault: Fault::NodeLost,
                node: world.choices.index(Label::Loss, world.nodes.len()),
                span: 0,
                aimed: false,
            };
            world.push(SimTime(at), Event::Strike(strike));
        });
    }

    /// The node that has just claimed something, or whose operation has just come to be in doubt, is lost: one time in so many
    /// of the usual.
    pub(super) fn maybe_lose_holder(&mut self, sender: Sender, times: u32) {
        let rate = self.settings.intensities.of(Fault::NodeLost) / times;
        if rate == 0
            || !matches!(self.phase, Phase::Faults)
            || !self.choices.happens(Label::Loss, rate)
        {
            return;
        }
        let Some(process) = self.process_of(sender) else {
            return;
        };
        let node = self.ghost.process(process).node;
        if self.nodes[node].process == Some(process) {
            self.lose_node(node);
        }
    }

    /// A node is lost, unless it is the last one that can execute everything.
    pub(super) fn lose_node(&mut self, node: usize) {
        let others = (0..self.nodes.len()).filter(|other| *other != node);
        let left = others.filter(|other| self.is_capable(*other)).count();
        let Some(process) = self.nodes[node].process else {
            return;
        };
        if left == 0 || self.nodes[node].lost {
            return;
        }
        self.fired_at(Fault::NodeLost, node);
        let mut doubts = self.in_doubt.values().map(|doubt| doubt.request.sender);
        if doubts.any(|sender| self.process_of(sender) == Some(process)) {
            self.sometimes.reached(Milestone::LostInDoubt);
        }
        self.nodes[node].lost = true;
        self.kill(node);
        if self.nodes.iter().filter(|node| !node.lost).count() == 1 {
            self.sometimes.reached(Milestone::OneNodeLeft);
        }
    }
}
