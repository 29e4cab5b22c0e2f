//! In what two definitions differ.
//!
//! Invariant: there is a difference if and only if the digests differ.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Definition;
use super::canonical::canonical_json;
use super::draft::Draft;

impl Definition {
    /// What `self` does otherwise than `other`, one line each: fields, then steps in their order. Empty if and only if the
    /// digests are equal. Steps that `other` lacks are added, steps that only `other` has are removed.
    pub fn differences(&self, other: &Definition) -> Vec<String> {
        let (own, others) = (self.to_draft(), other.to_draft());
        let mut found = differing_keys(&own.to_json(), &others.to_json());
        let position =
            |draft: &Draft, name: &str| draft.steps.iter().position(|step| step.name == name);
        let mut last = None;
        let mut moved = false;
        for step in &own.steps {
            match position(&others, &step.name) {
                None => found.push(format!("step {:?}: added", step.name)),
                Some(i) => {
                    let keys = differing_keys(&step.to_json(), &others.steps[i].to_json());
                    found.extend(
                        keys.into_iter()
                            .map(|key| format!("step {:?}: {key}", step.name)),
                    );
                    moved |= last.is_some_and(|last| i < last);
                    last = Some(i);
                }
            }
        }
        let gone = others
            .steps
            .iter()
            .filter(|step| position(&own, &step.name).is_none());
        found.extend(gone.map(|step| format!("step {:?}: removed", step.name)));
        found.extend(moved.then(|| "order of the steps".to_owned()));
        found
    }
}

/// The keys whose values differ, in byte order; steps, labels and descriptions aside.
fn differing_keys(own: &Value, others: &Value) -> Vec<String> {
    let keys = |value: &Value| -> BTreeSet<String> {
        let keys = value
            .as_object()
            .into_iter()
            .flat_map(|object| object.keys().cloned());
        keys.filter(|key| !["steps", "label", "description"].contains(&key.as_str()))
            .collect()
    };
    let text = |value: &Value, key: &str| value.get(key).map(canonical_json);
    let all = keys(own)
        .into_iter()
        .chain(keys(others))
        .collect::<BTreeSet<String>>();
    all.into_iter()
        .filter(|key| text(own, key) != text(others, key))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::definition::samples;

    #[test]
    fn a1_13_labels_and_descriptions_leave_the_digest_alone() {
        let plain = samples::changed(|_| {});
        let relabelled = samples::changed(|draft| {
            draft["label"] = json!("Bestellung");
            draft["description"] = json!(null);
            draft["steps"][0]["label"] = json!("Reserve");
            draft["steps"][1]["description"] = json!("Charges");
        });
        assert_eq!(relabelled.digest(), plain.digest());
        assert_ne!(relabelled, plain);
        assert_eq!(relabelled.differences(&plain), Vec::<String>::new());
    }

    #[test]
    fn a1_13_what_changes_behaviour_changes_the_digest_and_a1_14_is_named() {
        type Change = fn(&mut Value);
        let table: [(Change, &str); 18] = [
            (
                |d| d["steps"][1]["retry"]["max_attempts"] = json!(6),
                "step \"charge\": retry",
            ),
            (
                |d| d["steps"][1]["retry"]["backoff"]["jitter"] = json!(0.2),
                "step \"charge\": retry",
            ),
            (
                |d| d["steps"][0]["needs"] = json!(["charge"]),
                "step \"reserve\": needs",
            ),
            (
                |d| d["steps"][3]["after"] = json!([]),
                "step \"ship\": after",
            ),
            (
                |d| d["steps"][1]["timeout"] = json!("31s"),
                "step \"charge\": timeout",
            ),
            (
                |d| d["steps"][1]["queue"] = json!(null),
                "step \"charge\": queue",
            ),
            (
                |d| d["steps"][1]["priority"] = json!(0),
                "step \"charge\": priority",
            ),
            (
                |d| d["steps"][1]["handler"] = json!("other"),
                "step \"charge\": handler",
            ),
            (
                |d| d["steps"][2]["wait"] = json!("2h"),
                "step \"settle\": wait",
            ),
            (
                |d| d["steps"][3]["input"]["object"]["region"]["constant"] = json!("us"),
                "step \"ship\": input",
            ),
            (|d| d["result"] = json!("output(ship)"), "result"),
            (|d| d["queue"] = json!(null), "queue"),
            (|d| d["priority"] = json!(0), "priority"),
            (|d| d["deadline"] = json!(null), "deadline"),
            (
                |d| d["input"]["fields"]["currency"]["default"] = json!("USD"),
                "input",
            ),
            (
                |d| d["input"]["fields"]["note"] = json!({"type": "string?", "stamp": "now"}),
                "input",
            ),
            (|d| d["version"] = json!(2), "version"),
            (
                |d| d["steps"].as_array_mut().unwrap().swap(0, 1),
                "order of the steps",
            ),
        ];
        let plain = samples::changed(|_| {});
        for (change, difference) in table {
            let other = samples::changed(change);
            assert_ne!(other.digest(), plain.digest(), "{difference}");
            assert_eq!(other.differences(&plain), [difference]);
        }
    }

    #[test]
    fn a1_13_which_stamp_a_field_has_is_part_of_the_digest() {
        let with = |stamp: &str| {
            samples::changed(|draft| {
                draft["triggers"][0]["input"]["fields"]["day"] =
                    json!({"type": "string", "stamp": stamp});
            })
        };
        let (now, today) = (with("now"), with("today"));
        assert_ne!(now.digest(), today.digest());
        assert_eq!(now.differences(&today), ["triggers"]);
    }

    #[test]
    fn a1_13_every_construct_of_the_language_is_part_of_the_digest() {
        type Change = fn(&mut Value);
        let table: [(Change, &str); 30] = [
            (|d| d["triggers"][1]["name"] = json!("x"), "triggers"),
            (|d| d["triggers"][0]["input"] = json!("string"), "triggers"),
            (
                |d| d["steps"][0]["undo"] = json!(null),
                "step \"reserve\": undo",
            ),
            (
                |d| d["steps"][0]["undo"]["handler"] = json!("h"),
                "step \"reserve\": undo",
            ),
            (
                |d| d["steps"][0]["undo"]["retry"] = json!(null),
                "step \"reserve\": undo",
            ),
            (
                |d| d["steps"][0]["undo"]["timeout"] = json!(null),
                "step \"reserve\": undo",
            ),
            (
                |d| d["steps"][1]["labels"] = json!(["clean", "fraud"]),
                "step \"charge\": labels",
            ),
            (
                |d| d["steps"][1]["on_lost"] = json!(null),
                "step \"charge\": on_lost",
            ),
            (
                |d| d["steps"][1]["transactional"] = json!(null),
                "step \"charge\": transactional",
            ),
            (
                |d| d["steps"][4]["until"] = json!("input.due"),
                "step \"due\": needs",
            ),
            (
                |d| d["steps"][5]["log"]["level"] = json!(null),
                "step \"record\": log",
            ),
            (
                |d| d["steps"][5]["log"]["message"] = json!(""),
                "step \"record\": log",
            ),
            (
                |d| d["steps"][5]["when"]["label"] = json!("clean"),
                "step \"record\": when",
            ),
            (
                |d| d["steps"][5]["when"] = json!(null),
                "step \"record\": when",
            ),
            (
                |d| d["steps"][6]["approval"]["deadline"] = json!("3d"),
                "step \"review\": approval",
            ),
            (
                |d| d["steps"][6]["input"] = json!("output(charge).other"),
                "step \"review\": input",
            ),
            (
                |d| d["steps"][7]["pause"]["deadline"] = json!(null),
                "step \"park\": pause",
            ),
            (
                |d| d["steps"][8]["signal"]["name"] = json!("x"),
                "step \"paid\": signal",
            ),
            (
                |d| d["steps"][8]["signal"]["payload"] = json!(null),
                "step \"paid\": signal",
            ),
            (
                |d| d["steps"][9]["route"][0]["path"] = json!("x"),
                "step \"size\": route",
            ),
            (
                |d| d["steps"][9]["route"][2]["equals"] = json!("USD"),
                "step \"size\": route",
            ),
            (
                |d| d["steps"][9]["route"].as_array_mut().unwrap().swap(0, 1),
                "step \"size\": route",
            ),
            (
                |d| d["steps"][10]["child"]["detach"] = json!(null),
                "step \"invoice\": child",
            ),
            (
                |d| d["steps"][10]["compensatable"] = json!(null),
                "step \"invoice\": compensatable",
            ),
            (
                |d| d["steps"][10]["queue"] = json!(null),
                "step \"invoice\": queue",
            ),
            (
                |d| d["steps"][11]["each"]["parallel"] = json!(11),
                "step \"parcels\": each",
            ),
            (
                |d| d["steps"][11]["each"]["collect"] = json!(null),
                "step \"parcels\": each",
            ),
            (
                |d| d["steps"][13]["mark"] = json!("undo"),
                "step \"apologise\": mark",
            ),
            (
                |d| d["steps"][14]["either"][0] = json!(["paid", "refund"]),
                "step \"close\": either",
            ),
            (
                |d| d["steps"][3]["on_lost"] = json!(null),
                "step \"ship\": on_lost",
            ),
        ];
        let plain = samples::changed(|_| {});
        for (change, difference) in table {
            let other = samples::changed(change);
            assert_ne!(other.digest(), plain.digest(), "{difference}");
            assert_eq!(other.differences(&plain)[0], difference);
        }
    }

    #[test]
    fn a1_13_what_merely_says_the_default_leaves_the_digest_alone() {
        let plain = samples::changed(|_| {});
        let spelled_out = samples::changed(|draft| {
            draft["steps"][0]["irreversible"] = json!(false);
            draft["steps"][0]["on_lost"] = json!("retry");
            draft["steps"][0]["retry"] = json!({"max_attempts": 1});
            draft["steps"][3]["compensatable"] = json!(false);
            draft["steps"][12]["transactional"] = json!(false);
            draft["steps"][13]["either"] = json!([["paid", "refund"]]);
            draft["steps"][13]["after"] = json!(["parcels"]);
            draft["triggers"][1]["input"] = json!("any");
            draft["input"]["fields"]["currency"]["stamp"] = json!(null);
        });
        assert_eq!(spelled_out, plain);
        assert_eq!(spelled_out.digest(), plain.digest());
    }

    #[test]
    fn steps_that_came_or_went_are_named() {
        let plain = samples::changed(|_| {});
        let other = samples::changed(|draft| {
            draft["steps"][0]["name"] = json!("hold");
            draft["steps"][3]["after"] = json!(["hold"]);
        });
        assert_eq!(
            other.differences(&plain),
            [
                "step \"hold\": added",
                "step \"ship\": after",
                "step \"reserve\": removed"
            ]
        );
    }

    proptest! {
        #[test]
        fn definitions_differ_if_and_only_if_their_digests_do(
            draft in samples::any_draft(), other in samples::any_draft(), same in any::<bool>()
        ) {
            let other = if same { Draft { label: None, ..draft.clone() } } else { other };
            let (one, two) = (Definition::validate(draft).unwrap(), Definition::validate(other).unwrap());
            prop_assert_eq!(one.differences(&two).is_empty(), one.digest() == two.digest());
            prop_assert_eq!(two.differences(&one).is_empty(), one.digest() == two.digest());
        }
    }
}
