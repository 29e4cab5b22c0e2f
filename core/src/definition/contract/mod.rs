//! What the input of a run must look like.
//!
//! Invariant: an input that passed holds every required field, no NUL, and no value of a type its contract does not name.

mod check;
mod json;
mod schema;
mod stamp;
mod violation;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) use check::nul_paths;
pub use stamp::{FieldDefault, Stamp};
pub use violation::{ContractViolation, InputViolations};

/// The shape of an input: one level of fields, or one value.
///
/// ```
/// use serde_json::json;
/// use squid_mesh_core::definition::{Contract, Field, FieldType};
///
/// let contract = Contract::declared([("amount", Field::required(FieldType::Integer))]);
/// assert!(contract.check(&json!({"amount": 1})).is_ok());
/// assert!(contract.check(&json!({"amout": 1})).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Contract {
    /// Any JSON.
    #[default]
    Any,
    /// One value of a type.
    Value {
        /// The type.
        ty: FieldType,
        /// Whether `null` will do too.
        nullable: bool,
    },
    /// An object.
    Fields {
        /// The fields it has or may have, by name.
        fields: BTreeMap<String, Field>,
        /// Whether it may have others too.
        open: bool,
    },
}

/// One field of a contract.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// What its value must be.
    pub ty: FieldType,
    /// Whether `null` will do too.
    pub nullable: bool,
    /// Whether it must be there; a default stands in for it.
    pub required: bool,
    /// What is put in when it is not there.
    pub default: Option<FieldDefault>,
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FieldType {
    /// Any JSON.
    Any,
    /// `null` alone: the input of a workflow that takes none.
    Null,
    /// A text.
    String,
    /// A number written without fraction and exponent.
    Integer,
    /// Any number.
    Float,
    /// `true` or `false`.
    Boolean,
    /// An object.
    Map,
    /// An array.
    List,
}

impl Contract {
    /// Exactly these fields: others are rejected.
    pub fn declared<'a>(fields: impl IntoIterator<Item = (&'a str, Field)>) -> Contract {
        Contract::Fields {
            fields: fields
                .into_iter()
                .map(|(name, field)| (name.to_owned(), field))
                .collect(),
            open: false,
        }
    }
}

impl Field {
    /// A field that must be there.
    pub const fn required(ty: FieldType) -> Field {
        Field {
            ty,
            nullable: false,
            required: true,
            default: None,
        }
    }

    /// A field that may be left out.
    pub const fn optional(ty: FieldType) -> Field {
        Field {
            ty,
            nullable: false,
            required: false,
            default: None,
        }
    }

    /// A field with a stand-in.
    pub const fn with_default(ty: FieldType, default: Value) -> Field {
        Field {
            ty,
            nullable: false,
            required: false,
            default: Some(FieldDefault::Literal(default)),
        }
    }

    /// A field that says when the run was started, unless it is given.
    pub const fn stamped(ty: FieldType, stamp: Stamp) -> Field {
        Field {
            ty,
            nullable: false,
            required: false,
            default: Some(FieldDefault::Stamp(stamp)),
        }
    }
}

impl FieldType {
    /// Every type.
    pub const ALL: [FieldType; 8] = [
        FieldType::Any,
        FieldType::Null,
        FieldType::String,
        FieldType::Integer,
        FieldType::Float,
        FieldType::Boolean,
        FieldType::Map,
        FieldType::List,
    ];

    /// The word a draft uses for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            FieldType::Any => "any",
            FieldType::Null => "null",
            FieldType::String => "string",
            FieldType::Integer => "integer",
            FieldType::Float => "float",
            FieldType::Boolean => "boolean",
            FieldType::Map => "map",
            FieldType::List => "list",
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
