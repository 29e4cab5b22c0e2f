//! The contract of a Rust type, from its JSON Schema.
//!
//! Invariant: what the contract rejects, the type cannot be read from, serde's aliases and structs written as arrays aside; what
//! is not understood is accepted, and left to the type.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Contract, Field, FieldDefault, FieldType};

/// References followed one after the other before a type counts as not understood.
const HOPS: usize = 16;

impl Contract {
    /// The contract that a JSON Schema, as `schemars` derives it, amounts to.
    ///
    /// An object becomes its fields with types, `required` and `default`. Fields that the schema does not name are rejected
    /// only if it says `"additionalProperties": false` (`#[serde(deny_unknown_fields)]`): serde skips them otherwise. Types
    /// are looked at one level deep; references are followed; whatever is not understood becomes [`FieldType::Any`]. A
    /// field known by an alias only (`#[serde(alias)]`) is not in a schema, so such an input counts as missing it.
    pub fn from_json_schema(schema: &Value) -> Contract {
        let root = schema;
        let Some(object) = resolve(root, schema) else {
            return Contract::Any;
        };
        let is_object = type_words(object) == ["object"];
        match object.get("properties") {
            Some(Value::Object(properties)) if is_object => Contract::Fields {
                fields: fields(root, object, properties),
                open: object.get("additionalProperties") != Some(&Value::Bool(false)),
            },
            _ => {
                let (ty, nullable) = field_type(root, schema);
                Contract::of(ty, nullable)
            }
        }
    }
}

fn fields(
    root: &Value,
    object: &Map<String, Value>,
    properties: &Map<String, Value>,
) -> BTreeMap<String, Field> {
    let required: Vec<&str> = object
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let read = |(name, schema): (&String, &Value)| {
        let (ty, nullable) = field_type(root, schema);
        let field = Field {
            ty,
            nullable,
            required: required.contains(&name.as_str()),
            default: schema.get("default").cloned().map(FieldDefault::Literal),
        };
        (name.clone(), field)
    };
    properties.iter().map(read).collect()
}

/// The schema's type, and whether it allows `null` too.
fn field_type(root: &Value, schema: &Value) -> (FieldType, bool) {
    let any = (FieldType::Any, false);
    let Some(object) = resolve(root, schema) else {
        return any;
    };
    if let Some(Value::Array(choices)) = object.get("anyOf") {
        // `Option<T>` of a referenced type.
        let is_null = |schema: &&Value| schema.get("type").is_some_and(|ty| ty == "null");
        let (null, other): (Vec<&Value>, Vec<&Value>) = choices.iter().partition(is_null);
        return match (null.as_slice(), other.as_slice()) {
            ([_], [other]) if !other.is_object() || other.get("anyOf").is_none() => {
                (plain_type(root, other), true)
            }
            _ => any,
        };
    }
    let mut words = type_words(object);
    let nullable = words.len() > 1 && words.contains(&"null");
    words.retain(|word| !nullable || *word != "null");
    match words.as_slice() {
        [word] => (word_type(word), nullable),
        _ => any,
    }
}

/// The type of a schema that is no choice.
fn plain_type(root: &Value, schema: &Value) -> FieldType {
    match resolve(root, schema).map(type_words).as_deref() {
        Some([word]) => word_type(word),
        _ => FieldType::Any,
    }
}

fn type_words(object: &Map<String, Value>) -> Vec<&str> {
    match object.get("type") {
        Some(Value::String(word)) => vec![word],
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn word_type(word: &str) -> FieldType {
    match word {
        "null" => FieldType::Null,
        "string" => FieldType::String,
        "integer" => FieldType::Integer,
        "number" => FieldType::Float,
        "boolean" => FieldType::Boolean,
        "object" => FieldType::Map,
        "array" => FieldType::List,
        _ => FieldType::Any,
    }
}

/// Follows references within the document.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Map<String, Value>> {
    let mut at = schema;
    for _ in 0..HOPS {
        let object = at.as_object()?;
        match object.get("$ref").and_then(Value::as_str) {
            None => return Some(object),
            Some(reference) => at = root.pointer(reference.strip_prefix('#')?)?,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As `schemars` 1.2 derives it for a struct with one field of each interesting kind.
    fn order_schema() -> Value {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Order",
            "type": "object",
            "properties": {
                "id": {"type": "integer", "format": "uint64", "minimum": 0},
                "note": {"type": ["string", "null"]},
                "rate": {"type": "number", "format": "double"},
                "paid": {"type": "boolean"},
                "items": {"type": "array", "items": {"$ref": "#/$defs/Item"}},
                "by_name": {"type": "object", "additionalProperties": {"type": "integer"}},
                "address": {"$ref": "#/$defs/Address"},
                "other": {"anyOf": [{"$ref": "#/$defs/Address"}, {"type": "null"}]},
                "parent": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
                "colour": {"$ref": "#/$defs/Colour"},
                "shape": {"$ref": "#/$defs/Shape"},
                "anything": true,
                "nothing": {"type": "null"},
                "count": {"type": "integer", "format": "int32", "default": 5},
                "home": {"$ref": "#/$defs/Address", "default": {"street": ""}},
                "lost": {"$ref": "#/$defs/Ghost"},
                "mixed": {"type": ["integer", "string"]},
            },
            "required": ["id", "rate", "anything"],
            "$defs": {
                "Item": {"type": "string"},
                "Address": {"type": "object", "properties": {"street": {"type": "string"}}},
                "Colour": {"type": "string", "enum": ["red", "blue"]},
                "Shape": {"oneOf": [{"type": "object"}, {"type": "object"}]},
            },
        })
    }

    #[test]
    fn a_struct_becomes_its_fields() {
        let contract = Contract::from_json_schema(&order_schema());
        assert_eq!(
            contract.to_json(),
            json!({"open": true, "fields": {
                "id": {"type": "integer", "required": true},
                "note": {"type": "string?"},
                "rate": {"type": "float", "required": true},
                "paid": {"type": "boolean"},
                "items": {"type": "list"},
                "by_name": {"type": "map"},
                "address": {"type": "map"},
                "other": {"type": "map?"},
                "parent": {"type": "map?"},
                "colour": {"type": "string"},
                "shape": {"type": "any"},
                "anything": {"type": "any", "required": true},
                "nothing": {"type": "null"},
                "count": {"type": "integer", "default": 5},
                "home": {"type": "map", "default": {"street": ""}},
                "lost": {"type": "any"},
                "mixed": {"type": "any"},
            }})
        );
    }

    #[test]
    fn unknown_fields_are_rejected_if_the_type_denies_them() {
        let mut schema = order_schema();
        schema["additionalProperties"] = json!(false);
        let Contract::Fields { open, .. } = Contract::from_json_schema(&schema) else {
            panic!("a struct has fields");
        };
        assert!(!open);
    }

    #[test]
    fn other_types_become_one_value_and_what_is_not_understood_anything() {
        for (schema, expected) in [
            (json!({"type": "string"}), "string"),
            (json!({"type": ["string", "null"]}), "string?"),
            (json!({"type": "null"}), "null"),
            (
                json!({"type": "array", "prefixItems": [{"type": "integer"}]}),
                "list",
            ),
            (json!({"type": "object"}), "map"),
            (json!({"title": "AnyValue"}), "any"),
            (json!(true), "any"),
            (json!({"type": "decimal"}), "any"),
            (json!({"type": 5}), "any"),
            (
                json!({"oneOf": [{"type": "object", "properties": {"a": true}}]}),
                "any",
            ),
            (
                json!({"$ref": "#/$defs/E", "$defs": {"E": {"type": "integer"}}}),
                "integer",
            ),
            (json!({"$ref": "#"}), "any"),
            (json!({"$ref": "https://example.com/schema"}), "any"),
            (
                json!({"anyOf": [{"$ref": "#/$defs/E"}, {"type": "null"}], "$defs": {"E": {"type": "object"}}}),
                "map?",
            ),
            (
                json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}),
                "any",
            ),
        ] {
            assert_eq!(
                Contract::from_json_schema(&schema).to_json(),
                json!(expected),
                "{schema}"
            );
        }
    }
}
