//! Triggers that start runs by the calendar, and triggers with contracts of their own.

use std::time::Duration;

use squid_mesh_core::cron::{GapPolicy, RepeatedHourPolicy};
use squid_mesh_core::definition::{Definition, Stamp};
use squid_mesh_core::schedule::{DraftCatchUp, Overlap};
use squid_mesh_core::time::Timestamp;

use super::*;
use crate::author::{BuildError, Workflow, step};

#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
struct Digest {
    tenant: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    day: Option<String>,
}

/// What a digest of everybody is asked for with.
#[derive(Debug, Serialize, Deserialize, schemars::JsonSchema)]
struct Everybody {
    tenant: Option<String>,
    day: Option<String>,
}

async fn send(_: StepContext, digest: Digest) -> Result<String, StepError> {
    Ok(digest.tenant)
}

fn digest(tenant: &str) -> Digest {
    Digest {
        tenant: tenant.to_owned(),
        day: None,
    }
}

fn finished(
    wire: impl FnOnce(&mut WorkflowBuilder<Digest>),
) -> Result<Workflow<Digest, String>, BuildError> {
    let (mut wf, input) = Workflow::builder::<Digest>("digest", 1);
    wire(&mut wf);
    let sent = wf.step("send", input, step(send));
    wf.finish(sent)
}

/// Where and what the problems are.
fn found(wire: impl FnOnce(&mut WorkflowBuilder<Digest>)) -> Vec<(String, String)> {
    let error = finished(wire).unwrap_err();
    let problems = error.problems().iter();
    problems
        .map(|problem| (problem.path.clone(), problem.code.as_str().to_owned()))
        .collect()
}

#[test]
fn a2_1_cron_triggers_have_the_digest_of_their_json() {
    let instant = |text: &str| -> Timestamp { serde_json::from_value(text.into()).unwrap() };
    let built = finished(|wf| {
        wf.manual("on_demand");
        wf.cron("nightly", "30 2 * * *", "Europe/Berlin")
            .payload(digest("all"))
            .catch_up(DraftCatchUp::All(3))
            .overlap(Overlap::QueueOne)
            .grace(Duration::from_secs(300))
            .jitter(Duration::from_secs(60))
            .start(instant("2027-01-01T00:00:00Z"))
            .end(instant("2028-01-01T00:00:00Z"))
            .gap(GapPolicy::Skip)
            .repeated_hour(RepeatedHourPolicy::Every);
        wf.cron("hourly", "@hourly", "UTC").payload(digest("ana"));
    });
    let input = serde_json::json!({"open": true, "fields": {
        "tenant": {"type": "string", "required": true}, "day": {"type": "string?"}}});
    let json = serde_json::json!({"name": "digest", "version": 1, "input": input,
    "triggers": [
        {"name": "on_demand", "input": input},
        {"name": "nightly", "input": input, "schedule": {
            "cron": "30 2 * * *", "zone": "Europe/Berlin", "payload": {"tenant": "all"}, "catch_up": {"all": 3},
            "overlap": "queue_one", "grace": "5m", "jitter": "1m", "start": "2027-01-01T00:00:00Z",
            "end": "2028-01-01T00:00:00Z", "gap": "skip", "repeated_hour": "every"}},
        {"name": "hourly", "input": input, "schedule": {
            "cron": "@hourly", "zone": "UTC", "payload": {"tenant": "ana"}}}],
    "steps": [{"name": "send", "handler": "digest_send", "input": "input"}], "result": "output(send)"});
    let parsed = Definition::parse(&json).unwrap();
    let built = built.unwrap();
    assert_eq!(built.definition().body(), parsed.body());
    assert_eq!(built.definition().digest(), parsed.digest());
}

#[test]
fn s1_7_everything_that_is_wrong_with_a_cron_trigger_is_told_at_once() {
    let found = found(|wf| {
        wf.manual("on_demand");
        wf.cron("Nightly!", "61 2 * * *", "Europe/Belin")
            .catch_up(DraftCatchUp::All(0))
            .grace(Duration::from_secs(400 * 86_400 * 20))
            .jitter(Duration::from_secs(86_401));
        wf.cron("on_demand", "@hourly", "UTC")
            .payload(digest("ana"));
    });
    let path = |field: &str| format!("triggers[1].schedule.{field}");
    let expected = [
        ("triggers[1].name".to_owned(), "malformed_name"),
        (path("cron"), "malformed_cron"),
        (path("zone"), "unknown_zone"),
        (path("jitter"), "invalid_schedule"),
        (path("grace"), "invalid_schedule"),
        (path("catch_up"), "invalid_schedule"),
        (path("payload"), "invalid_payload"),
        ("triggers[2].name".to_owned(), "duplicate_trigger"),
    ];
    let expected = expected.map(|(path, code)| (path, code.to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn a_malformed_expression_names_field_and_position() {
    let error = finished(|wf| {
        wf.cron("nightly", "30 25 * * *", "UTC")
            .payload(digest("ana"));
    });
    let text = error.unwrap_err().to_string();
    assert!(text.contains("hour at position 3"), "{text}");
    assert!(text.contains("\"25\""), "{text}");
}

#[test]
fn the_thirtieth_of_february_is_accepted_and_never_comes() {
    let built = finished(|wf| {
        wf.cron("never", "0 0 30 2 *", "UTC").payload(digest("ana"));
    });
    let built = built.unwrap();
    let trigger = built.definition().trigger("never").unwrap();
    let plan = &trigger.schedule.as_ref().unwrap().plan;
    assert_eq!(plan.next_after(Timestamp::MIN), None);
}

#[test]
fn s1_10_each_trigger_can_have_a_contract_of_its_own() {
    let everybody = || Everybody {
        tenant: Some("all".to_owned()),
        day: None,
    };
    let built = finished(|wf| {
        wf.manual_of::<Everybody>("from_support");
        wf.cron("nightly", "@daily", "UTC")
            .input::<Everybody>()
            .payload(everybody());
        wf.cron("weekly", "@weekly", "UTC").payload(digest("all"));
        wf.stamp("day", Stamp::Today);
    });
    let built = built.unwrap();
    let takes = |trigger: &str, input: serde_json::Value| {
        let trigger = built.definition().trigger(trigger).unwrap();
        trigger.contract.check(&input).is_ok()
    };
    let anonymous = serde_json::json!({"tenant": null});
    for trigger in ["from_support", "nightly"] {
        assert!(takes(trigger, anonymous.clone()), "{trigger}");
    }
    for trigger in ["manual", "weekly"] {
        assert!(!takes(trigger, anonymous.clone()), "{trigger}");
    }
    let stamps = |trigger: &str| {
        built
            .definition()
            .trigger(trigger)
            .unwrap()
            .contract
            .stamps()
            .len()
    };
    assert_eq!((stamps("nightly"), stamps("weekly")), (1, 1));
}
