//! JSON texts for property tests.
//!
//! Invariant: every text is JSON that serde reads.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::Value;

/// A value with few distinct names and numbers, so that two of them often have something in common.
pub(super) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has finite numbers only", |n| n.is_finite())
            .prop_map(Value::from),
        name().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            btree_map(name(), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// A field's name, some with what has to be escaped.
pub(super) fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "", "é", "\"\\\n", "a.b[0]"]).prop_map(str::to_owned)
}

/// A value laid out in one of several ways, with escapes that need not be and whitespace around it.
pub(super) fn text() -> impl Strategy<Value = String> {
    (value(), any::<bool>(), any::<bool>(), "[ \n\r\t]{0,3}").prop_map(
        |(value, pretty, escaped, space)| {
            let text = if pretty {
                serde_json::to_string_pretty(&value)
            } else {
                serde_json::to_string(&value)
            };
            let text = text.expect("a value is JSON");
            let text = if escaped {
                text.replace('é', "\\u00e9")
            } else {
                text
            };
            format!("{space}{text}{space}")
        },
    )
}

/// A byte that means something in JSON, or any.
pub(super) fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        prop::sample::select(b"[]{}\",:\\ \n0123456789-+.eEtfnu".to_vec()),
        any::<u8>(),
    ]
}
