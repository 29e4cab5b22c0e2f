//! How a store is opened.
//!
//! Invariant: the defaults lose nothing that was answered, whatever crashes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use squid_mesh_core::time::Timestamp;

/// How a store is opened.
///
/// ```
/// use std::time::Duration;
/// use squid_mesh_sqlite::Options;
///
/// let options = Options::default().create(false).busy_timeout(Duration::from_secs(1));
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) create: bool,
    pub(crate) busy_timeout: Duration,
    pub(crate) durability: Durability,
    pub(crate) readers: u32,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for Options {
    /// Creates what is missing, waits five seconds for other processes, flushes at each commit, reads on up to four
    /// connections, and takes the time from the host's wall clock.
    fn default() -> Options {
        Options {
            create: true,
            busy_timeout: Duration::from_secs(5),
            durability: Durability::Full,
            readers: 4,
            clock: Arc::new(WallClock),
        }
    }
}

impl Options {
    /// Whether to create the file, and the directory it is in, where they are missing.
    #[must_use]
    pub fn create(mut self, create: bool) -> Options {
        self.create = create;
        self
    }

    /// How long to wait for another process that writes, before an operation is answered with a conflict.
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Options {
        self.busy_timeout = timeout;
        self
    }

    /// What a commit survives.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Options {
        self.durability = durability;
        self
    }

    /// Most connections to read on, outside operations; at least one.
    #[must_use]
    pub fn readers(mut self, readers: u32) -> Options {
        self.readers = readers.max(1);
        self
    }

    /// The clock that stands in for a database's, which SQLite does not have. All processes on one file must agree on the
    /// time as closely as timers are to be exact: a wrong clock makes work late or repeats an attempt, and never settles
    /// a step twice.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Options {
        self.clock = clock;
        self
    }
}

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// The loss of power: each commit is flushed to disk (`synchronous = FULL`).
    #[default]
    Full,
    /// The end of the process, in whatever way, but not the loss of power, which may take the last commits with it
    /// (`synchronous = NORMAL`).
    Process,
}

/// Tells the time to operations.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time. Read once in each transaction, while it holds the write lock.
    fn now(&self) -> Timestamp;
}

/// The host's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Timestamp::from_micros(micros(after)),
            Err(before) => Timestamp::from_micros(-micros(before.duration())),
        }
    }
}
