//! Reading a draft from JSON.
//!
//! Invariant: nothing is ignored: every field is read, reported as unknown, or reported as the engine's own.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::binding::read_binding;
use super::kind::read_kind;
use super::retry::read_retry;
use super::schedule::read_schedule;
use super::{Draft, DraftGuard, DraftStep, DraftTrigger, DraftUndo};
use crate::definition::contract::Contract;
use crate::definition::problem::{Problem, Problems};
use crate::definition::reader::{self, Fields, Reader};
use crate::definition::step::{OnLost, RouteMark};

const DRAFT_FIELDS: [&str; 11] = [
    "name",
    "version",
    "label",
    "description",
    "input",
    "triggers",
    "steps",
    "result",
    "queue",
    "priority",
    "deadline",
];
const STEP_FIELDS: [&str; 29] = [
    "name",
    "label",
    "description",
    "handler",
    "wait",
    "until",
    "log",
    "pause",
    "approval",
    "signal",
    "route",
    "child",
    "each",
    "needs",
    "either",
    "after",
    "when",
    "input",
    "retry",
    "timeout",
    "queue",
    "priority",
    "labels",
    "undo",
    "irreversible",
    "compensatable",
    "on_lost",
    "transactional",
    "mark",
];

impl Draft {
    /// Reads the JSON form. Only the shape is looked at; whether the draft makes sense is for
    /// [`Definition::validate`](super::super::Definition::validate).
    ///
    /// # Errors
    /// Says everything that has no place in a draft.
    pub fn parse(value: &Value) -> Result<Draft, Problems> {
        let (draft, problems) = Draft::read(value);
        Problems::none_of(problems)?;
        Ok(draft)
    }

    /// Reads the JSON form from a text.
    ///
    /// # Errors
    /// As [`Draft::parse`], and if the text is no JSON.
    pub fn parse_text(text: &str) -> Result<Draft, Problems> {
        Draft::parse(&super::text::json(text)?)
    }

    /// Reads as much as can be read, and says what cannot.
    pub(in super::super) fn read(value: &Value) -> (Draft, Vec<Problem>) {
        let mut reader = Reader::default();
        let draft = read_draft(&mut reader, value).unwrap_or_default();
        (draft, reader.problems)
    }
}

fn read_draft(reader: &mut Reader, value: &Value) -> Option<Draft> {
    let fields = reader.fields(value, "", &DRAFT_FIELDS)?;
    let name = reader.required_text(&fields, "name");
    if fields.value("version").is_none() {
        reader.missing(&fields, "version", "a whole number");
    }
    Some(Draft {
        name,
        version: reader.integer(&fields, "version").unwrap_or_default(),
        label: reader.text(&fields, "label"),
        description: reader.text(&fields, "description"),
        input: read_contract(reader, &fields, "input"),
        triggers: read_triggers(reader, &fields),
        steps: read_steps(reader, &fields),
        result: read_binding(reader, &fields, "result"),
        queue: reader.text(&fields, "queue"),
        priority: reader.integer(&fields, "priority"),
        deadline: reader.span(&fields, "deadline"),
    })
}

/// A contract; anything goes if it is not given.
pub(super) fn read_contract(reader: &mut Reader, fields: &Fields<'_>, key: &str) -> Contract {
    let value = fields.value(key);
    value
        .map(|value| Contract::read(reader, value, &fields.path(key)))
        .unwrap_or_default()
}

fn read_triggers(reader: &mut Reader, fields: &Fields<'_>) -> Vec<DraftTrigger> {
    let mut triggers = Vec::new();
    for (path, item) in items(reader, fields, "triggers") {
        if let Some(fields) = reader.fields(item, &path, &["name", "input", "schedule"]) {
            triggers.push(DraftTrigger {
                name: reader.required_text(&fields, "name"),
                input: read_contract(reader, &fields, "input"),
                schedule: read_schedule(reader, &fields),
            });
        }
    }
    triggers
}

/// The elements of an optional array with their paths.
fn items<'a>(reader: &mut Reader, fields: &Fields<'a>, key: &str) -> Vec<(String, &'a Value)> {
    let path = fields.path(key);
    let array = fields
        .value(key)
        .and_then(|value| reader.array(value, &path));
    let items = array.unwrap_or_default().iter().enumerate();
    items
        .map(|(i, item)| (reader::item(&path, i), item))
        .collect()
}

fn read_steps(reader: &mut Reader, fields: &Fields<'_>) -> Vec<DraftStep> {
    let unreadable = || DraftStep::handler("", "");
    items(reader, fields, "steps")
        .into_iter()
        .map(|(path, step)| read_step(reader, step, &path).unwrap_or_else(unreadable))
        .collect()
}

fn read_step(reader: &mut Reader, value: &Value, path: &str) -> Option<DraftStep> {
    let fields = reader.fields(value, path, &STEP_FIELDS)?;
    let name = reader.required_text(&fields, "name");
    let label = reader.text(&fields, "label");
    let description = reader.text(&fields, "description");
    let (kind, input) = read_kind(reader, &fields);
    Some(DraftStep {
        name,
        label,
        description,
        kind,
        needs: reader.texts(&fields, "needs"),
        either: read_either(reader, &fields),
        after: reader.texts(&fields, "after"),
        when: read_guards(reader, &fields),
        input,
        retry: read_retry(reader, &fields),
        timeout: reader.span(&fields, "timeout"),
        queue: reader.text(&fields, "queue"),
        priority: reader.integer(&fields, "priority"),
        labels: reader.texts(&fields, "labels"),
        undo: read_undo(reader, &fields),
        irreversible: reader.boolean(&fields, "irreversible"),
        compensatable: reader.boolean(&fields, "compensatable"),
        on_lost: reader.word(&fields, "on_lost", &OnLost::ALL, OnLost::as_str),
        transactional: reader.boolean(&fields, "transactional").unwrap_or(false),
        mark: reader.word(&fields, "mark", &RouteMark::ALL, RouteMark::as_str),
    })
}

fn read_either(reader: &mut Reader, fields: &Fields<'_>) -> Vec<Vec<String>> {
    items(reader, fields, "either")
        .into_iter()
        .map(|(path, group)| reader.texts_of(group, &path))
        .collect()
}

/// One guard or an array of them.
fn read_guards(reader: &mut Reader, fields: &Fields<'_>) -> Vec<DraftGuard> {
    let path = fields.path("when");
    let given = match fields.value("when") {
        None => Vec::new(),
        Some(Value::Array(_)) => items(reader, fields, "when"),
        Some(guard) => vec![(path, guard)],
    };
    let mut guards = Vec::new();
    for (path, guard) in given {
        if let Some(fields) = reader.fields(guard, &path, &["step", "label"]) {
            guards.push(DraftGuard {
                step: reader.required_text(&fields, "step"),
                label: reader.required_text(&fields, "label"),
            });
        }
    }
    guards
}

fn read_undo(reader: &mut Reader, fields: &Fields<'_>) -> Option<DraftUndo> {
    let path = fields.path("undo");
    let known = ["handler", "retry", "timeout"];
    let fields = reader.fields(fields.value("undo")?, &path, &known)?;
    Some(DraftUndo {
        handler: reader.required_text(&fields, "handler"),
        retry: read_retry(reader, &fields),
        timeout: reader.span(&fields, "timeout"),
    })
}

impl<'de> Deserialize<'de> for Draft {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Draft, D::Error> {
        Draft::parse(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::definition::{Definition, samples};

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
    fn a1_12_an_unknown_option_of_a_step_is_named() {
        let mut draft = samples::order();
        draft["steps"][1]["retires"] = json!(3);
        assert_eq!(
            problems(&draft),
            [problem("steps[1].retires", "unknown_field")]
        );
        assert!(
            Draft::parse(&draft)
                .unwrap_err()
                .to_string()
                .contains("\"retires\"")
        );
    }

    #[test]
    fn a2_2_fields_of_the_runtime_and_unknown_fields_are_each_named() {
        let mut draft = samples::order();
        for field in ["run_id", "status", "journal", "digest", "colour"] {
            draft[field] = json!(1);
        }
        draft["steps"][0]["attempt"] = json!(1);
        assert_eq!(
            problems(&draft),
            [
                problem("colour", "unknown_field"),
                problem("digest", "owned_by_runtime"),
                problem("journal", "owned_by_runtime"),
                problem("run_id", "owned_by_runtime"),
                problem("status", "owned_by_runtime"),
                problem("steps[0].attempt", "owned_by_runtime"),
            ]
        );
    }

    #[test]
    fn a2_2_what_is_no_object_is_no_draft() {
        for value in [
            json!(null),
            json!(5),
            json!("order"),
            json!([]),
            json!(true),
        ] {
            assert_eq!(problems(&value), [problem("", "wrong_type")], "{value}");
        }
    }

    #[test]
    fn no_field_of_a_draft_is_one_of_the_runtime() {
        for field in DRAFT_FIELDS.iter().chain(&STEP_FIELDS) {
            assert!(!reader::OWNED_BY_RUNTIME.contains(field), "{field}");
        }
        for kind in crate::definition::draft::KINDS {
            assert!(STEP_FIELDS.contains(&kind), "{kind}");
        }
    }

    #[test]
    fn guards_undo_and_alternatives_have_shapes_too() {
        let mut draft = samples::order();
        let step = &mut draft["steps"][0];
        step["when"] = json!([5, {"step": "a"}, {"label": 1, "step": "b", "unless": 1}]);
        step["either"] = json!([5, ["a", 5]]);
        step["undo"] = json!({"retry": {"max_attempts": "x"}});
        step["irreversible"] = json!("yes");
        step["on_lost"] = json!("drop");
        step["mark"] = json!(1);
        assert_eq!(
            problems(&draft),
            [
                problem("steps[0].either[0]", "wrong_type"),
                problem("steps[0].either[1][1]", "wrong_type"),
                problem("steps[0].when[0]", "wrong_type"),
                problem("steps[0].when[1].label", "missing_field"),
                problem("steps[0].when[2].unless", "unknown_field"),
                problem("steps[0].when[2].label", "wrong_type"),
                problem("steps[0].undo.handler", "missing_field"),
                problem("steps[0].undo.retry.max_attempts", "wrong_type"),
                problem("steps[0].irreversible", "wrong_type"),
                problem("steps[0].on_lost", "unknown_word"),
                problem("steps[0].mark", "wrong_type"),
            ]
        );
    }

    #[test]
    fn every_shape_problem_is_reported_at_once() {
        let draft = json!({
            "version": -1, "label": 5, "steps": [
                7,
                {"name": 5, "needs": "a", "after": ["a", 1], "timeout": "soon", "priority": 40_000},
                {"name": "a", "handler": "h", "wait": "1s", "retry": {"max_attempts": 2.5, "backoff":
                    {"kind": "fibonacci", "min": 5, "factor": 1.0001, "jitter": "much"}}},
                {"name": "b", "wait": "1 hour"},
                {"name": "c", "handler": "h", "retry": {"backoff": {}}},
            ],
            "deadline": 60,
        });
        let expected = [
            ("name", "missing_field"),
            ("version", "out_of_range"),
            ("label", "wrong_type"),
            ("steps[0]", "wrong_type"),
            ("steps[1].name", "wrong_type"),
            ("steps[1].handler", "missing_field"),
            ("steps[1].needs", "wrong_type"),
            ("steps[1].after[1]", "wrong_type"),
            ("steps[1].timeout", "malformed_span"),
            ("steps[1].priority", "out_of_range"),
            ("steps[2].wait", "conflicting_options"),
            ("steps[2].retry.max_attempts", "wrong_type"),
            ("steps[2].retry.backoff.kind", "unknown_word"),
            ("steps[2].retry.backoff.min", "wrong_type"),
            ("steps[2].retry.backoff.factor", "too_precise"),
            ("steps[2].retry.backoff.jitter", "wrong_type"),
            ("steps[3].wait", "malformed_span"),
            ("steps[4].retry.backoff.kind", "missing_field"),
            ("deadline", "wrong_type"),
        ];
        assert_eq!(
            problems(&draft),
            expected.map(|(path, code)| problem(path, code))
        );
    }

    proptest! {
        #[test]
        fn no_json_makes_the_reader_panic(value in samples::any_json(), place in 0..6_usize) {
            let mut draft = samples::order();
            match place {
                0 => draft = value,
                1 => draft["steps"] = value,
                2 => draft["steps"][1] = value,
                3 => draft["input"] = value,
                4 => draft["steps"][1]["retry"] = value,
                _ => draft["steps"][3]["input"] = value,
            }
            let _ = Draft::parse(&draft);
            let _ = Definition::parse(&draft);
        }
    }
}
