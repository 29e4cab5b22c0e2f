//! Reading JSON text.
//!
//! Invariant: no part of the text is dropped; a field that is given twice is an error, not the last one's victory.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::definition::problem::{Problem, ProblemCode, Problems};

/// The JSON value of a text.
pub(in super::super) fn json(text: &str) -> Result<Value, Problems> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Strict.deserialize(&mut reader);
    value
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| {
            let message = format!("the text cannot be read as JSON: {error}");
            Problem::new("", ProblemCode::MalformedJson, message).into()
        })
}

/// Builds a value as serde_json does, field names apart.
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Strict)? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let value = fields.next_value_seed(Strict)?;
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("field {name:?} is given twice")));
            }
            object.insert(name, value);
        }
        Ok(object.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::definition::samples;

    #[test]
    fn a_text_that_is_no_json_is_a_problem_and_no_panic() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{",
            "nul",
            "{} {}",
            "{\"a\": 1e999}",
            "\u{feff}{}",
            deep.as_str(),
        ] {
            let problems = json(text).unwrap_err();
            assert_eq!(
                problems.as_slice()[0].code,
                ProblemCode::MalformedJson,
                "{text:.20}"
            );
        }
    }

    #[test]
    fn a_field_given_twice_is_named() {
        let problems = json(r#"{"steps": [{"name": "a", "name": "b"}]}"#).unwrap_err();
        assert!(
            problems
                .to_string()
                .contains("field \"name\" is given twice"),
            "{problems}"
        );
    }

    proptest! {
        #[test]
        fn every_value_reads_back_as_it_was_written(value in samples::any_json()) {
            prop_assert_eq!(json(&value.to_string()).unwrap(), value);
        }
    }
}
