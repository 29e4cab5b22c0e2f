use std::time::Duration;

use super::*;
use crate::operation::{Claimed, Operation, Outcome, SlotReply};
use crate::worker::rig::{Rig, config, definition, first, id_of, second, text, unavailable};
use crate::worker::{Execution, Reason};

fn places(tasks: &[&TaskRow]) -> Vec<PayloadRef> {
    tasks
        .iter()
        .flat_map(|task| {
            task.brief
                .sources
                .iter()
                .flatten()
                .map(|source| source.of(task.key.run))
        })
        .collect()
}

fn input(action: &Action) -> &[u8] {
    match action {
        Action::Execute(execution) => execution.input.bytes(),
        other => panic!("expected an attempt, found {other:?}"),
    }
}

/// A worker that has nothing cached and just claimed these tasks.
fn fetching(tasks: &[&TaskRow]) -> Rig {
    let mut rig = Rig::of(config());
    let (ticket, _) = rig.claim();
    let tasks = tasks.iter().map(|task| (*task).clone()).collect();
    rig.claimed(
        ticket,
        Claimed {
            tasks,
            ..Claimed::default()
        },
    );
    rig
}

#[test]
fn one_fetch_serves_many_tasks_and_what_it_brings_is_kept() {
    let (a, b) = (second(1, &text("1")), second(2, &text("2")));
    let mut rig = fetching(&[&a, &b, &first(3)]);
    let (ticket, wanted) = rig.fetch();
    assert_eq!(wanted.payloads, places(&[&a, &b]).into_iter().collect());
    assert_eq!(wanted.definitions, [definition().key().clone()].into());
    let payloads = places(&[&a, &b])
        .into_iter()
        .zip([text("1"), text("2")])
        .collect();
    rig.fetched(
        ticket,
        Fetched {
            payloads,
            definitions: vec![definition()],
            ..Fetched::default()
        },
    );
    let actions = rig.actions();
    assert_eq!(
        actions.iter().map(input).collect::<Vec<_>>(),
        [&b"1"[..], b"2", b"null"]
    );
    let mut again = second(1, &text("1"));
    again.fence.claims += 1;
    let (ticket, _) = rig.at(1_000).claim();
    rig.claimed(
        ticket,
        Claimed {
            tasks: vec![again],
            ..Claimed::default()
        },
    );
    assert_eq!(rig.actions().len(), 1, "nothing is fetched twice");
}

#[test]
fn while_a_fetch_is_in_flight_the_next_one_gathers() {
    let (a, b, c) = (
        second(1, &text("1")),
        second(2, &text("2")),
        second(3, &text("3")),
    );
    let mut rig = fetching(&[&a]);
    let (fetch, _) = rig.fetch();
    let (claim, _) = rig.at(1_000).claim();
    rig.claimed(
        claim,
        Claimed {
            tasks: vec![b.clone(), c.clone()],
            ..Claimed::default()
        },
    );
    assert_eq!(rig.actions(), []);
    let payloads = vec![(places(&[&a])[0], text("1"))];
    rig.fetched(
        fetch,
        Fetched {
            payloads,
            definitions: vec![definition()],
            ..Fetched::default()
        },
    );
    let actions = rig.actions();
    assert_eq!(input(&actions[0]), b"1");
    let Action::Fetch { wanted, .. } = &actions[1] else {
        panic!("expected a fetch, found {actions:?}")
    };
    assert_eq!(wanted.payloads, places(&[&b, &c]).into_iter().collect());
    assert!(wanted.definitions.is_empty());
}

#[test]
fn a_step_that_follows_one_executed_here_needs_no_fetch_once_that_is_recorded() {
    let task = first(1);
    let mut rig = Rig::holding(vec![task.clone()]);
    assert_eq!(rig.actions().len(), 1);
    rig.finish(&task);
    let (ticket, _) = rig.settle();
    let next = second(1, &text("1"));
    rig.settled(ticket, vec![SlotReply::Accepted], vec![next.clone()]);
    let actions = rig.actions();
    assert!(
        matches!(&actions[..], [Action::Execute(e)] if **e == Execution {
            attempt: id_of(&next), task: next, handler: e.handler.clone(), step: e.step.clone(), input: text("1"), timeout: None,
            transactional: false,
        })
    );
}

#[test]
fn what_does_not_exist_halts_the_runs_that_need_it_and_no_other() {
    let (a, b) = (second(1, &text("1")), second(2, &text("2")));
    let mut rig = fetching(&[&a, &b]);
    let (ticket, _) = rig.fetch();
    let payloads = vec![(places(&[&b])[0], text("2"))];
    rig.fetched(
        ticket,
        Fetched {
            payloads,
            definitions: vec![definition()],
            ..Fetched::default()
        },
    );
    let actions = rig.actions();
    assert_eq!(input(&actions[0]), b"2");
    let Action::Perform {
        operation: Operation::Settle(settle),
        ..
    } = &actions[1]
    else {
        panic!("expected a settle, found {actions:?}");
    };
    assert!(
        matches!(&settle.reports[..], [report] if report.key == a.key && matches!(
            &report.outcome, Outcome::Unreadable { detail } if detail.contains("has no payload")
        ))
    );
}

#[test]
fn an_unreadable_payload_is_found_by_fetching_one_by_one() {
    let (a, b) = (second(1, &text("1")), second(2, &text("2")));
    let mut rig = fetching(&[&a, &b]);
    rig.worker.cache.keep_definition(definition());
    let corrupt = || {
        Err(StoreError::Corrupt {
            detail: "digest differs".into(),
        })
    };
    let (ticket, wanted) = rig.fetch();
    assert_eq!(wanted.payloads.len() + wanted.definitions.len(), 3);
    rig.worker.handle(
        crate::worker::Input::Fetched {
            ticket,
            result: corrupt(),
        },
        rig.now,
    );
    let (ticket, wanted) = rig.fetch();
    assert_eq!((wanted.payloads.len(), wanted.definitions.len()), (0, 1));
    rig.fetched(
        ticket,
        Fetched {
            payloads: vec![],
            definitions: vec![definition()],
            ..Fetched::default()
        },
    );
    let (ticket, wanted) = rig.fetch();
    assert_eq!(wanted.payloads, places(&[&a]).into_iter().collect());
    rig.worker.handle(
        crate::worker::Input::Fetched {
            ticket,
            result: corrupt(),
        },
        rig.now,
    );
    let actions = rig.actions();
    assert!(
        matches!(
            &actions[0],
            Action::Perform {
                operation: Operation::Settle(_),
                ..
            }
        ),
        "{actions:?}"
    );
    let Action::Fetch { ticket, wanted } = &actions[1] else {
        panic!("expected a fetch, found {actions:?}")
    };
    assert_eq!(wanted.payloads, places(&[&b]).into_iter().collect());
    rig.fetched(
        *ticket,
        Fetched {
            payloads: vec![(places(&[&b])[0], text("2"))],
            definitions: vec![],
            ..Fetched::default()
        },
    );
    assert_eq!(input(&rig.actions()[0]), b"2");
}

#[test]
fn a_fetch_that_is_not_answered_is_tried_again_while_leases_are_renewed() {
    let task = second(1, &text("1"));
    let mut rig = fetching(&[&task]);
    let (ticket, wanted) = rig.fetch();
    rig.worker.handle(
        crate::worker::Input::Fetched {
            ticket,
            result: Err(unavailable()),
        },
        rig.now,
    );
    assert_eq!(rig.actions(), []);
    assert!(matches!(rig.deadline(), Some((1..=20, Reason::Backoff))));
    assert_eq!(rig.at(20).fetch().1, wanted);
    let (claim, _) = rig.at(1_000).claim();
    rig.error(claim, unavailable());
    rig.now = rig.now.plus(Duration::from_secs(9));
    let actions = rig.actions();
    let renews = |action: &Action| matches!(action, Action::Perform { operation: Operation::Lease(l), .. } if l.renew.len() == 1);
    assert!(actions.iter().any(renews), "{actions:?}");
}

#[test]
fn a_task_that_could_not_begin_before_its_lease_ends_is_handed_back() {
    let task = second(1, &text("1"));
    let mut rig = fetching(&[&task]);
    let (fetch, _) = rig.fetch();
    let (renewal, _) = rig
        .at(10_000)
        .actions()
        .into_iter()
        .find_map(|action| match action {
            Action::Perform {
                ticket,
                operation: Operation::Lease(leases),
            } => Some((ticket, leases)),
            _ => None,
        })
        .unwrap();
    rig.at(28_500).actions();
    rig.error(renewal, unavailable());
    rig.at(29_000);
    let (_, leases) = rig.leases();
    assert_eq!((leases.renew.len(), leases.hand_back.len()), (0, 1));
    let payloads = vec![(places(&[&task])[0], text("1"))];
    rig.fetched(
        fetch,
        Fetched {
            payloads,
            definitions: vec![definition()],
            ..Fetched::default()
        },
    );
    assert_eq!(rig.actions(), []);
}
