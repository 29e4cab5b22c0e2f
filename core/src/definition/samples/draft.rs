//! Any valid draft.
//!
//! What proptest picks is raw material; [`grow`](super::grown::grow) makes steps of it that fit what is there already.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use serde_json::Value;

use super::grown::{firm, grow};
use super::schedule::any_schedule;
use super::*;

/// Raw material of one step.
#[derive(Debug, Clone)]
pub(super) struct Picks {
    pub(super) people: (Option<String>, Option<String>),
    pub(super) kind: KindPicks,
    pub(super) waits: WaitPicks,
    pub(super) input: BindingPicks,
    pub(super) options: OptionPicks,
}

#[derive(Debug, Clone)]
pub(super) struct KindPicks {
    /// Which kind; beyond the last it is a handler.
    pub(super) which: u8,
    pub(super) span: DraftSpan,
    pub(super) deadline: Option<DraftSpan>,
    pub(super) contract: Contract,
    pub(super) level: Option<LogLevel>,
    pub(super) text: String,
    pub(super) conditions: Vec<DraftCondition>,
    pub(super) fallback: Option<String>,
    pub(super) flag: bool,
    pub(super) parallel: Option<u32>,
}

#[derive(Debug, Clone)]
pub(super) struct WaitPicks {
    pub(super) needs: Vec<Index>,
    pub(super) after: Vec<Index>,
    pub(super) either: Vec<Vec<Index>>,
    pub(super) guards: Vec<Index>,
    pub(super) failure: Option<Index>,
    pub(super) mark: Option<RouteMark>,
}

#[derive(Debug, Clone)]
pub(super) struct SourcePicks {
    pub(super) which: u8,
    pub(super) step: Index,
    pub(super) group: Vec<Index>,
    pub(super) path: Path,
    pub(super) constant: Value,
}

#[derive(Debug, Clone)]
pub(super) struct BindingPicks {
    pub(super) shape: u8,
    pub(super) sources: Vec<SourcePicks>,
    pub(super) names: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct OptionPicks {
    pub(super) retry: Option<DraftRetry>,
    pub(super) timeout: Option<DraftSpan>,
    pub(super) queue: Option<String>,
    pub(super) priority: Option<i16>,
    pub(super) labels: Vec<String>,
    pub(super) undo: Option<DraftUndo>,
    pub(super) irreversible: Option<bool>,
    pub(super) compensatable: Option<bool>,
    pub(super) on_lost: Option<OnLost>,
    pub(super) transactional: bool,
}

fn any_name() -> impl Strategy<Value = String> + Clone {
    pattern("[a-z][a-z0-9_]{0,5}")
}

fn any_path() -> impl Strategy<Value = Path> + Clone {
    let segment = prop_oneof![
        text().prop_map(Segment::Field),
        pattern("[a-z]{1,3}").prop_map(Segment::Field),
        any::<u32>().prop_map(Segment::Index),
    ];
    prop_oneof![
        Just(Path::default()),
        vec(segment, 0..4).prop_map(Path::new)
    ]
}

/// A constant, most often a small one.
fn any_constant() -> impl Strategy<Value = Value> + Clone {
    prop_oneof![
        3 => any::<i8>().prop_map(Value::from),
        1 => any_json(),
    ]
}

fn any_condition() -> impl Strategy<Value = DraftCondition> {
    let ordered = || {
        prop_oneof![
            any::<i64>().prop_map(Value::from),
            text().prop_map(Value::from)
        ]
    };
    let operator = prop_oneof![
        any_constant().prop_map(Operator::Equals),
        any_constant().prop_map(Operator::NotEquals),
        ordered().prop_map(Operator::GreaterThan),
        ordered().prop_map(Operator::LessThan),
        vec(any_constant(), 0..3).prop_map(Operator::In),
        any::<bool>().prop_map(Operator::Exists),
    ];
    let label = select(vec!["big", "mid", "small"]).prop_map(str::to_owned);
    (label, any_path(), operator).prop_map(|(label, path, operator)| DraftCondition {
        label,
        path,
        operator,
    })
}

prop_compose! {
    fn any_kind()(
        which in 0..14_u8,
        span in (0..=315_576_000_000_000_i128).prop_map(DraftSpan::from_micros),
        deadline in option::of(any_span()),
        contract in any_contract(),
        level in option::of(select(&LogLevel::ALL[..])),
        text in text(),
        conditions in vec(any_condition(), 1..4),
        fallback in option::of(select(vec!["small", "other"]).prop_map(str::to_owned)),
        flag in any::<bool>(),
        parallel in option::of(1..=10_000_u32),
    ) -> KindPicks {
        KindPicks { which, span, deadline, contract, level, text, conditions, fallback, flag, parallel }
    }
}

prop_compose! {
    fn any_waits()(
        needs in vec(any::<Index>(), 0..3),
        after in vec(any::<Index>(), 0..2),
        either in vec(vec(any::<Index>(), 1..3), 0..2),
        guards in vec(any::<Index>(), 0..3),
        failure in option::weighted(0.3, any::<Index>()),
        mark in option::of(select(&RouteMark::ALL[..])),
    ) -> WaitPicks {
        WaitPicks { needs, after, either, guards, failure, mark }
    }
}

fn any_binding() -> impl Strategy<Value = BindingPicks> {
    let source = (
        0..6_u8,
        any::<Index>(),
        vec(any::<Index>(), 1..4),
        any_path(),
        any_constant(),
    );
    let source = source.prop_map(|(which, step, group, path, constant)| SourcePicks {
        which,
        step,
        group,
        path,
        constant,
    });
    (0..5_u8, btree_map(text(), source, 0..4)).prop_map(|(shape, sources)| {
        let (names, sources) = sources.into_iter().unzip();
        BindingPicks {
            shape,
            sources,
            names,
        }
    })
}

prop_compose! {
    fn any_options()(
        (retry, timeout, queue, priority) in
            (option::of(any_retry()), option::of(any_span()), option::of(any_name()), option::of(any::<i16>())),
        labels in subsequence(vec!["yes", "no", "late"], 0..=3).prop_shuffle(),
        undo in option::of((any_name(), option::of(any_retry()), option::of(any_span()))),
        irreversible in option::of(any::<bool>()),
        compensatable in option::of(any::<bool>()),
        on_lost in option::of(select(&OnLost::ALL[..])),
        transactional in any::<bool>(),
    ) -> OptionPicks {
        let undo = undo.map(|(handler, retry, timeout)| DraftUndo { handler, retry, timeout });
        let labels = labels.into_iter().map(str::to_owned).collect();
        OptionPicks {
            retry, timeout, queue, priority, labels, undo, irreversible, compensatable, on_lost, transactional,
        }
    }
}

prop_compose! {
    fn any_picks()(
        people in (option::of(text()), option::of(text())),
        kind in any_kind(),
        waits in any_waits(),
        input in any_binding(),
        options in any_options(),
    ) -> Picks {
        Picks { people, kind, waits, input, options }
    }
}

/// Steps that fit each other, in any order.
fn any_steps() -> impl Strategy<Value = Vec<DraftStep>> {
    vec(any_picks(), 1..8)
        .prop_map(|picks| {
            picks.into_iter().fold(Vec::new(), |mut steps, picks| {
                grow(&mut steps, picks);
                steps
            })
        })
        .prop_shuffle()
}

fn any_triggers() -> impl Strategy<Value = Vec<DraftTrigger>> {
    let parts = (any_input(), option::of(any_schedule()));
    btree_map(pattern("t[a-z0-9_]{0,5}"), parts, 0..3).prop_map(|triggers| {
        let triggers = triggers.into_iter();
        triggers
            .map(|(name, (input, schedule))| match schedule {
                None => DraftTrigger::manual(name, input),
                schedule => DraftTrigger {
                    schedule,
                    ..DraftTrigger::manual(name, Contract::Any)
                },
            })
            .collect()
    })
}

prop_compose! {
    /// Any valid draft of up to seven steps and those that wire its approvals, declared in any order.
    pub(crate) fn any_draft()(
        steps in any_steps(),
        people in (option::of(text()), option::of(text())),
        version in any::<u32>(),
        input in any_input(),
        triggers in any_triggers(),
        result in any_binding(),
        queue in option::of(any_name()),
        priority in option::of(any::<i16>()),
        deadline in option::of(any_span()),
    ) -> Draft {
        let (label, description) = people;
        let all: Vec<String> = steps.iter().map(|step| step.name.clone()).collect();
        let result = grown::binding(result, &firm(&steps), &all, None);
        Draft {
            label, description, input, triggers, steps, result, queue, priority, deadline, ..Draft::new("any", version)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    use super::*;

    /// Each field of the JSON of some drafts, and the beginning of each source.
    fn seen(value: &Value, seen: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (key, field) in fields {
                    seen.insert(key.clone());
                    self::seen(field, seen);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self::seen(item, seen)),
            Value::String(text) => {
                seen.insert(text.split('(').next().unwrap_or_default().to_owned());
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    #[test]
    fn the_drafts_have_every_construct_of_the_language() {
        let mut runner = TestRunner::deterministic();
        let mut found = BTreeSet::new();
        for _ in 0..150 {
            let draft = any_draft().new_tree(&mut runner).unwrap().current();
            seen(&draft.to_json(), &mut found);
        }
        let constructs = [
            "handler",
            "wait",
            "until",
            "log",
            "pause",
            "approval",
            "signal",
            "route",
            "child",
            "each",
            "needs",
            "either",
            "after",
            "when",
            "input",
            "retry",
            "timeout",
            "queue",
            "priority",
            "labels",
            "undo",
            "irreversible",
            "compensatable",
            "on_lost",
            "transactional",
            "mark",
            "triggers",
            "schedule",
            "catch_up",
            "repeated_hour",
            "payload",
            "deadline",
            "otherwise",
            "equals",
            "not_equals",
            "greater_than",
            "less_than",
            "in",
            "exists",
            "detach",
            "parallel",
            "collect",
            "object",
            "constant",
            "output",
            "failure",
            "failed",
            "expired",
            "approved",
            "rejected",
            "yes",
            "hold",
            "compensation",
        ];
        let missing: Vec<&str> = constructs
            .into_iter()
            .filter(|c| !found.contains(*c))
            .collect();
        assert_eq!(missing, Vec::<&str>::new());
    }
}
