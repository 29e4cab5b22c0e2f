//! The ways in which a step may end that is reached, by its kind.
//!
//! Invariant: a kind of step that is not here cannot end.

use std::time::Duration;

use serde_json::{Value, json};
use squid_mesh_core::definition::{Step, StepIndex, StepKind, Way as Went, label};
use squid_mesh_core::event::code;
use squid_mesh_core::limits;
use squid_mesh_core::name::Name;
use squid_mesh_core::time::Timestamp;

use super::Model;
use super::graph::Reach;
use super::value::routed;
use crate::witness::{Came, Child, End, Gives, Order, Way, covers, parsed};

/// Bytes of what is said of a failure beside its details, at most.
const SAID: usize = 400;

impl<'m> Model<'m> {
    pub(super) fn own_ways(&self, step: StepIndex, spec: &'m Step) -> Vec<Way<'m>> {
        let worked = &self.facts.steps[step.at()];
        match &spec.kind {
            StepKind::Handler { .. } => self.handler(step, spec),
            StepKind::Wait { .. } => vec![Way::PASS],
            StepKind::Log { .. } if worked.logged => vec![Way::PASS],
            StepKind::Pause { deadline } | StepKind::Approval { deadline } => {
                let decided = |order: &Order<'_>| match order {
                    Order::Decided(of, way) if *of == step => Some(goes(spec, way)),
                    _ => None,
                };
                let decided = self.facts.said(decided);
                decided.map_or_else(|| self.expired(step, *deadline), |way| vec![way])
            }
            StepKind::Signal {
                deadline, signal, ..
            } => {
                let received = self.received(step, signal);
                received.unwrap_or_else(|| self.expired(step, *deadline))
            }
            kind => match self.bound(&spec.input) {
                None => vec![Way::fails(code::MISSING_INPUT_PATH)],
                Some(input) => match kind {
                    StepKind::Until => self.until(&input),
                    StepKind::Each { collect, .. } => self.each(&worked.children, *collect, &input),
                    StepKind::Child { detach, .. } => child(&worked.children, *detach, &input),
                    StepKind::Route {
                        conditions,
                        fallback,
                    } => {
                        let taken = routed((conditions, fallback.as_ref()), &input);
                        let goes = |way: &Name| Way::gives(spec.way(way.as_str()), Gives::Nothing);
                        vec![taken.map_or_else(|| Way::fails(code::NO_MATCHING_ROUTE), goes)]
                    }
                    _ => Vec::new(),
                },
            },
        }
    }

    /// S5.2: a gate that nobody ended in time.
    fn expired(&self, step: StepIndex, deadline: Option<Duration>) -> Vec<Way<'m>> {
        let spec = self.facts.definition.step(step);
        let way = spec.way(label::EXPIRED).map(Went::Label);
        let steps = self.facts.definition.steps().iter();
        let mut guards = steps.flat_map(|other| &other.guards);
        let wired = guards.any(|guard| guard.step == step && way.as_ref() == Some(&guard.way));
        match deadline {
            None => Vec::new(),
            Some(_) if wired => vec![goes(spec, label::EXPIRED)],
            Some(_) => vec![Way::fails(code::EXPIRED)],
        }
    }

    /// S5.3: whoever has waited longest takes what comes, and who comes later the oldest that was kept. Nothing, if nothing
    /// is left for the step.
    fn received(&self, step: StepIndex, signal: &Name) -> Option<Vec<Way<'m>>> {
        let way = self.facts.definition.step(step).way(label::RECEIVED);
        let takes = |(_, payload)| Way::gives(way, Gives::Bytes(payload));
        if self.facts.delayed {
            // When the first gates opened is open.
            let received = self.step(step).label == way;
            return received.then(|| self.facts.signals(signal).map(takes).collect());
        }
        // Since when each step waits, and until when.
        let waits = |step: StepIndex| {
            let kind = &self.facts.definition.step(step).kind;
            let own = matches!(kind, StepKind::Signal { signal: own, .. } if own == signal);
            let seen = self.step(step);
            let until = Some(seen.at).filter(|_| seen.end != End::Open);
            match self.reach(step) {
                Reach::On(since) if own && self.taken_over(step).is_none() => {
                    Some((since, step, until.unwrap_or(u32::MAX)))
                }
                _ => None,
            }
        };
        let mut waiting: Vec<_> = self.facts.definition.indexes().filter_map(waits).collect();
        waiting.sort_unstable();
        self.facts.signals(signal).find_map(|(at, payload)| {
            let first = waiting.iter().position(|(.., until)| at <= *until)?;
            let taken = waiting.remove(first).1 == step;
            taken.then(|| vec![takes((at, payload))])
        })
    }

    /// S1.3: what is years beyond the longest wait from the start is too far from any later instant too.
    fn until(&self, input: &Value) -> Vec<Way<'m>> {
        let millis = input.as_i64().map(|millis| millis.saturating_mul(1_000));
        let text = || serde_json::from_value(input.clone()).ok();
        let far = self.facts.started.plus(limits::WAIT_MAX);
        let fails = Way::fails(code::INVALID_WAIT);
        match millis.map(Timestamp::from_micros).or_else(text) {
            Some(at) if at <= far => vec![Way::PASS],
            Some(at) if at > far.plus(limits::WAIT_MAX) => vec![fails],
            None if !input.is_string() => vec![fails],
            _ => vec![Way::PASS, fails],
        }
    }

    /// S10.4: one child an element, in order.
    fn each(&self, children: &[Child<'_>], collect: bool, input: &Value) -> Vec<Way<'m>> {
        let Value::Array(elements) = input else {
            return vec![Way::fails(code::INVALID_INPUT)];
        };
        let element = |child: &Child<'_>| elements.get(child.number? as usize);
        let own = |child: &Child<'_>| element(child).is_some_and(|element| fits(child, element));
        if !children.iter().all(own) {
            return Vec::new();
        }
        let outcome = |child: &Child<'_>| match (&child.came, collect) {
            (Came::Result(Some(result)), false) => Some(result.clone()),
            (_, false) | (Came::Unknown, _) => None,
            (Came::Result(Some(one)), _) => Some(json!({"status": "completed", "result": one})),
            (Came::Cancel, _) => Some(json!({"status": "cancelled"})),
            (came, _) => Some(json!({"status": "failed", "failure": failure(came)})),
        };
        let outcomes: Option<Vec<Value>> = children.iter().map(outcome).collect();
        let outcomes = outcomes.filter(|outcomes| outcomes.len() == elements.len());
        let mut ways = outcomes.map_or_else(not_started, |outcomes| {
            let (all, more) = (Value::Array(outcomes), SAID * elements.len());
            let large = all.to_string().len() + more > self.facts.largest;
            let fails = large.then(|| Way::fails(code::PAYLOAD_TOO_LARGE));
            fails
                .into_iter()
                .chain([Way::gives(None, Gives::Json(all))])
                .collect()
        });
        let spoilt = children.iter().filter_map(|child| spoilt(&child.came));
        ways.extend(spoilt.filter(|_| !collect));
        ways
    }
}

/// A gate goes a way.
fn goes<'m>(spec: &Step, way: &str) -> Way<'m> {
    Way::gives(spec.way(way), Gives::Json(json!({"decision": way})))
}

fn child<'m>(children: &[Child<'_>], detach: bool, input: &Value) -> Vec<Way<'m>> {
    match children.first().map(|child| (child, &child.came)) {
        None => not_started(),
        Some((child, _)) if !fits(child, input) => Vec::new(),
        Some(_) if detach => vec![Way::gives(None, Gives::Id)],
        Some((_, Came::Result(Some(one)))) => vec![Way::gives(None, Gives::Json(one.clone()))],
        Some((_, came)) => spoilt(came).into_iter().collect(),
    }
}

/// What keeps a child from being started.
fn not_started<'m>() -> Vec<Way<'m>> {
    let unknown = [code::UNKNOWN_WORKFLOW, code::LIMIT_EXCEEDED].map(Way::fails);
    let unfit = [code::INVALID_INPUT, code::PAYLOAD_TOO_LARGE].map(Way::fails);
    unknown.into_iter().chain(unfit).collect()
}

/// What a parent hears of a child's failure.
fn failure(came: &Came) -> Value {
    match came {
        Came::Failure(Some(own)) => json!({"code": code::CHILD_FAILED, "details": own}),
        _ => json!({"code": code::CHILD_FAILED}),
    }
}

/// What a step fails with because of what came of a child.
pub(super) fn spoilt<'m>(came: &Came) -> Option<Way<'m>> {
    match came {
        Came::Failure(_) | Came::Result(None) => Some(Way::fails_with(failure(came))),
        Came::Cancel => Some(Way::fails(code::CHILD_CANCELLED)),
        Came::Result(Some(_)) | Came::Unknown => None,
    }
}

/// Whether a child was given this; its contract may have added fields.
fn fits(child: &Child<'_>, input: &Value) -> bool {
    covers(&parsed(child.input), input)
}
