//! Installing Postgres with the system's package manager.
//!
//! Invariant: the system is changed only by root or with the user's word for it.

use std::process::{Command, Output, Stdio};

use crate::binaries::BinariesError;

/// Whether the system may be changed, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    /// This process is root.
    Root,
    /// The user allowed it; root's rights come from `sudo`.
    Sudo,
    /// Nobody allowed it.
    Denied,
}

impl Permission {
    /// Reads `SQUID_MESH_ALLOW_INSTALL` and the user id of this process.
    pub(crate) fn from_environment() -> Self {
        let word = std::env::var("SQUID_MESH_ALLOW_INSTALL").ok();
        Self::decide(word.as_deref(), rustix::process::geteuid().is_root())
    }

    fn decide(word: Option<&str>, root: bool) -> Self {
        match (word, root) {
            (Some("0"), _) => Self::Denied,
            (_, true) => Self::Root,
            (Some("1"), false) => Self::Sudo,
            (_, false) => Self::Denied,
        }
    }
}

/// The commands that install Postgres, in order.
const STEPS: [&[&str]; 2] = [
    &["apt-get", "update"],
    &[
        "apt-get",
        "install",
        "-y",
        "--no-install-recommends",
        "-o",
        "DPkg::Lock::Timeout=300",
        "postgresql",
    ],
];

/// The commands as a user would type them.
pub(crate) fn command_line(permission: Permission) -> String {
    let prefix = match permission {
        Permission::Root => "",
        Permission::Sudo | Permission::Denied => "sudo ",
    };
    STEPS
        .map(|step| format!("{prefix}{}", step.join(" ")))
        .join(" && ")
}

/// Installs Postgres.
///
/// Takes minutes. A failed update of the package lists is reported only if the installation fails
/// as well: old lists often do.
///
/// # Errors
///
/// When it is not allowed, when there is no `apt-get`, or when `apt-get` fails. Safe to retry.
pub(crate) fn install_postgres(permission: Permission) -> Result<(), BinariesError> {
    let command = command_line(permission);
    if permission == Permission::Denied {
        return Err(BinariesError::NotInstalled { command });
    }
    let mut complaints = Vec::new();
    let mut installed = false;
    for step in STEPS {
        match run(permission, step) {
            Ok(output) => {
                installed = output.status.success();
                if !installed {
                    complaints.push(last_lines(&output));
                }
            }
            Err(error) => {
                installed = false;
                complaints.push(error.to_string());
            }
        }
    }
    if installed {
        return Ok(());
    }
    let detail = complaints.join("; ");
    Err(BinariesError::Install { command, detail })
}

fn run(permission: Permission, step: &[&str]) -> std::io::Result<Output> {
    let mut words: Vec<&str> = Vec::new();
    if permission == Permission::Sudo {
        words.extend(["sudo", "-n", "DEBIAN_FRONTEND=noninteractive"]);
    }
    words.extend(step);
    Command::new(words[0])
        .args(&words[1..])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
}

/// The end of what a failed command had to say.
fn last_lines(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installing_needs_root_or_a_word_and_zero_always_forbids() {
        let table = [
            (None, true, Permission::Root),
            (Some("1"), true, Permission::Root),
            (Some("0"), true, Permission::Denied),
            (None, false, Permission::Denied),
            (Some("1"), false, Permission::Sudo),
            (Some("yes"), false, Permission::Denied),
        ];
        for (word, root, expected) in table {
            assert_eq!(
                Permission::decide(word, root),
                expected,
                "{word:?}, root {root}"
            );
        }
    }

    #[test]
    fn without_permission_the_error_names_the_command() {
        let error = install_postgres(Permission::Denied).expect_err("not allowed");
        let text = error.to_string();
        assert!(
            text.contains("sudo apt-get update && sudo apt-get install"),
            "{text}"
        );
    }
}
