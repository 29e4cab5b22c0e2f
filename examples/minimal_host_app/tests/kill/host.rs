//! Worker processes.
//!
//! Invariant: no process outlives the value that stands for it.

use std::process::Stdio;
use std::time::Duration;

use minimal_host_app::worker::READY;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A worker in a process of its own.
pub(crate) struct Worker {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// How long a process may take to do as it is told, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl Worker {
    /// Starts a worker, with a lease that is short enough for a test.
    pub(crate) fn start(database: &str, gateway: &str) -> Worker {
        let mut process = Command::new(env!("CARGO_BIN_EXE_minimal-host-app"))
            .arg("worker")
            .args(["--database-url", database, "--gateway-url", gateway])
            .args([
                "--lease-ms",
                "1000",
                "--poll-ms",
                "200",
                "--grace-ms",
                "5000",
            ])
            .env("RUST_LOG", "error")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let stdout = process.stdout.take().expect("stdout is piped");
        Worker {
            process,
            lines: BufReader::new(stdout).lines(),
        }
    }

    /// Waits until it works.
    pub(crate) async fn ready(mut self) -> Worker {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line())
            .await
            .expect("a worker starts in time");
        assert_eq!(
            line.expect("its output is text").as_deref(),
            Some(READY),
            "a worker ended before it worked"
        );
        self
    }

    /// SIGKILL: nothing of it runs any further, and nothing is written behind it.
    pub(crate) async fn kill(mut self) {
        self.process
            .kill()
            .await
            .expect("a process that has not been waited for can be killed");
    }

    /// SIGTERM: it finishes what it has begun, and ends well.
    pub(crate) async fn terminate(mut self) {
        let id = self
            .process
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        kill_process(id.expect("it has not been waited for"), Signal::TERM)
            .expect("it can be told");
        let ended = tokio::time::timeout(PATIENCE, self.process.wait())
            .await
            .expect("it ends in time");
        let status = ended.expect("it can be waited for");
        assert!(
            status.success(),
            "a worker that was told to stop ended with {status}"
        );
    }
}
