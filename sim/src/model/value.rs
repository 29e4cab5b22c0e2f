//! S1.5, S1.6: bindings and routes, over parsed JSON.
//!
//! Invariant: numbers compare by what they are worth; what a path does not lead to is nothing.

use std::cmp::Ordering;

use serde_json::{Map, Value};
use squid_mesh_core::definition::{Binding, Condition, Operator, Origin, Path, Segment, Source};
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Status;

use super::Model;
use crate::witness::{End, Seen, parsed};

/// What a binding gives in a run with this input; nothing if a path leads nowhere.
pub fn bound(input: &Payload, seen: &Seen, binding: &Binding) -> Option<Value> {
    let part = |source: &Source| {
        let whole = match &source.origin {
            Origin::Constant(value) => value.clone(),
            origin => given(input, seen, origin).map_or(Value::Null, parsed),
        };
        at(&whole, &source.path).cloned()
    };
    let field = |(name, source): (&String, _)| Some((name.clone(), part(source)?));
    match binding {
        Binding::Whole(source) => part(source),
        Binding::Tuple(sources) => sources.iter().map(part).collect(),
        Binding::Object(fields) => {
            let fields = fields.iter().map(field).collect::<Option<Map<_, _>>>();
            fields.map(Value::Object)
        }
        _ => Some(Value::Null),
    }
}

fn given<'a>(input: &'a Payload, seen: &'a Seen, origin: &Origin) -> Option<&'a Payload> {
    let step = match origin {
        Origin::Input => return Some(input),
        Origin::Output(step) | Origin::Failure(step) => &seen.steps[step.at()],
        Origin::Either(steps) => {
            let mut steps = steps.iter().map(|step| &seen.steps[step.at()]);
            steps.find(|step| step.end == End::Succeeded)?
        }
        _ => return None,
    };
    step.gave.as_ref()
}

fn at<'v>(value: &'v Value, path: &Path) -> Option<&'v Value> {
    let mut segments = path.segments().iter();
    segments.try_fold(value, |value, segment| match segment {
        Segment::Field(name) => value.get(name),
        Segment::Index(index) => value.get(*index as usize),
    })
}

impl Model<'_> {
    pub(super) fn bound(&self, binding: &Binding) -> Option<Value> {
        bound(self.facts.input, self.seen, binding)
    }

    /// Whether bytes are what a binding gives.
    pub(super) fn is_bound(&self, binding: &Binding, bytes: &Payload) -> bool {
        let same = match binding {
            Binding::Whole(Source { origin, path }) if path.is_whole() => {
                given(self.facts.input, self.seen, origin) == Some(bytes)
            }
            _ => false,
        };
        same || self.bound(binding) == Some(parsed(bytes))
    }

    pub(super) fn result_refused(&self) -> Option<String> {
        let binding = self.facts.definition.result();
        let right = match &self.seen.result {
            Some(result) => self.is_bound(binding, result),
            None => self.seen.status != Status::Completed || self.bound(binding).is_none(),
        };
        (!right).then(|| format!("its result may be {:?} only", self.bound(binding)))
    }
}

/// The label that a route takes.
pub(super) fn routed<'d>(
    (conditions, fallback): (&'d [Condition], Option<&'d Name>),
    input: &Value,
) -> Option<&'d Name> {
    let kind = |value: &Value| std::mem::discriminant(value);
    let matches = |condition: &&Condition| {
        let value = at(input, &condition.path);
        let is = |other: &Value, order| value.is_some_and(|v| compared(v, other) == Some(order));
        let like = |other: &Value| value.map(kind) == Some(kind(other));
        let there = value.is_some_and(|value| !value.is_null());
        match &condition.operator {
            Operator::Equals(other) => is(other, Ordering::Equal),
            Operator::NotEquals(Value::Null) => there,
            Operator::NotEquals(other) => like(other) && !is(other, Ordering::Equal),
            Operator::GreaterThan(other) => is(other, Ordering::Greater),
            Operator::LessThan(other) => is(other, Ordering::Less),
            Operator::In(others) => others.iter().any(|other| is(other, Ordering::Equal)),
            Operator::Exists(wanted) => there == *wanted,
        }
    };
    let first = conditions.iter().find(matches);
    first.map(|condition| &condition.label).or(fallback)
}

/// How two values compare, where that means something.
fn compared(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        _ => (one == other).then_some(Ordering::Equal),
    }
}
