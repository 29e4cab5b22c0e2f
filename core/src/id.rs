//! Identities: runs, commands, process incarnations, lives.
//!
//! Invariant: every id comes from outside or is derived from its origin by a hash; the core draws none.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::definition::StepIndex;
use crate::name::Name;
use crate::operation::QueueAction;
use crate::schedule::ScheduleId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            #[doc = concat!("The ", $what, " with these 128 bits.")]
            pub const fn from_u128(bits: u128) -> $name {
                $name(bits)
            }

            /// The 128 bits.
            pub const fn as_u128(self) -> u128 {
                self.0
            }

            /// The 16 bytes, most significant first.
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0.to_be_bytes()
            }

            /// Takes the 16 bytes back, most significant first.
            pub const fn from_bytes(bytes: [u8; 16]) -> $name {
                $name(u128::from_be_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", Uuid::from_u128(self.0).hyphenated())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<$name, InvalidId> {
                Uuid::try_parse(text)
                    .map(|id| $name(id.as_u128()))
                    .map_err(|_| InvalidId { what: $what, text: text.chars().take(80).collect() })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Uuid::from_u128(self.0).serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                Uuid::deserialize(deserializer).map(|id| $name(id.as_u128()))
            }
        }
    };
}

id!(
    /// A run. Time-ordered (UUIDv7) when plain, a hash when derived; its last two bytes are its slot.
    RunId, "run id"
);
id!(
    /// One command of a client. Repeating a command repeats its id, so that it is recognised.
    CommandId, "command id"
);
id!(
    /// One start of one process, random and never configured: a restarted process owns nothing its predecessor ran.
    Incarnation, "incarnation"
);

impl RunId {
    /// The run that a start of `workflow` under an idempotency key makes: the same key is always the same run.
    pub fn derived(workflow: &Name, key: &str) -> RunId {
        let mut hash = Sha256::new();
        hash.update(b"squid-mesh run by key\0");
        hash.update(workflow.as_str().as_bytes());
        hash.update([0]);
        hash.update(key.as_bytes());
        RunId::from_bytes(derived(hash))
    }

    /// The run that is a child of a step: the same number is always the same run. It keeps its parent's slot, so that they
    /// share a shard.
    pub fn child(parent: RunId, step: StepIndex, child: u32) -> RunId {
        let mut hash = Sha256::new();
        hash.update(b"squid-mesh child run\0");
        hash.update(parent.to_bytes());
        hash.update(step.0.to_be_bytes());
        hash.update(child.to_be_bytes());
        RunId::from_bytes(derived(hash)).with_slot(parent.slot())
    }

    /// The run that a step's handler starts under a key: the same key is always the same run, and another run in another
    /// step. It keeps its parent's slot, so that they share a shard.
    pub fn child_by_key(parent: RunId, step: StepIndex, key: &str) -> RunId {
        let mut hash = Sha256::new();
        hash.update(b"squid-mesh child run by key\0");
        hash.update(parent.to_bytes());
        hash.update(step.0.to_be_bytes());
        hash.update(key.as_bytes());
        RunId::from_bytes(derived(hash)).with_slot(parent.slot())
    }

    /// The run that a command makes which copies another: the same command is always the same run. It keeps the other's
    /// slot, so that they share a shard.
    pub fn copied(source: RunId, command: CommandId) -> RunId {
        let mut hash = Sha256::new();
        hash.update(b"squid-mesh copied run\0");
        hash.update(source.to_bytes());
        hash.update(command.to_bytes());
        RunId::from_bytes(derived(hash)).with_slot(source.slot())
    }

    /// The id that a hash makes.
    pub(crate) fn hashed(hash: Sha256) -> RunId {
        RunId::from_bytes(derived(hash))
    }

    /// The slot that places the run: its last two bytes.
    pub const fn slot(self) -> u16 {
        let bytes = self.to_bytes();
        u16::from_be_bytes([bytes[14], bytes[15]])
    }

    /// This id with another slot, so that runs started together can share a shard.
    #[must_use]
    pub const fn with_slot(self, slot: u16) -> RunId {
        RunId((self.0 & !0xffff) | slot as u128)
    }

    /// The shard of this run in a schema of `shards` shards.
    pub const fn shard(self, shards: Shards) -> Shard {
        Shard(self.slot() % shards.0)
    }
}

impl CommandId {
    /// The command that a key given by a client stands for, about one run: the same key is always the same command.
    pub fn keyed(run: RunId, key: &str) -> CommandId {
        let mut hash = Sha256::new();
        hash.update(b"squid-mesh command by key\0");
        hash.update(run.to_bytes());
        hash.update(key.as_bytes());
        CommandId::from_bytes(derived(hash))
    }

    /// The command that a key given by a client stands for, about one queue: with the same action, the same key is always the
    /// same command.
    pub fn keyed_to_queue(queue: &Name, action: QueueAction, key: &str) -> CommandId {
        let mut hash = Sha256::new();
        hash.update(b"squid-mesh queue command by key\0");
        for word in [action.as_str(), queue.as_str()] {
            hash.update(word.as_bytes());
            hash.update(b"\0");
        }
        hash.update(key.as_bytes());
        CommandId::from_bytes(derived(hash))
    }

    /// The command that a key given by a client stands for, about one schedule: with the same action, the same key is always
    /// the same command.
    pub fn keyed_to_schedule(schedule: ScheduleId, action: &str, key: &str) -> CommandId {
        let mut hash = Sha256::new();
        hash.update(b"squid-mesh schedule command by key\0");
        hash.update(action.as_bytes());
        hash.update(schedule.as_u128().to_be_bytes());
        hash.update(key.as_bytes());
        CommandId::from_bytes(derived(hash))
    }
}

/// The first half of a hash as a UUID.
fn derived(hash: Sha256) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    // RFC 9562: version 8 (custom) in the high nibble of byte 6, variant 10 in the high bits of byte 8.
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    bytes
}

/// How many shards a schema has; fixed when it is created, 1 by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shards(u16);

impl Shards {
    /// One shard: every run is in it.
    pub const ONE: Shards = Shards(1);

    /// That many shards; `None` for zero or more than [`crate::limits::SHARDS`].
    pub const fn new(count: u16) -> Option<Shards> {
        if count == 0 || count > crate::limits::SHARDS {
            None
        } else {
            Some(Shards(count))
        }
    }

    /// The number of shards.
    pub const fn count(self) -> u16 {
        self.0
    }

    /// All shards, in order.
    pub fn all(self) -> impl Iterator<Item = Shard> {
        (0..self.0).map(Shard)
    }
}

/// One shard of a schema: an operation addresses runs of exactly one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Shard(u16);

impl Shard {
    /// The shard with this number; stores use it to read their own rows back.
    pub const fn from_u16(number: u16) -> Shard {
        Shard(number)
    }

    /// The shard's number, from 0.
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

/// A nonce given with a run's submission: a run that took a deleted one's id has another life.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Life(pub u64);

impl Life {
    /// The life of a child: another one under a parent of another life.
    pub(crate) fn child(parent: Life, child: RunId) -> Life {
        let mut hash = Sha256::new();
        hash.update(b"squid-mesh child life\0");
        hash.update(parent.0.to_be_bytes());
        hash.update(child.to_bytes());
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&hash.finalize()[..8]);
        Life(u64::from_be_bytes(bytes))
    }
}

/// A text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {what}: expected a UUID")]
pub struct InvalidId {
    what: &'static str,
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_is_the_last_two_bytes_and_places_the_run() {
        let id = RunId::from_u128(0x1234).with_slot(0x0109);
        assert_eq!((id.slot(), id.as_u128()), (0x0109, 0x0109));
        assert_eq!(id.shard(Shards::new(8).unwrap()), Shard(1));
        assert_eq!(id.shard(Shards::ONE), Shard(0));
        assert!(
            Shards::new(0).is_none()
                && Shards::new(1_025).is_none()
                && Shards::new(1_024).is_some()
        );
    }

    #[test]
    fn a_key_derives_one_run_per_workflow() {
        let (a, b) = (Name::new("order").unwrap(), Name::new("refund").unwrap());
        assert_eq!(RunId::derived(&a, "k1"), RunId::derived(&a, "k1"));
        assert_ne!(RunId::derived(&a, "k1"), RunId::derived(&b, "k1"));
        assert_ne!(RunId::derived(&a, "k1"), RunId::derived(&a, "k2"));
    }

    #[test]
    fn a_derived_id_is_a_custom_uuid_of_the_hash() {
        let workflow = Name::new("order").unwrap();
        for key in 0..64 {
            let id = RunId::derived(&workflow, &key.to_string());
            let uuid = Uuid::from_u128(id.as_u128());
            assert_eq!(uuid.get_version_num(), 8, "{id}");
            assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122, "{id}");
        }
        let ids = (0..64).map(|key| RunId::derived(&workflow, &key.to_string()).to_bytes());
        let (mut six, mut eight) = (0, 0);
        for bytes in ids {
            six |= bytes[6] & 0x0f;
            eight |= bytes[8] & 0x3f;
        }
        assert_eq!((six, eight), (0x0f, 0x3f), "no further bit is fixed");
    }

    #[test]
    fn a_malformed_id_says_what_it_should_have_been() {
        let error = "order-7".parse::<RunId>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "\"order-7\" is no run id: expected a UUID"
        );
    }
}
