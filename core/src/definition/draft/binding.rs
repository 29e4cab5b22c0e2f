//! Reading a binding from JSON.
//!
//! Invariant: a binding that was read has every source its JSON names; one that was not has left a problem.
//!
//! A binding is absent, a source, an array of sources, or `{"object": {"name": SOURCE}}`; a source is `"input"`,
//! `"output(STEP)"` or `{"constant": VALUE}`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{DraftBinding, DraftSource};
use crate::definition::problem::ProblemCode;
use crate::definition::reader::{self, Fields, Reader};

pub(super) fn read_binding(reader: &mut Reader, fields: &Fields<'_>, key: &str) -> DraftBinding {
    let Some(value) = fields.value(key) else {
        return DraftBinding::Nothing;
    };
    let path = fields.path(key);
    if let Value::Array(sources) = value {
        let sources = sources.iter().enumerate();
        return DraftBinding::Tuple(
            sources
                .filter_map(|(i, source)| read_source(reader, source, &reader::item(&path, i)))
                .collect(),
        );
    }
    match value.get("object") {
        None => {
            read_source(reader, value, &path).map_or(DraftBinding::Nothing, DraftBinding::Whole)
        }
        Some(named) => {
            reader.fields(value, &path, &["object"]);
            read_object(reader, named, &reader::field(&path, "object"))
        }
    }
}

fn read_object(reader: &mut Reader, named: &Value, path: &str) -> DraftBinding {
    let mut sources = BTreeMap::new();
    if let Some(map) = reader.map(named, path) {
        let mut sorted: Vec<(&String, &Value)> = map.iter().collect();
        sorted.sort_by_key(|(name, _)| *name);
        for (name, source) in sorted {
            let source = read_source(reader, source, &reader::field(path, name));
            sources.extend(source.map(|source| (name.clone(), source)));
        }
    }
    DraftBinding::Object(sources)
}

fn read_source(reader: &mut Reader, value: &Value, path: &str) -> Option<DraftSource> {
    match value {
        Value::String(text) => match source(text) {
            Ok(source) => Some(source),
            Err((code, message)) => {
                reader.report(path, code, message);
                None
            }
        },
        Value::Object(map) => {
            let fields = reader.fields(value, path, &["constant"])?;
            if !map.contains_key("constant") {
                reader.missing(&fields, "constant", "a JSON value");
            }
            fields
                .value_or_null("constant")
                .cloned()
                .map(DraftSource::Constant)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            reader.wrong_type(
                path,
                "a source like \"input\", \"output(charge)\" or {\"constant\": 5}",
                value,
            );
            None
        }
    }
}

/// The source that a text names.
fn source(text: &str) -> Result<DraftSource, (ProblemCode, String)> {
    let (source, rest) = if let Some(rest) = text.strip_prefix("input") {
        (DraftSource::Input, rest)
    } else if let Some((step, rest)) = text.strip_prefix("output(").and_then(|t| t.split_once(')'))
    {
        (DraftSource::Output(step.to_owned()), rest)
    } else {
        return Err(malformed_source(text));
    };
    match rest.chars().next() {
        None => Ok(source),
        Some('.' | '[') => {
            let message =
                format!("{text:?} has a path into its value; only whole values can be bound");
            Err((ProblemCode::UnsupportedPath, message))
        }
        Some(_) => Err(malformed_source(text)),
    }
}

fn malformed_source(text: &str) -> (ProblemCode, String) {
    let shown: String = text.chars().take(80).collect();
    let message = format!(
        "{shown:?} is no source: expected \"input\", \"output(STEP)\" or {{\"constant\": VALUE}}"
    );
    (ProblemCode::MalformedSource, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::Draft;

    fn problems(value: &Value) -> Vec<(String, &'static str)> {
        let problems = Draft::parse(value).unwrap_err();
        problems
            .into_iter()
            .map(|p| (p.path, p.code.as_str()))
            .collect()
    }

    fn problem(path: &str, code: &'static str) -> (String, &'static str) {
        (path.to_owned(), code)
    }

    #[test]
    fn bindings_read_from_each_of_their_forms() {
        let output = || DraftSource::Output("a".to_owned());
        for (form, expected) in [
            (json!(null), DraftBinding::Nothing),
            (json!("input"), DraftBinding::Whole(DraftSource::Input)),
            (json!("output(a)"), DraftBinding::Whole(output())),
            (
                json!({"constant": null}),
                DraftBinding::Whole(DraftSource::Constant(Value::Null)),
            ),
            (
                json!({"constant": {"object": {}}}),
                DraftBinding::Whole(DraftSource::Constant(json!({"object": {}}))),
            ),
            (json!([]), DraftBinding::Tuple(Vec::new())),
            (
                json!(["output(a)", "input"]),
                DraftBinding::Tuple(vec![output(), DraftSource::Input]),
            ),
            (
                json!({"object": {"x": "output(a)"}}),
                DraftBinding::Object(BTreeMap::from([("x".to_owned(), output())])),
            ),
        ] {
            let draft = json!({"name": "w", "version": 1, "result": form});
            assert_eq!(Draft::parse(&draft).unwrap().result, expected, "{draft}");
        }
    }

    #[test]
    fn what_is_no_source_is_reported_where_it_is() {
        for (form, path, code) in [
            (json!("input.order.sku"), "result", "unsupported_path"),
            (
                json!(["input", "output(a)[0]"]),
                "result[1]",
                "unsupported_path",
            ),
            (json!("inputs"), "result", "malformed_source"),
            (json!("output(a"), "result", "malformed_source"),
            (json!("failure(a)"), "result", "malformed_source"),
            (json!(5), "result", "wrong_type"),
            (json!([null]), "result[0]", "wrong_type"),
            (
                json!({"object": {"x": []}}),
                "result.object.x",
                "wrong_type",
            ),
            (json!({"object": 5}), "result.object", "wrong_type"),
            (
                json!({"object": {}, "constant": 1}),
                "result.constant",
                "unknown_field",
            ),
            (json!({}), "result.constant", "missing_field"),
        ] {
            let draft = json!({"name": "w", "version": 1, "result": form});
            assert_eq!(problems(&draft), [problem(path, code)], "{draft}");
        }
    }
}
