//! The process that stops a cluster after its last user.
//!
//! Invariant: it depends on no process that uses the cluster: not as a child, not through a pipe,
//! not by their process group.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::directory::ClusterDirectory;
use crate::error::ClusterError;

const SCRIPT: &str = include_str!("watchdog.sh");

/// Leaves the watchdog in the background, where it becomes nobody's child, and fails when the tools
/// it needs are missing.
const LAUNCHER: &str =
    r#"command -v flock >/dev/null && { sh -c "$1" watchdog "$2" "$3" & } 2>/dev/null"#;

/// How long the shared cluster goes on without users unless told otherwise.
const DEFAULT_IDLE: Duration = Duration::from_secs(60);

/// How long the shared cluster goes on without users.
pub(crate) fn idle_time() -> Duration {
    let seconds = std::env::var("SQUID_MESH_TEST_IDLE_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    seconds.map_or(DEFAULT_IDLE, Duration::from_secs)
}

/// Starts a watchdog for a cluster. Where one is at work already, the second one leaves at once.
///
/// `idle` counts in whole seconds.
pub(crate) fn start(directory: &ClusterDirectory, idle: Duration) -> Result<(), ClusterError> {
    let launched = Command::new("sh")
        .args(["-c", LAUNCHER, "launcher", SCRIPT])
        .arg(directory.path())
        .arg(idle.as_secs().to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .status();
    if launched.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(ClusterError::Watchdog {
        path: directory.path().to_path_buf(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_understood_by_a_plain_shell() {
        let status = Command::new("sh")
            .args(["-n", "-c", SCRIPT])
            .status()
            .expect("sh runs");
        assert!(status.success());
    }
}
