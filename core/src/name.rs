//! Names of workflows, steps, handlers and queues.
//!
//! Invariant: a `Name` made from outside matches `[a-z][a-z0-9_]*` and is 1 to 64 characters long; only the engine's
//! own names begin with `$`.

use std::borrow::Borrow;
use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

use crate::limits;

/// A checked name; cheap to clone, ordered by its text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(SmolStr);

impl Name {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// Says which text is malformed; nothing else can go wrong.
    ///
    /// ```
    /// use squid_mesh_core::name::Name;
    /// assert!(Name::new("charge_card").is_ok());
    /// assert!(Name::new("Charge-Card").is_err());
    /// ```
    pub fn new(text: &str) -> Result<Name, InvalidName> {
        let mut bytes = text.bytes();
        let head = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
        let tail = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if head && tail && text.len() <= limits::NAME_BYTES {
            Ok(Name(text.into()))
        } else {
            Err(InvalidName {
                text: text.chars().take(80).collect(),
            })
        }
    }

    /// Takes a name back from a store without checking it: the engine wrote it.
    pub fn stored(text: &str) -> Name {
        Name(text.into())
    }

    /// One of the engine's own.
    pub(crate) const fn fixed(text: &'static str) -> Name {
        Name(SmolStr::new_static(text))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is one of the engine's own names, which begin with `$`.
    pub fn is_engine(&self) -> bool {
        self.0.starts_with('$')
    }
}

/// The reserved queue of engine items; served by every worker, never paused or limited.
pub const ENGINE_QUEUE: &str = "$engine";
/// The queue of a definition that names none.
pub const DEFAULT_QUEUE: &str = "default";

/// The trigger that every definition has.
pub const DEFAULT_TRIGGER: &str = "manual";

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

/// Makes a name from a text that need not be allocated first.
struct Text;

impl Visitor<'_> for Text {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Name, E> {
        if text.starts_with('$') {
            return Ok(Name::stored(text));
        }
        Name::new(text).map_err(E::custom)
    }
}

/// A text that is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("name {text:?} is not 1 to 64 characters of [a-z][a-z0-9_]*")]
pub struct InvalidName {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_at_the_limit_and_one_above() {
        for good in ["a", &"a".repeat(64), "a_1"] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            &"a".repeat(65),
            "Pay",
            "pay-card",
            "päy",
            "9lives",
            "_a",
            "$engine",
        ] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
    }
}
