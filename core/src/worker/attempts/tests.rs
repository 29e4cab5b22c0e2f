use std::time::Duration;

use super::*;
use crate::operation::{Claimed, SlotReply};
use crate::worker::rig::{LEASE, Rig, config, first, id_of, name, text, unavailable, wait};
use crate::worker::{Input, Reason};

fn report(task: &TaskRow, outcome: Outcome) -> Report {
    Report {
        key: task.key,
        step: task.step,
        token: task.token().unwrap(),
        outcome,
    }
}

#[test]
fn a_claimed_attempt_executes_and_its_outcome_is_reported_under_its_token() {
    let task = first(1);
    let mut rig = Rig::holding(vec![task.clone()]);
    let execution = Execution {
        attempt: id_of(&task),
        task: task.clone(),
        handler: name("work"),
        step: name("first"),
        input: Payload::null(),
        timeout: None,
    };
    assert_eq!(rig.actions(), [Action::Execute(Box::new(execution))]);
    rig.finish(&task);
    let (ticket, settle) = rig.settle();
    assert_eq!(
        settle.reports,
        [report(&task, Outcome::Succeeded { output: text("1") })]
    );
    assert!(!settle.wait);
    rig.settled(ticket, vec![SlotReply::Accepted], vec![]);
    assert!(rig.worker.attempts.held.is_empty());
    assert_eq!(
        rig.deadline(),
        Some((1_000, Reason::Poll)),
        "nothing else is left to wake for"
    );
}

#[test]
fn engine_items_are_reported_at_once() {
    let lost = TaskRow {
        expired: true,
        ..first(2)
    };
    let mut rig = Rig::holding(vec![wait(1), lost.clone()]);
    let (_, settle) = rig.settle();
    let expected = [
        report(&wait(1), Outcome::Engine(Item::Wait)),
        report(&lost, Outcome::Engine(Item::Loss)),
    ];
    assert_eq!(settle.reports, expected);
}

#[test]
fn a_task_that_is_handed_out_again_is_not_executed_again() {
    let (task, other) = (first(1), first(2));
    let mut rig = Rig::holding(vec![task.clone(), other.clone()]);
    assert_eq!(rig.actions().len(), 2);
    rig.finish(&other);
    let (ticket, _) = rig.settle();
    rig.settled(ticket, vec![SlotReply::Accepted], vec![task.clone()]);
    assert_eq!(rig.actions(), []);
    rig.finish(&task);
    let (ticket, _) = rig.settle();
    rig.settled(ticket, vec![SlotReply::Accepted], vec![]);
    assert_eq!(
        (rig.worker.stats().known, rig.worker.stats().executed),
        (1, 2)
    );
}

#[test]
fn a_task_that_ended_is_not_begun_by_an_older_answer_that_still_names_it() {
    let task = first(1);
    let mut rig = Rig::holding(vec![task.clone()]);
    assert_eq!(rig.actions().len(), 1);
    let (older, _) = rig.at(1_000).claim();
    rig.finish(&task);
    let (ticket, _) = rig.settle();
    rig.settled(ticket, vec![SlotReply::Accepted], vec![]);
    rig.claimed(
        older,
        Claimed {
            tasks: vec![task],
            ..Claimed::default()
        },
    );
    assert_eq!(rig.actions(), []);
    assert_eq!(rig.worker.stats().known, 1);
}

#[test]
fn a5_6_an_attempt_that_exceeds_its_timeout_is_aborted_and_reported() {
    let mut task = first(1);
    task.brief.timeout = Some(Duration::from_millis(700));
    let mut rig = Rig::holding(vec![task.clone()]);
    assert_eq!(rig.actions().len(), 1);
    assert_eq!(rig.deadline(), Some((700, Reason::Timeout)));
    assert_eq!(rig.at(699).actions(), []);
    let actions = rig.at(700).actions();
    assert_eq!(
        actions[0],
        Action::Abort {
            attempt: id_of(&task)
        }
    );
    let Action::Perform {
        operation: crate::operation::Operation::Settle(settle),
        ..
    } = &actions[1]
    else {
        panic!("expected a settle, found {actions:?}");
    };
    let failure = Failure::new(
        "timeout",
        "the attempt exceeded the timeout of its step",
        true,
    );
    assert_eq!(
        settle.reports,
        [report(
            &task,
            Outcome::Failed {
                failure,
                details: None
            }
        )]
    );
    rig.finish(&task);
    assert_eq!(
        rig.actions(),
        [],
        "what it returns after that does not matter"
    );
}

#[test]
fn what_is_said_of_an_unknown_attempt_is_ignored() {
    let mut rig = Rig::idle();
    rig.finish(&first(1));
    rig.handle(Input::Finished {
        attempt: id_of(&wait(2)),
        result: Ok(text("1")),
    });
    assert_eq!(rig.actions(), []);
}

#[test]
fn a_lease_counts_from_when_the_request_was_sent() {
    let mut rig = Rig::of(config());
    rig.worker
        .cache
        .keep_definition(crate::worker::rig::definition());
    let (ticket, _) = rig.claim();
    rig.at(5_000).claimed(
        ticket,
        Claimed {
            tasks: vec![first(1)],
            ..Claimed::default()
        },
    );
    assert_eq!(rig.actions().len(), 1);
    assert_eq!(
        rig.worker.timers.moment(Timer::LeaseEnd(id_of(&first(1)))),
        Some(Moment::from_micros(28_500_000))
    );
}

#[test]
fn a_repeated_claim_leases_from_its_last_sending_what_the_database_says_is_left() {
    let mut rig = Rig::of(config());
    rig.worker
        .cache
        .keep_definition(crate::worker::rig::definition());
    let (ticket, _) = rig.claim();
    rig.error(ticket, unavailable());
    rig.at(10_000).claim();
    let mut task = first(1);
    task.due_at = task.due_at.minus(LEASE / 3);
    rig.at(11_000).claimed(
        ticket,
        Claimed {
            tasks: vec![task.clone()],
            ..Claimed::default()
        },
    );
    assert_eq!(
        rig.worker.timers.moment(Timer::LeaseEnd(id_of(&task))),
        Some(Moment::from_micros(28_500_000))
    );
    let actions = rig.actions();
    assert_eq!(
        actions.len(),
        2,
        "it executes and its lease, of which a third is gone, is renewed: {actions:?}"
    );
}

#[test]
fn a_task_whose_lease_is_over_when_it_arrives_is_handed_back() {
    let mut rig = Rig::of(config());
    rig.worker
        .cache
        .keep_definition(crate::worker::rig::definition());
    let (ticket, _) = rig.claim();
    rig.at(28_500).claimed(
        ticket,
        Claimed {
            tasks: vec![first(1)],
            ..Claimed::default()
        },
    );
    let (_, leases) = rig.leases();
    assert_eq!((leases.renew.len(), leases.hand_back.len()), (0, 1));
}
