//! Steps that a run may skip, and who would miss them.

use serde_json::json;

use super::super::*;
use super::problem;
use crate::definition::{DraftBinding, DraftGuard, DraftSource, DraftStep};

/// The problems of these steps and this result.
fn found(steps: &Value, result: &Value) -> Vec<(String, &'static str)> {
    let draft = json!({"name": "w", "version": 1, "steps": steps, "result": result});
    match Definition::parse(&draft) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .into_iter()
            .map(|p| (p.path, p.code.as_str()))
            .collect(),
    }
}

fn needs(steps: &Value) -> Vec<(String, &'static str)> {
    found(steps, &json!(null))
}

fn check() -> Value {
    json!({"name": "check", "handler": "check", "labels": ["large", "small"]})
}

fn when(label: &str) -> Value {
    json!({"step": "check", "label": label})
}

#[test]
fn a1_10_a_need_on_a_guarded_step_is_a_problem_and_through_either_it_is_none() {
    let review = json!({"name": "review", "handler": "review", "when": when("large")});
    let ship = |input: Value| json!({"name": "ship", "handler": "ship", "input": input});
    let direct = json!([check(), review, ship(json!("output(review)"))]);
    assert_eq!(
        needs(&direct),
        [problem("steps[2].input", "skippable_need")]
    );
    let message = Definition::parse(&json!({"name": "w", "version": 1, "steps": direct}))
        .unwrap_err()
        .to_string();
    assert!(
        message.contains(
            "step \"ship\" needs step \"review\", which is guarded by \"large\" of \"check\""
        ),
        "{message}"
    );
    for input in ["either(review,check)", "either(review)"] {
        assert_eq!(needs(&json!([check(), review, ship(json!(input))])), []);
    }
    let declared = json!({"name": "ship", "handler": "ship", "needs": ["check", "review"], "input": "output(review)"});
    assert_eq!(
        needs(&json!([check(), review, declared])),
        [problem("steps[2].needs[1]", "skippable_need")]
    );
    let after = json!({"name": "ship", "handler": "ship", "after": ["review"]});
    assert_eq!(needs(&json!([check(), review, after])), []);
}

#[test]
fn a1_10_steps_under_the_same_guards_may_need_each_other() {
    let step = |name: &str, guards: Value, needs: Value| json!({"name": name, "handler": "h", "labels": ["yes"], "when": guards, "needs": needs});
    let inner = json!({"step": "a", "label": "yes"});
    let a = step("a", when("large"), json!([]));
    // The same guard; one more guard; a guard on a step that has the guard; a failure of one that has it.
    for b in [
        step("b", when("large"), json!(["a"])),
        step("b", json!([inner, when("large")]), json!(["a"])),
        step("b", inner.clone(), json!(["a"])),
    ] {
        let c = step("c", b["when"].clone(), json!(["b", "a"]));
        assert_eq!(needs(&json!([check(), a, b, c])), []);
    }
    let other = step("b", when("large"), json!([]));
    let recover = json!({"name": "c", "handler": "h", "input": "failure(a)", "needs": ["b"]});
    assert_eq!(needs(&json!([check(), a, other, recover])), []);
    // Another label of the same step; fewer guards.
    let clashing = step("b", when("small"), json!(["a"]));
    let expected = [problem("steps[2].needs[0]", "skippable_need")];
    assert_eq!(needs(&json!([check(), a, clashing])), expected);
    let nested = step("b", json!([when("large"), inner]), json!([]));
    let outer = step("c", when("large"), json!(["b"]));
    let expected = [problem("steps[3].needs[0]", "skippable_need")];
    assert_eq!(needs(&json!([check(), a, nested, outer])), expected);
}

#[test]
fn a1_10_the_one_who_needs_the_guarded_step_is_named_and_not_those_behind() {
    let chain = json!([
        {"name": "c", "handler": "h", "needs": ["b"]},
        {"name": "b", "handler": "h", "needs": ["a"]},
        {"name": "a", "handler": "h", "when": when("large")},
        check(),
    ]);
    assert_eq!(
        needs(&chain),
        [problem("steps[1].needs[0]", "skippable_need")]
    );
}

#[test]
fn a_step_that_needs_one_whose_failure_leads_elsewhere_is_skipped_with_it() {
    let steps = json!([
        {"name": "charge", "handler": "h"},
        {"name": "notify", "handler": "h", "input": "failure(charge)"},
        {"name": "note", "handler": "h", "needs": ["notify"]},
        {"name": "ship", "handler": "h", "input": "output(charge)"},
        {"name": "pack", "handler": "h", "input": "output(ship)"},
        {"name": "audit", "handler": "h", "after": ["charge"]},
        {"name": "join", "handler": "h", "input": "either(pack,note)"},
        {"name": "first", "handler": "h", "input": "either(pack,audit)"},
    ]);
    assert_eq!(needs(&steps), []);
    for (result, code) in [
        ("output(charge)", Some("skippable_result")),
        ("output(notify)", Some("skippable_result")),
        ("output(note)", Some("skippable_result")),
        ("output(ship)", Some("skippable_result")),
        ("output(pack)", Some("skippable_result")),
        ("failure(charge)", Some("failure_in_result")),
        ("output(audit)", None),
        ("either(pack,note)", None),
        ("output(join)", None),
    ] {
        let expected: Vec<_> = code.iter().map(|code| problem("result", code)).collect();
        assert_eq!(found(&steps, &json!(result)), expected, "{result}");
    }
}

#[test]
fn a_result_takes_no_guarded_step_unless_through_either() {
    let steps = json!([
        check(),
        {"name": "a", "handler": "h", "when": when("large")},
        {"name": "b", "handler": "h", "when": when("small")},
    ]);
    assert_eq!(
        found(
            &steps,
            &json!({"object": {"x": "output(a)", "y": "either(a,b)"}})
        ),
        [problem("result.object.x", "skippable_result")]
    );
    assert_eq!(
        found(&steps, &json!(["either(a,b).id", "output(check)"])),
        []
    );
}

#[test]
fn where_steps_cannot_be_ordered_only_that_is_reported() {
    let steps = json!([
        check(),
        {"name": "a", "handler": "h", "when": when("large"), "after": ["b"]},
        {"name": "b", "handler": "h", "needs": ["a"]},
    ]);
    assert_eq!(
        found(&steps, &json!("output(a)")),
        [problem("steps[1].needs", "cycle")]
    );
}

#[test]
fn alternatives_are_named_and_others_than_the_step_itself() {
    let with =
        |either: Value| needs(&json!([check(), {"name": "a", "handler": "h", "either": either}]));
    assert_eq!(with(json!([["check"]])), []);
    assert_eq!(
        with(json!([[]])),
        [problem("steps[1].either[0]", "no_alternatives")]
    );
    assert_eq!(
        with(json!([["check"], ["check", "ghost", "a"]])),
        [
            problem("steps[1].either[1][1]", "unknown_step"),
            problem("steps[1].either[1][2]", "self_need"),
        ]
    );
    let steps = json!([check(), {"name": "a", "handler": "h", "input": "either()"}]);
    assert_eq!(
        needs(&steps),
        [problem("steps[1].input", "no_alternatives")]
    );
}

#[test]
fn sources_fill_the_lists_of_what_a_step_waits_for() {
    let draft = json!({"name": "w", "version": 1, "steps": [
        {"name": "a", "handler": "h"},
        {"name": "b", "handler": "h"},
        {"name": "c", "handler": "h"},
        {"name": "d", "handler": "h", "after": ["a", "b", "c"], "either": [["c", "b"]],
         "input": ["either(c,a,c,b).x", "failure(a).code", "either(b,c)"]},
    ]});
    let definition = Definition::parse(&draft).unwrap();
    let step = &definition.steps()[3];
    let at = |list: &[u16]| list.iter().copied().map(StepIndex).collect::<Vec<_>>();
    assert_eq!(step.either, [at(&[0, 1, 2]), at(&[1, 2])]);
    assert_eq!((&step.failures, &step.needs), (&at(&[0]), &at(&[])));
    assert_eq!(step.after, at(&[]));
    let sources = step.input.sources();
    let order = [2, 0, 1].map(StepIndex).to_vec();
    assert_eq!(sources[0].origin, crate::definition::Origin::Either(order));
}

#[test]
fn the_widest_graph_is_checked_too() {
    let mut draft = Draft::new("wide", 1);
    for i in 0..limits::STEPS / 3 {
        let mut step = DraftStep::handler(format!("s{i}"), "h");
        step.labels = vec!["yes".to_owned()];
        let guarded = i.saturating_sub(limits::GUARDS)..i;
        let guards = guarded.map(|other| DraftGuard {
            step: format!("s{other}"),
            label: "yes".to_owned(),
        });
        step.when = guards.collect();
        step.needs = (0..i).map(|other| format!("s{other}")).collect();
        draft.steps.push(step);
    }
    let firm = Draft {
        result: DraftBinding::Whole(DraftSource::output("s0")),
        ..draft.clone()
    };
    assert!(Definition::validate(firm).is_ok());
    draft.result = DraftBinding::Whole(DraftSource::output("s1"));
    let problems = Definition::validate(draft).unwrap_err();
    let codes: Vec<&str> = problems.into_iter().map(|p| p.code.as_str()).collect();
    assert_eq!(codes, ["skippable_result"]);
}
