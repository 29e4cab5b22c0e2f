//! One text for each JSON value.
//!
//! Invariant: equal values give equal bytes, whatever order their keys arrived in.

use serde_json::Value;

/// The value as JSON with object keys in byte order and no whitespace; numbers stay as they are written, so `1` and `1.0`
/// differ.
///
/// ```
/// use squid_mesh_core::definition::canonical_json;
/// let value = serde_json::json!({"b": [1, null], "a": "x"});
/// assert_eq!(canonical_json(&value), r#"{"a":"x","b":[1,null]}"#);
/// ```
pub fn canonical_json(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, text: &mut String) {
    match value {
        // Scalars have one form, and serde_json's is it.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            text.push_str(&value.to_string());
        }
        Value::Array(items) => {
            text.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (i, (key, field)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(field, text);
            }
            text.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth_and_texts_escaped() {
        let value = json!({"z": {"b": 1, "a": [true, {"d": 1.5, "c": -0.0}]}, "a\"\n": "ü\u{0}"});
        assert_eq!(
            canonical_json(&value),
            r#"{"a\"\n":"ü\u0000","z":{"a":[true,{"c":-0.0,"d":1.5}],"b":1}}"#
        );
    }
}
