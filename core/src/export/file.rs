//! The text of an exported run: JSON as it is written down.
//!
//! Invariant: nothing is ignored: an unknown field is an error. A payload reads back byte by byte, also after a tool has
//! formatted the file anew or sorted its keys.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hex;
use crate::definition::canonical_json;
use crate::id::RunId;
use crate::payload::Payload;
use crate::run::Status;
use crate::time::Timestamp;

/// Payloads nested deeper are written as text: readers of JSON give up at 128 levels, the file around them included.
const NESTING: usize = 64;

/// The whole file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) format: u32,
    pub(super) engine: String,
    pub(super) run: RunPart,
    pub(super) payloads: bool,
    pub(super) definition: Value,
    pub(super) rows: Vec<RowPart>,
}

/// The format alone, whatever else there is.
#[derive(Debug, Deserialize)]
pub(super) struct FormatOnly {
    pub(super) format: Value,
}

/// What is said of the run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunPart {
    pub(super) id: RunId,
    /// In hexadecimal: not every reader of JSON has integers of 64 bits.
    #[serde(with = "life")]
    pub(super) life: u64,
    pub(super) status: Status,
    pub(super) seq: u32,
}

/// One journal row. `at` and `event` are there for people, and repeat what the transition says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RowPart {
    pub(super) seq: u32,
    pub(super) at: Timestamp,
    pub(super) event: String,
    pub(super) transition: String,
    pub(super) payload: Option<PayloadPart>,
}

/// The bytes of a payload.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PayloadPart {
    /// Of which they are the canonical text.
    Json(Value),
    /// UTF-8, JSON with white space or with other keys first most likely.
    Text(String),
    /// Anything else, in hexadecimal.
    Hex(String),
}

impl PayloadPart {
    pub(super) fn of(payload: &Payload) -> PayloadPart {
        let Ok(text) = std::str::from_utf8(payload.bytes()) else {
            return PayloadPart::Hex(hex::write(payload.bytes()));
        };
        match serde_json::from_str(text) {
            Ok(value) if depth(&value) <= NESTING && canonical_json(&value) == text => {
                PayloadPart::Json(value)
            }
            Ok(_) | Err(_) => PayloadPart::Text(text.to_owned()),
        }
    }

    /// The bytes, unless they should be hexadecimal text and are not.
    pub(super) fn payload(self) -> Option<Payload> {
        Some(match self {
            PayloadPart::Json(value) => Payload::new(canonical_json(&value).into_bytes()),
            PayloadPart::Text(text) => Payload::new(text.into_bytes()),
            PayloadPart::Hex(text) => Payload::new(hex::read(&text)?),
        })
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
    }
}

impl File {
    /// One line for the file as a whole, and one for each row.
    pub(super) fn to_text(&self) -> String {
        let head = serde_json::json!({
            "format": self.format,
            "engine": self.engine,
            "run": self.run,
            "payloads": self.payloads,
            "definition": self.definition,
        });
        let mut text = head.to_string();
        text.pop();
        text.push_str(",\"rows\":[");
        for (at, row) in self.rows.iter().enumerate() {
            text.push_str(if at == 0 { "\n" } else { ",\n" });
            let row = serde_json::to_string(row);
            text.push_str(
                &row.expect("rows have text keys only, and writing into memory cannot fail"),
            );
        }
        text.push_str("\n]}\n");
        text
    }
}

/// Serde form of a life.
mod life {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature serde asks for"
    )]
    pub(super) fn serialize<S: Serializer>(life: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{life:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let life = u64::from_str_radix(&text, 16).ok().filter(|_| digits);
        life.ok_or_else(|| serde::de::Error::custom("a life is 16 hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form(bytes: &[u8]) -> PayloadPart {
        PayloadPart::of(&Payload::new(bytes))
    }

    #[test]
    fn json_is_written_as_json_only_if_its_bytes_are_those_of_its_canonical_text() {
        for text in ["null", "1.5", "{\"a\":[1,\"\\u0000\"],\"b\":{}}"] {
            assert!(
                matches!(form(text.as_bytes()), PayloadPart::Json(_)),
                "{text}"
            );
        }
        let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
        for text in [
            "",
            " 1",
            "1e2",
            "{\"b\":1,\"a\":2}",
            "{\"a\":1,\"a\":1}",
            "x",
            &deep,
        ] {
            assert!(
                matches!(form(text.as_bytes()), PayloadPart::Text(_)),
                "{text}"
            );
        }
        assert!(matches!(form(b"\xff"), PayloadPart::Hex(text) if text == "ff"));
    }

    proptest! {
        #[test]
        fn any_payload_reads_back_byte_by_byte(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..64),
                "[ -~]{0,64}".prop_map(String::into_bytes),
                any::<f64>().prop_map(|number| number.to_string().into_bytes()),
            ],
        ) {
            let text = serde_json::to_string(&form(&bytes)).unwrap();
            let read: PayloadPart = serde_json::from_str(&text).unwrap();
            let payload = read.payload().unwrap();
            prop_assert_eq!(payload.bytes(), bytes.as_slice());
        }
    }
}
