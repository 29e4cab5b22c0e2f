//! The command line: what it prints, where, and with which exit code.

use std::path::PathBuf;
use std::process::{Command, Output};

fn sim(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squid-mesh-sim"));
    command.args(arguments).output().expect("it is built")
}

/// A file of this test's own, in the directory that tests may write to.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn printed(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_campaign_prints_its_results_and_the_object_last() {
    let output = sim(&["run", "--seeds", "16", "--json"]);
    assert!(output.status.success());
    let text = printed(&output.stdout);
    assert!(text.starts_with("16 seeds, "), "{text}");
    let last = text.lines().last().expect("something is printed");
    let object: serde_json::Value = serde_json::from_str(last).expect("an object");
    assert_eq!(object["seeds"], 16);
    assert_eq!(printed(&output.stderr), "");
}

#[test]
fn shrinking_what_breaks_nothing_is_no_success_and_writes_nothing() {
    let path = file("nothing.json");
    let path = path.to_str().expect("a plain path");
    let output = sim(&["shrink", "--seed", "0", "--out", path]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(printed(&output.stderr), "seed 0 breaks nothing\n");
    assert!(!std::fs::exists(path).unwrap());
}

#[test]
fn choices_that_were_saved_are_replayed_up_to_the_event_asked_for_and_told_and_drawn() {
    let (saved, page) = (file("saved.json"), file("page.html"));
    let (saved, page) = (saved.to_str().unwrap(), page.to_str().unwrap());
    let output = sim(&["replay", "--seed", "5", "--until", "60", "--save", saved]);
    assert!(output.status.success());
    let until = ["replay", "--file", saved, "--until", "40"];
    let output = sim(&[&until[..], &["--trace", "--html", page]].concat());
    assert!(output.status.success(), "{}", printed(&output.stderr));
    let text = printed(&output.stdout);
    assert!(
        text.contains(" 40 events, ") && text.contains("starts process 0"),
        "{text}"
    );
    let drawn = std::fs::read_to_string(page).expect("it was written");
    assert!(drawn.starts_with("<!doctype html>"));
    let text = printed(&sim(&until).stdout);
    assert!(
        text.contains(" starts\n") && text.contains("node "),
        "{text}"
    );
}

#[test]
fn a_file_that_was_changed_or_is_no_failure_is_refused_with_the_reason() {
    let (saved, changed) = (file("whole.json"), file("changed.json"));
    let path = saved.to_str().unwrap();
    sim(&["replay", "--seed", "5", "--until", "10", "--save", path]);
    let text = std::fs::read_to_string(path).expect("it was written");
    std::fs::write(&changed, text.replacen("\"value\": ", "\"value\": 1", 1)).unwrap();
    let output = sim(&["replay", "--file", changed.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let error = printed(&output.stderr);
    assert!(
        error.contains("changed.json: it was changed since it was written"),
        "{error}"
    );
    let output = sim(&["replay", "--file", "Cargo.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let error = printed(&output.stderr);
    assert!(
        error.contains("Cargo.toml: it holds no failure of the simulator"),
        "{error}"
    );
}

#[cfg(feature = "mutants")]
#[test]
fn a_seed_that_fails_is_written_told_and_replayed() {
    let path = file("failure.json");
    let path = path.to_str().unwrap();
    let shrink = ["shrink", "--seed", "0", "--mutant", "JoinForgotten"];
    let output = sim(&[&shrink[..], &["--time", "2s", "--json", "--out", path]].concat());
    assert!(output.status.success(), "{}", printed(&output.stderr));
    let text = printed(&output.stdout);
    let object: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(object["mutant"], "JoinForgotten");
    assert!(text.contains("BROKEN: ") && text.contains("reproduce  squid-mesh-sim replay --file"));
    let output = sim(&["replay", "--file", path]);
    assert_eq!(output.status.code(), Some(1), "it breaks again");
    assert!(printed(&output.stdout).contains(object["promise"].as_str().unwrap()));
    let output = sim(&["shrink", "--seed", "0", "--mutant", "Nobody", "--out", path]);
    assert_eq!(
        printed(&output.stderr),
        "there is no seeded bug \"Nobody\"\n"
    );
}
