//! One server on one data directory: starting, stopping, killing.
//!
//! Invariant: a server is started only when no process of an earlier one is left.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use rustix::process::Signal;

use crate::account::Account;
use crate::address::OwnAddress;
use crate::binaries::Binaries;
use crate::directory::ClusterDirectory;
use crate::error::{ClusterError, file_error};
use crate::files::random_hex;
use crate::initdb::make_data_directory;
use crate::process::{exists, is_alive, processes_in, signal, wait_until, works_in};
use crate::settings::Settings;

/// How long a server may take to accept connections: crash recovery takes its time.
const START_PATIENCE: Duration = Duration::from_secs(300);

/// How long a server may take to stop: with [`StopMode::Fast`] it writes a checkpoint.
const STOP_PATIENCE: Duration = Duration::from_secs(300);

/// How long killed processes may take to disappear.
const KILL_PATIENCE: Duration = Duration::from_secs(30);

/// How long it may take until the process id of a killed server is given back.
const REAP_PATIENCE: Duration = Duration::from_secs(2);

/// How many ports are tried.
const PORT_ATTEMPTS: usize = 20;

/// Ports below the range from which systems take the ports of outgoing connections.
const FIRST_PORT: u16 = 20_000;
const PORTS: u16 = 12_000;

/// What the log says when the port is taken.
const PORT_TAKEN: &str = "could not create any TCP/IP sockets";

/// Starts a program in the background with its output in the log (the standard error here), and
/// prints its process id.
///
/// A shell of its own remains as its parent, so that its process id is given back as soon as it ends:
/// a killed server must not look alive for as long as an `init` takes to notice.
const LAUNCHER: &str = r#"{ "$@" >&2 & echo $!; exec >&2; wait; } &"#;

/// How a server is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopMode {
    /// Connections are closed, transactions rolled back, a checkpoint is written.
    Fast,
    /// Everything is dropped on the spot; the next start recovers from the log.
    Immediate,
}

/// A server that has been started at least once.
#[derive(Debug)]
pub(crate) struct Server {
    directory: ClusterDirectory,
    binaries: Binaries,
    account: Account,
    address: OwnAddress,
}

impl Server {
    /// Makes a data directory, starts a server on it and writes its address down.
    pub(crate) fn create(
        directory: ClusterDirectory,
        binaries: Binaries,
        settings: &Settings,
    ) -> Result<Self, ClusterError> {
        let account = Account::unprivileged()?;
        let password = random_hex(16)?;
        make_data_directory(&directory, &binaries, &account, settings, &password)?;
        let mut server = Self {
            address: OwnAddress {
                sockets: directory.server(),
                port: 0,
                password,
            },
            directory,
            binaries,
            account,
        };
        server.start_on_free_port()?;
        server.address.save(&server.directory)?;
        Ok(server)
    }

    /// Takes over a server that somebody else made, running or not. None when it was never started.
    pub(crate) fn reopen(
        directory: ClusterDirectory,
        binaries: Binaries,
    ) -> Result<Option<Self>, ClusterError> {
        let Some(address) = OwnAddress::load(&directory)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            directory,
            binaries,
            account: Account::unprivileged()?,
            address,
        }))
    }

    /// How to reach the server.
    pub(crate) fn address(&self) -> &OwnAddress {
        &self.address
    }

    /// The cluster's directory.
    pub(crate) fn directory(&self) -> &ClusterDirectory {
        &self.directory
    }

    /// The process id of the running server.
    pub(crate) fn postmaster(&self) -> Option<u32> {
        let pid = self.directory.recorded_postmaster()?;
        works_in(pid, &self.directory.data()).then_some(pid)
    }

    /// All processes of the server, in no order.
    pub(crate) fn processes(&self) -> Vec<u32> {
        processes_in(&self.directory.data())
    }

    /// Starts the server on its port and waits until it accepts connections.
    pub(crate) fn start(&self) -> Result<(), ClusterError> {
        if self.postmaster().is_some() {
            return Err(ClusterError::Running {
                data: self.directory.data(),
            });
        }
        // What somebody else's kill of the server left holds its shared memory, with which no other
        // server starts.
        kill_all(&self.directory)?;
        self.remove_misleading_pid_file()?;
        let log_start = self.log().len();
        let pid = self.launch()?;
        self.wait_until_ready(pid, log_start)
    }

    /// Starts the server unless it runs, and waits until it accepts connections: whoever started it
    /// may have been killed before that.
    pub(crate) fn ensure_ready(&self) -> Result<(), ClusterError> {
        match self.postmaster() {
            Some(pid) => self.wait_until_ready(pid, 0),
            None => self.start(),
        }
    }

    /// Tells the server to stop and waits until all its processes are gone.
    pub(crate) fn stop(&self, mode: StopMode) -> Result<(), ClusterError> {
        let pid = self.running()?;
        signal(
            pid,
            match mode {
                StopMode::Fast => Signal::INT,
                StopMode::Immediate => Signal::QUIT,
            },
        );
        wait_until_gone(&self.directory, STOP_PATIENCE)
    }

    /// Kills the server and its children and waits until all of them are gone.
    pub(crate) fn kill9(&self) -> Result<(), ClusterError> {
        // Stopped first, so that it starts no children while they are listed.
        signal(self.running()?, Signal::STOP);
        kill_all(&self.directory)
    }

    /// What the server has written to its log.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.directory.log()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the server `pid` accepts connections. An error holds the log from `log_start` on.
    fn wait_until_ready(&self, pid: u32, log_start: usize) -> Result<(), ClusterError> {
        let ready = || {
            self.directory.recorded_postmaster() == Some(pid) && self.directory.is_recorded_ready()
        };
        let decided = wait_until(START_PATIENCE, || ready() || !is_alive(pid));
        if decided && is_alive(pid) {
            return Ok(());
        }
        Err(ClusterError::Start {
            data: self.directory.data(),
            log: self.log().get(log_start..).unwrap_or_default().to_owned(),
        })
    }

    fn running(&self) -> Result<u32, ClusterError> {
        self.postmaster().ok_or_else(|| ClusterError::NotRunning {
            data: self.directory.data(),
        })
    }

    /// Removes the pid file of a killed server if its process id remains in use.
    ///
    /// Postgres does not start then, even if a zombie or an unrelated process uses it. The file is
    /// otherwise left to Postgres, which finds the earlier shared memory through it and frees it.
    fn remove_misleading_pid_file(&self) -> Result<(), ClusterError> {
        let Some(pid) = self.directory.recorded_postmaster() else {
            return Ok(());
        };
        if wait_until(REAP_PATIENCE, || !exists(pid)) {
            return Ok(());
        }
        let path = self.directory.pid_file();
        fs::remove_file(&path).map_err(file_error("remove", &path))
    }

    /// Another process may take a port between the moment it is found free and the start.
    fn start_on_free_port(&mut self) -> Result<(), ClusterError> {
        for _ in 0..PORT_ATTEMPTS {
            self.address.port = free_port(&self.directory)?;
            match self.start() {
                Err(ClusterError::Start { log, .. }) if log.contains(PORT_TAKEN) => {}
                result => return result,
            }
        }
        Err(ClusterError::NoPort {
            data: self.directory.data(),
        })
    }

    /// Starts the server program and returns its process id.
    fn launch(&self) -> Result<u32, ClusterError> {
        let log_path = self.directory.log();
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(file_error("open", &log_path))?;
        let program = self.binaries.postgres();
        let output = self
            .account
            .command("sh")
            .args(["-c", LAUNCHER, "launcher"])
            .arg(&program)
            .arg("-D")
            .arg(self.directory.data())
            .args(["-p", &self.address.port.to_string()])
            // By its working directory a process is known as this server's from the first moment.
            .current_dir(self.directory.data())
            .stderr(log)
            .process_group(0)
            .output()
            .map_err(file_error("run", &program))?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().map_err(|_| ClusterError::Start {
            data: self.directory.data(),
            log: self.log(),
        })
    }
}

/// Stops whatever runs in a cluster's directory: politely for `patience`, then by force.
pub(crate) fn halt(directory: &ClusterDirectory, patience: Duration) -> Result<(), ClusterError> {
    // A server that ends by itself frees its shared memory.
    for pid in processes_in(directory.path()) {
        signal(pid, Signal::QUIT);
    }
    wait_until_gone(directory, patience).or_else(|_| kill_all(directory))
}

fn kill_all(directory: &ClusterDirectory) -> Result<(), ClusterError> {
    let gone = wait_until(KILL_PATIENCE, || {
        let pids = processes_in(directory.path());
        for pid in &pids {
            signal(*pid, Signal::KILL);
        }
        pids.is_empty()
    });
    // Once more: a child born during the last listing can be missing from it.
    if gone {
        for pid in processes_in(directory.path()) {
            signal(pid, Signal::KILL);
        }
    }
    wait_until_gone(directory, KILL_PATIENCE)
}

fn wait_until_gone(directory: &ClusterDirectory, patience: Duration) -> Result<(), ClusterError> {
    let mut left = Vec::new();
    let gone = wait_until(patience, || {
        left = processes_in(directory.path());
        left.is_empty()
    });
    if gone {
        return Ok(());
    }
    Err(ClusterError::StillRunning {
        data: directory.data(),
        pids: left,
        waited: patience,
    })
}

fn free_port(directory: &ClusterDirectory) -> Result<u16, ClusterError> {
    for _ in 0..PORT_ATTEMPTS {
        let random = u16::from_str_radix(&random_hex(2)?, 16).unwrap_or_default();
        let port = FIRST_PORT + random % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(ClusterError::NoPort {
        data: directory.data(),
    })
}
