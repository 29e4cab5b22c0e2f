//! What a step of a draft does, as JSON: the one field of the step that says it.
//!
//! | field | its value |
//! | --- | --- |
//! | `handler` | the name of a handler |
//! | `wait` | a span like `"1h30m"` |
//! | `until` | a source of an instant; the step has no other input |
//! | `log` | a message, or `{"message": "charged", "level": "warn"}` |
//! | `pause`, `approval` | `{"deadline": "2d"}`, or `{}` |
//! | `signal` | `{"name": "paid", "payload": CONTRACT, "deadline": "2d"}`, the latter two optional |
//! | `route` | an array of conditions, see `route.rs` |
//! | `child` | `{"workflow": "invoice", "detach": true}`, the latter optional |
//! | `each` | `{"workflow": "parcel", "parallel": 10, "collect": true}`, the latter two optional |
//!
//! Invariant: a step that was read without a problem has the field of exactly one kind.

use serde_json::Value;

use super::binding::{read_binding, read_optional_source};
use super::parse::read_contract;
use super::print::Object;
use super::route::{print_route, read_route};
use super::{DraftBinding, DraftKind, DraftStep};
use crate::definition::contract::Contract;
use crate::definition::problem::ProblemCode;
use crate::definition::reader::{Fields, Reader};
use crate::definition::span::DraftSpan;
use crate::definition::step::LogLevel;

/// The fields of which a step has exactly one.
pub(in crate::definition) const KINDS: [&str; 10] = [
    "handler", "wait", "until", "log", "pause", "approval", "signal", "route", "child", "each",
];

/// The kind of a step and its input, which an `until` has in place of the field `input`.
pub(super) fn read_kind(reader: &mut Reader, fields: &Fields<'_>) -> (DraftKind, DraftBinding) {
    let mut given = KINDS.into_iter().filter(|key| fields.value(key).is_some());
    let first = given.next();
    for key in given {
        let message = format!(
            "a step is of one kind, this one has {:?} already",
            first.unwrap_or_default()
        );
        reader.report(&fields.path(key), ProblemCode::ConflictingOptions, message);
    }
    let kind = match first {
        None => {
            let others = KINDS[1..].join(", ");
            let expected = format!("the name of a handler, or one of {others}");
            reader.missing(fields, "handler", &expected);
            DraftKind::Handler(String::new())
        }
        Some("until") => return read_until(reader, fields),
        Some(key) => read_one(reader, fields, key),
    };
    (kind, read_binding(reader, fields, "input"))
}

fn read_until(reader: &mut Reader, fields: &Fields<'_>) -> (DraftKind, DraftBinding) {
    if fields.value("input").is_some() {
        let message = "\"until\" says what the step takes, so there is no other input";
        reader.report(
            &fields.path("input"),
            ProblemCode::ConflictingOptions,
            message,
        );
    }
    let source = read_optional_source(reader, fields, "until");
    let input = source.map_or(DraftBinding::Nothing, DraftBinding::Whole);
    (DraftKind::Until, input)
}

fn read_one(reader: &mut Reader, fields: &Fields<'_>, key: &str) -> DraftKind {
    match key {
        "handler" => DraftKind::Handler(reader.text(fields, "handler").unwrap_or_default()),
        "wait" => DraftKind::Wait(reader.span(fields, "wait").unwrap_or_default()),
        "log" => read_log(reader, fields),
        "pause" => DraftKind::Pause {
            deadline: read_gate(reader, fields, "pause"),
        },
        "approval" => DraftKind::Approval {
            deadline: read_gate(reader, fields, "approval"),
        },
        "signal" => read_signal(reader, fields),
        "route" => read_route(reader, fields),
        "child" => read_child(reader, fields),
        _ => read_each(reader, fields),
    }
}

fn read_log(reader: &mut Reader, fields: &Fields<'_>) -> DraftKind {
    let path = fields.path("log");
    let (mut level, mut message) = (None, String::new());
    match fields.value("log") {
        Some(Value::String(text)) => message.clone_from(text),
        Some(value) => {
            if let Some(fields) = reader.fields(value, &path, &["message", "level"]) {
                message = reader.required_text(&fields, "message");
                level = reader.word(&fields, "level", &LogLevel::ALL, LogLevel::as_str);
            }
        }
        None => {}
    }
    DraftKind::Log { level, message }
}

fn read_gate(reader: &mut Reader, fields: &Fields<'_>, key: &str) -> Option<DraftSpan> {
    let path = fields.path(key);
    let fields = reader.fields(fields.value(key)?, &path, &["deadline"])?;
    reader.span(&fields, "deadline")
}

fn read_signal(reader: &mut Reader, fields: &Fields<'_>) -> DraftKind {
    let path = fields.path("signal");
    let known = ["name", "payload", "deadline"];
    let fields = fields
        .value("signal")
        .and_then(|value| reader.fields(value, &path, &known));
    let Some(fields) = fields else {
        return DraftKind::Signal {
            signal: String::new(),
            contract: Contract::Any,
            deadline: None,
        };
    };
    DraftKind::Signal {
        signal: reader.required_text(&fields, "name"),
        contract: read_contract(reader, &fields, "payload"),
        deadline: reader.span(&fields, "deadline"),
    }
}

fn read_child(reader: &mut Reader, fields: &Fields<'_>) -> DraftKind {
    let path = fields.path("child");
    let (mut workflow, mut detach) = (String::new(), false);
    let value = fields.value("child");
    if let Some(fields) =
        value.and_then(|value| reader.fields(value, &path, &["workflow", "detach"]))
    {
        workflow = reader.required_text(&fields, "workflow");
        detach = reader.boolean(&fields, "detach").unwrap_or(false);
    }
    DraftKind::Child { workflow, detach }
}

fn read_each(reader: &mut Reader, fields: &Fields<'_>) -> DraftKind {
    let path = fields.path("each");
    let (mut workflow, mut parallel, mut collect) = (String::new(), None, false);
    let known = ["workflow", "parallel", "collect"];
    let value = fields.value("each");
    if let Some(fields) = value.and_then(|value| reader.fields(value, &path, &known)) {
        workflow = reader.required_text(&fields, "workflow");
        parallel = reader.integer(&fields, "parallel");
        collect = reader.boolean(&fields, "collect").unwrap_or(false);
    }
    DraftKind::Each {
        workflow,
        parallel,
        collect,
    }
}

impl DraftKind {
    /// The field of a step that makes it one of this kind.
    pub(in super::super) const fn word(&self) -> &'static str {
        match self {
            DraftKind::Handler(_) => "handler",
            DraftKind::Wait(_) => "wait",
            DraftKind::Until => "until",
            DraftKind::Log { .. } => "log",
            DraftKind::Pause { .. } => "pause",
            DraftKind::Approval { .. } => "approval",
            DraftKind::Signal { .. } => "signal",
            DraftKind::Route { .. } => "route",
            DraftKind::Child { .. } => "child",
            DraftKind::Each { .. } => "each",
        }
    }
}

impl DraftStep {
    /// The field of the step that holds its input.
    pub(in super::super) const fn input_key(&self) -> &'static str {
        match self.kind {
            DraftKind::Until => "until",
            DraftKind::Handler(_)
            | DraftKind::Wait(_)
            | DraftKind::Log { .. }
            | DraftKind::Pause { .. }
            | DraftKind::Approval { .. }
            | DraftKind::Signal { .. }
            | DraftKind::Route { .. }
            | DraftKind::Child { .. }
            | DraftKind::Each { .. } => "input",
        }
    }
}

/// Puts the field of the kind; that of an `until` is its input.
pub(super) fn put_kind(object: &mut Object, kind: &DraftKind) {
    let mut fields = Object::default();
    match kind {
        DraftKind::Handler(handler) => return object.put("handler", Some(handler)),
        DraftKind::Wait(span) => return object.put("wait", Some(span.to_string())),
        DraftKind::Until => return,
        DraftKind::Route {
            conditions,
            fallback,
        } => return object.put("route", Some(print_route(conditions, fallback.as_ref()))),
        DraftKind::Log { level, message } => {
            fields.put("message", Some(message));
            fields.put("level", level.map(LogLevel::as_str));
        }
        DraftKind::Pause { deadline } | DraftKind::Approval { deadline } => {
            fields.put("deadline", deadline.map(|span| span.to_string()));
        }
        DraftKind::Signal {
            signal,
            contract,
            deadline,
        } => {
            fields.put("name", Some(signal));
            fields.put_contract("payload", contract);
            fields.put("deadline", deadline.map(|span| span.to_string()));
        }
        DraftKind::Child { workflow, detach } => {
            fields.put("workflow", Some(workflow));
            fields.put("detach", detach.then_some(true));
        }
        DraftKind::Each {
            workflow,
            parallel,
            collect,
        } => {
            fields.put("workflow", Some(workflow));
            fields.put("parallel", *parallel);
            fields.put("collect", collect.then_some(true));
        }
    }
    object.put(kind.word(), Some(fields.into_value()));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::{Draft, DraftSource};

    fn read(step: &Value) -> Result<DraftStep, Vec<(String, &'static str)>> {
        let mut step = step.clone();
        step["name"] = json!("s");
        let draft = json!({"name": "w", "version": 1, "steps": [step]});
        match Draft::parse(&draft) {
            Ok(mut draft) => Ok(draft.steps.remove(0)),
            Err(problems) => Err(problems
                .into_iter()
                .map(|p| (p.path, p.code.as_str()))
                .collect()),
        }
    }

    #[test]
    fn shorthands_read_as_what_they_stand_for() {
        let log = read(&json!({"log": "charged"})).unwrap();
        assert_eq!(log.to_json()["log"], json!({"message": "charged"}));
        let pause = read(&json!({"pause": {}})).unwrap();
        assert_eq!(pause.kind, DraftKind::Pause { deadline: None });
        let until = read(&json!({"until": "input.at"})).unwrap();
        assert_eq!(until.kind, DraftKind::Until);
        let at = DraftSource {
            path: "at".parse().unwrap(),
            ..DraftSource::input()
        };
        assert_eq!(until.input, DraftBinding::Whole(at));
        assert_eq!(until.to_json(), json!({"name": "s", "until": "input.at"}));
    }

    #[test]
    fn a_step_is_of_exactly_one_kind() {
        for (step, path, code) in [
            (json!({}), "handler", "missing_field"),
            (json!({"handler": null}), "handler", "missing_field"),
            (
                json!({"child": {"workflow": "w"}, "pause": {}}),
                "child",
                "conflicting_options",
            ),
            (
                json!({"until": "input", "input": "input"}),
                "input",
                "conflicting_options",
            ),
            (json!({"until": ["input"]}), "until", "wrong_type"),
            (json!({"log": 5}), "log", "wrong_type"),
            (json!({"log": {}}), "log.message", "missing_field"),
            (
                json!({"log": {"message": "", "level": "loud"}}),
                "log.level",
                "unknown_word",
            ),
            (json!({"pause": true}), "pause", "wrong_type"),
            (
                json!({"approval": {"until": "1d"}}),
                "approval.until",
                "unknown_field",
            ),
            (json!({"signal": {}}), "signal.name", "missing_field"),
            (
                json!({"signal": {"name": "s", "payload": 5}}),
                "signal.payload",
                "wrong_type",
            ),
            (json!({"child": "w"}), "child", "wrong_type"),
            (json!({"each": {}}), "each.workflow", "missing_field"),
            (
                json!({"each": {"workflow": "w", "parallel": -1}}),
                "each.parallel",
                "out_of_range",
            ),
        ] {
            assert_eq!(
                read(&step).unwrap_err(),
                [(format!("steps[0].{path}"), code)],
                "{step}"
            );
        }
    }
}
