//! Drafts for tests: one by hand, and any valid one.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::*;

/// A draft that uses every option.
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
        "steps": [
            {"name": "reserve", "handler": "reserve_stock", "input": "input"},
            {"name": "charge", "label": "Charge", "handler": "charge_card", "input": "input",
             "retry": {"max_attempts": 5, "max_lost": 2, "backoff":
                {"kind": "exponential", "min": "100ms", "max": "1s", "factor": 2, "jitter": 0.1}},
             "timeout": "30s", "queue": "payments", "priority": -5},
            {"name": "settle", "wait": "1h", "needs": ["charge"]},
            {"name": "ship", "handler": "ship", "needs": ["settle"], "after": ["reserve"],
             "input": {"object": {"paid": "output(charge)", "region": {"constant": "eu"}}}},
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
    "[^\\x00]{0,8}"
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

fn any_contract() -> impl Strategy<Value = Contract> {
    let field = (select(&FieldType::ALL[..]), any::<bool>(), any::<bool>()).prop_map(
        |(ty, nullable, required)| Field {
            ty,
            nullable: nullable && !matches!(ty, FieldType::Any | FieldType::Null),
            required,
            default: None,
        },
    );
    let stand_in = any_json().prop_map(|value| Field::with_default(FieldType::Any, value));
    let fields = btree_map(text(), prop_oneof![3 => field, 1 => stand_in], 0..4);
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

/// A binding to the input, constants and outputs of the steps `s0` to those below `steps`.
fn any_binding(steps: usize) -> impl Strategy<Value = DraftBinding> {
    let source = (0..steps + 2, any_json()).prop_map(move |(pick, constant)| match pick {
        0 => DraftSource::Input,
        1 => DraftSource::Constant(constant),
        step => DraftSource::Output(format!("s{}", step - 2)),
    });
    prop_oneof![
        Just(DraftBinding::Nothing),
        source.clone().prop_map(DraftBinding::Whole),
        vec(source.clone(), 0..4).prop_map(DraftBinding::Tuple),
        btree_map(text(), source, 0..4).prop_map(DraftBinding::Object),
    ]
}

/// The step `s{index}`; it waits for earlier ones only.
fn any_step(index: usize) -> impl Strategy<Value = DraftStep> {
    let names: Vec<String> = (0..index).map(|i| format!("s{i}")).collect();
    let some = |names: &[String]| subsequence(names.to_vec(), 0..=names.len());
    let people = (option::of(text()), option::of(text()));
    let waits = (some(&names), some(&names), any_binding(index));
    let options = (
        option::of(any_retry()),
        option::of(any_span()),
        option::of("[a-z][a-z0-9_]{0,5}"),
        option::of(any::<i16>()),
    );
    let wait = option::weighted(
        0.2,
        (0..=315_576_000_000_000_i128).prop_map(DraftSpan::from_micros),
    );
    (people, waits, options, wait).prop_map(move |(people, waits, options, wait)| {
        let mut step = match wait {
            Some(span) => DraftStep::wait(format!("s{index}"), span),
            None => DraftStep::handler(format!("s{index}"), format!("h{}", index % 3)),
        };
        (step.label, step.description) = people;
        (step.needs, step.after) = (waits.0, waits.1);
        if wait.is_none() {
            step.input = waits.2;
            (step.retry, step.timeout, step.queue, step.priority) = options;
        }
        step
    })
}

prop_compose! {
    /// Any valid draft of up to seven steps, declared in any order.
    pub(crate) fn any_draft()(count in 1..8_usize)(
        steps in (0..count).map(any_step).collect::<Vec<_>>().prop_shuffle(),
        people in (option::of(text()), option::of(text())),
        version in any::<u32>(),
        input in any_contract(),
        result in any_binding(count),
        queue in option::of("[a-z][a-z0-9_]{0,5}"),
        priority in option::of(any::<i16>()),
        deadline in option::of(any_span()),
    ) -> Draft {
        let (label, description) = people;
        Draft { label, description, input, steps, result, queue, priority, deadline, ..Draft::new("any", version) }
    }
}
