//! Reading a binding from JSON.
//!
//! Invariant: a binding that was read has every source its JSON names; one that was not has left a problem.
//!
//! A binding is absent, a source, an array of sources, or `{"object": {"name": SOURCE}}`; a source is `{"constant": VALUE}` or
//! a text: `input`, `output(STEP)`, `failure(STEP)` or `either(STEP,STEP)`, each with an optional path like `.lines[0].sku`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{DraftBinding, DraftOrigin, DraftSource};
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

/// The source of an optional field.
pub(super) fn read_optional_source(
    reader: &mut Reader,
    fields: &Fields<'_>,
    key: &str,
) -> Option<DraftSource> {
    read_source(reader, fields.value(key)?, &fields.path(key))
}

fn read_source(reader: &mut Reader, value: &Value, path: &str) -> Option<DraftSource> {
    match value {
        Value::String(text) => read_text(reader, text, path),
        Value::Object(map) => {
            let fields = reader.fields(value, path, &["constant"])?;
            if !map.contains_key("constant") {
                reader.missing(&fields, "constant", "a JSON value");
            }
            fields
                .value_or_null("constant")
                .cloned()
                .map(DraftSource::constant)
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

fn read_text(reader: &mut Reader, text: &str, path: &str) -> Option<DraftSource> {
    let parts = origin(text).filter(|(_, rest)| rest.is_empty() || rest.starts_with(['.', '[']));
    let Some((origin, rest)) = parts else {
        let shown: String = text.chars().take(80).collect();
        let message = format!(
            "{shown:?} is no source: expected \"input\", \"output(STEP)\", \"failure(STEP)\", \"either(STEP,STEP)\" or \
             {{\"constant\": VALUE}}"
        );
        reader.report(path, ProblemCode::MalformedSource, message);
        return None;
    };
    let path = reader.json_path(path, rest)?;
    Some(DraftSource { origin, path })
}

/// The value that a text begins with and what follows it.
fn origin(text: &str) -> Option<(DraftOrigin, &str)> {
    if let Some(rest) = text.strip_prefix("input") {
        return Some((DraftOrigin::Input, rest));
    }
    let (word, rest) = text.split_once('(')?;
    let (inner, rest) = rest.split_once(')')?;
    let origin = match word {
        "output" => DraftOrigin::Output(inner.to_owned()),
        "failure" => DraftOrigin::Failure(inner.to_owned()),
        "either" if inner.is_empty() => DraftOrigin::Either(Vec::new()),
        "either" => {
            let names = inner.split(',');
            DraftOrigin::Either(names.map(|name| name.trim().to_owned()).collect())
        }
        _ => return None,
    };
    Some((origin, rest))
}

impl DraftBinding {
    pub(super) fn to_json(&self) -> Option<Value> {
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
        let path = &self.path;
        match &self.origin {
            DraftOrigin::Input => json!(format!("input{path}")),
            DraftOrigin::Output(step) => json!(format!("output({step}){path}")),
            DraftOrigin::Failure(step) => json!(format!("failure({step}){path}")),
            DraftOrigin::Either(steps) => json!(format!("either({}){path}", steps.join(","))),
            DraftOrigin::Constant(value) => json!({ "constant": value }),
        }
    }
}

#[cfg(test)]
mod tests {
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

    fn part(origin: DraftOrigin, path: &str) -> DraftBinding {
        let path = path.parse().unwrap();
        DraftBinding::Whole(DraftSource { origin, path })
    }

    #[test]
    fn bindings_read_from_each_of_their_forms() {
        let output = || DraftSource::output("a");
        for (form, expected) in [
            (json!(null), DraftBinding::Nothing),
            (json!("input"), DraftBinding::Whole(DraftSource::input())),
            (json!("output(a)"), DraftBinding::Whole(output())),
            (
                json!({"constant": null}),
                DraftBinding::Whole(DraftSource::constant(Value::Null)),
            ),
            (
                json!({"constant": {"object": {}}}),
                DraftBinding::Whole(DraftSource::constant(json!({"object": {}}))),
            ),
            (
                json!("input.order[\"odd key\"]"),
                part(DraftOrigin::Input, ".order[\"odd key\"]"),
            ),
            (
                json!("output(a).lines[0].sku"),
                part(DraftOrigin::Output("a".to_owned()), "lines[0].sku"),
            ),
            (
                json!("failure(a).code"),
                part(DraftOrigin::Failure("a".to_owned()), "code"),
            ),
            (
                json!("either(b, a).x"),
                part(
                    DraftOrigin::Either(vec!["b".to_owned(), "a".to_owned()]),
                    "x",
                ),
            ),
            (json!("either()"), part(DraftOrigin::Either(Vec::new()), "")),
            (json!([]), DraftBinding::Tuple(Vec::new())),
            (
                json!(["output(a)", "input"]),
                DraftBinding::Tuple(vec![output(), DraftSource::input()]),
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
            (json!("input."), "result", "malformed_path"),
            (
                json!(["input", "output(a)[x]"]),
                "result[1]",
                "malformed_path",
            ),
            (
                json!(format!("input{}", "[0]".repeat(33))),
                "result",
                "limit_exceeded",
            ),
            (json!("inputs"), "result", "malformed_source"),
            (json!("output(a"), "result", "malformed_source"),
            (json!("failures(a)"), "result", "malformed_source"),
            (json!("failure(a)x"), "result", "malformed_source"),
            (json!("either[0]"), "result", "malformed_source"),
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
