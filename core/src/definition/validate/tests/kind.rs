//! Kinds and what they hold.

use serde_json::json;

use super::super::*;
use super::{changed, problem};
use crate::definition::{DraftBinding, DraftKind, DraftSource, DraftStep, Path, Segment, samples};

fn at(step: usize, key: &str, code: &'static str) -> (String, &'static str) {
    problem(&format!("steps[{step}].{key}"), code)
}

#[test]
fn a_gate_is_open_for_more_than_no_time_and_at_most_ten_years() {
    for (deadline, good) in [
        ("1us", true),
        ("3652d12h", true),
        ("0s", false),
        ("-1s", false),
        ("3652d12h1us", false),
    ] {
        let found = changed(|draft| {
            draft["steps"][6]["approval"]["deadline"] = json!(deadline);
            draft["steps"][7]["pause"]["deadline"] = json!(deadline);
            draft["steps"][8]["signal"]["deadline"] = json!(deadline);
        });
        let expected = [
            at(6, "approval.deadline", "invalid_deadline"),
            at(7, "pause.deadline", "invalid_deadline"),
            at(8, "signal.deadline", "invalid_deadline"),
        ];
        let expected = if good { &expected[..0] } else { &expected[..] };
        assert_eq!(found, expected, "{deadline}");
    }
}

#[test]
fn an_each_has_between_one_and_ten_thousand_children_at_once() {
    for (parallel, good) in [(1, true), (10_000, true), (0, false), (10_001, false)] {
        let found = changed(|draft| draft["steps"][11]["each"]["parallel"] = json!(parallel));
        let expected = [at(11, "each.parallel", "out_of_range")];
        assert_eq!(found, if good { &expected[..0] } else { &expected[..] });
    }
    let definition = samples::changed(|draft| draft["steps"][11]["each"]["parallel"] = json!(null));
    assert!(definition.body().contains("\"parallel\":100"));
}

#[test]
fn a_message_has_at_most_8_kib_and_no_nul() {
    let with = |message: String| changed(|draft| draft["steps"][5]["log"] = json!(message));
    assert_eq!(with("x".repeat(8_192)), []);
    assert_eq!(
        with("x".repeat(8_193)),
        [at(5, "log.message", "limit_exceeded")]
    );
    assert_eq!(
        with("\0".to_owned()),
        [at(5, "log.message", "nul_character")]
    );
}

#[test]
fn names_in_kinds_are_checked() {
    let found = changed(|draft| {
        draft["steps"][0]["undo"]["handler"] = json!("Undo");
        draft["steps"][1]["labels"] = json!(["fraud", "fraud", "Not Good", "failed"]);
        draft["steps"][8]["signal"]["name"] = json!("");
        draft["steps"][9]["route"][1]["label"] = json!("No");
        draft["steps"][9]["route"][6]["label"] = json!("failed");
        draft["steps"][10]["child"]["workflow"] = json!("9");
        draft["steps"][11]["each"]["workflow"] = json!("9");
    });
    assert_eq!(
        found,
        [
            at(0, "undo.handler", "malformed_name"),
            at(1, "labels[1]", "duplicate_label"),
            at(1, "labels[2]", "malformed_name"),
            at(1, "labels[3]", "reserved_label"),
            at(8, "signal.name", "malformed_name"),
            at(9, "route[1].label", "malformed_name"),
            at(9, "route[6].label", "reserved_label"),
            at(10, "child.workflow", "malformed_name"),
            at(11, "each.workflow", "malformed_name"),
        ]
    );
}

#[test]
fn a_step_returns_at_most_256_labels() {
    let with = |count: usize| {
        changed(|draft| {
            let labels: Vec<String> = (2..count).map(|n| format!("l{n}")).collect();
            let both = ["fraud", "clean"].map(str::to_owned);
            draft["steps"][1]["labels"] = json!([&both[..], &labels[..]].concat());
            let condition = |label: &String| json!({"label": label, "equals": 1});
            let big = ["big", "big"].map(str::to_owned);
            let conditions: Vec<Value> = big.iter().chain(&labels).map(condition).collect();
            draft["steps"][9]["route"] = json!(conditions);
        })
    };
    assert_eq!(with(256), []);
    assert_eq!(
        with(257),
        [
            at(1, "labels", "limit_exceeded"),
            at(9, "route", "limit_exceeded")
        ]
    );
}

#[test]
fn a_route_has_conditions_and_compares_what_has_an_order() {
    let only_fallback = json!([{"label": "big", "otherwise": true}]);
    assert_eq!(
        changed(|draft| draft["steps"][9]["route"] = only_fallback),
        [at(9, "route", "no_conditions")]
    );
    assert_eq!(
        changed(|draft| {
            draft["steps"][9]["route"][0]["greater_than"] = json!([1]);
            draft["steps"][9]["route"][4]["less_than"] = json!(true);
            draft["steps"][9]["route"][2]["equals"] = json!({"a": "\0"});
            draft["steps"][9]["route"][3]["in"] = json!([1, "\0"]);
        }),
        [
            at(9, "route[0].greater_than", "wrong_type"),
            at(9, "route[2].equals.a", "nul_character"),
            at(9, "route[3].in[1]", "nul_character"),
            at(9, "route[4].less_than", "wrong_type"),
        ]
    );
    assert_eq!(
        changed(|draft| draft["steps"][9]["route"][4]["less_than"] = json!("m")),
        []
    );
}

#[test]
fn until_route_and_each_say_what_they_look_at() {
    let found = changed(|draft| {
        draft["steps"][9]["input"] = json!(null);
        draft["steps"][11]["input"] = json!(null);
    });
    // The failure of the each no longer has an input to miss, but it can fail as before.
    assert_eq!(
        found,
        [
            at(9, "input", "missing_field"),
            at(11, "input", "missing_field")
        ]
    );
    for input in [
        DraftBinding::Nothing,
        DraftBinding::Tuple(vec![DraftSource::input()]),
    ] {
        let mut draft = super::one_step();
        let mut until = DraftStep::of("b".to_owned(), DraftKind::Until);
        until.input = input;
        draft.steps.push(until);
        assert_eq!(super::problems(draft), [at(1, "until", "missing_field")]);
    }
}

#[test]
fn signals_of_one_name_carry_the_same() {
    let with = |payload: Value| {
        changed(|draft| {
            let signal = json!({"name": "again", "signal": {"name": "paid", "payload": payload}});
            draft["steps"].as_array_mut().unwrap().push(signal);
        })
    };
    assert_eq!(with(json!({"fields": {"amount": {"type": "integer"}}})), []);
    assert_eq!(
        with(json!("string")),
        [at(15, "signal.payload", "conflicting_contracts")]
    );
}

#[test]
fn a1_15_defaults_of_signals_and_triggers_fit_their_fields_too() {
    let bad = json!({"fields": {"amount": {"type": "integer", "default": "abc"}}});
    let found = changed(|draft| {
        draft["triggers"][1]["input"] = bad.clone();
        draft["steps"][8]["signal"]["payload"] = bad.clone();
    });
    assert_eq!(
        found,
        [
            problem("triggers[1].input.fields.amount", "default_mismatch"),
            at(8, "signal.payload.fields.amount", "default_mismatch"),
        ]
    );
}

#[test]
fn inputs_of_runs_are_stamped_and_payloads_of_signals_are_not() {
    let stamped = json!({"fields": {"at": {"type": "string", "stamp": "now"}}});
    let found = changed(|draft| {
        draft["triggers"][1]["input"] = stamped.clone();
        draft["steps"][8]["signal"]["payload"] = stamped.clone();
    });
    assert_eq!(
        found,
        [at(
            8,
            "signal.payload.fields.at.stamp",
            "option_without_effect"
        )]
    );
}

#[test]
fn triggers_have_distinct_names_and_manual_is_taken() {
    let found = changed(|draft| {
        draft["triggers"] = json!([
            {"name": "manual"}, {"name": "x"}, {"name": "x", "input": "string"}, {"name": "Y"}, {"input": 5}
        ]);
    });
    assert_eq!(
        found,
        [
            problem("triggers[4].name", "missing_field"),
            problem("triggers[4].input", "wrong_type"),
            problem("triggers[0].name", "duplicate_trigger"),
            problem("triggers[2].name", "duplicate_trigger"),
            problem("triggers[3].name", "malformed_name"),
        ]
    );
    let with = |count: usize| {
        changed(|draft| {
            let triggers = (0..count).map(|n| json!({"name": format!("t{n}")}));
            draft["triggers"] = triggers.collect();
        })
    };
    assert_eq!(with(64), []);
    assert_eq!(with(65), [problem("triggers", "limit_exceeded")]);
    let definition = samples::changed(|_| {});
    let names: Vec<&str> = definition
        .triggers()
        .iter()
        .map(|t| t.name.as_str())
        .collect();
    assert_eq!(names, ["manual", "by_hand", "nightly_import"]);
    assert!(definition.trigger("by_hand").is_some());
    assert!(definition.trigger("by_foot").is_none());
}

#[test]
fn paths_made_in_rust_are_checked_like_those_read() {
    let with = |source: DraftSource| {
        let mut draft = super::one_step();
        draft.steps[0].input = DraftBinding::Whole(source);
        super::problems(draft)
    };
    let deep = |count| Path::new(vec![Segment::Index(0); count]);
    assert_eq!(with(DraftSource::input().at(deep(32))), []);
    assert_eq!(
        with(DraftSource::input().at(deep(33))),
        [at(0, "input", "limit_exceeded")]
    );
    let nul = Path::new(vec![Segment::Field("a\0".to_owned())]);
    assert_eq!(
        with(DraftSource::input().at(nul)),
        [at(0, "input", "nul_character")]
    );
    assert_eq!(
        with(DraftSource::constant(5).at(deep(1))),
        [at(0, "input", "option_without_effect")]
    );
}
