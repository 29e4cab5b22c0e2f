//! Worker processes of this program, to be ended in one way or the other.
//!
//! Invariant: no process outlives the value that stands for it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::worker::READY;

/// A worker in a process of its own.
#[derive(Debug)]
pub struct WorkerProcess {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// How long a process may take to do as it is told, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Short enough for a loss to be noticed while somebody watches.
const OPTIONS: [&str; 6] = [
    "--lease-ms",
    "1000",
    "--poll-ms",
    "200",
    "--grace-ms",
    "5000",
];

impl WorkerProcess {
    /// Starts a worker of this program, which serves these queues too.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn start(
        program: &Path,
        database: &str,
        gateway: &str,
        queues: &[&str],
    ) -> anyhow::Result<WorkerProcess> {
        // The URL may hold a password, which is nobody's business who lists processes.
        let mut command = Command::new(program);
        command
            .args(["worker", "--gateway-url", gateway])
            .args(OPTIONS)
            .args(queues.iter().flat_map(|queue| ["--queue", queue]))
            .env(crate::place::DATABASE_URL, database)
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if std::env::var_os("RUST_LOG").is_none() {
            command.env("RUST_LOG", "error");
        }
        let mut process = command.spawn().context("cannot start a worker")?;
        let stdout = process.stdout.take().context("a worker has no stdout")?;
        Ok(WorkerProcess {
            process,
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// Waits until it works.
    ///
    /// # Errors
    /// If it ends before, or takes too long.
    pub async fn ready(mut self) -> anyhow::Result<WorkerProcess> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        let line = line.context("a worker did not start in time")??;
        anyhow::ensure!(
            line.as_deref() == Some(READY),
            "a worker ended before it worked"
        );
        Ok(self)
    }

    /// SIGKILL: nothing of it runs any further, and nothing is written behind it.
    ///
    /// # Errors
    /// If the system refuses.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.process.kill().await.context("cannot kill a worker")
    }

    /// SIGTERM: it finishes what it has begun, and ends well.
    ///
    /// # Errors
    /// If it does not end in time, or not well.
    pub async fn terminate(mut self) -> anyhow::Result<()> {
        let id = self.process.id().and_then(|id| i32::try_from(id).ok());
        let id = id.and_then(Pid::from_raw).context("a worker has ended")?;
        kill_process(id, Signal::TERM).context("cannot tell a worker to stop")?;
        let ended = tokio::time::timeout(PATIENCE, self.process.wait()).await;
        let status = ended.context("a worker did not stop in time")??;
        anyhow::ensure!(
            status.success(),
            "a worker that was told to stop ended with {status}"
        );
        Ok(())
    }
}
