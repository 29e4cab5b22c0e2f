//! The ways in which a step may end, by where the graph leads.
//!
//! Invariant: what the graph and the facts settle leaves one way; each further one is something that a fault can bring about.

use squid_mesh_core::definition::{Step, StepIndex};

use super::Model;
use super::graph::Reach;
use crate::witness::{End, Order, Way};

impl<'m> Model<'m> {
    pub(super) fn steps_refused(&self) -> Option<String> {
        self.facts.definition.indexes().find_map(|step| {
            let (spec, seen) = (self.facts.definition.step(step), self.step(step));
            let (worked, reach) = (&self.facts.steps[step.at()], self.reach(step));
            let (since, on) = match reach {
                Reach::On(since) => (since, self.taken_over(step).is_none()),
                Reach::Never(since) => (since, false),
                Reach::Waits => (1, false),
            };
            let ways = self.ways(step, spec, reach);
            let going = !self.seen.status.is_terminal() && !matches!(reach, Reach::Never(_));
            let ended = seen.at >= since && ways.iter().any(|way| way.is(seen));
            let idle = worked.attempts.is_empty() && worked.children.is_empty();
            let why = match (ended || going && seen.end == End::Open, on || idle) {
                (false, _) => format!("since {since} it may {ways:?}"),
                (true, false) => "nothing was to be done about it, and something was".into(),
                (true, true) => self.tries_refused(step, spec)?,
            };
            Some(format!("step {} is {seen:?}; {why}", spec.name))
        })
    }

    fn ways(&self, step: StepIndex, spec: &'m Step, reach: Reach) -> Vec<Way<'m>> {
        if let Some(source) = self.taken_over(step) {
            return vec![Way::like(source)];
        }
        // Whatever somebody decided about it had its effect before the run began to end.
        let decided = |order: &Order<'_>| match order {
            Order::Decided(of, _) | Order::Succeeded(of, ..) | Order::Failed(of, _) => {
                (*of == step).then_some(())
            }
            _ => None,
        };
        match reach {
            Reach::Never(at) if at < self.cut => vec![Way::SKIP],
            Reach::Never(_) => vec![Way::SKIP, Way::CANCEL],
            Reach::Waits => vec![Way::CANCEL],
            Reach::On(_) => {
                let mut ways = self.own_ways(step, spec);
                let ending = self.cut < u32::MAX && self.facts.said(decided).is_none();
                ways.extend(ending.then_some(Way::CANCEL));
                ways
            }
        }
    }
}
