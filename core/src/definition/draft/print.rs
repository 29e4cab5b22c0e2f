//! The JSON form of a draft.
//!
//! Invariant: what is printed parses back to the same draft; an option that is not given is not printed.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{Draft, DraftBackoff, DraftBinding, DraftKind, DraftRetry, DraftSource, DraftStep};
use crate::definition::contract::Contract;

impl Draft {
    /// The JSON form; [`Draft::parse`] takes it back.
    pub fn to_json(&self) -> Value {
        let mut object = Object::default();
        object.put("name", Some(&self.name));
        object.put("version", Some(self.version));
        object.put("label", self.label.as_ref());
        object.put("description", self.description.as_ref());
        object.put(
            "input",
            (self.input != Contract::Any).then(|| self.input.to_json()),
        );
        let steps: Vec<Value> = self.steps.iter().map(DraftStep::to_json).collect();
        object.put("steps", Some(steps));
        object.put("result", self.result.to_json());
        object.put("queue", self.queue.as_ref());
        object.put("priority", self.priority);
        object.put("deadline", self.deadline.map(|span| span.to_string()));
        Value::Object(object.0)
    }
}

impl DraftStep {
    pub(in super::super) fn to_json(&self) -> Value {
        let mut object = Object::default();
        object.put("name", Some(&self.name));
        object.put("label", self.label.as_ref());
        object.put("description", self.description.as_ref());
        match &self.kind {
            DraftKind::Handler(handler) => object.put("handler", Some(handler)),
            DraftKind::Wait(span) => object.put("wait", Some(span.to_string())),
        }
        object.put("needs", names(&self.needs));
        object.put("after", names(&self.after));
        object.put("input", self.input.to_json());
        object.put("retry", self.retry.as_ref().map(DraftRetry::to_json));
        object.put("timeout", self.timeout.map(|span| span.to_string()));
        object.put("queue", self.queue.as_ref());
        object.put("priority", self.priority);
        Value::Object(object.0)
    }
}

fn names(names: &[String]) -> Option<&[String]> {
    (!names.is_empty()).then_some(names)
}

impl DraftBinding {
    fn to_json(&self) -> Option<Value> {
        match self {
            DraftBinding::Nothing => None,
            DraftBinding::Whole(source) => Some(source.to_json()),
            DraftBinding::Tuple(sources) => {
                Some(sources.iter().map(DraftSource::to_json).collect())
            }
            DraftBinding::Object(sources) => {
                let sources = sources
                    .iter()
                    .map(|(name, source)| (name.clone(), source.to_json()));
                Some(json!({ "object": sources.collect::<Map<String, Value>>() }))
            }
        }
    }
}

impl DraftSource {
    fn to_json(&self) -> Value {
        match self {
            DraftSource::Input => json!("input"),
            DraftSource::Output(step) => json!(format!("output({step})")),
            DraftSource::Constant(value) => json!({ "constant": value }),
        }
    }
}

impl DraftRetry {
    fn to_json(&self) -> Value {
        let mut object = Object::default();
        object.put("max_attempts", Some(self.max_attempts));
        object.put("max_lost", self.max_lost);
        object.put("backoff", self.backoff.as_ref().map(DraftBackoff::to_json));
        Value::Object(object.0)
    }
}

impl DraftBackoff {
    fn to_json(&self) -> Value {
        let mut object = Object::default();
        object.put("kind", Some(self.kind.as_str()));
        object.put("min", self.min.map(|span| span.to_string()));
        object.put("max", self.max.map(|span| span.to_string()));
        object.put("factor", self.factor_thousandths.map(decimal));
        object.put(
            "jitter",
            self.jitter_thousandths.map(|part| decimal(part.into())),
        );
        Value::Object(object.0)
    }
}

/// Thousandths as the JSON number they are.
fn decimal(thousandths: u32) -> Value {
    let (whole, rest) = (thousandths / 1_000, thousandths % 1_000);
    if rest == 0 {
        return json!(whole);
    }
    let text = format!("{whole}.{rest:03}");
    let number = serde_json::from_str(text.trim_end_matches('0'));
    number.expect("digits with a point are a JSON number")
}

/// An object that leaves out what is not given.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn put(&mut self, key: &str, value: Option<impl Into<Printed>>) {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), value.into().0);
        }
    }
}

/// What a field can be printed from.
struct Printed(Value);

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

    #[test]
    fn thousandths_print_as_the_shortest_decimal() {
        for (thousandths, text) in [
            (0, "0"),
            (1_000, "1"),
            (1_500, "1.5"),
            (1, "0.001"),
            (u32::MAX, "4294967.295"),
        ] {
            assert_eq!(decimal(thousandths).to_string(), text);
        }
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
