//! What schedules are called.
//!
//! Invariant: a key is always the same schedule, so whoever declares it again, or fires it, means the same row.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::id::{RunId, Shard, Shards};
use crate::limits;
use crate::name::Name;
use crate::task::{Lane, TaskKey};
use crate::time::Timestamp;

/// A schedule: a hash of its key. Its last two bytes are its slot, which its runs share, so that they share its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ScheduleId(RunId);

impl ScheduleId {
    /// The schedule with these 128 bits; stores use it to read their own rows back.
    pub const fn from_u128(bits: u128) -> ScheduleId {
        ScheduleId(RunId::from_u128(bits))
    }

    /// The 128 bits.
    pub const fn as_u128(self) -> u128 {
        self.0.as_u128()
    }

    /// The schedule's shard in a schema of `shards` shards.
    pub const fn shard(self, shards: Shards) -> Shard {
        self.0.shard(shards)
    }

    /// The one task of the schedule. Runs and schedules share the agenda's keys; their ids are hashes of different things.
    pub const fn task(self) -> TaskKey {
        TaskKey {
            run: self.0,
            lane: Lane(0),
        }
    }

    /// The schedule whose task has this key, if it is a schedule's.
    pub const fn of_task(key: TaskKey) -> ScheduleId {
        ScheduleId(key.run)
    }

    /// The run of an occurrence: the same occurrence is always the same run.
    pub fn occurrence(self, at: Timestamp) -> RunId {
        self.run(b"occurrence", &at.as_micros().to_be_bytes())
    }

    /// The run that a signal of a host's own scheduler makes: the same signal is always the same run.
    pub fn signal(self, signal: &str) -> RunId {
        self.run(b"signal", signal.as_bytes())
    }

    /// The run that a command makes which triggers the schedule: the same command is always the same run.
    pub fn triggered(self, command: crate::id::CommandId) -> RunId {
        self.run(b"command", &command.to_bytes())
    }

    fn run(self, what: &[u8], which: &[u8]) -> RunId {
        let mut hash = Sha256::new();
        hash.update(b"squid-mesh scheduled run\0");
        hash.update(what);
        hash.update(b"\0");
        hash.update(self.0.to_bytes());
        hash.update(which);
        RunId::hashed(hash).with_slot(self.0.slot())
    }
}

impl fmt::Display for ScheduleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What people call a schedule.
///
/// As text, that of a declared one is `workflow/trigger`; a name has no slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ScheduleKey {
    /// A cron trigger of a workflow: declared with its definition.
    Declared {
        /// The workflow.
        workflow: Name,
        /// The trigger.
        trigger: Name,
    },
    /// One that was created at run time.
    Named(String),
}

impl ScheduleKey {
    /// The schedule that is called so.
    pub fn id(&self) -> ScheduleId {
        let mut hash = Sha256::new();
        match self {
            ScheduleKey::Declared { workflow, trigger } => {
                hash.update(b"squid-mesh declared schedule\0");
                hash.update(workflow.as_str().as_bytes());
                hash.update([0]);
                hash.update(trigger.as_str().as_bytes());
            }
            ScheduleKey::Named(name) => {
                hash.update(b"squid-mesh named schedule\0");
                hash.update(name.as_bytes());
            }
        }
        ScheduleId(RunId::hashed(hash))
    }

    /// Takes a key back from a store without checking it: the engine wrote it.
    pub fn stored(text: &str) -> ScheduleKey {
        match text.split_once('/') {
            Some((workflow, trigger)) => ScheduleKey::Declared {
                workflow: Name::stored(workflow),
                trigger: Name::stored(trigger),
            },
            None => ScheduleKey::Named(text.to_owned()),
        }
    }
}

impl fmt::Display for ScheduleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScheduleKey::Declared { workflow, trigger } => write!(f, "{workflow}/{trigger}"),
            ScheduleKey::Named(name) => f.write_str(name),
        }
    }
}

impl FromStr for ScheduleKey {
    type Err = InvalidScheduleKey;

    fn from_str(text: &str) -> Result<ScheduleKey, InvalidScheduleKey> {
        let invalid = || InvalidScheduleKey {
            text: text.chars().take(80).collect(),
        };
        if let Some((workflow, trigger)) = text.split_once('/') {
            return Ok(ScheduleKey::Declared {
                workflow: Name::new(workflow).map_err(|_| invalid())?,
                trigger: Name::new(trigger).map_err(|_| invalid())?,
            });
        }
        let fits = !text.is_empty() && text.len() <= limits::SCHEDULE_NAME_BYTES;
        if !fits || text.chars().any(char::is_control) {
            return Err(invalid());
        }
        Ok(ScheduleKey::Named(text.to_owned()))
    }
}

/// A text that no schedule can be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no schedule: expected a name of 1 to {} bytes without control characters, or `workflow/trigger`",
    limits::SCHEDULE_NAME_BYTES
)]
pub struct InvalidScheduleKey {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_always_the_same_schedule_and_reads_back_from_its_text() {
        for text in ["daily_digest/nightly", "tenant 42: nightly"] {
            let key: ScheduleKey = text.parse().unwrap();
            assert_eq!(
                (key.to_string().as_str(), ScheduleKey::stored(text)),
                (text, key.clone())
            );
            assert_eq!(key.id(), key.clone().id());
        }
        let declared: ScheduleKey = "a/b".parse().unwrap();
        assert_ne!(declared.id(), ScheduleKey::Named("a/b".to_owned()).id());
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_by_name() {
        let long = "x".repeat(limits::SCHEDULE_NAME_BYTES + 1);
        for text in ["", "a\nb", "a\0b", "A/b", "a/", "a/b/c", &long] {
            let error = text.parse::<ScheduleKey>().unwrap_err();
            let shown: String = text.chars().take(80).collect();
            assert!(error.to_string().contains(&format!("{shown:?}")), "{error}");
        }
        assert!(
            "x".repeat(limits::SCHEDULE_NAME_BYTES)
                .parse::<ScheduleKey>()
                .is_ok()
        );
    }

    #[test]
    fn runs_of_a_schedule_share_its_slot_and_are_told_apart() {
        let id = ScheduleKey::Named("nightly".to_owned()).id();
        let other = ScheduleKey::Named("weekly".to_owned()).id();
        let at = Timestamp::from_micros;
        let runs = [
            id.occurrence(at(1)),
            id.occurrence(at(2)),
            other.occurrence(at(1)),
            id.signal("1"),
            id.triggered(crate::id::CommandId::from_u128(1)),
        ];
        for (n, run) in runs.iter().enumerate() {
            assert!(!runs[..n].contains(run));
        }
        assert_eq!(runs[0], id.occurrence(at(1)));
        assert_eq!(runs[0].slot(), id.task().run.slot());
    }
}
