//! Signals: early, late, in order, too many.

mod common;

use std::collections::BTreeSet;

use common::*;
use serde_json::json;
use squid_mesh_core::change::{Change, Chore, Gate};
use squid_mesh_core::definition::{Definition, StepIndex};
use squid_mesh_core::event::{Found, Started, code};
use squid_mesh_core::limits;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::Rejection;
use squid_mesh_core::run::{Seq, Status};

/// work -> first -> second, both of one signal, and other of another beside them.
fn two() -> Definition {
    workflow(json!([
        {"name": "work", "handler": "h"},
        {"name": "first", "signal": {"name": "paid"}, "needs": ["work"]},
        {"name": "second", "signal": {"name": "paid"}, "needs": ["first"]},
        {"name": "other", "signal": {"name": "shipped", "deadline": "1h"}},
    ]))
}

fn keep(signal: &str) -> Change {
    Change::Keep {
        signal: Name::stored(signal),
        payload: null(),
    }
}

fn take(seq: u32) -> Change {
    Change::Take { seq: Seq(seq) }
}

#[test]
fn a10_1_a_signal_ends_the_step_that_listens_for_it() {
    let mut run = Fold::start(two());
    assert_eq!(
        run.last(),
        [
            schedule(A, 0, due(0)),
            open(D, Gate::Signal, Some((1, due(3_600))))
        ]
    );
    run.take(signalled(5, "shipped"));
    assert_eq!(run.last(), [obey(5), label(D, 0), place(D, 2), succeed(D)]);
    run.take(succeeded(A, 1));
    assert_eq!(run.last()[2], open(B, Gate::Signal, None));
    assert_eq!(run.run().status(), Status::Waiting);
    run.take(signalled(6, "paid"));
    assert_eq!(
        run.last(),
        [
            obey(6),
            label(B, 0),
            place(B, 4),
            succeed(B),
            open(C, Gate::Signal, None)
        ]
    );
}

#[test]
fn a10_2_signals_that_come_early_are_kept_and_taken_oldest_first() {
    let mut run = Fold::start(two());
    run.take(signalled(5, "paid")).take(signalled(6, "paid"));
    assert_eq!(run.last(), [obey(6), keep("paid")]);
    let kept: Vec<u32> = run.run().kept().iter().map(|kept| kept.seq.0).collect();
    assert_eq!(kept, [2, 3]);
    run.take(succeeded(A, 1));
    assert_eq!(
        run.last()[2..],
        [
            take(2),
            label(B, 0),
            place(B, 2),
            succeed(B),
            take(3),
            label(C, 0),
            place(C, 3),
            succeed(C)
        ]
    );
    assert!(run.run().kept().is_empty());
}

#[test]
fn of_two_steps_that_listen_for_one_signal_the_one_that_waited_longer_gets_it() {
    let definition = workflow(json!([
        {"name": "late", "signal": {"name": "paid"}, "needs": ["work"]},
        {"name": "soon", "signal": {"name": "paid"}},
        {"name": "work", "handler": "h"},
    ]));
    let mut run = Fold::start(definition);
    run.take(succeeded(C, 1));
    run.take(signalled(5, "paid"));
    assert_eq!(run.last()[1], label(B, 0));
    run.take(signalled(6, "paid"));
    assert_eq!(run.last()[1], label(A, 0));
    assert_eq!(run.run().status(), Status::Completed);
}

#[test]
fn s5_3_the_65th_signal_that_nobody_waits_for_is_refused_and_none_is_dropped() {
    let mut run = Fold::start(two());
    for number in 0..64 {
        run.take(signalled(100 + number, "paid"));
    }
    assert_eq!(run.run().kept().len(), limits::SIGNALS_KEPT);
    let full = Rejection::SignalBufferFull {
        run: run.run().id(),
        limit: 64,
    };
    assert_eq!(run.try_take(signalled(200, "paid")).unwrap_err(), full);
    run.take(signalled(201, "shipped"));
    assert_eq!(
        run.run().kept().len(),
        64,
        "what is waited for needs no room"
    );
    run.take(succeeded(A, 1));
    assert_eq!(run.run().kept().len(), 62);
    assert_eq!(
        run.run().status(),
        Status::Completed,
        "what is left is unconsumed"
    );
}

#[test]
fn a_signal_that_no_step_is_for_is_refused_by_name() {
    let mut run = Fold::start(two());
    let unknown = Rejection::UnknownSignal {
        run: run.run().id(),
        signal: Name::new("refunded").unwrap(),
    };
    assert_eq!(run.try_take(signalled(5, "refunded")).unwrap_err(), unknown);
}

#[test]
fn a_signal_to_a_run_that_is_ending_or_has_ended_is_refused() {
    let mut run = Fold::start(two());
    run.take_knowing(cancel(5, false), &claimed([0]));
    assert_eq!(
        run.try_take(signalled(6, "paid")).unwrap_err().code(),
        "winding"
    );
    run.take(succeeded(A, 1));
    assert_eq!(
        run.try_take(signalled(6, "paid")).unwrap_err().code(),
        "finished"
    );
}

#[test]
fn a_signal_step_without_a_route_of_its_expiry_fails_as_expired() {
    let mut run = Fold::start(two());
    run.at(3_600).take_knowing(expired(D), &BTreeSet::new());
    assert_eq!(
        run.last()[..2],
        [fail(D, code::EXPIRED, 2), fails(D, code::EXPIRED)]
    );
}

#[test]
fn a_signal_that_came_before_a_delayed_start_is_there_when_the_step_begins() {
    let definition = workflow(json!([
        {"name": "paid", "signal": {"name": "paid", "deadline": "1h"}},
        {"name": "go", "handler": "h", "needs": ["paid"]},
    ]));
    let started = Started {
        due: Some(due(60)),
        ..Fold::started(&definition)
    };
    let mut run = Fold::start_as(definition, started, vec![]);
    assert_eq!(run.last(), [engage(A, Chore::Evaluate, 0, due(60))]);
    run.at(30).take(signalled(5, "paid"));
    assert_eq!(run.last(), [obey(5), keep("paid")]);
    run.at(60).take(found(A, Found::Reached));
    assert_eq!(
        run.last(),
        [
            take(2),
            label(A, 0),
            place(A, 2),
            succeed(A),
            schedule(StepIndex(1), 0, due(60))
        ]
    );
}
