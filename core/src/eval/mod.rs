//! What steps do to JSON: bindings, routes, waits until an instant, the elements of `each` and what the engine hands over.
//!
//! Where a whole value is taken it is spliced as bytes: nothing is parsed, so what a handler returned is what the next one
//! gets. A path is followed by a scan of the text, so that what it leads to keeps its bytes too.
//!
//! Invariant: if every part is JSON, so is what is put together; it depends on the arguments only.

use std::borrow::Cow;

use crate::definition::{Binding, Origin, Path, Segment, Source, StepIndex};
use crate::event::{Failure, code};
use crate::payload::Payload;

mod decimal;
mod elements;
mod instant;
mod lookup;
mod record;
mod route;
#[cfg(test)]
mod samples;
mod scan;
mod stamp;
mod value;
mod writer;

pub use elements::{ElementOutcome, array, elements, outcomes};
pub use instant::instant;
pub use record::{failure_payload, gate_output, undo_input};
pub use route::route;
pub use stamp::{stamped, stamped_bytes};

use lookup::Found;
use scan::{Kind, Malformed};
use writer::{ArrayWriter, ObjectWriter};

/// What failures of a binding call things.
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// What is put together: `input` or `result`.
    pub target: &'a str,
    /// The name of a step.
    pub step: &'a dyn Fn(StepIndex) -> String,
}

/// Puts an input or a result together. `parts` is parallel to [`Binding::sources`]: the payload of each source, none for
/// a constant and for an output that is null (that of a wait). The part of a failure is its
/// [payload](failure_payload), that of an `either` the output of the step that succeeded.
///
/// # Errors
/// A failure that no attempt can mend: a path leads nowhere (`missing_input_path`); or there are not as many parts as
/// sources, the run's input or a failure is missing, or a value into which a path should lead is no JSON (`unreadable`).
pub fn bind(
    binding: &Binding,
    parts: &[Option<Payload>],
    names: Names<'_>,
) -> Result<Payload, Failure> {
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
        Binding::Whole(source) => whole(source, parts[0].as_ref(), names),
        Binding::Tuple(sources) => {
            let mut array = ArrayWriter::default();
            for (at, (source, part)) in sources.iter().zip(parts).enumerate() {
                let place = || format!("{}[{at}]", names.target);
                array.item(&taken(source, part.as_ref(), names, &place)?);
            }
            Ok(array.finish())
        }
        Binding::Object(fields) => {
            let mut object = ObjectWriter::default();
            for ((name, source), part) in fields.iter().zip(parts) {
                let field = || Path::new(vec![Segment::Field(name.clone())]);
                let place = || format!("{}{}", names.target, field());
                object.field(name, &taken(source, part.as_ref(), names, &place)?);
            }
            Ok(object.finish())
        }
    }
}

fn whole(source: &Source, part: Option<&Payload>, names: Names<'_>) -> Result<Payload, Failure> {
    let is_constant = matches!(source.origin, Origin::Constant(_));
    if let (Some(part), true, false) = (part, source.path.is_whole(), is_constant) {
        // The same bytes, shared instead of copied.
        return Ok(part.clone());
    }
    let place = || names.target.to_owned();
    taken(source, part, names, &place).map(|bytes| Payload::new(bytes.into_owned()))
}

/// The bytes that a source takes.
fn taken<'a>(
    source: &'a Source,
    part: Option<&'a Payload>,
    names: Names<'_>,
    place: &dyn Fn() -> String,
) -> Result<Cow<'a, [u8]>, Failure> {
    let value = value(source, part, names, place)?;
    if source.path.is_whole() {
        return Ok(value);
    }
    match lookup::find(&value, &source.path) {
        Ok(Found::Value(text)) => Ok(Cow::Owned(text.as_bytes().to_vec())),
        Ok(Found::Missing { there, kind }) => {
            let origin = origin(&source.origin, names);
            Err(missing(&place(), &origin, &source.path, there, kind))
        }
        Err(malformed) => {
            let (place, origin) = (place(), origin(&source.origin, names));
            let message = format!(
                "{place} takes {origin}{}, but {origin} cannot be read as JSON: {malformed}",
                source.path
            );
            Err(Failure::new(code::UNREADABLE, &message, false))
        }
    }
}

/// The value that a source takes, or takes a part of.
fn value<'a>(
    source: &Source,
    part: Option<&'a Payload>,
    names: Names<'_>,
    place: &dyn Fn() -> String,
) -> Result<Cow<'a, [u8]>, Failure> {
    match (&source.origin, part) {
        (Origin::Constant(value), _) => Ok(Cow::Owned(value.to_string().into_bytes())),
        (_, Some(part)) => Ok(Cow::Borrowed(part.bytes())),
        (Origin::Output(_) | Origin::Either(_), None) => Ok(Cow::Borrowed(b"null")),
        (Origin::Input | Origin::Failure(_), None) => {
            let origin = origin(&source.origin, names);
            let message = format!("{} takes {origin}, which the task does not name", place());
            Err(Failure::new(code::UNREADABLE, &message, false))
        }
    }
}

/// The origin as a draft names it.
fn origin(origin: &Origin, names: Names<'_>) -> String {
    match origin {
        Origin::Input => "input".to_owned(),
        Origin::Output(step) => format!("output({})", (names.step)(*step)),
        Origin::Failure(step) => format!("failure({})", (names.step)(*step)),
        Origin::Either(steps) => {
            let steps: Vec<String> = steps.iter().map(|step| (names.step)(*step)).collect();
            format!("either({})", steps.join(", "))
        }
        Origin::Constant(_) => "constant".to_owned(),
    }
}

/// Says which prefix of the path is missing: one segment more than what is there.
fn missing(place: &str, origin: &str, path: &Path, there: usize, kind: Kind) -> Failure {
    let prefix = |segments: usize| Path::new(path.segments()[..segments].to_vec());
    let last = match there {
        0 => origin.to_owned(),
        _ => prefix(there).to_string(),
    };
    let lacks = match &path.segments()[there] {
        Segment::Field(_) if kind == Kind::Object => " without that field",
        Segment::Index(_) if kind == Kind::Array => " with fewer elements",
        Segment::Field(_) | Segment::Index(_) => "",
    };
    let message = format!(
        "{place} takes {origin}{path}, but {} is missing: {last} is {kind}{lacks}",
        prefix(there + 1)
    );
    Failure::new(code::MISSING_INPUT_PATH, &message, false)
}

fn invalid_input(malformed: Malformed) -> Failure {
    let message = format!("the input cannot be read as JSON: {malformed}");
    Failure::new(code::INVALID_INPUT, &message, false)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn part(text: &str) -> Option<Payload> {
        Some(Payload::new(text.as_bytes()))
    }

    fn put(binding: &Binding, parts: &[Option<Payload>]) -> Result<Payload, Failure> {
        let names = ["charge", "reserve"];
        let step = |index: StepIndex| names[index.at()].to_owned();
        let names = Names {
            target: "input",
            step: &step,
        };
        bind(binding, parts, names)
    }

    fn bound(binding: &Binding, parts: &[Option<Payload>]) -> String {
        String::from_utf8(put(binding, parts).unwrap().bytes().to_vec()).unwrap()
    }

    fn refused(binding: &Binding, parts: &[Option<Payload>]) -> (String, String) {
        let failure = put(binding, parts).unwrap_err();
        assert!(!failure.retryable);
        (failure.code, failure.message)
    }

    /// The source with a path; numbers are positions.
    fn at(source: impl Into<Source>, path: &[&str]) -> Source {
        let segment = |text: &&str| match text.parse() {
            Ok(index) => Segment::Index(index),
            Err(_) => Segment::Field((*text).to_owned()),
        };
        Source {
            path: Path::new(path.iter().map(segment).collect()),
            ..source.into()
        }
    }

    fn output() -> Source {
        Origin::Output(StepIndex(0)).into()
    }

    fn input() -> Source {
        Origin::Input.into()
    }

    fn constant(value: serde_json::Value) -> Source {
        Origin::Constant(value).into()
    }

    #[test]
    fn a_whole_source_keeps_its_bytes_whatever_they_are() {
        assert_eq!(bound(&Binding::Nothing, &[]), "null");
        assert_eq!(
            bound(&Binding::Whole(input()), &[part(" {\"b\":1.0, \"a\":2} ")]),
            " {\"b\":1.0, \"a\":2} "
        );
        assert_eq!(bound(&Binding::Whole(output()), &[None]), "null");
        assert_eq!(
            bound(&Binding::Whole(constant(json!({"a": [1, null]}))), &[None]),
            r#"{"a":[1,null]}"#
        );
    }

    #[test]
    fn a5_1_a_tuple_has_its_parts_in_the_declared_order() {
        let binding = Binding::Tuple(vec![output(), constant(json!("eu")), output(), input()]);
        assert_eq!(
            bound(&binding, &[part("1"), None, None, part("[ 2 ]")]),
            r#"[1,"eu",null,[ 2 ]]"#
        );
        assert_eq!(bound(&Binding::Tuple(Vec::new()), &[]), "[]");
    }

    #[test]
    fn a5_3_an_object_has_exactly_its_fields_with_names_escaped() {
        let fields = BTreeMap::from([
            ("sku".to_owned(), input()),
            ("a\"b\\\n".to_owned(), output()),
            ("region".to_owned(), constant(json!("eu"))),
        ]);
        let text = bound(&Binding::Object(fields), &[part("7"), None, part("\"x\"")]);
        assert_eq!(text, r#"{"a\"b\\\n":7,"region":"eu","sku":"x"}"#);
    }

    #[test]
    fn a5_3_a_path_takes_the_bytes_it_leads_to_from_every_kind_of_source() {
        let either = Origin::Either(vec![StepIndex(0), StepIndex(1)]);
        let fields = BTreeMap::from([
            ("all".to_owned(), at(input(), &["order", "lines"])),
            (
                "code".to_owned(),
                at(Origin::Failure(StepIndex(1)), &["code"]),
            ),
            ("id".to_owned(), at(either, &["id"])),
            ("none".to_owned(), at(output(), &["receipt", "url"])),
            ("paid".to_owned(), at(output(), &["id"])),
            (
                "region".to_owned(),
                at(constant(json!([{"r": "eu"}])), &["0", "r"]),
            ),
            (
                "sku".to_owned(),
                at(input(), &["order", "lines", "1", "sku"]),
            ),
        ]);
        let order = part(r#"{"order": {"lines": [{ }, {"sku": "\u0061"}]}}"#);
        let charge = part(r#"{"id": 12345678901234567890.10, "receipt": {"url": null}}"#);
        let failure = part(r#"{"code":"lost","message":"m","details":null}"#);
        let parts = [
            order.clone(),
            failure,
            charge.clone(),
            charge.clone(),
            charge,
            None,
            order,
        ];
        assert_eq!(
            bound(&Binding::Object(fields), &parts),
            r#"{"all":[{ }, {"sku": "\u0061"}],"code":"lost","id":12345678901234567890.10,"none":null,"paid":12345678901234567890.10,"region":"eu","sku":"\u0061"}"#
        );
    }

    #[test]
    fn a5_4_a_missing_path_is_told_with_target_path_and_missing_prefix() {
        let url = || at(output(), &["receipt", "url"]);
        let field = |source| Binding::Object(BTreeMap::from([("paid".to_owned(), source)]));
        let second = |source| Binding::Tuple(vec![constant(json!(1)), source]);
        let failure = || Origin::Failure(StepIndex(1));
        let either = || Origin::Either(vec![StepIndex(0), StepIndex(1)]);
        for (binding, parts, message) in [
            (
                field(url()),
                vec![part(r#"{"receipt":{}}"#)],
                "input.paid takes output(charge).receipt.url, but .receipt.url is missing: .receipt is an object without \
                 that field",
            ),
            (
                Binding::Whole(url()),
                vec![part("{}")],
                "input takes output(charge).receipt.url, but .receipt is missing: output(charge) is an object without \
                 that field",
            ),
            (
                second(url()),
                vec![None, None],
                "input[1] takes output(charge).receipt.url, but .receipt is missing: output(charge) is null",
            ),
            (
                second(at(input(), &["lines", "2", "sku"])),
                vec![None, part(r#"{"lines":[1,2]}"#)],
                "input[1] takes input.lines[2].sku, but .lines[2] is missing: .lines is an array with fewer elements",
            ),
            (
                field(at(failure(), &["details", "0"])),
                vec![part(r#"{"details":"text"}"#)],
                "input.paid takes failure(reserve).details[0], but .details[0] is missing: .details is a string",
            ),
            (
                Binding::Whole(at(either(), &["id"])),
                vec![part("[]")],
                "input takes either(charge, reserve).id, but .id is missing: either(charge, reserve) is an array",
            ),
            (
                Binding::Whole(at(constant(json!(true)), &["id"])),
                vec![None],
                "input takes constant.id, but .id is missing: constant is a boolean",
            ),
        ] {
            let expected = ("missing_input_path".to_owned(), message.to_owned());
            assert_eq!(refused(&binding, &parts), expected);
        }
    }

    #[test]
    fn a_value_that_is_no_json_can_be_taken_whole_but_no_path_leads_into_it() {
        let broken = part("{\"id\": ");
        assert_eq!(
            bound(&Binding::Whole(output()), std::slice::from_ref(&broken)),
            "{\"id\": "
        );
        let message = "input takes output(charge).id, but output(charge) cannot be read as JSON: byte 7 is not what JSON has there";
        assert_eq!(
            refused(&Binding::Whole(at(output(), &["id"])), &[broken]),
            ("unreadable".to_owned(), message.to_owned())
        );
    }

    #[test]
    fn parts_that_do_not_fit_the_binding_are_a_failure_without_a_retry() {
        for (binding, parts, message) in [
            (
                Binding::Nothing,
                vec![None],
                "the binding has 0 sources, the task names 1",
            ),
            (
                Binding::Tuple(vec![output()]),
                vec![],
                "the binding has 1 sources, the task names 0",
            ),
            (
                Binding::Tuple(vec![input()]),
                vec![None],
                "input[0] takes input, which the task does not name",
            ),
            (
                Binding::Whole(Origin::Failure(StepIndex(0)).into()),
                vec![None],
                "input takes failure(charge), which the task does not name",
            ),
        ] {
            let expected = ("unreadable".to_owned(), message.to_owned());
            assert_eq!(refused(&binding, &parts), expected);
        }
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_the_json_of_its_parts(
            texts in proptest::collection::vec(samples::text(), 0..4),
        ) {
            let parts: Vec<_> = texts.iter().map(|text| part(text)).collect();
            let values: Vec<serde_json::Value> =
                texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
            let tuple = bound(&Binding::Tuple(vec![output(); parts.len()]), &parts);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&tuple).unwrap(), json!(values));
            let named = |at: usize| (format!("f{at}"), input());
            let object = bound(&Binding::Object((0..parts.len()).map(named).collect()), &parts);
            let object: BTreeMap<String, serde_json::Value> = serde_json::from_str(&object).unwrap();
            prop_assert_eq!(object.into_values().collect::<Vec<_>>(), values);
        }
    }
}
