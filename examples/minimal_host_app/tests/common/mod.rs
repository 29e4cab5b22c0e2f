//! Runs the program as somebody does who has just built it.
//!
//! Invariant: nothing of the environment of the tests changes what it does.

use std::process::{Command, Output};

use serde::de::DeserializeOwned;

/// Runs a command of the program to its end.
pub(crate) fn run(command: &str, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_minimal-host-app"))
        .arg(command)
        .args(options)
        .env_remove("DATABASE_URL")
        .env_remove("RUST_LOG")
        .output()
        .expect("the program starts")
}

/// What a command that succeeded reports on its last line.
pub(crate) fn report<R: DeserializeOwned>(output: &Output) -> R {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    serde_json::from_str(stdout.lines().last().unwrap_or_default()).expect("the last line is JSON")
}
