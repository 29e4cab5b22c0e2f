//! Guards, and what must be guarded.

use serde_json::json;

use super::super::*;
use super::{changed, problem};
use crate::definition::{ProblemCode, samples};

/// The problems of these steps with messages.
fn found(steps: &Value) -> Vec<String> {
    let draft = json!({"name": "w", "version": 1, "steps": steps});
    match Definition::parse(&draft) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn a1_9_a_guard_on_a_label_that_its_step_can_never_return_names_both() {
    let steps = json!([
        {"name": "ask", "input": "input", "route": [{"label": "yes", "equals": 1}, {"label": "no", "otherwise": true}]},
        {"name": "a", "handler": "h", "when": {"step": "ask", "label": "maybe"}},
    ]);
    assert_eq!(
        found(&steps),
        [
            "steps[1].when.label: step \"a\" is guarded by label \"maybe\", which step \"ask\" can never return \
             [label_never_returned]"
        ]
    );
}

#[test]
fn a1_9_each_kind_has_its_labels_and_fails_or_not() {
    let table = [
        (
            json!({"handler": "h", "labels": ["yes"]}),
            vec!["yes", "failed"],
        ),
        (json!({"handler": "h"}), vec!["failed"]),
        (json!({"wait": "1h"}), vec![]),
        (json!({"until": "input"}), vec!["failed"]),
        (json!({"log": "x"}), vec![]),
        (json!({"pause": {}}), vec!["resumed"]),
        (
            json!({"pause": {}, "input": "input.who"}),
            vec!["resumed", "failed"],
        ),
        (
            json!({"pause": {"deadline": "1h"}}),
            vec!["resumed", "expired", "failed"],
        ),
        (json!({"signal": {"name": "s"}}), vec!["received"]),
        (
            json!({"signal": {"name": "s", "deadline": "1h"}}),
            vec!["received", "expired", "failed"],
        ),
        (
            json!({"route": [{"label": "yes", "equals": 1}], "input": "input"}),
            vec!["yes", "failed"],
        ),
        (json!({"child": {"workflow": "w"}}), vec!["failed"]),
        (
            json!({"each": {"workflow": "w"}, "input": "input"}),
            vec!["failed"],
        ),
    ];
    for (kind, possible) in table {
        for label in ["yes", "no", "resumed", "received", "expired", "failed"] {
            let mut asked = kind.clone();
            asked["name"] = json!("asked");
            let steps = json!([
                asked, {"name": "a", "handler": "h", "when": {"step": "asked", "label": label}}
            ]);
            let good = possible.contains(&label);
            assert_eq!(found(&steps).is_empty(), good, "{kind} {label}");
        }
    }
}

#[test]
fn a_gate_whose_expiry_leads_somewhere_does_not_fail() {
    let gate = json!({"name": "gate", "pause": {"deadline": "1h"}});
    let guarded = |label: &str| json!({"name": label, "handler": "h", "when": {"step": "gate", "label": label}});
    assert_eq!(found(&json!([gate, guarded("failed")])).len(), 0);
    let both = found(&json!([gate, guarded("failed"), guarded("expired")]));
    assert_eq!(both.len(), 1);
    assert!(both[0].starts_with("steps[1].when.label: "), "{both:?}");
    let taken = json!({"name": "a", "handler": "h", "input": "failure(gate)"});
    let both = found(&json!([gate, taken, guarded("expired")]));
    assert_eq!(
        both,
        [
            "steps[1].input: step \"a\" takes the failure of step \"gate\", which cannot fail [never_fails]"
        ]
    );
}

#[test]
fn a1_11_an_approval_needs_both_outcomes_wired() {
    let table: [(&[&str], &[&str]); 4] = [
        (&["approved"], &["rejected"]),
        (&["rejected"], &["approved"]),
        (&[], &["approved", "rejected"]),
        (&["approved", "rejected"], &[]),
    ];
    for (wired, missing) in table {
        let mut steps = vec![json!({"name": "review", "approval": {}})];
        for outcome in wired {
            let when = json!({"step": "review", "label": outcome});
            steps.push(json!({"name": outcome, "handler": "h", "when": when}));
        }
        let expected: Vec<String> = missing
            .iter()
            .map(|outcome| {
                format!(
                    "steps[0].approval: step \"review\" is an approval, but no step is guarded by its outcome {outcome:?} \
                     [unwired_outcome]"
                )
            })
            .collect();
        assert_eq!(found(&json!(steps)), expected);
    }
}

#[test]
fn a_guard_names_another_step_that_exists() {
    let table = [
        ("ghost", "steps[5].when.step", "unknown_step"),
        ("record", "steps[5].when.step", "self_need"),
    ];
    for (step, path, code) in table {
        let problems = changed(|draft| draft["steps"][5]["when"]["step"] = json!(step));
        assert_eq!(problems, [problem(path, code)]);
    }
    let problems = changed(|draft| draft["steps"][10]["when"][1]["label"] = json!("huge"));
    assert_eq!(
        problems,
        [problem("steps[10].when[1].label", "label_never_returned")]
    );
}

#[test]
fn a_step_has_at_most_64_guards() {
    let build = |count: usize| {
        let labels: Vec<String> = (0..count).map(|i| format!("r{i}")).collect();
        let mut steps: Vec<Value> = labels
            .iter()
            .map(|name| json!({"name": name, "handler": "h", "labels": ["yes"]}))
            .collect();
        let guards = labels
            .iter()
            .map(|name| json!({"step": name, "label": "yes"}));
        steps.push(json!({"name": "a", "handler": "h", "when": guards.collect::<Vec<Value>>()}));
        found(&json!(steps))
    };
    assert!(build(64).is_empty());
    assert_eq!(
        build(65),
        ["steps[65].when: 65 guards, above the limit of 64 [limit_exceeded]"]
    );
}

#[test]
fn what_excludes_each_other_is_not_waited_for_together() {
    let never = |change: fn(&mut Value)| {
        let mut steps = json!([
            {"name": "x", "handler": "h", "labels": ["yes", "no"]},
            {"name": "a", "handler": "h"},
        ]);
        change(&mut steps[1]);
        let found = found(&steps);
        let suffix = format!("[{}]", ProblemCode::NeverRuns);
        assert!(
            found.iter().all(|line| line.ends_with(&suffix)),
            "{found:?}"
        );
        found.len()
    };
    assert_eq!(
        never(|step| step["when"] = json!([
            {"step": "x", "label": "yes"}, {"step": "x", "label": "no"}
        ])),
        1
    );
    assert_eq!(
        never(|step| {
            step["when"] = json!({"step": "x", "label": "failed"});
            step["needs"] = json!(["x"]);
        }),
        1
    );
    assert_eq!(
        never(|step| step["input"] = json!(["failure(x)", "output(x)"])),
        1
    );
    assert_eq!(
        never(|step| {
            step["when"] = json!({"step": "x", "label": "no"});
            step["input"] = json!("failure(x)");
        }),
        1
    );
    assert_eq!(
        never(|step| {
            step["when"] = json!({"step": "x", "label": "failed"});
            step["input"] = json!("failure(x)");
        }),
        0
    );
    assert_eq!(
        never(|step| {
            step["when"] = json!({"step": "x", "label": "no"});
            step["input"] = json!("output(x)");
        }),
        0
    );
}

#[test]
fn guards_and_groups_are_kept_in_one_order_and_once() {
    let plain = samples::changed(|_| {});
    let turned = samples::changed(|draft| {
        let approved = json!({"step": "review", "label": "approved"});
        let big = json!({"step": "size", "label": "big"});
        draft["steps"][10]["when"] = json!([big, approved, big]);
        draft["steps"][14]["either"] =
            json!([["refund", "park", "paid"], ["park", "paid", "refund"]]);
        draft["triggers"].as_array_mut().unwrap().reverse();
    });
    assert_eq!(turned, plain);
    assert_eq!(turned.digest(), plain.digest());
    let other = samples::changed(|draft| {
        draft["steps"][13]["input"]["object"]["what"] = json!("either(paid,refund).note")
    });
    assert_ne!(other.digest(), plain.digest());
}
