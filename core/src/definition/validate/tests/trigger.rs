//! Triggers and their schedules.

use super::super::*;
use serde_json::json;

fn with(schedule: Value) -> Value {
    json!({"name": "digest", "version": 1, "steps": [{"name": "a", "handler": "h"}], "triggers": [
        {"name": "by_hand"},
        {"name": "nightly", "schedule": schedule, "input": {"fields": {
            "tenant": {"type": "string", "required": true}, "day": {"type": "string", "stamp": "today"}}}},
    ]})
}

fn problems(schedule: Value) -> Vec<(String, String, String)> {
    let found = Definition::parse(&with(schedule)).unwrap_err();
    let shown = found.iter().map(|problem| {
        let code = problem.code.as_str().to_owned();
        let path = problem.path.replace("triggers[1].schedule", "~");
        (path, code, problem.message.clone())
    });
    shown.collect()
}

fn plain() -> Value {
    json!({"cron": "0 9 * * *", "payload": {"tenant": "acme"}})
}

fn changed(field: &str, value: Value) -> Value {
    let mut schedule = plain();
    schedule[field] = value;
    schedule
}

#[test]
fn s1_10_a_trigger_has_a_schedule_and_an_input_of_its_own() {
    let definition = Definition::parse(&with(plain())).unwrap();
    let schedules: Vec<(&str, bool)> = definition
        .triggers()
        .iter()
        .map(|trigger| (trigger.name.as_str(), trigger.schedule.is_some()))
        .collect();
    assert_eq!(
        schedules,
        [("manual", false), ("by_hand", false), ("nightly", true)]
    );
    let schedule = definition.triggers()[2].schedule.as_ref().unwrap();
    assert_eq!(schedule.payload, json!({"tenant": "acme"}));
}

#[test]
fn s1_10_what_a_schedule_says_changes_the_digest_and_what_goes_without_saying_does_not() {
    let digest = |schedule| Definition::parse(&with(schedule)).unwrap().digest();
    for (field, value) in [
        ("zone", json!("UTC")),
        ("gap", json!("fire_after")),
        ("repeated_hour", json!("first")),
        ("jitter", json!("0s")),
        ("catch_up", json!("skip")),
        ("grace", json!("60s")),
        ("overlap", json!("allow")),
    ] {
        assert_eq!(digest(changed(field, value)), digest(plain()), "{field}");
    }
    for (field, value) in [
        ("cron", json!("0 10 * * *")),
        ("zone", json!("Europe/Berlin")),
        ("gap", json!("skip")),
        ("repeated_hour", json!("every")),
        ("start", json!("2027-01-01T00:00:00Z")),
        ("end", json!("2028-01-01T00:00:00Z")),
        ("jitter", json!("1s")),
        ("catch_up", json!({"all": 3})),
        ("grace", json!("61s")),
        ("overlap", json!("queue_one")),
        ("payload", json!({"tenant": "other"})),
    ] {
        assert_ne!(digest(changed(field, value)), digest(plain()), "{field}");
    }
}

#[test]
fn s1_7_everything_that_is_wrong_with_a_schedule_is_said_at_its_place() {
    let found = problems(
        json!({"cron": "0 25 * * *", "zone": "Europe/Berlyn", "jitter": "2d",
        "catch_up": {"all": 0}, "grace": "-1s", "start": "2027-01-02T00:00:00Z", "end": "2027-01-01T00:00:00Z",
        "payload": {"tenant": "acme"}}),
    );
    let shown: Vec<(&str, &str)> = found
        .iter()
        .map(|(path, code, _)| (path.as_str(), code.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("~.cron", "malformed_cron"),
            ("~.zone", "unknown_zone"),
            ("~.end", "invalid_schedule"),
            ("~.jitter", "invalid_schedule"),
            ("~.grace", "invalid_schedule"),
            ("~.catch_up", "invalid_schedule"),
        ]
    );
    let (_, _, cron) = &found[0];
    assert!(
        cron.contains("hour") && cron.contains("position 2"),
        "{cron}"
    );
    let (_, _, zone) = &found[1];
    assert!(zone.contains("Europe/Berlyn"), "{zone}");
}

#[test]
fn a_malformed_field_of_a_schedule_is_named() {
    let table = [
        (
            changed("catch_up", json!("all")),
            "~.catch_up",
            "invalid_schedule",
        ),
        (
            changed("catch_up", json!("some")),
            "~.catch_up",
            "unknown_word",
        ),
        (
            changed("catch_up", json!({})),
            "~.catch_up.all",
            "missing_field",
        ),
        (
            changed("overlap", json!("queue")),
            "~.overlap",
            "unknown_word",
        ),
        (
            changed("start", json!("tomorrow")),
            "~.start",
            "invalid_schedule",
        ),
        (changed("every", json!("5m")), "~.every", "unknown_field"),
        (changed("cron", json!(null)), "~.cron", "missing_field"),
        (
            changed("payload", json!({"tenant": 1})),
            "~.payload",
            "invalid_payload",
        ),
        (
            changed("payload", json!({})),
            "~.payload",
            "invalid_payload",
        ),
    ];
    for (schedule, path, code) in table {
        let found = problems(schedule.clone());
        let first = (found[0].0.as_str(), found[0].1.as_str());
        assert_eq!(first, (path, code), "{schedule}");
    }
}

#[test]
fn a_date_that_never_comes_is_taken() {
    let definition = Definition::parse(&with(changed("cron", json!("0 0 30 2 *")))).unwrap();
    let schedule = definition.triggers()[2].schedule.as_ref().unwrap();
    assert_eq!(schedule.plan.next_after(crate::time::Timestamp::MIN), None);
}

#[test]
fn a1_16_an_expression_or_zone_that_cannot_be_is_a_problem_and_each_form_of_expression_is_taken() {
    for (cron, zone, expected) in [
        ("61 * * * *", "UTC", Some(("cron", "malformed_cron"))),
        ("* * *", "UTC", Some(("cron", "malformed_cron"))),
        ("0 25 * * *", "UTC", Some(("cron", "malformed_cron"))),
        (
            "0 9 * * *",
            "Europe/Atlantis",
            Some(("zone", "unknown_zone")),
        ),
        ("@hourly", "Europe/Berlin", None),
        ("*/5 * * * *", "UTC", None),
        ("0 0 9 * * MON-FRI", "America/New_York", None),
    ] {
        let mut schedule = changed("cron", json!(cron));
        schedule["zone"] = json!(zone);
        let Some((field, code)) = expected else {
            assert!(
                Definition::parse(&with(schedule)).is_ok(),
                "{cron} in {zone}"
            );
            continue;
        };
        let found = problems(schedule);
        let found: Vec<_> = found
            .iter()
            .map(|(path, code, _)| (path.as_str(), code.as_str()))
            .collect();
        assert_eq!(
            found,
            [(format!("~.{field}").as_str(), code)],
            "{cron} in {zone}"
        );
    }
}
