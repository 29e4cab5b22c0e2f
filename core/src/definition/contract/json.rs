//! The JSON form of a contract; it is part of a definition's canonical form.
//!
//! Invariant: a contract reads back from what it writes, and one contract has one form.
//!
//! A type is its word, with a question mark if `null` will do too: `"integer"`, `"string?"`. A contract is a type, or
//! `{"fields": {"amount": {"type": "integer", "required": true, "default": 1}}, "open": false}`; `required` and `open` are
//! false unless given. In place of `default` a field may have a `stamp`: `"now"` or `"today"`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::super::problem::{ProblemCode, Problems};
use super::super::reader::{self, Fields, Reader};
use super::{Contract, Field, FieldDefault, FieldType, Stamp};

impl Contract {
    /// The JSON form.
    pub fn to_json(&self) -> Value {
        match self {
            Contract::Any => type_text(FieldType::Any, false),
            Contract::Value { ty, nullable } => type_text(*ty, *nullable),
            Contract::Fields { fields, open } => {
                let fields = fields
                    .iter()
                    .map(|(name, field)| (name.clone(), field.to_json()));
                let mut object = Map::new();
                object.insert("fields".to_owned(), Value::Object(fields.collect()));
                if *open {
                    object.insert("open".to_owned(), Value::Bool(true));
                }
                Value::Object(object)
            }
        }
    }

    /// Takes the JSON form back.
    ///
    /// # Errors
    /// Says everything that is no contract.
    pub fn parse(value: &Value) -> Result<Contract, Problems> {
        let mut reader = Reader::default();
        let contract = Contract::read(&mut reader, value, "");
        Problems::none_of(reader.problems)?;
        Ok(contract)
    }

    pub(in super::super) fn read(reader: &mut Reader, value: &Value, path: &str) -> Contract {
        if let Value::String(_) = value {
            let (ty, nullable) = read_type(reader, value, path);
            return Contract::of(ty, nullable);
        }
        let Some(object) = reader.fields(value, path, &["fields", "open"]) else {
            return Contract::Any;
        };
        let mut fields = BTreeMap::new();
        let at = object.path("fields");
        match object.value("fields") {
            None => reader.missing(&object, "fields", "the fields by name"),
            Some(value) => {
                if let Some(map) = reader.map(value, &at) {
                    let mut sorted: Vec<(&String, &Value)> = map.iter().collect();
                    sorted.sort_by_key(|(name, _)| *name);
                    for (name, value) in sorted {
                        let field = Field::read(reader, value, &reader::field(&at, name));
                        fields.extend(field.map(|field| (name.clone(), field)));
                    }
                }
            }
        }
        let open = reader.boolean(&object, "open").unwrap_or(false);
        Contract::Fields { fields, open }
    }

    /// The contract of one value; one form for each behaviour.
    pub(super) fn of(ty: FieldType, nullable: bool) -> Contract {
        match ty {
            FieldType::Any => Contract::Any,
            FieldType::Null
            | FieldType::String
            | FieldType::Integer
            | FieldType::Float
            | FieldType::Boolean
            | FieldType::Map
            | FieldType::List => Contract::Value {
                ty,
                nullable: nullable && ty != FieldType::Null,
            },
        }
    }

    /// The same contract in the one form its behaviour has.
    pub(in super::super) fn canonical(mut self) -> Contract {
        match &mut self {
            Contract::Any => {}
            Contract::Value { ty, nullable } => return Contract::of(*ty, *nullable),
            Contract::Fields { fields, .. } => {
                for field in fields.values_mut() {
                    field.nullable &= !matches!(field.ty, FieldType::Any | FieldType::Null);
                    field.required &= field.default.is_none();
                }
            }
        }
        self
    }
}

impl Field {
    fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("type".to_owned(), type_text(self.ty, self.nullable));
        if self.required {
            object.insert("required".to_owned(), Value::Bool(true));
        }
        match &self.default {
            None => {}
            Some(FieldDefault::Literal(value)) => {
                object.insert("default".to_owned(), value.clone());
            }
            Some(FieldDefault::Stamp(stamp)) => {
                object.insert("stamp".to_owned(), json!(stamp.as_str()));
            }
        }
        Value::Object(object)
    }

    fn read(reader: &mut Reader, value: &Value, path: &str) -> Option<Field> {
        let object = reader.fields(value, path, &["type", "required", "default", "stamp"])?;
        let (ty, nullable) = match object.value("type") {
            Some(value) => read_type(reader, value, &object.path("type")),
            None => {
                reader.missing(&object, "type", "a type like \"integer\"");
                (FieldType::Any, false)
            }
        };
        Some(Field {
            ty,
            nullable,
            required: reader.boolean(&object, "required").unwrap_or(false),
            default: read_default(reader, &object),
        })
    }
}

fn read_default(reader: &mut Reader, object: &Fields<'_>) -> Option<FieldDefault> {
    let literal = object.value_or_null("default").cloned();
    if literal.is_some() && object.value("stamp").is_some() {
        let message = "a field has a default or a stamp, not both";
        reader.report(
            &object.path("stamp"),
            ProblemCode::ConflictingOptions,
            message,
        );
    }
    let stamp = reader.word(object, "stamp", &Stamp::ALL, Stamp::as_str);
    let literal = literal.map(FieldDefault::Literal);
    literal.or(stamp.map(FieldDefault::Stamp))
}

fn type_text(ty: FieldType, nullable: bool) -> Value {
    json!(format!("{ty}{}", if nullable { "?" } else { "" }))
}

fn read_type(reader: &mut Reader, value: &Value, path: &str) -> (FieldType, bool) {
    let Some(text) = reader.as_text(value, path) else {
        return (FieldType::Any, false);
    };
    let (word, nullable) = text
        .strip_suffix('?')
        .map_or((text, false), |word| (word, true));
    match FieldType::ALL.into_iter().find(|ty| ty.as_str() == word) {
        Some(ty) => (ty, nullable),
        None => {
            let words = FieldType::ALL.map(FieldType::as_str).join(", ");
            let message =
                format!("{text:?} is no type; types are {words}, each with ? if null will do too");
            reader.report(path, ProblemCode::UnknownWord, message);
            (FieldType::Any, false)
        }
    }
}

impl Serialize for Contract {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Contract {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Contract, D::Error> {
        Contract::parse(&Value::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contracts_have_one_form_and_read_back_from_it() {
        for form in [
            json!("any"),
            json!("integer"),
            json!("null"),
            json!("string?"),
            json!({"fields": {}}),
            json!({"fields": {"a": {"type": "any"}}, "open": true}),
            json!({"fields": {
                "a": {"type": "map?", "default": null},
                "b c": {"type": "float", "required": true},
            }}),
            json!({"fields": {
                "at": {"type": "string", "stamp": "now"},
                "day": {"type": "any", "stamp": "today"},
            }}),
        ] {
            let contract = Contract::parse(&form).unwrap();
            assert_eq!(contract.to_json(), form);
            assert_eq!(serde_json::from_value::<Contract>(form).unwrap(), contract);
        }
    }

    #[test]
    fn a_field_has_a_default_or_a_stamp() {
        let form = json!({"fields": {
            "a": {"type": "string", "default": null, "stamp": "now"},
            "b": {"type": "string", "stamp": "yesterday"},
            "c": {"type": "string", "stamp": 5},
            "d": {"type": "string", "default": "x", "stamp": null},
        }});
        let problems = Contract::parse(&form).unwrap_err();
        let found: Vec<(&str, &str)> = problems
            .iter()
            .map(|p| (p.path.as_str(), p.code.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("fields.a.stamp", "conflicting_options"),
                ("fields.b.stamp", "unknown_word"),
                ("fields.c.stamp", "wrong_type"),
            ]
        );
    }

    #[test]
    fn what_is_no_contract_is_reported_field_by_field() {
        let form = json!({
            "fields": {"z": {"type": "int"}, "a": {"required": "yes", "typ": "string"}, "b": 5},
            "opne": true,
        });
        let problems = Contract::parse(&form).unwrap_err();
        let found: Vec<(&str, &str)> = problems
            .iter()
            .map(|p| (p.path.as_str(), p.code.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("opne", "unknown_field"),
                ("fields.a.typ", "unknown_field"),
                ("fields.a.type", "missing_field"),
                ("fields.a.required", "wrong_type"),
                ("fields.b", "wrong_type"),
                ("fields.z.type", "unknown_word"),
            ]
        );
        assert!(Contract::parse(&json!(["integer"])).is_err());
    }
}
