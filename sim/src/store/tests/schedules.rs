//! Who waits for whom while an operation about a schedule is in doubt.

use squid_mesh_core::operation::{Outcome, ScheduleAction, ScheduleCommand, ScheduleReply};
use squid_mesh_core::schedule::{Overlap, PlanDraft, ScheduleKey, ScheduleRow, Standing};
use squid_mesh_core::verify;

use super::*;
use crate::conformance::schedules::{command, declaration, plan};

fn key() -> ScheduleKey {
    ScheduleKey::Named("nightly".to_owned())
}

pub(super) fn doing(number: u32, action: ScheduleAction) -> Operation {
    command(Shards::ONE, number, &key(), action)
}

/// Each second, one run at a time.
pub(super) fn creating(number: u32) -> Operation {
    let each_second = plan(PlanDraft {
        overlap: Some(Overlap::QueueOne),
        ..PlanDraft::cron("* * * * * *", "UTC")
    });
    doing(number, ScheduleAction::Create(declaration(each_second, 0)))
}

fn answer(reply: Reply) -> ScheduleReply {
    match reply {
        Reply::Schedule(Ok(reply)) => reply,
        reply => panic!("no answer about a schedule: {reply:?}"),
    }
}

/// A schedule that is due, and the worker that has claimed its task.
fn due() -> (Rig, Worker, TaskRow) {
    let mut rig = Rig::new();
    rig.perform(&creating(1));
    rig.pass(1);
    let one = rig.one.clone();
    let task = rig.claim(&one, 1).remove(0);
    (rig, one, task)
}

fn follows(rig: &Rig) -> bool {
    let row = rig.tables.schedule(key().id()).unwrap().read().unwrap();
    verify::schedule(&row, rig.tables.task(&key().id().task())).is_empty()
}

#[test]
fn a_schedule_in_doubt_is_busy_for_who_does_not_wait_and_waited_for_by_commands() {
    for lands in [true, false] {
        let (mut rig, one, task) = due();
        let in_doubt = rig.begin(&settling(&one, &task, true));
        let other = doing(2, ScheduleAction::Pause);
        assert_eq!(
            slots(rig.perform(&settling(&one, &task, false))),
            [SlotReply::Busy]
        );
        assert_eq!(rig.blocked(&settling(&one, &task, true)).on, in_doubt.id());
        assert_eq!(rig.blocked(&other).on, in_doubt.id());
        if lands {
            let landed = rig.tables.commit(in_doubt);
            assert_eq!(landed.touched.schedules, [key().id()]);
        } else {
            rig.tables.rollback(in_doubt);
        }
        let paused = answer(rig.perform(&other));
        assert_eq!(
            (paused.standing, paused.next),
            (Some(Standing::Paused), None)
        );
        // Its task is gone, so the report finds nothing to do.
        assert_eq!(
            slots(rig.perform(&settling(&one, &task, true))),
            [SlotReply::Accepted]
        );
        assert_eq!(rig.tables.runs().count(), usize::from(lands));
        assert!(follows(&rig));
    }
}

#[test]
fn a_schedule_whose_creation_is_in_doubt_is_seen_by_nobody_and_holds_back_its_rival() {
    for lands in [true, false] {
        let mut rig = Rig::new();
        let in_doubt = rig.begin(&creating(1));
        assert_eq!(rig.tables.schedules().count(), 0);
        assert_eq!(
            rig.perform(&doing(2, ScheduleAction::Pause)),
            Reply::Schedule(Err(Rejection::UnknownSchedule {
                schedule: key().to_string()
            }))
        );
        assert_eq!(rig.blocked(&creating(3)).on, in_doubt.id());
        if lands {
            let _ = rig.tables.commit(in_doubt);
        } else {
            rig.tables.rollback(in_doubt);
        }
        assert_eq!(answer(rig.perform(&creating(3))).changed, !lands);
    }
}

/// Only the schedule's row tells which run that is, so it is read last.
#[test]
fn a_firing_waits_for_the_run_before_or_finds_it_busy() {
    let (mut rig, one, task) = due();
    rig.perform(&settling(&one, &task, true));
    rig.pass(1);
    let tasks = rig.claim(&one, 2);
    let (again, step) = match tasks.as_slice() {
        [one, other] if one.key == task.key => (one.clone(), other.clone()),
        [one, other] => (other.clone(), one.clone()),
        other => panic!("{other:?}"),
    };
    let in_doubt = rig.begin(&settling(&one, &step, true));
    assert_eq!(
        slots(rig.perform(&settling(&one, &again, false))),
        [SlotReply::Busy]
    );
    assert_eq!(rig.blocked(&settling(&one, &again, true)).on, in_doubt.id());
    let _ = rig.tables.commit(in_doubt);
    assert_eq!(
        slots(rig.perform(&settling(&one, &again, true))),
        [SlotReply::Accepted]
    );
    assert_eq!(rig.tables.runs().count(), 1);
    let row = rig.tables.schedule(key().id()).unwrap().read().unwrap();
    assert!(row.state.waiting.is_some());
    assert!(follows(&rig));
}

#[test]
fn the_task_of_a_busy_schedule_is_neither_read_nor_locked() {
    let (mut rig, one, task) = due();
    let renewal = rig.begin(&renewing(&task));
    // Who holds the schedule waits for its task.
    assert_eq!(rig.blocked(&settling(&one, &task, false)).on, renewal.id());
    rig.tables.rollback(renewal);
    let in_doubt = rig.begin(&doing(2, ScheduleAction::Pause));
    assert_eq!(
        slots(rig.perform(&settling(&one, &task, false))),
        [SlotReply::Busy]
    );
    assert_eq!(
        rig.perform(&renewing(&task)),
        Reply::Leased(vec![HeldReply::Busy])
    );
    rig.tables.rollback(in_doubt);
}

#[test]
fn a_schedule_is_not_found_in_another_shard_than_its_own() {
    let shards = Shards::new(8).unwrap();
    let mut rig = Rig {
        tables: Tables::new(shards),
        ..Rig::new()
    };
    let own = key().id().shard(shards);
    let place = |operation: Operation, shard| match operation {
        Operation::Schedule(command) => {
            let command = ScheduleCommand { shard, ..*command };
            Operation::Schedule(Box::new(command))
        }
        other => other,
    };
    rig.perform(&place(creating(1), own));
    let astray = place(
        doing(2, ScheduleAction::Pause),
        Shard::from_u16((own.as_u16() + 1) % 8),
    );
    assert!(matches!(
        rig.perform(&astray),
        Reply::Schedule(Err(Rejection::UnknownSchedule { .. }))
    ));
}

#[test]
fn a_firing_writes_what_became_of_a_schedule_and_nothing_that_was_declared() {
    for definition in [Some(workflow("chain")), None] {
        let (mut rig, one, task) = due();
        let before = rig.tables.schedule(key().id()).unwrap().clone();
        let mut fired = settling(&one, &task, true);
        if let Operation::Settle(settle) = &mut fired {
            settle.reports[0].outcome = Outcome::Fired { definition };
        }
        rig.perform(&fired);
        let after = rig.tables.schedule(key().id()).unwrap().clone();
        assert_ne!(after.state, before.state);
        let expected = ScheduleRow {
            seq: before.seq.next(),
            state: after.state.clone(),
            updated: rig.now,
            ..before
        };
        assert_eq!(after, expected);
    }
}
