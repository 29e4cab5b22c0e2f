//! What tells two definitions apart at a glance.
//!
//! Invariant: definitions with equal digests behave alike.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::Definition;
use super::canonical::canonical_json;

/// SHA-256 over the canonical form of a definition.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DefinitionDigest([u8; 32]);

impl DefinitionDigest {
    /// Stands in while a definition is put together.
    pub(super) const UNKNOWN: DefinitionDigest = DefinitionDigest([0; 32]);

    /// The digest with these bytes; stores use it to read their own rows back.
    pub const fn from_bytes(bytes: [u8; 32]) -> DefinitionDigest {
        DefinitionDigest(bytes)
    }

    /// The bytes.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    pub(super) fn of(definition: &Definition) -> DefinitionDigest {
        let mut draft = definition.to_draft();
        (draft.label, draft.description) = (None, None);
        for step in &mut draft.steps {
            (step.label, step.description) = (None, None);
        }
        DefinitionDigest(Sha256::digest(canonical_json(&draft.to_json())).into())
    }
}

impl fmt::Display for DefinitionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DefinitionDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DefinitionDigest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<DefinitionDigest, InvalidDigest> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidDigest);
        }
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| InvalidDigest)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| InvalidDigest)?;
        }
        Ok(DefinitionDigest(bytes))
    }
}

/// Hexadecimal text where the format is for people, 32 bytes where it is binary.
impl Serialize for DefinitionDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for DefinitionDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DefinitionDigest, D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 32]>::deserialize(deserializer).map(DefinitionDigest);
        }
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no digest: expected 64 hexadecimal digits")]
pub struct InvalidDigest;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::samples;

    #[test]
    fn digests_read_back_from_text_and_bytes() {
        let digest = samples::changed(|_| {}).digest();
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(DefinitionDigest::from_bytes(digest.to_bytes()), digest);
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(
            serde_json::from_str::<DefinitionDigest>(&json).unwrap(),
            digest
        );
        let bytes = postcard::to_stdvec(&digest).unwrap();
        assert_eq!(
            (bytes.len(), postcard::from_bytes(&bytes)),
            (32, Ok(digest))
        );
        for text in ["", "00", &"g".repeat(64), &"+0".repeat(32), &"é".repeat(32)] {
            assert_eq!(
                text.parse::<DefinitionDigest>(),
                Err(InvalidDigest),
                "{text}"
            );
        }
    }
}
