//! Comparing a JSON text with a constant of the definition.
//!
//! Invariant: values of different types are neither equal nor in order; numbers compare as decimals, never as floats.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde_json::Value;

use super::decimal::Decimal;
use super::scan::{self, Kind, Malformed, Scanner};

/// A value that was found in a text, so that it is known to be JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanned<'a>(&'a str);

/// A value with its numbers as they are written.
#[derive(Debug)]
enum Node<'a> {
    Null,
    Boolean(bool),
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(BTreeMap<Cow<'a, str>, Node<'a>>),
}

impl<'a> Scanned<'a> {
    /// Takes a text that a scanner passed over.
    pub(super) fn new(text: &'a str) -> Scanned<'a> {
        Scanned(text)
    }

    /// Its type, which shows in its first byte.
    pub(super) fn kind(self) -> Kind {
        scan::kind(self.0).expect("what a scanner passed over is JSON")
    }

    /// Whether it equals one of the constants.
    pub(super) fn equals_any<'v>(self, constants: impl IntoIterator<Item = &'v Value>) -> bool {
        let kind = self.kind();
        let mut alike = constants
            .into_iter()
            .filter(|constant| Kind::of(constant) == kind)
            .peekable();
        if alike.peek().is_none() {
            return false;
        }
        let node = self.read(Node::read);
        alike.any(|constant| node.equals(constant))
    }

    /// How it compares with a constant, if both are numbers or both are strings; strings by their bytes.
    pub(super) fn order(self, constant: &Value) -> Option<Ordering> {
        match constant {
            Value::Number(number) if self.kind() == Kind::Number => {
                Some(Decimal::read(self.0).cmp(&Decimal::read(&number.to_string())))
            }
            Value::String(text) if self.kind() == Kind::String => {
                Some(self.read(Scanner::string).as_ref().cmp(text.as_str()))
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        }
    }

    fn read<T>(self, read: impl FnOnce(&mut Scanner<'a>) -> Result<T, Malformed>) -> T {
        scan::whole(self.0.as_bytes(), read).expect("what a scanner passed over is JSON")
    }
}

impl<'a> Node<'a> {
    fn read(scanner: &mut Scanner<'a>) -> Result<Node<'a>, Malformed> {
        match scanner.kind()? {
            Kind::Null => scanner.literal("null").map(|()| Node::Null),
            Kind::Boolean => scanner.boolean().map(Node::Boolean),
            Kind::Number => scanner.number().map(Node::Number),
            Kind::String => scanner.string().map(Node::String),
            Kind::Array => {
                let mut items = Vec::new();
                scanner.array(|scanner, _| {
                    items.push(Node::read(scanner)?);
                    Ok(())
                })?;
                Ok(Node::Array(items))
            }
            Kind::Object => {
                let mut fields = BTreeMap::new();
                scanner.object(|scanner, name| {
                    fields.insert(name, Node::read(scanner)?);
                    Ok(())
                })?;
                Ok(Node::Object(fields))
            }
        }
    }

    fn equals(&self, constant: &Value) -> bool {
        match (self, constant) {
            (Node::Null, Value::Null) => true,
            (Node::Boolean(left), Value::Bool(right)) => left == right,
            (Node::Number(left), Value::Number(right)) => {
                Decimal::read(left) == Decimal::read(&right.to_string())
            }
            (Node::String(left), Value::String(right)) => left == right,
            (Node::Array(left), Value::Array(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .zip(right)
                        .all(|(left, right)| left.equals(right))
            }
            (Node::Object(left), Value::Object(right)) => {
                left.len() == right.len()
                    && left.iter().all(|(name, left)| {
                        right
                            .get(name.as_ref())
                            .is_some_and(|right| left.equals(right))
                    })
            }
            (
                Node::Null
                | Node::Boolean(_)
                | Node::Number(_)
                | Node::String(_)
                | Node::Array(_)
                | Node::Object(_),
                _,
            ) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::eval::samples;

    fn equals(text: &str, constant: &Value) -> bool {
        Scanned::new(text).equals_any([constant])
    }

    #[test]
    fn equality_reaches_into_arrays_and_objects_with_exact_numbers() {
        let constant = json!({"a": [1, {"b": 0.5}], "c": "é"});
        for text in [
            r#"{"a":[1,{"b":0.5}],"c":"é"}"#,
            r#" {"c" : "\u00e9", "a" : [10e-1, {"b" : 5e-1}]} "#,
            r#"{"c":"x","c":"é","a":[1.0,{"b":0.50}]}"#,
        ] {
            assert!(equals(text.trim(), &constant), "{text}");
        }
        for text in [
            r#"{"a":[1,{"b":0.5}]}"#,
            r#"{"a":[1,{"b":0.5}],"c":"é","d":null}"#,
            r#"{"a":[1,{"b":0.5000000000000000000001}],"c":"é"}"#,
            r#"{"a":[{"b":0.5},1],"c":"é"}"#,
            r#"{"a":[1,{"b":0.5},2],"c":"é"}"#,
            r#"{"a":[true,{"b":0.5}],"c":"é"}"#,
        ] {
            assert!(!equals(text, &constant), "{text}");
        }
        assert!(!equals(
            "9007199254740993",
            &json!(9_007_199_254_740_992_u64)
        ));
    }

    #[test]
    fn only_numbers_with_numbers_and_strings_with_strings_have_an_order() {
        let order = |text: &str, constant: Value| Scanned::new(text).order(&constant);
        assert_eq!(order("10", json!(9)), Some(Ordering::Greater));
        assert_eq!(order("1e400", json!(f64::MAX)), Some(Ordering::Greater));
        assert_eq!(order("0.10", json!(0.1)), Some(Ordering::Equal));
        assert_eq!(order("\"10\"", json!("9")), Some(Ordering::Less));
        assert_eq!(order("\"\\u00e9\"", json!("z")), Some(Ordering::Greater));
        for (text, constant) in [
            ("\"10\"", json!(9)),
            ("10", json!("9")),
            ("null", json!(null)),
            ("true", json!(false)),
            ("[2]", json!([1])),
            ("{}", json!({})),
        ] {
            assert_eq!(order(text, constant), None, "{text}");
        }
    }

    /// The value with one form of zero, of which serde tells several apart.
    fn plain(value: &Value) -> Value {
        match value {
            Value::Number(number) if number.as_f64() == Some(0.0) => json!(0),
            Value::Array(items) => items.iter().map(plain).collect(),
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| (name.clone(), plain(value)));
                Value::Object(fields.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }

    proptest! {
        #[test]
        fn values_equal_what_they_print_and_nothing_else(
            left in samples::value(),
            right in samples::value(),
        ) {
            prop_assert!(equals(&left.to_string(), &left));
            prop_assert_eq!(equals(&left.to_string(), &right), plain(&left) == plain(&right));
        }
    }
}
