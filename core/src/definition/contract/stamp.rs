//! What stands in for a field that an input lacks.
//!
//! Invariant: a literal is part of the definition, a stamp of the run: it is taken once, when the run is started.

use serde_json::Value;

use super::{Contract, FieldType};

/// What is put in for a field that is not there.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldDefault {
    /// This value.
    Literal(Value),
    /// When the run was started.
    Stamp(Stamp),
}

/// A default that says when a run was started, by the database's clock. It is taken and stored with the start, so every
/// attempt, and every copy of the run, sees the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stamp {
    /// The instant, as RFC 3339 text in UTC with microseconds: `2026-11-25T08:00:00.000000Z`.
    Now,
    /// The date in UTC: `2026-11-25`.
    Today,
}

impl Stamp {
    /// Every stamp.
    pub const ALL: [Stamp; 2] = [Stamp::Now, Stamp::Today];

    /// The word a draft uses for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Stamp::Now => "now",
            Stamp::Today => "today",
        }
    }

    /// Whether fields of a type can have it.
    pub(in super::super) const fn fits(ty: FieldType) -> bool {
        matches!(ty, FieldType::String | FieldType::Any)
    }
}

impl Contract {
    /// The fields that are stamped when a run is started without them, in the order of their names.
    pub fn stamps(&self) -> Vec<(&str, Stamp)> {
        let fields = match self {
            Contract::Any | Contract::Value { .. } => return Vec::new(),
            Contract::Fields { fields, .. } => fields,
        };
        let stamped = fields
            .iter()
            .filter_map(|(name, field)| match field.default {
                Some(FieldDefault::Stamp(stamp)) => Some((name.as_str(), stamp)),
                Some(FieldDefault::Literal(_)) | None => None,
            });
        stamped.collect()
    }
}
