//! The conditions of a route as JSON.
//!
//! Invariant: a condition that was read has one path and one operator; the fallback is printed last.
//!
//! A route is an array of `{"label": "big", "path": "amount", "greater_than": 100}`; one of its elements, wherever it stands,
//! may be the fallback `{"label": "small", "otherwise": true}`.

use serde_json::{Value, json};

use super::print::Object;
use super::{DraftCondition, DraftKind};
use crate::definition::path::Path;
use crate::definition::problem::ProblemCode;
use crate::definition::reader::{self, Fields, Reader};
use crate::definition::step::Operator;

const OPERATORS: [&str; 6] = [
    "equals",
    "not_equals",
    "greater_than",
    "less_than",
    "in",
    "exists",
];
const CONDITION_FIELDS: [&str; 9] = [
    "label",
    "path",
    "otherwise",
    "equals",
    "not_equals",
    "greater_than",
    "less_than",
    "in",
    "exists",
];

pub(super) fn read_route(reader: &mut Reader, fields: &Fields<'_>) -> DraftKind {
    let path = fields.path("route");
    let items = fields
        .value("route")
        .and_then(|value| reader.array(value, &path))
        .unwrap_or_default();
    let mut conditions = Vec::new();
    let mut fallback = None;
    for (i, item) in items.iter().enumerate() {
        let path = reader::item(&path, i);
        let Some(fields) = reader.fields(item, &path, &CONDITION_FIELDS) else {
            continue;
        };
        let label = reader.required_text(&fields, "label");
        if fields.value("otherwise").is_none() {
            conditions.extend(read_condition(reader, &fields, label));
        } else if fallback.is_none() {
            read_otherwise(reader, &fields);
            fallback = Some(label);
        } else {
            let message = "a route has one label for what no condition matches, this is another";
            reader.report(&path, ProblemCode::ConflictingOptions, message);
        }
    }
    DraftKind::Route {
        conditions,
        fallback,
    }
}

/// A fallback looks at nothing.
fn read_otherwise(reader: &mut Reader, fields: &Fields<'_>) {
    if reader.boolean(fields, "otherwise") == Some(false) {
        let message = "it is true or left out";
        reader.report(
            &fields.path("otherwise"),
            ProblemCode::OptionWithoutEffect,
            message,
        );
    }
    for key in ["path"].iter().chain(&OPERATORS) {
        if fields.value(key).is_some() {
            let message = "a label for what no condition matches has no condition itself";
            reader.report(&fields.path(key), ProblemCode::ConflictingOptions, message);
        }
    }
}

fn read_condition(
    reader: &mut Reader,
    fields: &Fields<'_>,
    label: String,
) -> Option<DraftCondition> {
    let path = match reader.text(fields, "path") {
        Some(text) => reader.json_path(&fields.path("path"), &text),
        None => fields.value("path").is_none().then(Path::default),
    };
    let given: Vec<&str> = OPERATORS
        .into_iter()
        .filter(|key| operand(fields, key).is_some())
        .collect();
    let operator = match given.as_slice() {
        [key] => read_operator(reader, fields, key),
        [] => {
            let words = OPERATORS.join(", ");
            reader.missing(fields, "equals", &format!("one operator of {words}"));
            None
        }
        [first, others @ ..] => {
            for key in others {
                let message = format!("a condition has one operator, this one has {first} already");
                reader.report(&fields.path(key), ProblemCode::ConflictingOptions, message);
            }
            None
        }
    };
    Some(DraftCondition {
        label,
        path: path?,
        operator: operator?,
    })
}

/// What an operator compares with; `null` is a value for those that compare with any.
fn operand<'a>(fields: &Fields<'a>, key: &str) -> Option<&'a Value> {
    match key {
        "equals" | "not_equals" => fields.value_or_null(key),
        _ => fields.value(key),
    }
}

fn read_operator(reader: &mut Reader, fields: &Fields<'_>, key: &str) -> Option<Operator> {
    let value = operand(fields, key)?;
    match key {
        "equals" => Some(Operator::Equals(value.clone())),
        "not_equals" => Some(Operator::NotEquals(value.clone())),
        "greater_than" => Some(Operator::GreaterThan(value.clone())),
        "less_than" => Some(Operator::LessThan(value.clone())),
        "in" => {
            let values = reader.array(value, &fields.path(key))?;
            Some(Operator::In(values.to_vec()))
        }
        _ => reader.boolean(fields, key).map(Operator::Exists),
    }
}

pub(super) fn print_route(conditions: &[DraftCondition], fallback: Option<&String>) -> Value {
    let otherwise = fallback.map(|label| json!({"label": label, "otherwise": true}));
    conditions
        .iter()
        .map(DraftCondition::to_json)
        .chain(otherwise)
        .collect()
}

impl DraftCondition {
    fn to_json(&self) -> Value {
        let mut object = Object::default();
        object.put("label", Some(&self.label));
        object.put("path", (!self.path.is_whole()).then(|| self.path.bare()));
        let operand = match &self.operator {
            Operator::Equals(value)
            | Operator::NotEquals(value)
            | Operator::GreaterThan(value)
            | Operator::LessThan(value) => value.clone(),
            Operator::In(values) => Value::from(values.clone()),
            Operator::Exists(there) => Value::from(*there),
        };
        object.put(self.operator.word(), Some(operand));
        object.into_value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{Draft, Problems};

    fn route(conditions: &Value) -> Result<DraftKind, Problems> {
        let steps = json!([{"name": "size", "route": conditions, "input": "input"}]);
        let draft = Draft::parse(&json!({"name": "w", "version": 1, "steps": steps}))?;
        Ok(draft.steps[0].kind.clone())
    }

    fn problems(conditions: &Value) -> Vec<(String, &'static str)> {
        let problems = route(conditions).unwrap_err().into_iter();
        problems.map(|p| (p.path, p.code.as_str())).collect()
    }

    #[test]
    fn the_fallback_may_stand_anywhere_and_is_printed_last() {
        let big = json!({"label": "big", "path": "amount", "greater_than": 100});
        let nothing = json!({"label": "nothing", "equals": null});
        let small = json!({"label": "small", "otherwise": true});
        let last = json!([big, nothing, small]);
        for conditions in [
            json!([small, big, nothing]),
            json!([big, small, nothing]),
            last.clone(),
        ] {
            let kind = route(&conditions).unwrap();
            let DraftKind::Route {
                conditions,
                fallback,
            } = &kind
            else {
                panic!("{kind:?} is no route");
            };
            assert_eq!(fallback.as_deref(), Some("small"));
            assert_eq!(print_route(conditions, fallback.as_ref()), last);
        }
    }

    #[test]
    fn a11_4_a_condition_has_exactly_one_operator_and_one_path() {
        let at = |key: &str| format!("steps[0].route[0].{key}");
        for (condition, key, code) in [
            (
                json!({"label": "a", "path": "x"}),
                "equals",
                "missing_field",
            ),
            (
                json!({"label": "a", "path": "x", "equals": 1, "in": [1]}),
                "in",
                "conflicting_options",
            ),
            (
                json!({"label": "a", "equals": null, "less_than": 1}),
                "less_than",
                "conflicting_options",
            ),
            (
                json!({"label": "a", "path": ["x", "y"], "equals": 1}),
                "path",
                "wrong_type",
            ),
            (
                json!({"label": "a", "path": "x, y", "equals": 1}),
                "path",
                "malformed_path",
            ),
            (json!({"label": "a", "in": 5}), "in", "wrong_type"),
            (json!({"label": "a", "exists": 5}), "exists", "wrong_type"),
            (json!({"equals": 5}), "label", "missing_field"),
            (
                json!({"label": "a", "otherwise": true, "equals": 1}),
                "equals",
                "conflicting_options",
            ),
            (
                json!({"label": "a", "otherwise": false}),
                "otherwise",
                "option_without_effect",
            ),
            (
                json!({"label": "a", "equals": 1, "like": 2}),
                "like",
                "unknown_field",
            ),
        ] {
            assert_eq!(
                problems(&json!([condition])),
                [(at(key), code)],
                "{condition}"
            );
        }
        let twice = r#"{"name": "w", "version": 1, "steps": [{"name": "size", "input": "input",
            "route": [{"label": "a", "path": "x", "path": "y", "equals": 1}]}]}"#;
        let refused = Draft::parse_text(twice).unwrap_err().to_string();
        assert!(
            refused.contains("field \"path\" is given twice"),
            "{refused}"
        );
    }

    #[test]
    fn a_route_has_one_fallback_at_most_and_is_an_array_of_objects() {
        let label = |label: &str| json!({"label": label, "otherwise": true});
        assert_eq!(
            problems(&json!([label("a"), label("b")])),
            [("steps[0].route[1]".to_owned(), "conflicting_options")]
        );
        assert_eq!(
            problems(&json!({"label": "a"})),
            [("steps[0].route".to_owned(), "wrong_type")]
        );
        assert_eq!(
            problems(&json!([5])),
            [("steps[0].route[0]".to_owned(), "wrong_type")]
        );
    }
}
