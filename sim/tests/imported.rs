//! Runs from production: what is shown of them, and what becomes of them under faults.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod book;

use std::path::PathBuf;
use std::process::{Command, Output};

use book::Book;
use serde_json::{Value, json};
use squid_mesh_core::change::Change;
use squid_mesh_core::export::ExportedRun;
use squid_mesh_core::run::Seq;
use squid_mesh_sim::imported::{self, UnderFaultsError};

fn chain() -> Value {
    json!({
        "name": "chain", "version": 1, "result": "output(second)",
        "steps": [
            {"name": "first", "handler": "double", "input": "input", "retry": {"max_attempts": 100, "max_lost": 100}},
            {"name": "second", "handler": "double", "input": "output(first)", "retry": {"max_attempts": 100, "max_lost": 100}},
        ],
    })
}

fn completed_chain() -> Book {
    let mut book = Book::start(chain(), "3");
    book.at(1).succeeded("first", "6");
    book.at(3).succeeded("second", "12");
    book
}

#[test]
fn each_row_is_shown_with_its_time_its_changes_and_every_step_afterwards() {
    let rows = imported::rows(&completed_chain().exported(true));
    let told: Vec<(u64, &str)> = rows
        .iter()
        .map(|row| (row.since_start.as_secs(), row.summary.as_str()))
        .collect();
    let expected = [
        (0, "chain@1 was started"),
        (1, "step first succeeded"),
        (3, "step second succeeded"),
    ];
    assert_eq!(told, expected);
    assert_eq!(rows[1].payload.as_deref(), Some("6"));
    assert!(
        rows[1].changes.contains(&"step first succeeded".to_owned()),
        "{:?}",
        rows[1]
    );
    let states = |row: usize| -> Vec<String> {
        let line = |step: &imported::StepLine| format!("{}: {}", step.name, step.state);
        rows[row].steps.iter().map(line).collect()
    };
    assert_eq!(states(1)[0], "first: succeeded, 1 attempt");
    assert!(
        states(1)[1].starts_with("second: scheduled for 2023-"),
        "{:?}",
        states(1)
    );
    assert_eq!(states(2)[1], "second: succeeded, 1 attempt");
    assert_eq!(rows[2].changes.last().unwrap(), "the run has ended");
}

#[test]
fn todays_engine_decides_what_it_has_written_whoever_held_which_step() {
    for book in [
        completed_chain(),
        book::every_event(),
        book::wound_up(),
        book::with_children(),
        book::too_late(),
    ] {
        for row in imported::rows(&book.exported(false)) {
            assert_eq!(row.today, None, "row {}: {}", row.seq, row.summary);
        }
    }
}

#[test]
fn a_row_that_would_be_decided_otherwise_is_told_and_is_no_error() {
    let mut book = completed_chain();
    book.rewrite(1, |changes| {
        let late = |change: &mut Change| {
            if let Change::Schedule { due, .. } = change {
                *due = due.plus(std::time::Duration::from_secs(1));
            }
        };
        changes.iter_mut().for_each(late);
    });
    let rows = imported::rows(&book.exported(true));
    let today = rows[1].today.as_ref().unwrap();
    assert_eq!(today.len(), rows[1].changes.len());
    assert_ne!(today, &rows[1].changes);
    assert_eq!((&rows[0].today, &rows[2].today), (&None, &None));
}

#[test]
fn a_completed_chain_completes_under_faults_with_what_its_handlers_returned() {
    let exported = completed_chain().exported(true);
    let ends = imported::under_faults(&exported, 20).unwrap();
    assert_eq!(ends.passed.seeds, 20);
    assert_eq!(ends.ends.values().sum::<u64>(), 20);
    let completed = ends.ends.get("completed").copied().unwrap_or_default();
    assert!(completed > 10, "{ends:?}");
    assert!(
        !ends.ends.contains_key("cancelled"),
        "nobody cancelled it: {ends:?}"
    );
}

#[test]
fn a_handler_that_only_ever_failed_fails_under_faults_too() {
    let mut book = Book::start(chain(), "3");
    book.at(1).failed("first", "broken", false);
    let ends = imported::under_faults(&book.exported(true), 20).unwrap();
    assert!(!ends.ends.contains_key("completed"), "{ends:?}");
    assert!(ends.ends["failed"] > 10, "{ends:?}");
}

#[test]
fn gates_and_signals_are_answered_under_faults() {
    let ends = imported::under_faults(&book::every_event().exported(true), 10).unwrap();
    assert_eq!(ends.ends.values().sum::<u64>(), 10);
}

#[test]
fn worlds_begin_when_the_run_did_so_that_instants_in_its_input_are_as_far_away() {
    let draft = json!({
        "name": "later", "version": 1,
        "steps": [{"name": "rest", "until": "input"}],
    });
    let exported = Book::start(draft, "\"2023-11-14T22:14:20Z\"").exported(true);
    let ends = imported::under_faults(&exported, 5).unwrap();
    let day = std::time::Duration::from_secs(86_400);
    let each = ends.passed.simulated / 5;
    assert!(
        each > std::time::Duration::from_secs(20) && each < day,
        "{each:?}"
    );
}

#[test]
fn a_wait_until_an_instant_that_is_too_far_away_fails_under_faults_as_promised() {
    let draft = json!({
        "name": "later", "version": 1,
        "steps": [{"name": "rest", "until": "input"}],
    });
    for input in ["\"2099-01-01T00:00:00Z\"", "4070908800000", "\"tomorrow\""] {
        let exported = Book::start(draft.clone(), input).exported(true);
        let ends = imported::under_faults(&exported, 3).unwrap();
        assert!(!ends.ends.contains_key("completed"), "{input}: {ends:?}");
    }
}

#[test]
fn without_payloads_or_with_children_a_run_can_be_looked_at_only() {
    let bare = completed_chain().exported(false);
    assert_eq!(imported::rows(&bare).len(), 3);
    let error = imported::under_faults(&bare, 1).unwrap_err();
    assert!(matches!(error, UnderFaultsError::NoPayloads), "{error}");
    let parent = json!({
        "name": "parent", "version": 1,
        "steps": [{"name": "sub", "child": {"workflow": "other"}, "input": "input"}],
    });
    let exported = Book::start(parent, "1").exported(true);
    assert_eq!(imported::rows(&exported).len(), 1);
    let error = imported::under_faults(&exported, 1).unwrap_err();
    assert!(error.to_string().contains("children of other"), "{error}");
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn import(path: &PathBuf, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_squid-mesh-sim"))
        .arg("import")
        .arg(path)
        .args(arguments)
        .output()
        .expect("the program starts")
}

#[test]
fn the_command_steps_through_the_file_and_says_how_it_ended_under_faults() {
    let path = file("chain.json", &completed_chain().exported(true).to_text());
    let output = import(&path, &["--seeds", "20", "--json"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for part in [
        "of chain@1: completed after 3.000000s and 3 rows, exported with payloads",
        "   2  +1.000000s  step first succeeded",
        "      with 6",
        "        first: succeeded, 1 attempt",
        "every promise held in 20 worlds",
        "in production the run ended completed",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let report: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(report["status"], "completed");
    assert_eq!(report["decided_otherwise"], json!([]));
    assert_eq!(report["rows"][1]["micros_since_start"], 1_000_000);
    assert_eq!(report["under_faults"]["seeds"], 20);
    let output = import(&path, &["--until", "2"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("step first succeeded") && !text.contains("+3."),
        "{text}"
    );
}

#[test]
fn a_file_that_was_tampered_with_is_refused_with_what_is_wrong() {
    let text = completed_chain().exported(true).to_text();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["rows"][1]["payload"] = json!({"json": 7});
    let path = file("tampered.json", &value.to_string());
    let output = import(&path, &[]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("tampered.json: the payload of journal row 2"),
        "{stderr}"
    );
    let missing = path.with_file_name("missing.json");
    assert_eq!(import(&missing, &[]).status.code(), Some(2));
}

#[test]
fn an_exported_run_of_every_kind_of_event_reads_back_the_same() {
    for book in [
        book::every_event(),
        book::wound_up(),
        book::with_children(),
        book::too_late(),
    ] {
        let exported = book.exported(true);
        let read = ExportedRun::parse(&exported.to_text()).unwrap();
        assert_eq!(imported::rows(&read), imported::rows(&exported));
        assert!(read.payload(Seq::FIRST).is_some());
    }
}
