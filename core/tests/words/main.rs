//! What callers say and carry along: how much it may be, and that every store can hold it.

#[path = "../common/mod.rs"]
mod common;

mod commands;
mod scene;

use std::time::Duration;

use common::*;
use scene::Scene;
use squid_mesh_core::limits;
use squid_mesh_core::operation::{Rejection, Ruling, Start, StartDelay};

#[test]
fn what_is_said_is_taken_at_its_limit_and_refused_by_name_above_it() {
    for field in commands::fields() {
        let Some([fits, excessive]) = field.kind.edge() else {
            continue;
        };
        let case = field.case();
        let mut scene = Scene::set();
        let operation = field.with(&scene, fits);
        assert_eq!(scene.perform(&operation), Ok(()), "{case}");
        let mut scene = Scene::set();
        let operation = field.with(&scene, excessive);
        let refused = scene.refused(&operation);
        assert!(
            refused.to_string().contains(field.what),
            "{case}: {refused}"
        );
        let limit = field.kind.limit().expect("it has one").to_string();
        let told = refused.to_string();
        assert!(told.contains(&limit), "{case}: {told}");
    }
}

#[test]
fn a21_1_a_nul_character_anywhere_in_a_command_is_refused_by_name_and_nothing_is_written() {
    for field in commands::fields() {
        let case = field.case();
        for nul in field.kind.nuls() {
            let mut scene = Scene::set();
            let operation = field.with(&scene, nul.clone());
            let refused = scene.refused(&operation);
            let Rejection::InvalidCommand { what, problem } = &refused else {
                panic!("{case} {nul:?}: {refused}");
            };
            assert_eq!(what, field.what, "{case} {nul:?}");
            let told = problem.contains("NUL") || problem.contains("control characters");
            assert!(told, "{case} {nul:?}: {problem}");
        }
    }
}

#[test]
fn what_merely_looks_like_a_nul_character_is_taken() {
    for field in commands::fields() {
        let mut scene = Scene::set();
        let operation = field.with(&scene, field.kind.look_alike());
        assert_eq!(scene.perform(&operation), Ok(()), "{}", field.case());
    }
}

#[test]
fn a21_3_a_run_has_thirty_two_labels_and_no_more() {
    for (count, fits) in [(limits::LABELS, true), (limits::LABELS + 1, false)] {
        for called in [false, true] {
            let mut scene = Scene::set();
            let mut start = scene.start();
            start.labels = (0..count)
                .map(|n| (format!("k{n}"), "v".to_owned()))
                .collect();
            let operation = if called {
                scene.call(start)
            } else {
                scene.begin(start)
            };
            if fits {
                assert_eq!(scene.perform(&operation), Ok(()));
                continue;
            }
            let expected = Rejection::LimitExceeded {
                what: "the number of labels".to_owned(),
                limit: 32,
                found: 33,
            };
            assert_eq!(scene.refused(&operation), expected);
        }
    }
}

#[test]
fn what_was_said_with_a_command_is_not_looked_at_again_when_it_is_repeated() {
    let mut scene = Scene::set();
    let first = resolving(scene.run, 5, Some("first"), Ruling::Resume);
    let reply = scene.desk.resolve(first.clone()).unwrap();
    let mut again = first;
    again.by.comment = Some("a\0b".to_owned());
    assert_eq!(scene.desk.resolve(again).unwrap(), reply);
}

#[test]
fn a_start_waits_for_ten_years_at_most_and_one_for_later_is_refused_and_not_brought_forward() {
    let tick = Duration::from_micros(1);
    let most = limits::SPAN_MAX;
    let now = Scene::set().desk.now;
    let after = |span| Some(StartDelay::At(now.plus(span)));
    for (delay, deadline, refused) in [
        (Some(StartDelay::In(most)), None, None),
        (after(most), None, None),
        (after(Duration::ZERO), Some(most), None),
        (
            Some(StartDelay::In(most + tick)),
            None,
            Some("the number of seconds of the delay"),
        ),
        (
            after(most + tick),
            None,
            Some("the number of seconds of the delay"),
        ),
        (
            None,
            Some(most + tick),
            Some("the number of seconds of the deadline"),
        ),
    ] {
        for called in [false, true] {
            let mut scene = Scene::set();
            let start = Start {
                delay,
                deadline,
                ..scene.start()
            };
            let operation = if called {
                scene.call(start)
            } else {
                scene.begin(start)
            };
            let expected = refused.map(|what| Rejection::LimitExceeded {
                what: what.to_owned(),
                limit: most.as_secs(),
                found: most.as_secs() + 1,
            });
            match expected {
                Some(expected) => assert_eq!(scene.refused(&operation), expected),
                None => assert_eq!(scene.perform(&operation), Ok(())),
            }
        }
    }
}
