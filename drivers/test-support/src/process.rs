//! Processes of a server, as the kernel shows them.
//!
//! Invariant: a process is signalled only if it is a Postgres program whose working directory lies
//! in the cluster's own directory, so a reused process id can hit nobody else.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(5);

/// The programs that run in a cluster's directory, by the kernel's name for the process.
const PROGRAMS: [&str; 2] = ["postgres", "initdb"];

/// Processor time a process has used, in clock ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ticks {
    /// By the process itself.
    pub(crate) own: u64,
    /// By children it has waited for.
    pub(crate) reaped: u64,
}

/// The ids of the Postgres processes that work in `directory` or below it. Zombies have no working
/// directory and do not count.
pub(crate) fn processes_in(directory: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| works_in(*pid, directory))
        .collect()
}

/// Whether a process is a Postgres program that works in `directory` or below it.
pub(crate) fn works_in(pid: u32, directory: &Path) -> bool {
    let inside =
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
    inside && program(pid).is_some_and(|name| PROGRAMS.contains(&name.as_str()))
}

/// Whether a process id is in use, if only by a zombie.
pub(crate) fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Whether a process exists and has not ended: a zombie has.
pub(crate) fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    fields_after_name(&stat).is_some_and(|fields| !fields.starts_with(['Z', 'X']))
}

/// The processor time of a process, if it exists.
pub(crate) fn ticks(pid: u32) -> Option<Ticks> {
    parse_ticks(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Ticks as a duration.
pub(crate) fn ticks_to_duration(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(ticks.saturating_mul(1_000) / per_second)
}

/// Sends a signal. That the process is gone already is not an error: the caller waits for that.
pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal);
    }
}

/// Waits until `condition` holds; false when it did not within `patience`.
pub(crate) fn wait_until(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() >= patience {
            return false;
        }
        thread::sleep(POLL);
    }
}

fn program(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// What follows the program name, which may itself contain blanks and parentheses.
fn fields_after_name(stat: &str) -> Option<&str> {
    stat.rsplit_once(") ").map(|(_, fields)| fields)
}

/// The times are fields 14 to 17 of proc(5), of which the first two precede these fields.
fn parse_ticks(stat: &str) -> Option<Ticks> {
    let fields: Vec<&str> = fields_after_name(stat)?.split(' ').collect();
    let number = |field: usize| -> Option<u64> { fields.get(field - 3)?.parse().ok() };
    Some(Ticks {
        own: number(14)? + number(15)?,
        reaped: number(16)? + number(17)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_behind_a_name_with_blanks_and_parentheses() {
        let stat = "42 (a) b) (c) S 1 42 42 0 -1 4194560 100 0 0 0 7 5 30 12 20 0 1 0 99 1 1";
        assert_eq!(
            parse_ticks(stat),
            Some(Ticks {
                own: 12,
                reaped: 42
            })
        );
    }

    #[test]
    fn this_process_is_alive_and_no_postgres() {
        let pid = std::process::id();
        assert!(is_alive(pid));
        assert!(ticks(pid).is_some());
        assert!(!works_in(pid, Path::new("/")));
    }

    #[test]
    fn a_process_that_nobody_waited_for_exists_but_is_not_alive() -> std::io::Result<()> {
        let mut child = std::process::Command::new("true").spawn()?;
        let ended = wait_until(Duration::from_secs(10), || !is_alive(child.id()));
        let waits = exists(child.id());
        child.wait()?;
        assert!(ended && waits);
        assert!(!exists(child.id()));
        Ok(())
    }

    #[test]
    fn waiting_gives_up() {
        assert!(!wait_until(Duration::from_millis(1), || false));
        assert!(wait_until(Duration::ZERO, || true));
    }
}
