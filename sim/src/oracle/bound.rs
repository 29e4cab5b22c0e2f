//! What bindings and routes give: the semantics once more, over parsed values.
//!
//! Invariant: made from what was really recorded, by no code of the engine's.

use squid_mesh_core::definition::{Binding, Condition, Operator, Origin, Path, Segment, Source};
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::Payload;

use serde_json::Value;

use crate::ghost::{Ghost, GhostRun, Progress};

/// What a binding gives in a run.
pub(crate) fn bound(ghost: &Ghost, id: RunId, binding: &Binding) -> Payload {
    let run = ghost.run(id);
    let part = |source: &Source| at(&origin(run, &source.origin), &source.path);
    let value = match binding {
        Binding::Whole(source) => part(source),
        Binding::Tuple(sources) => Value::Array(sources.iter().map(part).collect()),
        Binding::Object(fields) => fields
            .iter()
            .map(|(name, source)| (name.clone(), part(source)))
            .collect(),
        _ => Value::Null,
    };
    Payload::new(value.to_string().into_bytes())
}

fn origin(run: &GhostRun, origin: &Origin) -> Value {
    let of = |payload: &Option<Payload>| payload.as_ref().map_or(Value::Null, parsed);
    match origin {
        Origin::Input => parsed(&run.start.input),
        Origin::Output(step) => of(&run.steps[step.at()].output),
        Origin::Failure(step) => of(&run.steps[step.at()].failure),
        Origin::Either(steps) => {
            let succeeded = |step: &&squid_mesh_core::definition::StepIndex| {
                run.steps[step.at()].progress == Progress::Succeeded
            };
            let first = steps.iter().find(succeeded);
            first.map_or(Value::Null, |step| of(&run.steps[step.at()].output))
        }
        Origin::Constant(value) => value.clone(),
        _ => Value::Null,
    }
}

fn at(value: &Value, path: &Path) -> Value {
    let mut value = value;
    for segment in path.segments() {
        let next = match segment {
            Segment::Field(name) => value.get(name),
            Segment::Index(index) => value.get(*index as usize),
        };
        match next {
            Some(next) => value = next,
            None => return Value::Null,
        }
    }
    value.clone()
}

fn parsed(payload: &Payload) -> Value {
    serde_json::from_slice(payload.bytes()).unwrap_or(Value::Null)
}

/// The label that a route takes for an input, over whole numbers only.
pub(super) fn routed<'a>(
    conditions: &'a [Condition],
    fallback: Option<&'a Name>,
    input: &Payload,
) -> Option<&'a Name> {
    let input = parsed(input);
    let matches = |condition: &&Condition| {
        let value = at(&input, &condition.path);
        let number = |other: &Value| value.as_i64().zip(other.as_i64());
        match &condition.operator {
            Operator::Equals(other) => value == *other,
            Operator::NotEquals(other) => number(other).is_some_and(|(a, b)| a != b),
            Operator::GreaterThan(other) => number(other).is_some_and(|(a, b)| a > b),
            Operator::LessThan(other) => number(other).is_some_and(|(a, b)| a < b),
            Operator::In(others) => others.contains(&value),
            Operator::Exists(there) => *there != value.is_null(),
        }
    };
    let first = conditions.iter().find(matches);
    first.map(|condition| &condition.label).or(fallback)
}
