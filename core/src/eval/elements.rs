//! The elements that `each` goes through, and what becomes of them.
//!
//! Invariant: elements keep their bytes and their order.

use super::scan::{self, Kind};
use super::writer::{ArrayWriter, ObjectWriter};
use crate::event::{Failure, code};
use crate::limits;
use crate::payload::Payload;

/// How one element of an `each` ended that gathers outcomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElementOutcome {
    /// Its run completed with this result.
    Completed(Payload),
    /// Its run failed; the [payload](super::failure_payload) of its failure.
    Failed(Payload),
    /// Its run was cancelled.
    Cancelled,
}

/// Takes an array apart into the bytes of its elements, at most [`limits::EACH_ELEMENTS`] of them.
///
/// # Errors
/// A failure that no attempt can mend: the input is no JSON or no array (`invalid_input`), or has more elements
/// (`limit_exceeded`).
pub fn elements(input: &Payload) -> Result<Vec<Payload>, Failure> {
    let limit = limits::EACH_ELEMENTS;
    let mut found = Vec::new();
    let mut count = 0;
    let kind = scan::whole(input.bytes(), |scanner| {
        let kind = scanner.kind()?;
        if kind != Kind::Array {
            return scanner.skip().map(|()| kind);
        }
        scanner.array(|scanner, position| {
            count = position + 1;
            let element = scanner.value()?;
            if count <= limit {
                found.push(Payload::new(element.as_bytes()));
            }
            Ok(())
        })?;
        Ok(kind)
    })
    .map_err(super::invalid_input)?;
    if kind != Kind::Array {
        let message = format!("the input is {kind}, not an array");
        return Err(Failure::new(code::INVALID_INPUT, &message, false));
    }
    if count > limit {
        let message = format!("the input has {count} elements, the limit is {limit}");
        return Err(Failure::new(code::LIMIT_EXCEEDED, &message, false));
    }
    Ok(found)
}

/// An array of these elements.
pub fn array(parts: &[Payload]) -> Payload {
    let mut array = ArrayWriter::default();
    for part in parts {
        array.item(part.bytes());
    }
    array.finish()
}

/// An array of what became of the elements: `{"status":"completed","result":..}`, `{"status":"failed","failure":{..}}` or
/// `{"status":"cancelled"}`.
pub fn outcomes(elements: &[ElementOutcome]) -> Payload {
    let mut array = ArrayWriter::default();
    for element in elements {
        let mut object = ObjectWriter::default();
        match element {
            ElementOutcome::Completed(result) => {
                object.text("status", Some("completed"));
                object.field("result", result.bytes());
            }
            ElementOutcome::Failed(failure) => {
                object.text("status", Some("failed"));
                object.field("failure", failure.bytes());
            }
            ElementOutcome::Cancelled => object.text("status", Some("cancelled")),
        }
        array.item(object.finish().bytes());
    }
    array.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::eval::samples;

    fn split(json: &str) -> Result<Vec<String>, Failure> {
        let text = |part: Payload| String::from_utf8(part.bytes().to_vec()).unwrap();
        let elements = elements(&Payload::new(json.as_bytes()))?;
        Ok(elements.into_iter().map(text).collect())
    }

    #[test]
    fn elements_keep_their_bytes_and_lose_the_space_around_them() {
        for (json, parts) in [
            ("[]", vec![]),
            (" [ ] ", vec![]),
            (
                r#"[ 1.50 , "a]\"[,\\" ,[ 2, [] ],{"k" : "]"},null]"#,
                vec![
                    "1.50",
                    r#""a]\"[,\\""#,
                    "[ 2, [] ]",
                    r#"{"k" : "]"}"#,
                    "null",
                ],
            ),
        ] {
            assert_eq!(split(json).unwrap(), parts);
        }
    }

    #[test]
    fn what_is_no_array_or_no_json_is_an_invalid_input() {
        for json in [
            "null", "{}", "\"[]\"", "1", "", "[1,]", "[1", "[1]]", "[nul]",
        ] {
            let failure = split(json).unwrap_err();
            assert_eq!(
                (failure.code.as_str(), failure.retryable),
                ("invalid_input", false),
                "{json}"
            );
        }
        let message = split("{}").unwrap_err().message;
        assert_eq!(message, "the input is an object, not an array");
    }

    #[test]
    fn a16_6_ten_thousand_elements_are_taken_and_one_more_is_not() {
        let of = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        assert_eq!(split(&of(10_000)).unwrap().len(), limits::EACH_ELEMENTS);
        let failure = split(&of(10_001)).unwrap_err();
        assert_eq!(
            (failure.code.as_str(), failure.retryable),
            ("limit_exceeded", false)
        );
        assert_eq!(
            failure.message,
            "the input has 10001 elements, the limit is 10000"
        );
    }

    #[test]
    fn outcomes_are_told_apart_by_their_status() {
        let outcomes = outcomes(&[
            ElementOutcome::Completed(Payload::new(*b" 1.0")),
            ElementOutcome::Failed(Payload::new(*br#"{"code":"x"}"#)),
            ElementOutcome::Cancelled,
        ]);
        let expected: &[u8] = br#"[{"status":"completed","result": 1.0},{"status":"failed","failure":{"code":"x"}},{"status":"cancelled"}]"#;
        assert_eq!(outcomes.bytes(), expected);
    }

    proptest! {
        #[test]
        fn an_array_comes_apart_into_what_it_was_joined_from(
            parts in proptest::collection::vec(samples::text(), 0..6),
        ) {
            let payloads: Vec<Payload> = parts.iter().map(|part| Payload::new(part.as_bytes())).collect();
            let joined = array(&payloads);
            prop_assert!(serde_json::from_slice::<Value>(joined.bytes()).is_ok());
            let trimmed: Vec<&str> = parts.iter().map(|part| part.trim_matches([' ', '\n', '\r', '\t'])).collect();
            prop_assert_eq!(split(std::str::from_utf8(joined.bytes()).unwrap()).unwrap(), trimmed);
        }
    }
}
