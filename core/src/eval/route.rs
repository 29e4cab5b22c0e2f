//! Which label a route takes.
//!
//! Invariant: the first condition that matches decides, in declaration order; the fallback only if none does.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::lookup::{self, Found};
use super::scan::Kind;
use super::value::Scanned;
use crate::definition::{Condition, LabelIndex, Operator, Path};
use crate::event::{Failure, code};
use crate::name::Name;
use crate::payload::Payload;

/// Chooses a label by looking at the input. `ways` are those of the step ([`Step::ways`](crate::definition::Step::ways)),
/// `conditions` and `fallback` what its kind says.
///
/// A path that leads nowhere matches `exists: false` only, and so does `null`, apart from conditions that ask for `null`. A
/// value of another type than the constant matches nothing, but anything other than `null` is not equal to `null`.
///
/// # Errors
/// A failure that no attempt can mend: nothing matches and there is no fallback, or the input is no JSON.
///
/// # Panics
/// If `ways` lacks a label of the conditions or the fallback: they are of different steps.
pub fn route(
    ways: &[Name],
    conditions: &[Condition],
    fallback: Option<&Name>,
    input: &Payload,
) -> Result<LabelIndex, Failure> {
    let mut looked_up: BTreeMap<&Path, Option<Scanned<'_>>> = BTreeMap::new();
    for condition in conditions {
        let value = match looked_up.get(&condition.path) {
            Some(value) => *value,
            None => {
                let value = look_up(input, &condition.path)?;
                looked_up.insert(&condition.path, value);
                value
            }
        };
        if matches(&condition.operator, value) {
            return Ok(position(ways, &condition.label));
        }
    }
    fallback
        .map(|label| position(ways, label))
        .ok_or_else(|| no_match(conditions))
}

fn look_up<'a>(input: &'a Payload, path: &Path) -> Result<Option<Scanned<'a>>, Failure> {
    match lookup::find(input.bytes(), path) {
        Ok(Found::Value(text)) => Ok(Some(Scanned::new(text))),
        Ok(Found::Missing { .. }) => Ok(None),
        Err(malformed) => Err(super::invalid_input(malformed)),
    }
}

fn matches(operator: &Operator, value: Option<Scanned<'_>>) -> bool {
    let ordered = |constant, order| value.is_some_and(|v| v.order(constant) == Some(order));
    match operator {
        Operator::Equals(constant) => value.is_some_and(|v| v.equals_any([constant])),
        Operator::NotEquals(constant) => value.is_some_and(|v| {
            let comparable = constant.is_null() || v.kind() == Kind::of(constant);
            comparable && !v.equals_any([constant])
        }),
        Operator::GreaterThan(constant) => ordered(constant, Ordering::Greater),
        Operator::LessThan(constant) => ordered(constant, Ordering::Less),
        Operator::In(constants) => value.is_some_and(|v| v.equals_any(constants)),
        Operator::Exists(wanted) => value.is_some_and(|v| v.kind() != Kind::Null) == *wanted,
    }
}

fn position(ways: &[Name], label: &Name) -> LabelIndex {
    let at = ways.iter().position(|way| way == label);
    let at = at.and_then(|at| u16::try_from(at).ok());
    LabelIndex(at.expect("the ways of a route hold each of its labels"))
}

fn no_match(conditions: &[Condition]) -> Failure {
    let tried: Vec<String> = conditions
        .iter()
        .map(|condition| format!("{:?} by input{}", condition.label, condition.path))
        .collect();
    let message = format!(
        "no condition matches the input and there is no fallback; tried were {}",
        tried.join(", ")
    );
    Failure::new(code::NO_MATCHING_ROUTE, &message, false)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::definition::Segment;

    fn when(label: &str, operator: Operator) -> Condition {
        Condition {
            label: Name::stored(label),
            path: Path::new(vec![Segment::Field("amount".to_owned())]),
            operator,
        }
    }

    fn sizes() -> Vec<Condition> {
        vec![
            when("big", Operator::GreaterThan(json!(100))),
            when("mid", Operator::GreaterThan(json!(10))),
        ]
    }

    fn ways() -> Vec<Name> {
        ["big", "mid", "small"].map(Name::stored).to_vec()
    }

    fn taken(conditions: &[Condition], fallback: Option<&str>, input: &str) -> String {
        let fallback = fallback.map(Name::stored);
        let input = Payload::new(input.as_bytes());
        match route(&ways(), conditions, fallback.as_ref(), &input) {
            Ok(label) => ways()[usize::from(label.0)].to_string(),
            Err(failure) => {
                assert!(!failure.retryable);
                failure.code
            }
        }
    }

    #[test]
    fn a11_1_the_first_condition_that_matches_decides_and_the_fallback_comes_last() {
        for (amount, label) in [
            ("500", "big"),
            ("50", "mid"),
            ("10", "small"),
            ("100", "mid"),
            ("100.00000000000000000000001", "big"),
            ("1e2", "mid"),
            ("1e999999999999", "big"),
        ] {
            let input = format!(r#"{{"amount":{amount}}}"#);
            assert_eq!(taken(&sizes(), Some("small"), &input), label, "{amount}");
        }
    }

    #[test]
    fn a11_2_a_missing_null_or_ill_typed_value_is_not_greater_and_the_fallback_is_taken() {
        for input in [
            "{}",
            "null",
            "[500]",
            r#"{"amount":null}"#,
            r#"{"amount":"500"}"#,
            r#"{"amount":[500]}"#,
            r#"{"Amount":500}"#,
        ] {
            assert_eq!(taken(&sizes(), Some("small"), input), "small", "{input}");
        }
    }

    #[test]
    fn a11_3_no_match_without_a_fallback_is_a_failure_that_says_what_was_tried() {
        let input = Payload::new(*br#"{"amount":1}"#);
        let failure = route(&ways(), &sizes(), None, &input).unwrap_err();
        assert_eq!(
            (failure.code.as_str(), failure.retryable),
            ("no_matching_route", false)
        );
        assert_eq!(
            failure.message,
            "no condition matches the input and there is no fallback; tried were \"big\" by input.amount, \"mid\" by \
             input.amount"
        );
    }

    #[test]
    fn conditions_and_fallback_may_share_a_label() {
        let conditions = [
            when("mid", Operator::Equals(json!(1))),
            when("big", Operator::Equals(json!(2))),
            when("mid", Operator::Equals(json!(3))),
        ];
        for (amount, label) in [(1, "mid"), (2, "big"), (3, "mid"), (4, "big")] {
            let input = format!(r#"{{"amount":{amount}}}"#);
            assert_eq!(taken(&conditions, Some("big"), &input), label);
        }
    }

    /// Which of these values of `amount` an operator matches, `-` for none at all.
    fn matched(operator: &Operator) -> Vec<&'static str> {
        let values = ["-", "null", "true", "5", "\"5\"", "[5]", "{\"a\":5}"];
        let takes = |value: &&str| {
            let input = match *value {
                "-" => "{}".to_owned(),
                value => format!(r#"{{"amount":{value}}}"#),
            };
            taken(&[when("big", operator.clone())], Some("small"), &input) == "big"
        };
        values.into_iter().filter(takes).collect()
    }

    #[test]
    fn each_operator_matches_values_of_its_constants_type_only() {
        let five = || json!(5.0);
        for (operator, values) in [
            (Operator::Equals(five()), vec!["5"]),
            (Operator::Equals(json!([5])), vec!["[5]"]),
            (Operator::Equals(json!({"a": 5})), vec!["{\"a\":5}"]),
            (Operator::Equals(Value::Null), vec!["null"]),
            (Operator::NotEquals(five()), vec![]),
            (Operator::NotEquals(json!(6)), vec!["5"]),
            (Operator::NotEquals(json!("x")), vec!["\"5\""]),
            (Operator::NotEquals(json!([])), vec!["[5]"]),
            (
                Operator::NotEquals(Value::Null),
                vec!["true", "5", "\"5\"", "[5]", "{\"a\":5}"],
            ),
            (Operator::GreaterThan(json!(4.9)), vec!["5"]),
            (Operator::GreaterThan(five()), vec![]),
            (Operator::GreaterThan(json!("49")), vec!["\"5\""]),
            (Operator::GreaterThan(json!([4])), vec![]),
            (Operator::LessThan(json!(5.1)), vec!["5"]),
            (Operator::LessThan(json!("50")), vec!["\"5\""]),
            (Operator::In(vec![]), vec![]),
            (
                Operator::In(vec![json!("5"), five(), Value::Null]),
                vec!["null", "5", "\"5\""],
            ),
            (
                Operator::Exists(true),
                vec!["true", "5", "\"5\"", "[5]", "{\"a\":5}"],
            ),
            (Operator::Exists(false), vec!["-", "null"]),
        ] {
            assert_eq!(matched(&operator), values, "{operator:?}");
        }
    }

    #[test]
    fn an_input_that_is_no_json_is_a_failure_even_with_a_fallback() {
        assert_eq!(taken(&sizes(), Some("small"), "{"), "invalid_input");
    }
}
