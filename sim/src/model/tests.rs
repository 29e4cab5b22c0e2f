//! Outcomes that are put together by hand: the right one is allowed, and each wrong one beside it is refused.

use serde_json::{Value, json};
use squid_mesh_core::definition::{Definition, LabelIndex, StepIndex};
use squid_mesh_core::event::CopyKind;
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::Copy;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::Status;
use squid_mesh_core::time::Timestamp;

use super::refused;
use crate::witness::{Attempt, Came, Child, Did, End, Facts, Order, Seen, SeenStep, Tries, Worked};

fn definition(steps: Value) -> Definition {
    let draft = json!({"name": "w", "version": 1, "steps": steps});
    Definition::parse(&draft).expect("the draft is valid")
}

fn json_of(value: Value) -> Payload {
    Payload::new(value.to_string().into_bytes())
}

/// Facts about a run to which nothing was done.
fn facts<'a>(definition: &'a Definition, input: &'a Payload) -> Facts<'a> {
    Facts {
        definition,
        input,
        started: Timestamp::from_micros(1_800_000_000_000_000),
        delayed: false,
        largest: 1_000,
        steps: vec![Worked::default(); definition.steps().len()],
        orders: Vec::new(),
        source: None,
    }
}

fn body<'a>(nth: usize, input: &'a Payload, did: Did<'a>) -> Attempt<'a> {
    Attempt { nth, input, did }
}

fn tries(executed: u32) -> Tries {
    Tries {
        executed,
        ..Tries::default()
    }
}

fn ended(end: End, at: u32, gave: Option<Value>) -> SeenStep {
    SeenStep {
        end,
        at,
        gave: gave.map(json_of),
        ..SeenStep::default()
    }
}

/// A step that one attempt ended.
fn done(at: u32, output: Value) -> SeenStep {
    SeenStep {
        tries: tries(1),
        ..ended(End::Succeeded, at, Some(output))
    }
}

fn failed(at: u32, code: &str) -> SeenStep {
    SeenStep {
        tries: tries(1),
        ..ended(End::Failed, at, Some(json!({"code": code})))
    }
}

fn skipped(at: u32) -> SeenStep {
    ended(End::Skipped, at, None)
}

fn cancelled(at: u32) -> SeenStep {
    ended(End::Cancelled, at, None)
}

fn completed(steps: Vec<SeenStep>) -> Seen {
    Seen {
        status: Status::Completed,
        cause: None,
        result: Some(Payload::null()),
        steps,
    }
}

fn failed_by(step: u16, code: &str, steps: Vec<SeenStep>) -> Seen {
    Seen {
        status: Status::Failed,
        cause: Some((Some(StepIndex(step)), code.to_owned())),
        result: None,
        steps,
    }
}

fn ended_by_cancel(steps: Vec<SeenStep>) -> Seen {
    Seen {
        status: Status::Cancelled,
        cause: None,
        result: None,
        steps,
    }
}

#[track_caller]
fn allows(facts: &Facts<'_>, seen: &Seen) {
    assert_eq!(refused(facts, seen), None);
}

#[track_caller]
fn refuses(facts: &Facts<'_>, seen: &Seen, why: &str) {
    let said = refused(facts, seen).expect("it is refused");
    assert!(said.contains(why), "{said}");
}

/// A change of what is seen.
fn but(seen: &Seen, change: impl FnOnce(&mut Seen)) -> Seen {
    let mut seen = seen.clone();
    change(&mut seen);
    seen
}

#[test]
fn a_step_ends_with_what_one_of_its_bodies_did_after_what_it_needs() {
    let chain = definition(json!([
        {"name": "a", "handler": "h", "input": "input"},
        {"name": "b", "handler": "h", "input": "output(a)", "retry": {"max_attempts": 2}},
    ]));
    let (input, one, two) = (json_of(json!(7)), json_of(json!(1)), json_of(json!(2)));
    let mut facts = facts(&chain, &input);
    facts.steps[0].attempts = vec![body(0, &input, Did::Returned(&one, None))];
    facts.steps[1].attempts = vec![
        body(1, &one, Did::Failed("flaky", true)),
        body(2, &one, Did::Returned(&two, None)),
    ];
    let second = SeenStep {
        tries: tries(2),
        ..done(4, json!(2))
    };
    let seen = completed(vec![done(2, json!(1)), second]);
    allows(&facts, &seen);

    let status = but(&seen, |seen| seen.status = Status::Failed);
    refuses(&facts, &status, "it is failed (None), and may be completed");
    let output = but(&seen, |seen| seen.steps[1].gave = Some(json_of(json!(3))));
    refuses(&facts, &output, "since 2 it may");
    let early = but(&seen, |seen| seen.steps[1].at = 1);
    refuses(&facts, &early, "since 2 it may");
    let skip = but(&seen, |seen| seen.steps[1] = skipped(4));
    refuses(&facts, &skip, "since 2 it may");
    let result = but(&seen, |seen| seen.result = Some(json_of(json!(2))));
    refuses(&facts, &result, "its result");
    let often = but(&seen, |seen| seen.steps[1].tries = tries(3));
    refuses(&facts, &often, "tried too often");
    let uncounted = but(&seen, |seen| seen.steps[1].tries = tries(1));
    refuses(&facts, &uncounted, "more often than is accounted for");
    let given_up = SeenStep {
        tries: tries(1),
        ..failed(3, "flaky")
    };
    let given_up = failed_by(1, "flaky", vec![done(2, json!(1)), given_up]);
    refuses(&facts, &given_up, "since 2 it may");

    facts.steps[1].attempts[1].input = &two;
    refuses(&facts, &seen, "another input than its binding says");
}

#[test]
fn a_failure_that_nobody_takes_fails_the_run_and_one_that_somebody_takes_does_not() {
    let recovered = definition(json!([
        {"name": "a", "handler": "h"},
        {"name": "b", "handler": "h", "input": "failure(a).code"},
        {"name": "c", "handler": "h", "input": "either(a,b)"},
    ]));
    let (input, null) = (json_of(json!(0)), Payload::null());
    let (code, one) = (json_of(json!("refused")), json_of(json!(1)));
    let mut facts = facts(&recovered, &input);
    facts.steps[0].attempts = vec![body(0, &null, Did::Failed("refused", false))];
    facts.steps[1].attempts = vec![body(1, &code, Did::Returned(&one, None))];
    facts.steps[2].attempts = vec![body(2, &one, Did::Returned(&one, None))];
    let steps = vec![failed(2, "refused"), done(3, json!(1)), done(4, json!(1))];
    allows(&facts, &completed(steps.clone()));
    let stranded = failed_by(0, "refused", steps.clone());
    refuses(&facts, &stranded, "may be completed");

    // Both alternatives have to end before what takes either of them.
    let early = but(&completed(steps), |seen| seen.steps[1].at = 5);
    refuses(&facts, &early, "since 5 it may");

    let alone = definition(json!([{"name": "a", "handler": "h"}, {"name": "b", "handler": "h"}]));
    let mut facts = self::facts(&alone, &input);
    facts.steps[0].attempts = vec![body(0, &null, Did::Failed("refused", false))];
    let steps = vec![failed(2, "refused"), cancelled(2)];
    allows(&facts, &failed_by(0, "refused", steps.clone()));
    refuses(&facts, &completed(steps.clone()), "may be failed");
    let another = failed_by(0, "flaky", steps);
    refuses(&facts, &another, "refused");
}

#[test]
fn a_branch_is_taken_by_its_label_and_skipped_by_any_other() {
    let routed = definition(json!([
        {"name": "a", "input": "input", "route":
            [{"label": "big", "path": "n", "greater_than": 10}, {"label": "small", "otherwise": true}]},
        {"name": "b", "handler": "h", "when": {"step": "a", "label": "big"}},
        {"name": "c", "handler": "h", "when": {"step": "a", "label": "small"}},
    ]));
    let (input, null, one) = (
        json_of(json!({"n": 11})),
        Payload::null(),
        json_of(json!(1)),
    );
    let mut facts = facts(&routed, &input);
    facts.steps[1].attempts = vec![body(0, &null, Did::Returned(&one, None))];
    let took = |label| SeenStep {
        label: Some(LabelIndex(label)),
        ..ended(End::Succeeded, 2, None)
    };
    let seen = completed(vec![took(0), done(3, json!(1)), skipped(2)]);
    allows(&facts, &seen);
    let other = but(&seen, |seen| seen.steps[0] = took(1));
    refuses(&facts, &other, "step a");
    let cut = but(&seen, |seen| seen.steps[2] = cancelled(2));
    refuses(&facts, &cut, "step c");
    facts.steps[2].attempts = vec![body(1, &null, Did::Returned(&one, None))];
    refuses(&facts, &seen, "nothing was to be done about it");
    let both = but(&seen, |seen| seen.steps[2] = done(4, json!(1)));
    refuses(&facts, &both, "step c");

    let small = json_of(json!({"n": "11"}));
    facts.input = &small;
    refuses(&facts, &seen, "step a");
}

#[test]
fn exactly_what_succeeded_is_taken_back_the_last_first() {
    let undo = json!({"handler": "u"});
    let saga = definition(json!([
        {"name": "a", "handler": "h", "undo": undo},
        {"name": "b", "handler": "h", "undo": undo},
        {"name": "c", "handler": "h", "undo": undo, "after": ["a", "b"]},
    ]));
    let (input, null) = (json_of(json!(0)), Payload::null());
    let mut facts = facts(&saga, &input);
    for (step, worked) in facts.steps.iter_mut().enumerate() {
        let did = match step {
            2 => Did::Failed("refused", false),
            _ => Did::Returned(&null, None),
        };
        worked.attempts = vec![body(step, &null, did)];
    }
    // b has ended last.
    facts.steps[1].undos = vec![body(3, &null, Did::Failed("flaky", true))];
    facts.steps[0].undos = vec![body(4, &null, Did::Returned(&null, None))];
    let undone = |at, done| SeenStep {
        undo: Some((Some(done), tries(1))),
        ..self::done(at, Value::Null)
    };
    let steps = vec![undone(2, true), undone(3, false), failed(4, "refused")];
    let seen = failed_by(2, "refused", steps);
    allows(&facts, &seen);

    let forgotten = but(&seen, |seen| seen.steps[0].undo = None);
    refuses(&facts, &forgotten, "the undo of a");
    let done = but(&seen, |seen| {
        seen.steps[1].undo = Some((Some(true), tries(1)))
    });
    refuses(&facts, &done, "the undo of b");
    let in_order = but(&seen, |seen| (seen.steps[0].at, seen.steps[1].at) = (3, 2));
    refuses(&facts, &in_order, "too early");
    let too_much = but(&seen, |seen| {
        seen.steps[2].undo = Some((Some(true), tries(1)))
    });
    refuses(&facts, &too_much, "was not to be taken back");

    // Nor does a cancel take anything back, unless it says so.
    facts.orders = vec![(
        4,
        Order::Cancel {
            undo: true,
            force: false,
        },
    )];
    let cancelled = but(&ended_by_cancel(seen.steps), |seen| seen.steps[2].at = 5);
    allows(&facts, &cancelled);
    facts.orders = vec![(
        4,
        Order::Cancel {
            undo: false,
            force: false,
        },
    )];
    refuses(&facts, &cancelled, "was not to be taken back");
}

#[test]
fn what_ends_after_a_cancel_leads_nowhere() {
    let chain = definition(json!([
        {"name": "a", "handler": "h"},
        {"name": "b", "handler": "h", "needs": ["a"]},
    ]));
    let (input, null) = (json_of(json!(0)), Payload::null());
    let mut facts = facts(&chain, &input);
    facts.orders = vec![(
        2,
        Order::Cancel {
            undo: false,
            force: false,
        },
    )];
    facts.steps[0].attempts = vec![body(0, &null, Did::Returned(&null, None))];
    let seen = ended_by_cancel(vec![done(3, Value::Null), cancelled(2)]);
    allows(&facts, &seen);
    let on = but(&seen, |seen| seen.steps[1] = done(4, Value::Null));
    refuses(&facts, &on, "step b");
    let completed = but(&seen, |seen| seen.status = Status::Completed);
    refuses(&facts, &completed, "may be cancelled");
}

#[test]
fn signals_go_to_who_has_waited_longest_and_gates_where_somebody_said() {
    let gates = definition(json!([
        {"name": "a", "signal": {"name": "paid"}},
        {"name": "b", "signal": {"name": "paid"}, "needs": ["a"]},
        {"name": "c", "pause": {}, "needs": ["b"]},
    ]));
    let paid = Name::new("paid").expect("a proper name");
    let (input, one, two) = (json_of(json!(0)), json_of(json!(1)), json_of(json!(2)));
    let mut facts = facts(&gates, &input);
    facts.orders = vec![
        (2, Order::Signal(&paid, &one)),
        (3, Order::Signal(&paid, &two)),
        (4, Order::Decided(StepIndex(2), "resumed")),
    ];
    let gave = |at, output: Value| SeenStep {
        label: Some(LabelIndex(0)),
        ..ended(End::Succeeded, at, Some(output))
    };
    let resumed = || gave(4, json!({"decision": "resumed", "actor": "ana"}));
    let seen = completed(vec![gave(2, json!(1)), gave(3, json!(2)), resumed()]);
    allows(&facts, &seen);
    let swapped = completed(vec![gave(2, json!(2)), gave(3, json!(1)), resumed()]);
    refuses(&facts, &swapped, "step a");
    let expired = but(&seen, |seen| seen.steps[2].label = Some(LabelIndex(1)));
    refuses(&facts, &expired, "step c");
    let lost = but(&seen, |seen| seen.steps[2].gave = None);
    refuses(&facts, &lost, "step c");
}

#[test]
fn a_step_with_children_ends_as_they_did() {
    let parent = definition(json!([
        {"name": "each", "input": "input", "each": {"workflow": "leaf"}},
    ]));
    let input = json_of(json!([10, 20]));
    let parts = [json_of(json!(10)), json_of(json!(20))];
    let mut facts = facts(&parent, &input);
    let child = |number: u32, came| Child {
        number: Some(number),
        input: &parts[number as usize],
        came,
    };
    let result = |value: Value| Came::Result(Some(value));
    facts.steps[0].children = vec![child(0, result(json!("a"))), child(1, result(json!("b")))];
    let with = |output| completed(vec![ended(End::Succeeded, 5, Some(output))]);
    allows(&facts, &with(json!(["a", "b"])));
    refuses(&facts, &with(json!(["b", "a"])), "step each");
    refuses(&facts, &with(json!(["a"])), "step each");

    let details = json!({"code": "refused"});
    facts.steps[0].children[1].came = Came::Failure(Some(details.clone()));
    let failure = |details: &Value| {
        let failure = json!({"code": "child_failed", "message": "child 1", "details": details});
        failed_by(
            0,
            "child_failed",
            vec![ended(End::Failed, 5, Some(failure))],
        )
    };
    allows(&facts, &failure(&details));
    refuses(&facts, &failure(&json!({"code": "flaky"})), "step each");
    refuses(&facts, &with(json!(["a", "b"])), "step each");
}

#[test]
fn what_must_not_be_repeated_blindly_is_not() {
    let held = definition(json!([
        {"name": "a", "handler": "h", "on_lost": "hold", "retry": {"max_attempts": 2}},
    ]));
    let (input, null) = (json_of(json!(0)), Payload::null());
    let mut facts = facts(&held, &input);
    facts.steps[0].attempts = vec![
        body(0, &null, Did::Vanished),
        body(1, &null, Did::Returned(&null, None)),
    ];
    let lost_once = Tries {
        lost: 1,
        ..tries(1)
    };
    let step = SeenStep {
        tries: lost_once,
        ..done(4, Value::Null)
    };
    let seen = completed(vec![step]);
    refuses(&facts, &seen, "repeated blindly");
    facts.orders = vec![(3, Order::Retry(StepIndex(0)))];
    allows(&facts, &seen);
}

#[test]
fn a_fork_takes_over_what_comes_before_it_and_does_the_rest_again() {
    let chain = definition(json!([
        {"name": "a", "handler": "h"},
        {"name": "b", "handler": "h", "needs": ["a"]},
    ]));
    let (input, null) = (json_of(json!(0)), Payload::null());
    let source = completed(vec![done(2, json!(1)), done(3, json!(2))]);
    let copy = Copy {
        source: RunId::from_u128(1),
        kind: CopyKind::Fork,
        from: vec![Name::new("b").expect("a proper name")],
        allow_irreversible: false,
    };
    let again = json_of(json!(3));
    let mut facts = facts(&chain, &input);
    facts.source = Some((&copy, &chain, &source));
    facts.steps[1].attempts = vec![body(0, &null, Did::Returned(&again, None))];
    let taken = ended(End::Succeeded, 1, Some(json!(1)));
    let seen = completed(vec![taken, done(2, json!(3))]);
    allows(&facts, &seen);
    let both = but(&seen, |seen| {
        seen.steps[1] = ended(End::Succeeded, 1, Some(json!(2)))
    });
    refuses(&facts, &both, "step b");
    facts.steps[0].attempts = vec![body(1, &null, Did::Returned(&again, None))];
    let neither = but(&seen, |seen| seen.steps[0] = done(1, json!(3)));
    refuses(&facts, &neither, "step a");

    let lasting = definition(json!([
        {"name": "a", "handler": "h"},
        {"name": "b", "handler": "h", "needs": ["a"], "irreversible": true},
    ]));
    facts.steps[0].attempts.clear();
    (facts.definition, facts.source) = (&lasting, Some((&copy, &lasting, &source)));
    refuses(&facts, &seen, "it repeats b unasked");
    let asked = Copy {
        allow_irreversible: true,
        ..copy.clone()
    };
    facts.source = Some((&asked, &lasting, &source));
    allows(&facts, &seen);
}

#[test]
fn a_run_that_goes_on_has_done_nothing_that_it_may_not() {
    let chain = definition(json!([
        {"name": "a", "handler": "h"},
        {"name": "b", "handler": "h", "when": {"step": "a", "label": "failed"}},
        {"name": "c", "handler": "h", "needs": ["a"]},
    ]));
    let (input, null) = (json_of(json!(0)), Payload::null());
    let mut facts = facts(&chain, &input);
    facts.steps[0].attempts = vec![body(0, &null, Did::Returned(&null, None))];
    let open = Seen {
        status: Status::Running,
        cause: None,
        result: None,
        steps: vec![done(2, Value::Null), skipped(2), SeenStep::default()],
    };
    allows(&facts, &open);
    let forgotten = but(&open, |seen| seen.steps[1] = SeenStep::default());
    refuses(&facts, &forgotten, "step b");
    let over = but(&open, |seen| seen.steps[2] = done(3, Value::Null));
    refuses(&facts, &over, "step c");
}
