//! Bindings: how an input or a result is put together from payloads.
//!
//! Payloads are spliced as bytes: nothing is parsed, so what a handler returned is what the next one gets.
//!
//! Invariant: if every part is JSON, so is what is put together; it depends on the binding and the parts only.

use std::collections::BTreeMap;

use crate::definition::{Binding, Source};
use crate::event::{Failure, code};
use crate::payload::Payload;

/// Puts an input or a result together. `parts` is parallel to [`Binding::sources`]: the payload of each source, none for
/// a constant and for an output that is null (that of a wait).
///
/// # Errors
/// A failure that no attempt can mend: there are not as many parts as sources, or the run's input is missing.
pub fn bind(binding: &Binding, parts: &[Option<Payload>]) -> Result<Payload, Failure> {
    let sources = binding.sources().len();
    if sources != parts.len() {
        let message = format!(
            "the binding has {sources} sources, the task names {}",
            parts.len()
        );
        return Err(Failure::new(code::UNREADABLE, &message, false));
    }
    match binding {
        Binding::Nothing => Ok(Payload::null()),
        Binding::Whole(source) => whole(source, parts[0].as_ref()),
        Binding::Tuple(sources) => tuple(sources, parts),
        Binding::Object(fields) => object(fields, parts),
    }
}

fn whole(source: &Source, part: Option<&Payload>) -> Result<Payload, Failure> {
    if let Some(part) = part {
        return Ok(part.clone());
    }
    let mut bytes = Vec::new();
    splice(&mut bytes, source, part)?;
    Ok(Payload::new(bytes))
}

fn tuple(sources: &[Source], parts: &[Option<Payload>]) -> Result<Payload, Failure> {
    let mut bytes = vec![b'['];
    for (at, (source, part)) in sources.iter().zip(parts).enumerate() {
        if at > 0 {
            bytes.push(b',');
        }
        splice(&mut bytes, source, part.as_ref())?;
    }
    bytes.push(b']');
    Ok(Payload::new(bytes))
}

fn object(
    fields: &BTreeMap<String, Source>,
    parts: &[Option<Payload>],
) -> Result<Payload, Failure> {
    let mut bytes = vec![b'{'];
    for (at, ((name, source), part)) in fields.iter().zip(parts).enumerate() {
        if at > 0 {
            bytes.push(b',');
        }
        serde_json::to_writer(&mut bytes, name).expect("writing text into memory cannot fail");
        bytes.push(b':');
        splice(&mut bytes, source, part.as_ref())?;
    }
    bytes.push(b'}');
    Ok(Payload::new(bytes))
}

fn splice(bytes: &mut Vec<u8>, source: &Source, part: Option<&Payload>) -> Result<(), Failure> {
    match (source, part) {
        (Source::Constant(value), _) => {
            serde_json::to_writer(bytes, value).expect("writing JSON into memory cannot fail");
        }
        (Source::Input | Source::Output(_), Some(part)) => bytes.extend_from_slice(part.bytes()),
        (Source::Output(_), None) => bytes.extend_from_slice(b"null"),
        (Source::Input, None) => {
            return Err(Failure::new(
                code::UNREADABLE,
                "the task does not name the run's input",
                false,
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::StepIndex;

    fn part(text: &str) -> Option<Payload> {
        Some(Payload::new(text.as_bytes()))
    }

    fn bound(binding: &Binding, parts: &[Option<Payload>]) -> String {
        String::from_utf8(bind(binding, parts).unwrap().bytes().to_vec()).unwrap()
    }

    const OUTPUT: Source = Source::Output(StepIndex(0));

    #[test]
    fn a_whole_source_keeps_its_bytes_whatever_they_are() {
        assert_eq!(bound(&Binding::Nothing, &[]), "null");
        assert_eq!(
            bound(
                &Binding::Whole(Source::Input),
                &[part(" {\"b\":1.0, \"a\":2} ")]
            ),
            " {\"b\":1.0, \"a\":2} "
        );
        assert_eq!(bound(&Binding::Whole(OUTPUT), &[None]), "null");
        assert_eq!(
            bound(
                &Binding::Whole(Source::Constant(json!({"a": [1, null]}))),
                &[None]
            ),
            r#"{"a":[1,null]}"#
        );
    }

    #[test]
    fn a5_1_a_tuple_has_its_parts_in_the_declared_order() {
        let binding = Binding::Tuple(vec![
            OUTPUT,
            Source::Constant(json!("eu")),
            OUTPUT,
            Source::Input,
        ]);
        assert_eq!(
            bound(&binding, &[part("1"), None, None, part("[ 2 ]")]),
            r#"[1,"eu",null,[ 2 ]]"#
        );
        assert_eq!(bound(&Binding::Tuple(Vec::new()), &[]), "[]");
    }

    #[test]
    fn a5_3_an_object_has_exactly_its_fields_with_names_escaped() {
        let fields = BTreeMap::from([
            ("sku".to_owned(), Source::Input),
            ("a\"b\\\n".to_owned(), OUTPUT),
            ("region".to_owned(), Source::Constant(json!("eu"))),
        ]);
        let text = bound(&Binding::Object(fields), &[part("7"), None, part("\"x\"")]);
        assert_eq!(text, r#"{"a\"b\\\n":7,"region":"eu","sku":"x"}"#);
    }

    #[test]
    fn parts_that_do_not_fit_the_binding_are_a_failure_without_a_retry() {
        for (binding, parts) in [
            (Binding::Nothing, vec![None]),
            (Binding::Tuple(vec![OUTPUT]), vec![]),
            (Binding::Tuple(vec![Source::Input]), vec![None]),
        ] {
            let failure = bind(&binding, &parts).unwrap_err();
            assert_eq!(
                (failure.code.as_str(), failure.retryable),
                ("unreadable", false)
            );
        }
    }
}
