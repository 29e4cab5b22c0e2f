//! Tests of the validation, by the acceptance item they show.

mod flow;
mod guard;
mod kind;
mod nul;
mod option;
mod trigger;

use serde_json::json;

use super::*;
use crate::definition::{
    Contract, DraftBinding, DraftRetry, DraftSource, DraftStep, FieldType, Retry, samples,
};

pub(super) fn one_step() -> Draft {
    let mut draft = Draft::new("order", 1);
    draft.steps.push(DraftStep::handler("a", "h"));
    draft
}

pub(super) fn chain(edges: &[(&str, &[&str])]) -> Draft {
    let mut draft = Draft::new("order", 1);
    for (name, needs) in edges {
        let mut step = DraftStep::handler(*name, "h");
        step.needs = needs.iter().map(ToString::to_string).collect();
        draft.steps.push(step);
    }
    draft
}

pub(super) fn problems(draft: Draft) -> Vec<(String, &'static str)> {
    match Definition::validate(draft) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .into_iter()
            .map(|p| (p.path, p.code.as_str()))
            .collect(),
    }
}

pub(super) fn problem(path: &str, code: &'static str) -> (String, &'static str) {
    (path.to_owned(), code)
}

/// The problems of the sample order after a change of its JSON.
pub(super) fn changed(change: impl FnOnce(&mut Value)) -> Vec<(String, &'static str)> {
    let mut draft = samples::order();
    change(&mut draft);
    match Definition::parse(&draft) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .into_iter()
            .map(|p| (p.path, p.code.as_str()))
            .collect(),
    }
}

pub(super) fn four_problems() -> Value {
    json!({"name": "order", "version": 1, "steps": [
        {"name": "pay", "handler": "pay", "retry": {"max_attempts": 0}},
        {"name": "pay", "handler": "pay"},
        {"name": "9lives", "handler": "cat", "needs": ["ghost"]},
    ]})
}

#[test]
fn a1_1_a_definition_without_steps_has_one_problem_at_steps() {
    assert_eq!(
        problems(Draft::new("order", 1)),
        [problem("steps", "no_steps")]
    );
    let json = json!({"name": "order", "version": 1});
    assert_eq!(
        Definition::parse(&json).unwrap_err().as_slice()[0].path,
        "steps"
    );
}

#[test]
fn a1_2_all_problems_come_back_in_one_list() {
    let found = Definition::parse(&four_problems()).unwrap_err();
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "steps[0].retry.max_attempts: max_attempts is 0: a step is executed at least once [invalid_retry]",
            "steps[1].name: step \"pay\" is declared more than once [duplicate_step]",
            "steps[2].name: name \"9lives\" is not 1 to 64 characters of [a-z][a-z0-9_]* [malformed_name]",
            "steps[2].needs[0]: step \"9lives\" names step \"ghost\", which the definition does not have [unknown_step]",
        ]
    );
}

#[test]
fn a1_4_names_of_workflows_steps_handlers_and_queues_are_checked() {
    let (longest, too_long) = ("a".repeat(64), "a".repeat(65));
    for (name, good) in [
        ("a", true),
        (longest.as_str(), true),
        (too_long.as_str(), false),
        ("", false),
        ("Pay", false),
        ("pay-card", false),
        ("päy", false),
    ] {
        let mut draft = Draft::new(name, 1);
        draft.queue = Some(name.to_owned());
        draft.steps.push(DraftStep::handler(name, name));
        draft.steps[0].queue = Some(name.to_owned());
        let places = [
            "name",
            "steps[0].name",
            "steps[0].handler",
            "steps[0].queue",
            "queue",
        ];
        let expected: &[&str] = if good { &[] } else { &places };
        let expected: Vec<_> = expected
            .iter()
            .map(|path| problem(path, "malformed_name"))
            .collect();
        assert_eq!(problems(draft), expected, "{name}");
    }
}

#[test]
fn a1_7_a_wait_is_between_zero_and_ten_years() {
    let wait = |micros: i128| {
        let mut draft = Draft::new("order", 1);
        draft
            .steps
            .push(DraftStep::wait("w", DraftSpan::from_micros(micros)));
        problems(draft)
    };
    let ten_years = DraftSpan::from(limits::WAIT_MAX).as_micros();
    assert_eq!(wait(0), []);
    assert_eq!(wait(ten_years), []);
    for bad in [
        -1_000_000,
        ten_years + 1_000_000,
        ten_years + 1,
        i128::MAX,
        i128::MIN,
    ] {
        assert_eq!(
            wait(bad),
            [problem("steps[0].wait", "invalid_wait")],
            "{bad}"
        );
    }
}

#[test]
fn timeouts_and_deadlines_are_above_zero_and_at_most_ten_years() {
    let ten_years = DraftSpan::from(limits::SPAN_MAX).as_micros();
    for (micros, good) in [
        (1, true),
        (ten_years, true),
        (0, false),
        (-1, false),
        (ten_years + 1, false),
    ] {
        let mut draft = one_step();
        draft.deadline = Some(DraftSpan::from_micros(micros));
        draft.steps[0].timeout = draft.deadline;
        let both = [
            problem("steps[0].timeout", "invalid_timeout"),
            problem("deadline", "invalid_deadline"),
        ];
        assert_eq!(
            problems(draft),
            if good { &both[..0] } else { &both[..] },
            "{micros}"
        );
    }
}

#[test]
fn a_wait_takes_no_option_that_only_attempts_honour() {
    let found = changed(|draft| {
        let wait = &mut draft["steps"][2];
        wait["input"] = json!("output(charge)");
        wait["retry"] = json!({"max_attempts": 2});
        wait["timeout"] = json!("1s");
        wait["queue"] = json!("orders");
        wait["priority"] = json!(1);
    });
    let options = ["input", "retry", "timeout", "queue", "priority"];
    assert_eq!(
        found,
        options.map(|key| problem(&format!("steps[2].{key}"), "option_without_effect"))
    );
}

#[test]
fn a1_15_a_default_that_does_not_fit_its_field_is_a_problem_at_the_field() {
    let default = |ty: &str, default: Value| {
        changed(|draft| {
            draft["input"]["fields"]["amount"] = json!({"type": ty, "default": default})
        })
    };
    let mismatch = [problem("input.fields.amount", "default_mismatch")];
    assert_eq!(default("integer", json!("abc")), mismatch);
    assert_eq!(default("integer", json!(null)), mismatch);
    assert_eq!(default("integer?", json!(null)), []);
    assert_eq!(default("integer", json!(5)), []);
}

#[test]
fn a1_15_a_stamp_is_of_a_field_that_takes_strings() {
    for ty in FieldType::ALL {
        let found = changed(|draft| {
            draft["input"]["fields"]["note"] = json!({"type": ty.as_str(), "stamp": "today"})
        });
        if matches!(ty, FieldType::String | FieldType::Any) {
            assert_eq!(found, [], "{ty}");
        } else {
            let mismatch = problem("input.fields.note", "default_mismatch");
            assert_eq!(found, [mismatch], "{ty}");
        }
    }
}

#[test]
fn a1_17_a_thousand_steps_are_accepted_and_one_more_is_a_limit_problem() {
    let of = |count: usize| {
        let mut draft = Draft::new("order", 1);
        draft.steps = (0..count)
            .map(|i| DraftStep::handler(format!("s{i}"), "h"))
            .collect();
        for i in 1..count {
            draft.steps[i].needs = vec![format!("s{}", i - 1)];
        }
        Definition::validate(draft)
    };
    assert_eq!(of(1_000).unwrap().steps().len(), 1_000);
    let found = of(1_001).unwrap_err();
    assert_eq!(
        found.to_string(),
        "steps: 1001 steps, above the limit of 1000 [limit_exceeded]"
    );
    // More steps than an index can count.
    assert_eq!(of(70_000).unwrap_err().as_slice().len(), 1);
}

#[test]
fn counts_texts_and_nesting_have_limits() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    let build = |excess: usize| {
        let mut draft = one_step();
        draft.label = Some("x".repeat(limits::LABEL_BYTES + excess));
        draft.description = Some("x".repeat(limits::COMMENT_BYTES + excess));
        draft.steps[0].label = draft.label.clone();
        let attempts = limits::ATTEMPTS + u32::try_from(excess).unwrap();
        draft.steps[0].retry = Some(DraftRetry {
            max_lost: Some(attempts),
            ..DraftRetry::attempts(attempts)
        });
        draft.result = DraftBinding::Whole(DraftSource::constant(nested(NESTING + excess)));
        draft
    };
    let definition = Definition::validate(build(0)).unwrap();
    assert_eq!(
        Definition::from_body(definition.body()).unwrap(),
        definition
    );
    let paths = [
        "label",
        "description",
        "steps[0].label",
        "steps[0].retry.max_attempts",
        "steps[0].retry.max_lost",
        "result.constant",
    ];
    assert_eq!(
        problems(build(1)),
        paths.map(|path| problem(path, "limit_exceeded"))
    );
    assert!(too_many("", "bytes", 64 << 20, limits::PAYLOAD_BYTES_MAX).is_none());
    assert!(too_many("", "bytes", (64 << 20) + 1, limits::PAYLOAD_BYTES_MAX).is_some());
}

#[test]
fn nul_characters_are_found_wherever_a_definition_has_text() {
    let found = changed(|draft| {
        draft["label"] = json!("\u{0}");
        draft["input"]["fields"]["a\u{0}"] = json!({"type": "any", "default": ["\u{0}"]});
        draft["steps"][0]["description"] = json!("\u{0}");
        draft["steps"][3]["input"] = json!({"object": {"k\u{0}": {"constant": {"v": "\u{0}"}}}});
    });
    let paths = [
        "label",
        "input.fields[\"a\\0\"]",
        "input.fields[\"a\\0\"].default[0]",
        "steps[0].description",
        "steps[3].input.object[\"k\\0\"].constant.v",
        "steps[3].input.object[\"k\\0\"]",
    ];
    assert_eq!(found, paths.map(|path| problem(path, "nul_character")));
}

#[test]
fn needs_are_the_declared_ones_and_the_sources_in_index_order_without_repeats() {
    let mut draft = chain(&[("d", &["c", "a", "c"]), ("c", &[]), ("b", &[]), ("a", &[])]);
    draft.steps[0].input = DraftBinding::Tuple(vec![
        DraftSource::output("b".to_owned()),
        DraftSource::input(),
        DraftSource::output("a".to_owned()),
    ]);
    draft.steps[0].after = vec!["b".to_owned(), "a".to_owned()];
    draft.steps[1].after = vec!["a".to_owned(), "b".to_owned(), "a".to_owned()];
    let definition = Definition::validate(draft).unwrap();
    let indexes = |list: &[u16]| list.iter().copied().map(StepIndex).collect::<Vec<_>>();
    assert_eq!(definition.steps()[0].needs, indexes(&[1, 2, 3]));
    assert_eq!(definition.steps()[0].after, indexes(&[]));
    assert_eq!(definition.steps()[1].after, indexes(&[2, 3]));
    let dependents: Vec<&[StepIndex]> = definition
        .indexes()
        .map(|i| definition.dependents(i))
        .collect();
    assert_eq!(
        dependents,
        [
            indexes(&[]),
            indexes(&[0]),
            indexes(&[0, 1]),
            indexes(&[0, 1])
        ]
    );
}

#[test]
fn the_result_names_steps_that_exist_and_is_nothing_by_default() {
    assert_eq!(
        changed(|draft| draft["result"] = json!(["output(ghost)"])),
        [problem("result[0]", "unknown_step")]
    );
    assert_eq!(
        *Definition::validate(one_step()).unwrap().result(),
        Binding::Nothing
    );
}

#[test]
fn what_is_not_given_has_its_default() {
    let definition = Definition::validate(one_step()).unwrap();
    assert_eq!(
        (definition.queue().as_str(), definition.priority()),
        ("default", 0)
    );
    assert_eq!(*definition.contract(), Contract::Any);
    assert_eq!(definition.steps()[0].retry, Retry::once());
}
