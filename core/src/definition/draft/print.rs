//! The JSON form of a draft.
//!
//! Invariant: what is printed of a valid draft parses back to the same draft; an option that is not given is not printed.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::kind::put_kind;
use super::{Draft, DraftGuard, DraftRetry, DraftSchedule, DraftStep, DraftTrigger, DraftUndo};
use crate::definition::contract::Contract;
use crate::definition::step::{OnLost, RouteMark};

impl Draft {
    /// The JSON form; [`Draft::parse`] takes it back.
    pub fn to_json(&self) -> Value {
        let mut object = Object::default();
        object.put("name", Some(&self.name));
        object.put("version", Some(self.version));
        object.put("label", self.label.as_ref());
        object.put("description", self.description.as_ref());
        object.put_contract("input", &self.input);
        object.put("triggers", list(&self.triggers, DraftTrigger::to_json));
        let steps: Vec<Value> = self.steps.iter().map(DraftStep::to_json).collect();
        object.put("steps", Some(steps));
        object.put("result", self.result.to_json());
        object.put("queue", self.queue.as_ref());
        object.put("priority", self.priority);
        object.put("deadline", self.deadline.map(|span| span.to_string()));
        object.into_value()
    }
}

impl DraftStep {
    pub(in super::super) fn to_json(&self) -> Value {
        let mut object = Object::default();
        object.put("name", Some(&self.name));
        object.put("label", self.label.as_ref());
        object.put("description", self.description.as_ref());
        put_kind(&mut object, &self.kind);
        object.put("needs", names(&self.needs));
        object.put("either", list(&self.either, |group| json!(group)));
        object.put("after", names(&self.after));
        object.put("when", guards(&self.when));
        object.put(self.input_key(), self.input.to_json());
        object.put("retry", self.retry.as_ref().map(DraftRetry::to_json));
        object.put("timeout", self.timeout.map(|span| span.to_string()));
        object.put("queue", self.queue.as_ref());
        object.put("priority", self.priority);
        object.put("labels", names(&self.labels));
        object.put("undo", self.undo.as_ref().map(DraftUndo::to_json));
        object.put("irreversible", self.irreversible);
        object.put("compensatable", self.compensatable);
        object.put("on_lost", self.on_lost.map(OnLost::as_str));
        object.put("transactional", self.transactional.then_some(true));
        object.put("mark", self.mark.map(RouteMark::as_str));
        object.into_value()
    }
}

impl DraftTrigger {
    fn to_json(&self) -> Value {
        let mut object = Object::default();
        object.put("name", Some(&self.name));
        object.put_contract("input", &self.input);
        object.put(
            "schedule",
            self.schedule.as_ref().map(DraftSchedule::to_json),
        );
        object.into_value()
    }
}

impl DraftGuard {
    fn to_json(&self) -> Value {
        json!({"step": self.step, "label": self.label})
    }
}

impl DraftUndo {
    fn to_json(&self) -> Value {
        let mut object = Object::default();
        object.put("handler", Some(&self.handler));
        object.put("retry", self.retry.as_ref().map(DraftRetry::to_json));
        object.put("timeout", self.timeout.map(|span| span.to_string()));
        object.into_value()
    }
}

fn names(names: &[String]) -> Option<&[String]> {
    (!names.is_empty()).then_some(names)
}

fn list<T>(items: &[T], print: impl Fn(&T) -> Value) -> Option<Vec<Value>> {
    (!items.is_empty()).then(|| items.iter().map(print).collect())
}

/// One guard stands for itself, several are an array.
fn guards(guards: &[DraftGuard]) -> Option<Value> {
    match guards {
        [] => None,
        [guard] => Some(guard.to_json()),
        [..] => Some(guards.iter().map(DraftGuard::to_json).collect()),
    }
}

/// An object that leaves out what is not given.
#[derive(Default)]
pub(super) struct Object(Map<String, Value>);

impl Object {
    pub(super) fn put(&mut self, key: &str, value: Option<impl Into<Printed>>) {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), value.into().0);
        }
    }

    /// A contract that takes anything is the one of who gives none.
    pub(super) fn put_contract(&mut self, key: &str, contract: &Contract) {
        self.put(
            key,
            (*contract != Contract::Any).then(|| contract.to_json()),
        );
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// What a field can be printed from.
pub(super) struct Printed(Value);

macro_rules! printed {
    ($($from:ty),*) => {
        $(impl From<$from> for Printed {
            fn from(from: $from) -> Printed {
                Printed(json!(from))
            }
        })*
    };
}

printed!(
    &String,
    String,
    &str,
    &[String],
    bool,
    u32,
    i16,
    Value,
    Vec<Value>
);

impl Serialize for Draft {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::definition::samples;

    #[test]
    fn a_draft_prints_the_json_it_was_read_from() {
        let json = samples::order();
        assert_eq!(Draft::parse(&json).unwrap().to_json(), json);
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back_to_the_same_draft(draft in samples::any_draft()) {
            prop_assert_eq!(Draft::parse(&draft.to_json()).unwrap(), draft.clone());
            let text = serde_json::to_string(&draft).unwrap();
            prop_assert_eq!(&Draft::parse_text(&text).unwrap(), &draft);
            prop_assert_eq!(serde_json::from_str::<Draft>(&text).unwrap(), draft);
        }
    }
}
