//! Steps that need what cannot be read.

use squid_mesh_core::explain::{Evidence, NextAction, Reason, explain};
use squid_mesh_core::operation::{Outcome, Rejection, Report, SlotReply};
use squid_mesh_core::run::{Seq, Status};
use squid_mesh_core::task::TaskRow;

use crate::desk::{Desk, chain, secs, success};

/// Reports that what a step needs cannot be read, twice, as if the first answer had been lost.
fn report_unreadable(desk: &mut Desk, task: &TaskRow) {
    let report = Report {
        outcome: Outcome::Unreadable {
            detail: "the payload at 1 is another".to_owned(),
        },
        ..success(task)
    };
    assert_eq!(desk.settle(1, report.clone()), SlotReply::Accepted);
    assert_eq!(desk.settle(1, report), SlotReply::Accepted);
}

#[test]
fn a_step_that_needs_what_cannot_be_read_is_put_aside_until_somebody_ends_the_run() {
    let mut desk = Desk::new(chain(2));
    let run = desk.start();
    let task = desk.claim_one(1);
    report_unreadable(&mut desk, &task);
    assert_eq!(desk.journal_length(run), 1, "nothing is recorded of it");
    desk.pass(secs(86_400));
    assert_eq!(desk.claim(2), [], "nobody tries again");
    let record = desk.tables.record(run, desk.now).unwrap();
    let explanation = explain(&record, &desk.definition, &[]);
    assert_eq!(explanation.reason, Reason::Unreadable, "{explanation:?}");
    let needed = Evidence::Journal { seq: Seq(1) };
    assert!(explanation.evidence.contains(&needed), "{explanation:?}");
    assert_eq!(
        explanation.next_actions,
        [NextAction::Cancel, NextAction::CancelForce]
    );
    desk.try_cancel(run, false).unwrap();
    assert_eq!(desk.status(run), Status::Cancelled);
    assert_eq!(desk.tables.tasks().count(), 0);
}

#[test]
fn a_step_that_was_told_to_stop_and_could_not_read_what_it_needs_ends_its_run() {
    let mut desk = Desk::new(chain(2));
    let run = desk.start();
    let task = desk.claim_one(1);
    desk.try_cancel(run, false).unwrap();
    assert_eq!(desk.status(run), Status::Cancelling);
    report_unreadable(&mut desk, &task);
    assert_eq!(desk.status(run), Status::Cancelled);
}

#[test]
fn the_task_of_a_run_of_a_newer_format_waits_for_an_engine_that_reads_it() {
    let mut desk = Desk::new(chain(2));
    let run = desk.start();
    let task = desk.claim_one(1);
    desk.tables.damage(run, vec![u8::MAX, 1, 2]);
    let reply = desk.settle(1, success(&task));
    assert!(
        matches!(&reply, SlotReply::Rejected(Rejection::Unreadable { .. })),
        "{reply:?}"
    );
    let row = desk.tables.task(&task.key).unwrap();
    assert_eq!((row.owner, row.format), (None, u16::from(u8::MAX)));
    assert_eq!(row.due_at, desk.now, "it is due for whoever reads it");
    desk.pass(secs(86_400));
    assert_eq!(desk.claim(2), []);
}
