//! The seeded bugs of the store do what they say.

use squid_mesh_core::mutant::{Mutant, Mutation};
use squid_mesh_core::operation::ScheduleAction;

use super::*;

/// A cancel waits for the report that ends a fork's second branch and hands the join to its reporter.
fn cancel_waits_for_a_report(mutation: Mutation) -> (Rig, RunId) {
    let (mut rig, run) = Rig::with("fork");
    rig.tables = rig.tables.with_mutation(mutation);
    let one = rig.one.clone();
    let held = rig.claim(&one, 1);
    // The more urgent branch has the higher lane; the join goes to the lower one, which is free by then.
    rig.perform(&settling(&one, &held[1], true));
    let reports = vec![report(&held[0], Ending::Succeeded(true))];
    let in_doubt = rig.begin(&one.settle(Shard::default(), reports, 1, true));
    let blocked = rig.blocked(&cancelling(run, true));
    rig.pass(60);
    let _ = rig.tables.commit(in_doubt);
    let conditions = Conditions {
        asked: Some(&blocked.asked),
        ..Conditions::at(rig.now)
    };
    let _ = rig
        .tables
        .perform(&cancelling(run, true), conditions)
        .unwrap()
        .done();
    (rig, run)
}

#[test]
fn a_store_that_reads_its_clock_before_its_locks_decides_in_the_past() {
    let at = |mutation| {
        let (rig, run) = cancel_waits_for_a_report(mutation);
        rig.tables.journal(run, Seq::FIRST).last().unwrap().at
    };
    let late = at(Mutation::NONE).since(at(Mutation::of(Mutant::ClockReadBeforeLocks)));
    assert_eq!(late, Duration::from_secs(60));
}

#[test]
fn a_store_that_reads_tasks_before_it_has_their_runs_misses_what_was_handed_out_meanwhile() {
    for (mutation, status) in [
        (Mutation::NONE, Status::Cancelling),
        (
            Mutation::of(Mutant::TasksReadBeforeRunLock),
            Status::Cancelled,
        ),
    ] {
        let (rig, run) = cancel_waits_for_a_report(mutation);
        assert_eq!(rig.tables.run(run).unwrap().status, status);
    }
}

#[test]
fn a_store_that_reads_what_was_answered_before_its_locks_refuses_a_command_that_it_has_carried_out()
{
    for (mutation, refused) in [
        (Mutation::NONE, false),
        (Mutation::of(Mutant::EntryReadBeforeLocks), true),
    ] {
        let mut rig = Rig::new();
        rig.tables = rig.tables.with_mutation(mutation);
        rig.perform(&schedules::creating(1));
        let delete = schedules::doing(2, ScheduleAction::Delete);
        let in_doubt = rig.begin(&delete);
        let asked = rig.blocked(&delete).asked;
        let _ = rig.tables.commit(in_doubt);
        let conditions = Conditions {
            asked: Some(&asked),
            ..Conditions::at(rig.now)
        };
        let again = rig.tables.perform(&delete, conditions).unwrap();
        let reply = again.done().reply;
        assert_eq!(
            matches!(reply, Reply::Schedule(Err(_))),
            refused,
            "{reply:?}"
        );
    }
}

#[test]
fn a_torn_write_leaves_out_the_journal_row_of_the_last_of_several_runs() {
    let mut rig = Rig::new();
    rig.tables = rig.tables.with_mutation(Mutation::of(Mutant::TornWrite));
    let entry = |number| {
        Entry::Start(Box::new(start(
            number,
            &workflow("chain"),
            0,
            None,
            json("1"),
        )))
    };
    rig.perform(&submit(Shards::ONE, vec![entry(1), entry(2)]));
    let rows: Vec<usize> = rig
        .tables
        .runs()
        .map(|row| rig.tables.journal(row.id, Seq::FIRST).count())
        .collect();
    assert_eq!(rows, [1, 0]);
}
