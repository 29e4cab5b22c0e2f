//! Stamps of inputs.

use squid_mesh_core::definition::{Definition, Stamp};

use super::*;
use crate::author::Workflow;

#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
struct Placed {
    cents: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    day: String,
}

async fn place(_: StepContext, placed: Placed) -> Result<u64, StepError> {
    Ok(placed.cents)
}

#[test]
fn a2_1_stamps_of_every_trigger_have_the_digest_of_their_json() {
    let (mut wf, placed) = Workflow::builder::<Placed>("place", 1);
    wf.manual("import").stamp("at", Stamp::Now);
    wf.stamp("day", Stamp::Today);
    wf.step("place", placed, crate::author::step(place));
    let built = wf.finish(()).unwrap();
    let input = serde_json::json!({"open": true, "fields": {
        "cents": {"type": "integer", "required": true},
        "at": {"type": "string?", "stamp": "now"},
        "day": {"type": "string", "required": true, "stamp": "today"},
    }});
    let json = serde_json::json!({"name": "place", "version": 1, "input": input,
        "triggers": [{"name": "import", "input": input}],
        "steps": [{"name": "place", "handler": "place_place", "input": "input"}]});
    let parsed = Definition::parse(&json).unwrap();
    assert_eq!(built.definition().body(), parsed.body());
    assert_eq!(built.definition().digest(), parsed.digest());
}

#[test]
fn only_a_field_of_the_inputs_type_can_be_stamped() {
    let (mut wf, _) = builder();
    wf.stamp("at", Stamp::Now).stamp("sku", Stamp::Now);
    assert_eq!(problems(wf), [problem("input.fields.at", "unknown_field")]);
    let (mut wf, _) = Workflow::builder::<String>("order", 1);
    wf.stamp("at", Stamp::Now);
    assert_eq!(problems(wf), [problem("input.fields.at", "unknown_field")]);
}

#[test]
fn a1_15_only_a_text_can_be_stamped() {
    let (mut wf, order) = builder();
    wf.stamp("cents", Stamp::Now);
    wf.step("charge", order, crate::author::step(charge));
    let error = wf.finish(()).unwrap_err();
    let found = error.problems.iter();
    let found: Vec<_> = found
        .map(|problem| (problem.path.as_str(), problem.code.as_str()))
        .collect();
    assert_eq!(found, [("input.fields.cents", "default_mismatch")]);
}
