//! Options of steps.

use serde_json::json;

use super::super::*;
use super::{changed, problem};
use crate::definition::OnLost;

/// The options that have no effect on a step, each given alone.
fn ignored(kind: &Value) -> Vec<&'static str> {
    let options = [
        ("input", json!("input")),
        ("retry", json!({"max_attempts": 2})),
        ("timeout", json!("1s")),
        ("queue", json!("other")),
        ("priority", json!(1)),
        ("labels", json!(["yes"])),
        ("undo", json!({"handler": "h"})),
        ("irreversible", json!(false)),
        ("compensatable", json!(true)),
        ("on_lost", json!("hold")),
        ("transactional", json!(true)),
        ("mark", json!("undo")),
    ];
    let mut ignored = Vec::new();
    for (option, value) in options {
        let mut step = kind.clone();
        step["name"] = json!("s");
        step[option] = value;
        let found = Definition::parse(&json!({"name": "w", "version": 1, "steps": [step]}));
        if let Err(problems) = found {
            let shown: Vec<(&str, &str)> = problems
                .iter()
                .map(|p| (p.path.as_str(), p.code.as_str()))
                .collect();
            let path = format!("steps[0].{option}");
            assert_eq!(shown, [(path.as_str(), "option_without_effect")], "{kind}");
            ignored.push(option);
        }
    }
    ignored
}

#[test]
fn each_kind_takes_the_options_that_it_honours() {
    let all = [
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
    let but = |honoured: &[&str]| -> Vec<&str> {
        all.into_iter()
            .filter(|option| !honoured.contains(option))
            .collect()
    };
    assert_eq!(ignored(&json!({"handler": "h"})), ["mark"]);
    assert_eq!(ignored(&json!({"wait": "1s"})), all);
    assert_eq!(ignored(&json!({"log": "x"})), all);
    assert_eq!(ignored(&json!({"signal": {"name": "s"}})), all);
    assert_eq!(ignored(&json!({"pause": {}})), but(&["input"]));
    let route = json!({"route": [{"label": "a", "equals": 1}], "input": "input"});
    assert_eq!(ignored(&route), but(&["input"]));
    let child = json!({"child": {"workflow": "w"}});
    assert_eq!(
        ignored(&child),
        but(&[
            "input",
            "queue",
            "priority",
            "irreversible",
            "compensatable"
        ])
    );
    let each = json!({"each": {"workflow": "w"}, "input": "input"});
    assert_eq!(ignored(&each), but(&["input", "queue", "priority"]));
}

#[test]
fn an_approval_and_an_until_make_no_attempts() {
    let found = changed(|draft| {
        for step in [4, 6] {
            draft["steps"][step]["retry"] = json!({"max_attempts": 2});
            draft["steps"][step]["queue"] = json!("other");
        }
    });
    let at =
        |step: usize, key: &str| problem(&format!("steps[{step}].{key}"), "option_without_effect");
    assert_eq!(
        found,
        [
            at(4, "retry"),
            at(4, "queue"),
            at(6, "retry"),
            at(6, "queue")
        ]
    );
}

#[test]
fn a1_8_what_cannot_be_undone_has_no_undo_and_is_not_compensatable() {
    let step = |options: Value| {
        let mut step = json!({"name": "pay", "handler": "pay"});
        step.as_object_mut()
            .unwrap()
            .extend(options.as_object().unwrap().clone());
        json!({"name": "w", "version": 1, "steps": [step]})
    };
    let undo = json!({"handler": "refund"});
    let refused = |options: Value| Definition::parse(&step(options)).unwrap_err().to_string();
    assert_eq!(
        refused(json!({"undo": undo, "irreversible": true})),
        "steps[0].undo: step \"pay\" has an undo handler although it is irreversible [conflicting_options]"
    );
    assert_eq!(
        refused(json!({"undo": undo, "compensatable": false})),
        "steps[0].undo: step \"pay\" has an undo handler although it is not compensatable [conflicting_options]"
    );
    assert_eq!(
        refused(json!({"compensatable": true, "irreversible": true})),
        "steps[0].compensatable: step \"pay\" is both irreversible and compensatable [conflicting_options]"
    );
    for good in [
        json!({"undo": undo, "irreversible": false, "compensatable": true}),
        json!({"irreversible": true, "compensatable": false}),
        json!({"irreversible": true, "on_lost": "hold", "transactional": true}),
    ] {
        assert!(Definition::parse(&step(good)).is_ok());
    }
}

#[test]
fn an_irreversible_step_is_held_and_not_compensatable_unless_it_says_otherwise() {
    let of = |options: Value| {
        let mut step = json!({"name": "pay", "handler": "pay"});
        step.as_object_mut()
            .unwrap()
            .extend(options.as_object().unwrap().clone());
        let draft = json!({"name": "w", "version": 1, "steps": [step]});
        let definition = Definition::parse(&draft).unwrap();
        let step = &definition.steps()[0];
        (step.irreversible, step.compensatable, step.on_lost)
    };
    assert_eq!(of(json!({})), (false, true, OnLost::Retry));
    assert_eq!(
        of(json!({"irreversible": true})),
        (true, false, OnLost::Hold)
    );
    assert_eq!(
        of(json!({"irreversible": true, "on_lost": "retry"})),
        (true, false, OnLost::Retry)
    );
    assert_eq!(
        of(json!({"compensatable": false, "on_lost": "hold"})),
        (false, false, OnLost::Hold)
    );
}

#[test]
fn a1_6_the_retry_of_an_undo_is_checked_like_any_other() {
    let found = changed(|draft| {
        draft["steps"][0]["undo"]["retry"] =
            json!({"max_attempts": 0, "backoff": {"kind": "constant", "min": "0s"}});
        draft["steps"][0]["undo"]["timeout"] = json!("0s");
    });
    assert_eq!(
        found,
        [
            problem("steps[0].undo.retry.max_attempts", "invalid_retry"),
            problem("steps[0].undo.retry.backoff.min", "invalid_retry"),
            problem("steps[0].undo.timeout", "invalid_timeout"),
        ]
    );
}
