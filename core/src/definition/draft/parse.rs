//! Reading a draft from JSON.
//!
//! Invariant: nothing is ignored: every field is read, reported as unknown, or reported as the engine's own.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::binding::read_binding;
use super::{Draft, DraftBackoff, DraftKind, DraftRetry, DraftStep};
use crate::definition::contract::Contract;
use crate::definition::problem::{Problem, ProblemCode, Problems};
use crate::definition::reader::{self, Fields, Reader};
use crate::definition::retry::BackoffKind;

const DRAFT_FIELDS: [&str; 10] = [
    "name",
    "version",
    "label",
    "description",
    "input",
    "steps",
    "result",
    "queue",
    "priority",
    "deadline",
];
const STEP_FIELDS: [&str; 12] = [
    "name",
    "label",
    "description",
    "handler",
    "wait",
    "needs",
    "after",
    "input",
    "retry",
    "timeout",
    "queue",
    "priority",
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
        input: fields
            .value("input")
            .map(|value| Contract::read(reader, value, "input"))
            .unwrap_or_default(),
        steps: read_steps(reader, &fields),
        result: read_binding(reader, &fields, "result"),
        queue: reader.text(&fields, "queue"),
        priority: reader.integer(&fields, "priority"),
        deadline: reader.span(&fields, "deadline"),
    })
}

fn read_steps(reader: &mut Reader, fields: &Fields<'_>) -> Vec<DraftStep> {
    let Some(value) = fields.value("steps") else {
        return Vec::new();
    };
    let steps = reader.array(value, "steps").unwrap_or_default();
    let unreadable = || DraftStep::handler("", "");
    steps
        .iter()
        .enumerate()
        .map(|(i, step)| {
            read_step(reader, step, &reader::item("steps", i)).unwrap_or_else(unreadable)
        })
        .collect()
}

fn read_step(reader: &mut Reader, value: &Value, path: &str) -> Option<DraftStep> {
    let fields = reader.fields(value, path, &STEP_FIELDS)?;
    Some(DraftStep {
        name: reader.required_text(&fields, "name"),
        label: reader.text(&fields, "label"),
        description: reader.text(&fields, "description"),
        kind: read_kind(reader, &fields),
        needs: reader.texts(&fields, "needs"),
        after: reader.texts(&fields, "after"),
        input: read_binding(reader, &fields, "input"),
        retry: read_retry(reader, &fields),
        timeout: reader.span(&fields, "timeout"),
        queue: reader.text(&fields, "queue"),
        priority: reader.integer(&fields, "priority"),
    })
}

fn read_kind(reader: &mut Reader, fields: &Fields<'_>) -> DraftKind {
    match (
        fields.value("handler").is_some(),
        fields.value("wait").is_some(),
    ) {
        (false, false) => reader.missing(
            fields,
            "handler",
            "the name of a handler, or \"wait\" with a span",
        ),
        (true, true) => {
            let message = "a step has a handler or waits, not both";
            reader.report(
                &fields.path("wait"),
                ProblemCode::ConflictingOptions,
                message,
            );
        }
        (true, false) => {}
        (false, true) => return DraftKind::Wait(reader.span(fields, "wait").unwrap_or_default()),
    }
    DraftKind::Handler(reader.text(fields, "handler").unwrap_or_default())
}

fn read_retry(reader: &mut Reader, fields: &Fields<'_>) -> Option<DraftRetry> {
    let path = fields.path("retry");
    let fields = reader.fields(
        fields.value("retry")?,
        &path,
        &["max_attempts", "max_lost", "backoff"],
    )?;
    Some(DraftRetry {
        max_attempts: reader.integer(&fields, "max_attempts").unwrap_or(1),
        max_lost: reader.integer(&fields, "max_lost"),
        backoff: read_backoff(reader, &fields),
    })
}

fn read_backoff(reader: &mut Reader, fields: &Fields<'_>) -> Option<DraftBackoff> {
    let path = fields.path("backoff");
    let known = ["kind", "min", "max", "factor", "jitter"];
    let fields = reader.fields(fields.value("backoff")?, &path, &known)?;
    let word = reader.required_text(&fields, "kind");
    let kind = BackoffKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == word);
    if kind.is_none() && fields.value("kind").is_some_and(Value::is_string) {
        let words = BackoffKind::ALL.map(BackoffKind::as_str).join(", ");
        let message = format!("{word:?} is no kind of backoff; kinds are {words}");
        reader.report(&fields.path("kind"), ProblemCode::UnknownWord, message);
    }
    let backoff = DraftBackoff {
        kind: kind.unwrap_or(BackoffKind::Exponential),
        min: reader.span(&fields, "min"),
        max: reader.span(&fields, "max"),
        factor_thousandths: reader.thousandths(&fields, "factor"),
        jitter_thousandths: reader.thousandths(&fields, "jitter"),
    };
    Some(backoff)
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
