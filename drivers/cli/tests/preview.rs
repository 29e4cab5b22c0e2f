//! `squid-mesh schedules preview`, as somebody at a terminal meets it.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

#[test]
fn a_daily_time_in_a_gap_is_shown_at_the_first_instant_after_it() {
    let output = preview(&BERLIN_SPRING, &["--cron", "30 2 * * *", "--json"]);
    assert_eq!(
        object(&output)["firings"],
        json!([
            {"utc": "2027-03-27T01:30:00Z", "local": "2027-03-27T02:30:00+01:00", "policy": null},
            {"utc": "2027-03-28T01:00:00Z", "local": "2027-03-28T03:00:00+02:00", "policy": "gap_fire_after"},
            {"utc": "2027-03-29T00:30:00Z", "local": "2027-03-29T02:30:00+02:00", "policy": null},
        ])
    );
}

#[test]
fn the_table_says_which_policy_acted_and_why() {
    let text = shown(&preview(&BERLIN_SPRING, &["--cron", "30 2 * * *"]));
    for part in [
        "30 2 * * * in Europe/Berlin",
        "gap: fire_after (default); repeated hour: first (default)",
        "2027-03-28T03:00:00+02:00",
        "2027-03-28T01:00:00Z",
        "gap, fire_after: the clocks jump over 2027-03-28 02:30:00 to 2027-03-28 03:00:00",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let text = shown(&preview(
        &BERLIN_SPRING,
        &["--cron", "30 2 * * *", "--gap", "skip"],
    ));
    for part in [
        "gap: skip (default: fire_after)",
        "gap, skip: the clocks jump over 2027-03-28 02:30:00 to 2027-03-28 03:00:00",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains("2027-03-28T01:00:00Z"), "{text}");
}

#[test]
fn policies_can_be_chosen() {
    let autumn = [
        "--zone",
        "Europe/Berlin",
        "--from",
        "2027-10-31T00:00:00Z",
        "--count",
        "2",
    ];
    for (policy, expected) in [
        ("first", ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]),
        ("second", ["2027-10-31T01:30:00Z", "2027-11-01T01:30:00Z"]),
        ("every", ["2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z"]),
    ] {
        let output = preview(
            &autumn,
            &["--cron", "30 2 * * *", "--repeated-hour", policy, "--json"],
        );
        let report = object(&output);
        let utc: Vec<&str> = report["firings"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|firing| firing["utc"].as_str())
            .collect();
        assert_eq!(utc, expected);
        assert_eq!(report["repeated_hour"], policy);
        assert_eq!(
            report["firings"][0]["policy"],
            format!("repeated_hour_{policy}")
        );
    }
    let output = preview(
        &BERLIN_SPRING,
        &["--cron", "30 * * * *", "--gap", "fire_after", "--json"],
    );
    assert_eq!(object(&output)["gap"], "fire_after");
}

#[test]
fn without_an_instant_and_a_zone_it_goes_on_from_now_in_utc() {
    let report = object(&preview(&[], &["--cron", "* * * * *", "--json"]));
    assert_eq!(report["zone"], "UTC");
    let firings = report["firings"].as_array().unwrap();
    assert_eq!(firings.len(), 10);
    let next = chrono::DateTime::parse_from_rfc3339(firings[0]["utc"].as_str().unwrap()).unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let ahead = next.timestamp() - i64::try_from(now.as_secs()).unwrap();
    assert!((-60..=60).contains(&ahead), "{ahead} seconds ahead");
}

#[test]
fn an_expression_that_never_fires_is_shown_without_firings() {
    let text = shown(&preview(&[], &["--cron", "0 0 30 2 *"]));
    assert!(text.starts_with("0 0 30 2 * never fires"), "{text}");

    let output = preview(&[], &["--cron", "0 0 30 2 *", "--json"]);
    let report = object(&output);
    assert_eq!(report["firings"], json!([]));
    assert_eq!(report["fires"], false);
    assert!(shown(&output).contains("never fires"));
}

#[test]
fn nothing_fires_after_the_last_year() {
    let text = shown(&preview(
        &["--from", "9999-12-31T23:59:59Z"],
        &["--cron", "* * * * *"],
    ));
    assert!(
        text.contains("nothing fires after 9999-12-31T23:59:59"),
        "{text}"
    );
}

#[test]
fn what_is_wrong_is_told_in_one_line() {
    for (arguments, part) in [
        (
            ["--cron", "61 * * * *"].as_slice(),
            r#"minute at position 0: found "61""#,
        ),
        (
            ["--cron", "-5 * * * *"].as_slice(),
            r#"minute at position 0: found """#,
        ),
        (
            ["--cron", ""].as_slice(),
            "nothing found, expected five fields",
        ),
        (
            ["--cron", "@daily", "--zone", "Berlin"].as_slice(),
            "did you mean Europe/Berlin?",
        ),
        (
            ["--cron", "@daily", "--from", "tomorrow"].as_slice(),
            r#""tomorrow" is no instant, expected one like 2027-03-27T00:00:00Z"#,
        ),
    ] {
        let output = preview(&[], arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(
            stderr.starts_with("error: ") && stderr.contains(part),
            "{stderr}"
        );
    }
}

#[test]
fn more_firings_than_the_limit_are_refused() {
    let output = preview(&[], &["--cron", "* * * * *", "--count", "1000", "--json"]);
    assert_eq!(object(&output)["firings"].as_array().unwrap().len(), 1_000);
    let output = preview(&[], &["--cron", "* * * * *", "--count", "1001"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_reader_who_has_had_enough_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_squid-mesh"))
        .args([
            "schedules",
            "preview",
            "--cron",
            "* * * * *",
            "--count",
            "1000",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}

/// Three firings around 28 March 2027, when the clocks in Berlin go from 02:00 to 03:00.
const BERLIN_SPRING: [&str; 6] = [
    "--zone",
    "Europe/Berlin",
    "--from",
    "2027-03-27T00:00:00Z",
    "--count",
    "3",
];

fn preview(common: &[&str], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_squid-mesh"))
        .args(["schedules", "preview"])
        .args(common)
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// What a successful command printed.
fn shown(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.is_empty(), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The object on the last line.
fn object(output: &Output) -> Value {
    let text = shown(output);
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}
