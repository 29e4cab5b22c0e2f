use super::*;
use crate::operation::{Reply, SlotReply};
use crate::task::TaskRow;
use crate::worker::rig::{LEASE, Rig, config, first, id_of, third, unavailable};
use crate::worker::{Action, Config, Reason};

const HELD: HeldReply = HeldReply::Held {
    lease: LEASE,
    stop: false,
};

/// A worker that executes these tasks, and does not poll for a long time.
fn executing(tasks: Vec<TaskRow>) -> Rig {
    let mut rig = Rig::holding_of(
        Config {
            poll: LEASE * 100,
            ..config()
        },
        tasks.clone(),
    );
    assert_eq!(rig.actions().len(), tasks.len());
    rig
}

fn held(task: &TaskRow) -> Held {
    Held {
        key: task.key,
        token: task.token().unwrap(),
    }
}

fn stop(task: &TaskRow, reason: StopReason) -> Action {
    Action::Stop {
        attempt: id_of(task),
        reason,
    }
}

#[test]
fn leases_are_renewed_together_at_a_third_and_again_a_third_later() {
    let (a, b) = (first(1), first(2));
    let mut rig = executing(vec![a.clone(), b.clone()]);
    for third in 1..=5 {
        assert_eq!(rig.deadline(), Some((third * 10_000, Reason::Renewal)));
        assert_eq!(rig.at(third * 10_000 - 1).actions(), []);
        let (ticket, leases) = rig.at(third * 10_000).leases();
        assert_eq!(leases.renew, [held(&a), held(&b)]);
        assert_eq!(
            (leases.lease, leases.begun.len(), leases.hand_back.len()),
            (LEASE, 0, 0)
        );
        rig.reply(ticket, Reply::Leased(vec![HELD, HELD]));
        assert_eq!(rig.actions(), []);
    }
}

#[test]
fn a_handler_is_told_once_before_a_lease_ends_that_could_not_be_renewed() {
    let task = first(1);
    let mut rig = executing(vec![task.clone()]);
    let (ticket, _) = rig.at(10_000).leases();
    assert_eq!(
        rig.deadline(),
        Some((28_500, Reason::LeaseEnd)),
        "a twentieth before its end"
    );
    assert_eq!(rig.at(28_499).actions(), []);
    assert_eq!(
        rig.at(28_500).actions(),
        [stop(&task, StopReason::LeaseEnding)]
    );
    rig.error(ticket, unavailable());
    let (ticket, _) = rig.at(28_600).leases();
    rig.reply(ticket, Reply::Leased(vec![HeldReply::Lost]));
    assert_eq!(rig.at(90_000).actions(), []);
    rig.finish(&task);
    let (ticket, settle) = rig.settle();
    assert_eq!(
        settle.reports.len(),
        1,
        "only the store knows whether the report still counts"
    );
    let stale = crate::operation::Rejection::Stale {
        run: task.key.run,
        step: 0,
    };
    rig.settled(ticket, vec![SlotReply::Rejected(stale)], vec![]);
    assert_eq!(
        (rig.worker.stats().rejected, rig.worker.attempts.held.len()),
        (1, 0)
    );
}

#[test]
fn a_renewed_lease_lasts_from_when_the_renewal_was_sent_for_as_long_as_was_granted() {
    let task = first(1);
    let mut rig = executing(vec![task.clone()]);
    let (ticket, _) = rig.at(10_000).leases();
    let capped = HeldReply::Held {
        lease: LEASE / 6,
        stop: false,
    };
    rig.at(11_000).reply(ticket, Reply::Leased(vec![capped]));
    assert_eq!(rig.actions(), []);
    assert_eq!(rig.deadline(), Some((13_500, Reason::LeaseEnd)));
    assert_eq!(
        rig.at(13_500).actions(),
        [stop(&task, StopReason::LeaseEnding)]
    );
}

#[test]
fn an_attempt_of_a_run_that_is_ending_is_told_so_once_and_keeps_its_lease() {
    let task = first(1);
    let mut rig = executing(vec![task.clone()]);
    let stopping = HeldReply::Held {
        lease: LEASE,
        stop: true,
    };
    let (ticket, _) = rig.at(10_000).leases();
    rig.reply(ticket, Reply::Leased(vec![stopping]));
    assert_eq!(rig.actions(), [stop(&task, StopReason::RunEnding)]);
    let (ticket, _) = rig.at(20_000).leases();
    rig.reply(ticket, Reply::Leased(vec![stopping]));
    assert_eq!(rig.actions(), []);
}

#[test]
fn a_lost_lease_is_not_renewed_any_more() {
    let (a, b) = (first(1), first(2));
    let mut rig = executing(vec![a.clone(), b.clone()]);
    let (ticket, _) = rig.at(10_000).leases();
    rig.reply(ticket, Reply::Leased(vec![HeldReply::Lost, HELD]));
    assert_eq!(rig.actions(), [stop(&a, StopReason::LeaseLost)]);
    assert_eq!(rig.at(20_000).leases().1.renew, [held(&b)]);
    assert_eq!(rig.worker.stats().leases_lost, 1);
}

#[test]
fn a_lease_that_is_locked_elsewhere_is_asked_for_again_almost_at_once() {
    let (a, b) = (first(1), first(2));
    let mut rig = executing(vec![a.clone(), b]);
    let (ticket, _) = rig.at(10_000).leases();
    rig.reply(ticket, Reply::Leased(vec![HeldReply::Busy, HELD]));
    assert_eq!(
        rig.actions(),
        [],
        "not in the same moment, or it would spin"
    );
    let (ticket, leases) = rig.at(10_001).leases();
    assert_eq!(leases.renew, [held(&a)]);
    rig.reply(ticket, Reply::Leased(vec![HeldReply::Busy]));
    assert!(matches!(
        rig.deadline(),
        Some((10_002..=10_003, Reason::Backoff))
    ));
}

#[test]
fn an_outage_shorter_than_a_lease_costs_none() {
    let task = first(1);
    let mut rig = executing(vec![task.clone()]);
    let mut expected = Reason::Renewal;
    while rig.now < Moment::from_micros(22_000_000) {
        let (at, reason) = rig.worker.deadline().unwrap();
        assert_eq!(reason, expected);
        rig.now = at;
        let (ticket, leases) = rig.leases();
        assert_eq!(leases.renew, [held(&task)]);
        rig.error(ticket, unavailable());
        assert_eq!(rig.actions(), []);
        expected = Reason::Backoff;
    }
    rig.now = rig.worker.deadline().unwrap().0;
    let (ticket, _) = rig.leases();
    rig.reply(ticket, Reply::Leased(vec![HELD]));
    assert_eq!(rig.actions(), []);
    assert_eq!(rig.deadline().unwrap().1, Reason::Renewal);
}

#[test]
fn more_leases_than_one_operation_takes_are_renewed_by_several() {
    let slots = u32::try_from(limits::BATCH).unwrap() + 1;
    let queues = vec![crate::worker::QueueConfig {
        name: crate::worker::rig::name("default"),
        slots,
    }];
    let tasks: Vec<TaskRow> = (0..slots.into()).map(first).collect();
    let mut rig = Rig::holding_of(
        Config {
            queues,
            poll: LEASE * 100,
            ..config()
        },
        tasks,
    );
    assert_eq!(rig.actions().len(), limits::BATCH + 1);
    let (ticket, leases) = rig.at(10_000).leases();
    assert_eq!(leases.renew.len(), limits::BATCH);
    rig.reply(ticket, Reply::Leased(vec![HELD; limits::BATCH]));
    assert_eq!(rig.leases().1.renew.len(), 1);
}

#[test]
fn reports_that_wait_keep_their_leases() {
    let task = first(1);
    let mut rig = executing(vec![task.clone()]);
    rig.finish(&task);
    rig.settle();
    assert_eq!(rig.at(10_000).leases().1.renew, [held(&task)]);
}

/// A worker that claimed a step whose body must not begin before that is on record, and what it asks for.
fn beginning(task: &TaskRow) -> (Rig, crate::worker::Ticket) {
    let mut rig = Rig::holding(vec![task.clone()]);
    let (ticket, leases) = rig.leases();
    assert_eq!(leases.begun, [held(task)]);
    assert_eq!((leases.renew.len(), leases.hand_back.len()), (0, 0));
    (rig, ticket)
}

#[test]
fn a_step_that_is_held_when_lost_begins_only_once_that_is_on_record() {
    let task = third(1);
    let (mut rig, ticket) = beginning(&task);
    assert_eq!(rig.actions(), []);
    rig.reply(ticket, Reply::Leased(vec![HELD]));
    let actions = rig.actions();
    assert!(
        matches!(&actions[..], [Action::Execute(execution)] if execution.attempt == id_of(&task)),
        "{actions:?}"
    );
    rig.finish(&task);
    rig.settle();
}

#[test]
fn a_mark_whose_commit_is_unknown_is_asked_for_again_before_the_body_begins() {
    let task = third(1);
    let (mut rig, ticket) = beginning(&task);
    rig.error(ticket, unavailable());
    assert_eq!(rig.actions(), []);
    let (at, reason) = rig.deadline().unwrap();
    assert_eq!(reason, Reason::Backoff);
    let (ticket, leases) = rig.at(at + 1).leases();
    assert_eq!(leases.begun, [held(&task)]);
    rig.reply(ticket, Reply::Leased(vec![HeldReply::Busy]));
    let (at, _) = rig.deadline().unwrap();
    let (ticket, leases) = rig.at(at + 1).leases();
    assert_eq!(
        leases.begun,
        [held(&task)],
        "a locked row is asked about again"
    );
    rig.reply(ticket, Reply::Leased(vec![HELD]));
    assert!(matches!(&rig.actions()[..], [Action::Execute(_)]));
}

#[test]
fn a13_9_a_body_does_not_begin_in_a_run_that_is_ending() {
    let task = third(1);
    let (mut rig, ticket) = beginning(&task);
    let stop = HeldReply::Held {
        lease: LEASE,
        stop: true,
    };
    rig.reply(ticket, Reply::Leased(vec![stop]));
    let (ticket, leases) = rig.leases();
    assert_eq!(leases.hand_back, [held(&task)]);
    rig.reply(ticket, Reply::Leased(vec![HeldReply::HandedBack]));
    assert!(rig.worker.attempts.held.is_empty());
}

#[test]
fn a_body_whose_lease_is_gone_before_it_began_is_forgotten() {
    let task = third(1);
    let (mut rig, ticket) = beginning(&task);
    rig.reply(ticket, Reply::Leased(vec![HeldReply::Lost]));
    assert_eq!(rig.actions(), []);
    assert!(rig.worker.attempts.held.is_empty());
}

#[test]
fn a_shutdown_hands_back_what_waits_for_its_mark_and_ignores_the_mark() {
    let task = third(1);
    let (mut rig, ticket) = beginning(&task);
    rig.handle(crate::worker::Input::Drain);
    assert_eq!(rig.actions(), []);
    rig.reply(ticket, Reply::Leased(vec![HELD]));
    let (ticket, leases) = rig.leases();
    assert_eq!(leases.hand_back, [held(&task)]);
    rig.reply(ticket, Reply::Leased(vec![HeldReply::HandedBack]));
    assert_eq!(rig.actions(), [Action::Stopped]);
}

#[test]
fn a_lease_that_is_about_to_end_before_the_mark_came_is_handed_back() {
    let task = third(1);
    let (mut rig, ticket) = beginning(&task);
    rig.at(29_000).actions();
    rig.reply(ticket, Reply::Leased(vec![HELD]));
    let (_, leases) = rig.leases();
    assert_eq!(leases.hand_back, [held(&task)]);
}
