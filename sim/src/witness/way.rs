//! One way in which a step may end: the words in which the reference model answers.
//!
//! Invariant: what a way leaves open, any step that is seen to have ended in it may fill.

use serde_json::{Value, json};
use squid_mesh_core::definition::LabelIndex;
use squid_mesh_core::payload::Payload;

use super::{End, SeenStep};

/// One way in which a step may end.
#[derive(Debug)]
pub struct Way<'w> {
    /// How.
    pub end: End,
    label: Option<LabelIndex>,
    gives: Gives<'w>,
}

/// The output or failure that a step may have.
#[derive(Debug)]
pub enum Gives<'w> {
    /// None.
    Nothing,
    /// These bytes.
    Bytes(&'w Payload),
    /// JSON that says at least this.
    Json(Value),
    /// The id of a run.
    Id,
}

impl<'w> Way<'w> {
    /// Not reached.
    pub const SKIP: Way<'static> = Way::new(End::Skipped, None, Gives::Nothing);
    /// Ended with the run.
    pub const CANCEL: Way<'static> = Way::new(End::Cancelled, None, Gives::Nothing);
    /// Ended by itself.
    pub const PASS: Way<'static> = Way::new(End::Succeeded, None, Gives::Nothing);

    const fn new(end: End, label: Option<LabelIndex>, gives: Gives<'w>) -> Way<'w> {
        Way { end, label, gives }
    }

    /// With an output.
    pub fn gives(label: Option<LabelIndex>, gives: Gives<'w>) -> Way<'w> {
        Way::new(End::Succeeded, label, gives)
    }

    /// With a failure of this code.
    pub fn fails(code: &str) -> Way<'w> {
        Way::fails_with(json!({"code": code}))
    }

    /// With a failure that says at least this.
    pub fn fails_with(failure: Value) -> Way<'w> {
        Way::new(End::Failed, None, Gives::Json(failure))
    }

    /// In the way in which another step has.
    pub fn like(other: &'w SeenStep) -> Way<'w> {
        let gives = other.gave.as_ref().map_or(Gives::Nothing, Gives::Bytes);
        Way::new(other.end, other.label, gives)
    }

    /// Whether a step has ended in this way.
    pub fn is(&self, seen: &SeenStep) -> bool {
        let gives = match (&self.gives, &seen.gave) {
            (Gives::Nothing, given) => given.is_none(),
            (Gives::Bytes(bytes), Some(given)) => *bytes == given,
            (Gives::Json(value), Some(given)) => covers(&parsed(given), value),
            (Gives::Id, Some(given)) => parsed(given).is_string(),
            (_, None) => false,
        };
        let label = self.end != End::Succeeded || self.label == seen.label;
        self.end == seen.end && label && gives
    }
}

/// The JSON of a payload; `null` if it is none.
pub fn parsed(payload: &Payload) -> Value {
    serde_json::from_slice(payload.bytes()).unwrap_or(Value::Null)
}

/// Whether a value says everything that another says; it may have more fields.
pub fn covers(value: &Value, other: &Value) -> bool {
    match (value, other) {
        (Value::Array(all), Value::Array(others)) => {
            all.len() == others.len() && all.iter().zip(others).all(|(a, b)| covers(a, b))
        }
        (Value::Object(all), Value::Object(others)) => {
            let mut others = others.iter();
            others.all(|(name, other)| all.get(name).is_some_and(|value| covers(value, other)))
        }
        _ => value == other,
    }
}
