//! Holding an input against its contract.
//!
//! Invariant: all violations are found at once, in an order that depends on contract and input alone.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Contract, ContractViolation, Field, FieldDefault, FieldType, InputViolations};
use crate::definition::{canonical_json, reader};
use crate::payload::{Payload, PayloadDigest};

impl Contract {
    /// Takes an input as bytes: with the literal defaults put in, and with the digest of what it was as canonical JSON before.
    ///
    /// # Errors
    /// Says what does not fit.
    pub(crate) fn fill(&self, input: &Payload) -> Result<(Payload, PayloadDigest), String> {
        let no_json = || "it is no JSON".to_owned();
        let value: Value = serde_json::from_slice(input.bytes()).map_err(|_| no_json())?;
        let raw = Payload::new(canonical_json(&value).as_bytes()).digest();
        let filled = self
            .check(&value)
            .map_err(|violations| violations.to_string())?;
        let bytes = serde_json::to_vec(&filled).map_err(|_| no_json())?;
        Ok((Payload::new(bytes), raw))
    }

    /// Takes an input, with the literal defaults put in, or says everything that does not fit: first what is missing, then what is
    /// unknown, then what has the wrong type, then NUL characters, each in the order of the names. [Stamps](Contract::stamps) are put in later, when
    /// the run is started.
    ///
    /// # Errors
    /// If anything does not fit; trying again is of no use.
    pub fn check(&self, input: &Value) -> Result<Value, InputViolations> {
        let mut found = Vec::new();
        let filled = match self {
            Contract::Any => input.clone(),
            Contract::Value { ty, nullable } => {
                check_type(None, *ty, *nullable, input, &mut found);
                input.clone()
            }
            Contract::Fields { fields, open } => match input {
                Value::Object(map) => Value::Object(check_fields(fields, *open, map, &mut found)),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_) => {
                    check_type(None, FieldType::Map, false, input, &mut found);
                    input.clone()
                }
            },
        };
        found.extend(
            nul_paths("", input)
                .into_iter()
                .map(|path| ContractViolation::Nul { path }),
        );
        if found.is_empty() {
            Ok(filled)
        } else {
            Err(InputViolations::of(found))
        }
    }
}

/// The input's fields with the literal defaults put in; what does not fit goes to `found`.
fn check_fields(
    fields: &BTreeMap<String, Field>,
    open: bool,
    input: &Map<String, Value>,
    found: &mut Vec<ContractViolation>,
) -> Map<String, Value> {
    let mut filled = input.clone();
    let mut ill_typed = Vec::new();
    for (name, field) in fields {
        match (input.get(name), &field.default) {
            (Some(value), _) => {
                check_type(Some(name), field.ty, field.nullable, value, &mut ill_typed)
            }
            (None, Some(FieldDefault::Literal(default))) => {
                filled.insert(name.clone(), default.clone());
            }
            (None, Some(FieldDefault::Stamp(_))) => {}
            (None, None) if field.required => found.push(ContractViolation::Missing {
                path: reader::field("", name),
                expected: field.ty,
            }),
            (None, None) => {}
        }
    }
    let mut unknown: Vec<&String> = input
        .keys()
        .filter(|key| !open && !fields.contains_key(*key))
        .collect();
    unknown.sort();
    found.extend(unknown.into_iter().map(|name| ContractViolation::Unknown {
        path: reader::field("", name),
    }));
    found.append(&mut ill_typed);
    filled
}

/// Checks the field of this name, or the input as a whole.
fn check_type(
    name: Option<&str>,
    ty: FieldType,
    nullable: bool,
    value: &Value,
    found: &mut Vec<ContractViolation>,
) {
    if !ty.fits(nullable, value) {
        found.push(ContractViolation::IllTyped {
            path: name.map_or_else(String::new, |name| reader::field("", name)),
            expected: ty,
            found: reader::type_name(value).to_owned(),
        });
    }
}

/// Where in a value a text or a key has a NUL character, in the order of the keys.
pub(in super::super) fn nul_paths(path: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
        Value::String(text) => text
            .contains('\0')
            .then(|| path.to_owned())
            .into_iter()
            .collect(),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items
                .flat_map(|(i, item)| nul_paths(&reader::item(path, i), item))
                .collect()
        }
        Value::Object(fields) => {
            let mut sorted: Vec<(&String, &Value)> = fields.iter().collect();
            sorted.sort_by_key(|(key, _)| *key);
            let mut paths = Vec::new();
            for (key, field) in sorted {
                let at = reader::field(path, key);
                if key.contains('\0') {
                    paths.push(at.clone());
                }
                paths.extend(nul_paths(&at, field));
            }
            paths
        }
    }
}

impl FieldType {
    pub(in super::super) fn fits(self, nullable: bool, value: &Value) -> bool {
        if nullable && value.is_null() {
            return true;
        }
        match self {
            FieldType::Any => true,
            FieldType::Null => value.is_null(),
            FieldType::String => value.is_string(),
            FieldType::Integer => value.is_i64() || value.is_u64(),
            FieldType::Float => value.is_number(),
            FieldType::Boolean => value.is_boolean(),
            FieldType::Map => value.is_object(),
            FieldType::List => value.is_array(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::Stamp;

    fn violations(contract: &Contract, input: &Value) -> Vec<String> {
        let found = contract.check(input).unwrap_err();
        found.as_slice().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a3_2_missing_unknown_and_ill_typed_fields_are_listed_together() {
        let contract = Contract::declared([
            ("amount", Field::required(FieldType::Integer)),
            ("note", Field::optional(FieldType::String)),
        ]);
        assert_eq!(
            violations(&contract, &json!({"note": 5, "amout": 1})),
            [
                "\"amount\" is missing: expected integer",
                "\"amout\" is unknown",
                "\"note\" is ill-typed: expected string, found an integer",
            ]
        );
    }

    #[test]
    fn a3_3_a_default_is_put_in_unless_the_field_is_given() {
        let currency = Field::with_default(FieldType::String, json!("EUR"));
        let contract = Contract::declared([(
            "currency",
            Field {
                required: true,
                ..currency
            },
        )]);
        assert_eq!(
            contract.check(&json!({})).unwrap(),
            json!({"currency": "EUR"})
        );
        let given = json!({"currency": "USD"});
        assert_eq!(contract.check(&given).unwrap(), given);
    }

    #[test]
    fn a3_4_a_field_that_will_be_stamped_need_not_be_there_and_is_checked_if_it_is() {
        let at = Field::stamped(FieldType::String, Stamp::Now);
        let contract = Contract::declared([(
            "at",
            Field {
                required: true,
                ..at
            },
        )]);
        assert_eq!(contract.check(&json!({})).unwrap(), json!({}));
        let given = json!({"at": "yesterday"});
        assert_eq!(contract.check(&given).unwrap(), given);
        assert_eq!(
            violations(&contract, &json!({"at": 5})),
            ["\"at\" is ill-typed: expected string, found an integer"]
        );
    }

    #[test]
    fn every_type_accepts_its_own_values_only() {
        let values = [
            json!(null),
            json!("x"),
            json!(-1),
            json!(1.0),
            json!(true),
            json!({}),
            json!([]),
        ];
        for (ty, fitting) in [
            (FieldType::Any, vec![0, 1, 2, 3, 4, 5, 6]),
            (FieldType::Null, vec![0]),
            (FieldType::String, vec![1]),
            (FieldType::Integer, vec![2]),
            (FieldType::Float, vec![2, 3]),
            (FieldType::Boolean, vec![4]),
            (FieldType::Map, vec![5]),
            (FieldType::List, vec![6]),
        ] {
            for (i, value) in values.iter().enumerate() {
                let check = |nullable| Contract::Value { ty, nullable }.check(value).is_ok();
                assert_eq!(check(false), fitting.contains(&i), "{ty} {value}");
                assert_eq!(check(true), fitting.contains(&i) || i == 0, "{ty}? {value}");
            }
        }
        assert!(
            Contract::Value {
                ty: FieldType::Integer,
                nullable: false
            }
            .check(&json!(u64::MAX))
            .is_ok()
        );
    }

    #[test]
    fn fields_want_an_object_and_open_ones_let_others_pass() {
        let closed = Contract::declared([]);
        assert_eq!(
            violations(&closed, &json!(5)),
            ["the input is ill-typed: expected map, found an integer"]
        );
        assert_eq!(
            violations(&closed, &json!({"b": 1, "a": 1})),
            ["\"a\" is unknown", "\"b\" is unknown"]
        );
        let nameless = Contract::declared([("", Field::required(FieldType::Integer))]);
        assert_eq!(
            violations(&nameless, &json!({"": "x"})),
            ["\"[\\\"\\\"]\" is ill-typed: expected integer, found a string"]
        );
        let open = Contract::Fields {
            fields: BTreeMap::new(),
            open: true,
        };
        let input = json!({"b": 1, "a": [1.0]});
        assert_eq!(open.check(&input).unwrap(), input);
    }

    #[test]
    fn a_nul_character_is_found_in_texts_and_keys_at_every_depth() {
        let input = json!({"a": ["x", {"k\u{0}": "y\u{0}"}], "z": "\u{0}", "fine": "\\u0000"});
        assert_eq!(
            violations(&Contract::Any, &input),
            [
                "\"a[1][\\\"k\\\\0\\\"]\" has a NUL character",
                "\"a[1][\\\"k\\\\0\\\"]\" has a NUL character",
                "\"z\" has a NUL character",
            ]
        );
        assert_eq!(
            violations(&Contract::Any, &json!("\u{0}")),
            ["the input has a NUL character"]
        );
    }
}
