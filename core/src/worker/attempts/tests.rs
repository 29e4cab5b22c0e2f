use std::time::Duration;

use super::*;
use crate::definition::LabelIndex;
use crate::operation::{Claimed, HeldReply, Reply, SlotReply};
use crate::payload::OutputRef;
use crate::run::Seq;
use crate::task::TaskKind;
use crate::worker::rig::{
    LEASE, Rig, config, first, id_of, name, second, text, third, unavailable, wait,
};
use crate::worker::{Input, Reason};

fn report(task: &TaskRow, outcome: Outcome) -> Report {
    Report {
        key: task.key,
        step: task.step,
        token: task.token().unwrap(),
        outcome,
    }
}

fn success() -> Outcome {
    Outcome::Succeeded {
        output: text("1"),
        label: None,
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
        transactional: false,
    };
    assert_eq!(rig.actions(), [Action::Execute(Box::new(execution))]);
    rig.finish(&task);
    let (ticket, settle) = rig.settle();
    assert_eq!(settle.reports, [report(&task, success())]);
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
fn a_run_is_in_hand_until_its_last_task_is_dropped_or_told_to_stop() {
    let (task, stopped) = (first(1), first(2));
    let deliver = TaskRow {
        kind: TaskKind::Delivery,
        ..first(3)
    };
    let held = |rig: &Rig, task: &TaskRow| rig.worker.holds(task.key.run);
    let rig = Rig::holding(vec![deliver.clone()]);
    assert!(!held(&rig, &deliver), "its run has ended");
    let mut rig = Rig::holding(vec![task.clone(), stopped.clone()]);
    assert!(held(&rig, &task) && held(&rig, &stopped));
    assert!(!rig.worker.holds(RunId::from_u128(4)));
    rig.worker.stop(id_of(&stopped), StopReason::RunEnding);
    assert!(!held(&rig, &stopped));
    rig.actions();
    rig.finish(&task);
    let (ticket, _) = rig.settle();
    assert!(held(&rig, &task));
    rig.settled(ticket, vec![SlotReply::Accepted], vec![]);
    assert!(!held(&rig, &task));
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
        result: Ok(text("1").into()),
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

#[test]
fn an_undo_gets_the_steps_input_and_output_the_runs_input_and_the_failure() {
    let given = ["1", "\"out\"", "{\"run\":1}", "{\"code\":\"down\"}"].map(text);
    let mut task = second(1, &given[0]);
    task.kind = TaskKind::Undo;
    let place = |payload: &Payload| {
        let seq = Seq(2);
        Some(OutputRef::here(seq, payload.digest()))
    };
    for (failed, expected) in [
        (
            true,
            r#"{"input":1,"output":"out","run_input":{"run":1},"failure":{"code":"down"}}"#,
        ),
        (
            false,
            r#"{"input":1,"output":"out","run_input":{"run":1},"failure":null}"#,
        ),
    ] {
        task.brief.sources = given.iter().map(place).collect();
        if !failed {
            task.brief.sources[3] = None;
        }
        let mut rig = Rig::idle();
        for payload in &given {
            let run = task.key.run;
            rig.worker
                .cache
                .keep_payload(run, payload.digest(), payload.clone());
        }
        let (ticket, _) = rig.at(1_000).claim();
        let tasks = vec![task.clone()];
        rig.claimed(
            ticket,
            Claimed {
                tasks,
                ..Claimed::default()
            },
        );
        let actions = rig.actions();
        let [Action::Execute(execution)] = &actions[..] else {
            panic!("{actions:?}");
        };
        assert_eq!(
            std::str::from_utf8(execution.input.bytes()).unwrap(),
            expected
        );
        let key = format!("{}:second:undo", task.key.run);
        assert_eq!(execution.idempotency_key(), key);
    }
}

#[test]
fn a_label_is_reported_by_its_position_and_one_that_the_step_lacks_fails_the_attempt() {
    let returned = |label: &str| {
        let task = third(1);
        let mut rig = Rig::holding(vec![task.clone()]);
        let (ticket, _) = rig.leases();
        let held = HeldReply::Held {
            lease: LEASE,
            stop: false,
        };
        rig.reply(ticket, Reply::Leased(vec![held]));
        rig.actions();
        rig.handle(Input::Finished {
            attempt: id_of(&task),
            result: Ok(Returned {
                output: text("1"),
                label: Some(label.to_owned()),
            }),
        });
        rig.settle().1.reports[0].outcome.clone()
    };
    let sea = Outcome::Succeeded {
        output: text("1"),
        label: Some(LabelIndex(1)),
    };
    assert_eq!(returned("sea"), sea);
    match returned("rail") {
        Outcome::Failed { failure, .. } => {
            assert_eq!(
                (failure.code.as_str(), failure.retryable),
                ("unknown_label", false)
            );
        }
        other => panic!("{other:?}"),
    }
}
