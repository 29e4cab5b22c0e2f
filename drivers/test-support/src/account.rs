//! The user a server runs as.
//!
//! Invariant: a server never runs as root, and its environment holds nothing of the caller's that
//! would change how it behaves.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::ClusterError;

/// Users that may exist, in order of preference; the last one is created when none does.
const CANDIDATES: [&str; 2] = ["postgres", "squid-mesh-test"];

/// The user a server runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// The user of this process.
    Own,
    /// Another user; this process is root.
    Other {
        /// The user's name, for messages.
        name: String,
        /// The user's id.
        uid: u32,
        /// The id of the user's main group.
        gid: u32,
    },
}

impl Account {
    /// The user of this process or, for root, an unprivileged one, created if there is none.
    pub(crate) fn unprivileged() -> Result<Self, ClusterError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        if let Some(account) = CANDIDATES.iter().find_map(|name| Self::existing(name)) {
            return Ok(account);
        }
        Self::create(CANDIDATES[CANDIDATES.len() - 1])
    }

    /// A command that runs as this user, without input, in a small and fixed environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().stdin(Stdio::null());
        for name in ["PATH", "LD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // Messages are searched for words.
        command.env("LC_ALL", "C");
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
        command
    }

    /// Makes this user the owner of a file or directory.
    pub(crate) fn own(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid, .. } => chown(path, Some(*uid), Some(*gid)),
        }
    }

    /// Fails unless this user can enter a directory.
    pub(crate) fn check_reach(
        &self,
        directory: &Path,
        remedy: &'static str,
    ) -> Result<(), ClusterError> {
        let Self::Other { name, .. } = self else {
            return Ok(());
        };
        let reached = self
            .command("test")
            .arg("-x")
            .arg(directory)
            .current_dir("/")
            .status();
        if reached.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        Err(ClusterError::Unreachable {
            user: name.clone(),
            path: directory.to_path_buf(),
            remedy,
        })
    }

    fn existing(name: &str) -> Option<Self> {
        let number = |flag: &str| {
            let output = run("id", &[flag, name]).ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        Some(Self::Other {
            name: name.to_owned(),
            uid: number("-u")?,
            gid: number("-g")?,
        })
    }

    fn create(name: &str) -> Result<Self, ClusterError> {
        let arguments = [
            "--system",
            "--user-group",
            "--no-create-home",
            "--shell",
            "/bin/false",
            name,
        ];
        let detail = match run("useradd", &arguments) {
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        // Another process may have created it in the meantime, so what counts is that it exists.
        Self::existing(name).ok_or_else(|| ClusterError::Account {
            command: format!("useradd {}", arguments.join(" ")),
            detail,
        })
    }
}

fn run(program: &str, arguments: &[&str]) -> io::Result<Output> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_never_runs_as_root() {
        let account = Account::unprivileged().expect("an account");
        let output = account.command("id").arg("-u").output().expect("id runs");
        assert_ne!(String::from_utf8_lossy(&output.stdout).trim(), "0");
    }

    #[test]
    fn a_user_that_does_not_exist_is_not_an_account() {
        assert_eq!(Account::existing("no-such-user-at-all"), None);
    }

    #[test]
    fn the_callers_environment_does_not_reach_the_server() {
        let output = Account::Own.command("env").output().expect("env runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            text.lines()
                .all(|line| ["PATH=", "LD_LIBRARY_PATH=", "LC_ALL="]
                    .iter()
                    .any(|name| line.starts_with(name))),
            "{text}"
        );
    }
}
