//! Drafts for tests: one by hand, and any valid one.

mod draft;
mod grown;
mod schedule;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;
use serde_json::{Value, json};

use super::*;
pub(crate) use draft::any_draft;

/// A draft that uses every kind of step and every option.
pub(crate) fn order() -> Value {
    json!({
        "name": "order",
        "version": 1,
        "label": "Order",
        "description": "From basket to parcel",
        "input": {"fields": {
            "amount": {"type": "integer", "required": true},
            "currency": {"type": "string", "default": "EUR"},
            "note": {"type": "string?"},
        }},
        "triggers": [
            {"name": "nightly_import", "input": {"fields": {"day": {"type": "string", "required": true}}}},
            {"name": "by_hand"},
        ],
        "steps": [
            {"name": "reserve", "handler": "reserve_stock", "input": "input", "compensatable": true,
             "undo": {"handler": "release_stock", "retry": {"max_attempts": 3}, "timeout": "10s"}},
            {"name": "charge", "label": "Charge", "handler": "charge_card", "input": "input",
             "retry": {"max_attempts": 5, "max_lost": 2, "backoff":
                {"kind": "exponential", "min": "100ms", "max": "1s", "factor": 2, "jitter": 0.1}},
             "timeout": "30s", "queue": "payments", "priority": -5, "labels": ["fraud", "clean"],
             "on_lost": "hold", "transactional": true},
            {"name": "settle", "wait": "1h", "needs": ["charge"]},
            {"name": "ship", "handler": "ship", "needs": ["settle"], "after": ["reserve"], "irreversible": true,
             "on_lost": "retry", "input": {"object": {"paid": "output(charge)", "region": {"constant": "eu"}}}},
            {"name": "due", "until": "output(charge).lines[0].due"},
            {"name": "record", "log": {"message": "suspicious", "level": "warn"}, "when": {"step": "charge", "label": "fraud"}},
            {"name": "review", "approval": {"deadline": "2d"}, "input": "output(charge)[\"odd key\"]"},
            {"name": "park", "pause": {"deadline": "1h"}, "when": {"step": "review", "label": "expired"}},
            {"name": "paid", "signal": {"name": "paid", "payload": {"fields": {"amount": {"type": "integer"}}},
             "deadline": "7d"}, "when": {"step": "review", "label": "approved"}},
            {"name": "size", "input": "input", "route": [
                {"label": "big", "path": "amount", "greater_than": 100},
                {"label": "none", "path": "amount", "exists": false},
                {"label": "euro", "path": "currency", "equals": "EUR"},
                {"label": "free", "path": "amount", "in": [0, null]},
                {"label": "debt", "path": "amount", "less_than": 0},
                {"label": "odd", "not_equals": {}},
                {"label": "small", "otherwise": true}]},
            {"name": "invoice", "child": {"workflow": "invoice", "detach": true}, "input": "output(charge)",
             "queue": "letters", "priority": 3, "compensatable": false,
             "when": [{"step": "review", "label": "approved"}, {"step": "size", "label": "big"}]},
            {"name": "parcels", "each": {"workflow": "parcel", "parallel": 10, "collect": true}, "input": "input.lines"},
            {"name": "refund", "handler": "refund", "when": {"step": "review", "label": "rejected"}},
            {"name": "apologise", "handler": "apologise", "mark": "compensation", "input": {"object": {
                "code": "failure(parcels).code", "what": "either(refund,paid).note"}}},
            {"name": "close", "handler": "close", "either": [["paid", "refund", "park"]],
             "when": {"step": "parcels", "label": "failed"}, "mark": "undo"},
        ],
        "result": ["output(ship)", "output(charge)"],
        "queue": "orders",
        "priority": 1,
        "deadline": "7d",
    })
}

/// The definition of [`order`] after a change of its JSON.
pub(crate) fn changed(change: impl FnOnce(&mut Value)) -> Definition {
    let mut draft = order();
    change(&mut draft);
    Definition::parse(&draft).unwrap()
}

/// Text that a definition may hold.
fn text() -> impl Strategy<Value = String> + Clone {
    pattern("[^\\x00]{0,8}")
}

/// Text that matches a pattern, which is read once and not for each text.
fn pattern(pattern: &str) -> impl Strategy<Value = String> + Clone + use<> {
    string_regex(pattern).unwrap().boxed()
}

/// JSON that a definition may hold as a constant.
pub(crate) fn any_json() -> impl Strategy<Value = Value> + Clone {
    let float = any::<f64>().prop_filter("JSON has finite numbers only", |f| f.is_finite());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        float.prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(text(), inner, 0..4).prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    })
}

/// The contract of an input, which may be stamped.
fn any_input() -> impl Strategy<Value = Contract> {
    let stamped = (
        select(vec![FieldType::Any, FieldType::String]),
        select(&Stamp::ALL[..]),
    )
        .prop_map(|(ty, stamp)| Field::stamped(ty, stamp));
    contract_of(prop_oneof![4 => any_field(), 1 => stamped])
}

/// The contract of a signal, which is not.
fn any_contract() -> impl Strategy<Value = Contract> {
    contract_of(any_field())
}

fn any_field() -> impl Strategy<Value = Field> {
    let field = (select(&FieldType::ALL[..]), any::<bool>(), any::<bool>()).prop_map(
        |(ty, nullable, required)| Field {
            ty,
            nullable: nullable && !matches!(ty, FieldType::Any | FieldType::Null),
            required,
            default: None,
        },
    );
    let stand_in = any_json().prop_map(|value| Field::with_default(FieldType::Any, value));
    prop_oneof![3 => field, 1 => stand_in]
}

fn contract_of(field: impl Strategy<Value = Field>) -> impl Strategy<Value = Contract> {
    let fields = btree_map(text(), field, 0..4);
    let types = select(vec![FieldType::String, FieldType::Integer, FieldType::Map]);
    prop_oneof![
        Just(Contract::Any),
        (types, any::<bool>()).prop_map(|(ty, nullable)| Contract::Value { ty, nullable }),
        (fields, any::<bool>()).prop_map(|(fields, open)| Contract::Fields { fields, open }),
    ]
}

fn any_span() -> impl Strategy<Value = DraftSpan> {
    (1..=315_576_000_000_000_i128).prop_map(DraftSpan::from_micros)
}

fn any_backoff() -> impl Strategy<Value = DraftBackoff> {
    (
        select(&BackoffKind::ALL[..]),
        option::of(any_span()),
        option::of(any_span()),
        option::of(1_000..=u32::MAX),
        option::of(0..=1_000_u16),
    )
        .prop_map(|(kind, min, more, factor, jitter)| {
            let plain = DraftBackoff {
                min,
                jitter_thousandths: jitter,
                ..DraftBackoff::of(kind)
            };
            let max = more.zip(min).map(|(more, min)| more.max(min));
            match kind {
                BackoffKind::None => DraftBackoff::of(kind),
                BackoffKind::Constant => plain,
                BackoffKind::Linear => DraftBackoff { max, ..plain },
                BackoffKind::Exponential => DraftBackoff {
                    max,
                    factor_thousandths: factor,
                    ..plain
                },
            }
        })
}

fn any_retry() -> impl Strategy<Value = DraftRetry> {
    (
        1..=1_000_000_u32,
        option::of(0..=1_000_000_u32),
        option::of(any_backoff()),
    )
        .prop_map(|(max_attempts, max_lost, backoff)| DraftRetry {
            max_attempts,
            max_lost,
            backoff,
        })
}
