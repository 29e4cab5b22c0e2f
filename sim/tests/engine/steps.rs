//! Attempts: hand-off, idempotent settling, batches.

use squid_mesh_core::definition::{Draft, DraftRetry, DraftStep};
use squid_mesh_core::explain::{Evidence, Reason};
use squid_mesh_core::operation::{Rejection, Reply, SlotReply};
use squid_mesh_core::run::{Stage, Status};
use squid_mesh_core::task::Lane;

use crate::desk::{Desk, LEASE, chain, engine, failure, secs, success};

#[test]
fn a_chain_costs_one_settle_a_step_when_the_worker_has_a_slot() {
    let mut desk = Desk::new(chain(3));
    let run = desk.start();
    let mut task = desk.claim_one(1);
    for _ in 0..2 {
        let settle = desk.settle_operation(1, vec![success(&task)], 1);
        let Reply::Settled { mut handed, .. } = desk.perform(&settle) else {
            panic!("no settle reply")
        };
        task = handed.remove(0);
        assert_eq!((task.key.lane, task.fence.claims), (Lane(0), 1));
    }
    desk.settle(1, success(&task));
    assert_eq!(desk.status(run), Status::Completed);
    assert_eq!(desk.tables.tasks().count(), 0);
}

#[test]
fn a_hand_off_changes_nothing_indexed_while_two_thirds_of_the_lease_remain() {
    let mut desk = Desk::new(chain(3));
    desk.start();
    let first = desk.claim_one(1);
    desk.pass(secs(9));
    let settle = desk.settle_operation(1, vec![success(&first)], 1);
    let Reply::Settled { handed, .. } = desk.perform(&settle) else {
        panic!("no settle reply")
    };
    assert_eq!(handed[0].due_at, first.due_at);
    desk.pass(secs(9));
    let settle = desk.settle_operation(1, vec![success(&handed[0])], 1);
    let Reply::Settled { handed, .. } = desk.perform(&settle) else {
        panic!("no settle reply")
    };
    assert_eq!(
        handed[0].due_at,
        desk.now.plus(LEASE),
        "too little remained"
    );
}

#[test]
fn a5_12_a_settle_repeated_word_for_word_is_answered_alike_and_writes_nothing() {
    let mut desk = Desk::new(chain(2));
    let run = desk.start();
    let task = desk.claim_one(1);
    let settle = desk.settle_operation(1, vec![success(&task)], 1);
    let first = desk.perform(&settle);
    let length = desk.journal_length(run);
    let second = desk.perform(&settle);
    let (
        Reply::Settled {
            slots: a,
            handed: x,
            ..
        },
        Reply::Settled {
            slots: b,
            handed: y,
            ..
        },
    ) = (first, second)
    else {
        panic!("no settle replies")
    };
    assert_eq!((a, x), (b, y));
    assert_eq!(desk.journal_length(run), length);
    let other = desk.settle(1, failure(&task, true));
    assert_eq!(
        other,
        SlotReply::Rejected(Rejection::OtherOutcome { run, step: 0 })
    );
}

#[test]
fn a21_5_a_late_report_on_an_ended_run_is_rejected_as_finished() {
    let mut desk = Desk::new(chain(1));
    let run = desk.start();
    let zombie = desk.claim_one(1);
    desk.pass(LEASE);
    assert_eq!(desk.run_engine(2), 1);
    let task = desk.claim_one(2);
    desk.settle(2, success(&task));
    let length = desk.journal_length(run);
    let finished = Rejection::Finished {
        run,
        status: Status::Completed,
    };
    assert_eq!(
        desk.settle(1, success(&zombie)),
        SlotReply::Rejected(finished)
    );
    assert_eq!(desk.journal_length(run), length);
}

#[test]
fn a6_5_a_lost_attempt_is_recorded_before_the_step_runs_again() {
    let mut desk = Desk::new(chain(1));
    let run = desk.start();
    desk.claim_one(1);
    desk.pass(LEASE);
    let item = desk.claim_one(2);
    assert!(
        item.expired,
        "an expired lease is no hand-out for execution"
    );
    desk.settle(2, engine(&item));
    let task = desk.claim_one(2);
    assert_eq!(task.attempt, 2);
    desk.settle(2, success(&task));
    let step = desk.run(run).steps()[0].clone();
    assert_eq!(
        (step.tries.lost, step.tries.executed, desk.status(run)),
        (1, 1, Status::Completed)
    );
}

#[test]
fn a6_6_a_step_that_kills_its_host_is_begun_four_times_and_fails_as_lost() {
    let mut draft = chain(1);
    draft.steps.push(DraftStep::handler("bystander", "other"));
    let mut desk = Desk::new(draft);
    let run = desk.start();
    let bystander = desk
        .claim(1)
        .into_iter()
        .find(|task| task.step.0 == 1)
        .unwrap();
    assert_eq!(desk.settle(1, success(&bystander)), SlotReply::Accepted);
    let mut begun = 1;
    for _ in 0..3 {
        desk.pass(secs(60));
        assert_eq!(desk.run_engine(2), 1);
        desk.pass(secs(60));
        begun += desk.claim(1).len();
    }
    desk.pass(secs(60));
    assert_eq!(desk.run_engine(2), 1);
    assert_eq!((begun, desk.status(run)), (4, Status::Failed));
    assert_eq!(desk.run(run).steps()[1].stage, Stage::Succeeded);
}

#[test]
fn a6_10_a_zombies_success_is_stale_once_the_loss_is_recorded_and_accepted_before() {
    let mut desk = Desk::new(chain(1));
    let run = desk.start();
    let zombie = desk.claim_one(1);
    desk.pass(secs(60));
    let settle = desk.settle(1, success(&zombie));
    assert_eq!(
        settle,
        SlotReply::Accepted,
        "nobody has recorded a loss yet"
    );
    let run2 = desk.start();
    let zombie = desk.claim_one(1);
    desk.pass(secs(60));
    desk.run_engine(2);
    let stale = SlotReply::Rejected(Rejection::Stale { run: run2, step: 0 });
    assert_eq!(desk.settle(1, success(&zombie)), stale);
    assert_eq!(
        (desk.status(run), desk.journal_length(run2)),
        (Status::Completed, 2)
    );
}

#[test]
fn one_unreadable_run_spoils_no_neighbour_and_is_parked() {
    let mut desk = Desk::new(chain(1));
    let (sick, well) = (desk.start(), desk.start());
    let tasks = desk.claim(1);
    desk.tables.damage(sick, vec![1, 2, 3]);
    let reports = tasks.iter().map(success).collect();
    let settle = desk.settle_operation(1, reports, 0);
    let landed = desk
        .tables
        .perform(&settle, squid_mesh_sim::store::Conditions::at(desk.now))
        .unwrap()
        .done();
    let Reply::Settled { slots, .. } = landed.reply else {
        panic!("no settle reply")
    };
    let slot = |run| &slots[tasks.iter().position(|task| task.key.run == run).unwrap()];
    assert!(matches!(
        slot(sick),
        SlotReply::Rejected(Rejection::Unreadable { .. })
    ));
    assert_eq!(slot(well), &SlotReply::Accepted);
    assert_eq!(desk.status(well), Status::Completed);
    desk.now = desk.now.plus(secs(3_600));
    let claim = desk.claim_operation(2, 8);
    let landed = desk
        .tables
        .perform(&claim, squid_mesh_sim::store::Conditions::at(desk.now))
        .unwrap()
        .done();
    let Reply::Claimed(claimed) = landed.reply else {
        panic!("no claim reply")
    };
    assert_eq!(claimed.tasks, [], "the unreadable run's task is parked");
}

#[test]
fn two_reports_on_one_run_in_one_batch_are_decided_one_after_the_other() {
    let draft = Draft {
        steps: vec![
            DraftStep::handler("a", "work"),
            DraftStep::handler("b", "work"),
            DraftStep {
                needs: vec!["a".into(), "b".into()],
                ..DraftStep::handler("c", "work")
            },
        ],
        ..Draft::new("order", 1)
    };
    let mut desk = Desk::new(draft);
    let run = desk.start();
    let tasks = desk.claim(1);
    let settle = desk.settle_operation(1, tasks.iter().map(success).collect(), 1);
    let Reply::Settled { handed, .. } = desk.perform(&settle) else {
        panic!("no settle reply")
    };
    assert_eq!((handed.len(), desk.journal_length(run)), (1, 3));
    desk.settle(1, success(&handed[0]));
    assert_eq!(desk.status(run), Status::Completed);
}

#[test]
fn a_final_failure_beside_a_claimed_step_reads_all_tasks_and_stops_it() {
    let draft = Draft {
        steps: vec![
            DraftStep::handler("a", "work"),
            DraftStep {
                retry: Some(DraftRetry::attempts(9)),
                ..DraftStep::handler("b", "work")
            },
        ],
        ..Draft::new("order", 1)
    };
    let mut desk = Desk::new(draft);
    let run = desk.start();
    let tasks = desk.claim(1);
    assert_eq!(
        desk.settle(1, failure(&tasks[0], false)),
        SlotReply::Accepted
    );
    assert_eq!(desk.status(run), Status::Compensating);
    assert_eq!(
        desk.settle(1, failure(&tasks[1], true)),
        SlotReply::Accepted
    );
    assert_eq!(desk.status(run), Status::Failed);
    assert_eq!(
        desk.run(run).steps()[1].stage,
        Stage::Cancelled,
        "it was stopped before it could be tried again"
    );
}

#[test]
fn a_settle_says_when_what_it_scheduled_falls_due() {
    let retry = Some(DraftRetry::constant(3, secs(60)));
    let step = DraftStep {
        retry,
        ..DraftStep::handler("a", "work")
    };
    let mut desk = Desk::new(Draft {
        steps: vec![step],
        ..Draft::new("order", 1)
    });
    desk.start();
    let task = desk.claim_one(1);
    let settle = desk.settle_operation(1, vec![failure(&task, true)], 1);
    let Reply::Settled { next_due, .. } = desk.perform(&settle) else {
        panic!("no settle reply")
    };
    assert_eq!(next_due, Some(secs(60)));
}

#[test]
fn a6_11_a_run_that_waits_for_its_backoff_is_retrying_and_says_until_when() {
    let retry = Some(DraftRetry::constant(3, secs(60)));
    let step = DraftStep {
        retry,
        ..DraftStep::handler("a", "work")
    };
    let mut desk = Desk::new(Draft {
        steps: vec![step],
        ..Draft::new("order", 1)
    });
    let run = desk.start();
    let task = desk.claim_one(1);
    desk.settle(1, failure(&task, true));
    assert_eq!(desk.status(run), Status::Retrying);
    let explanation = desk.explain(run);
    assert_eq!(explanation.reason, Reason::RetryBackoff);
    let due_at = desk.now.plus(secs(60));
    assert_eq!(
        explanation.evidence,
        [Evidence::Task {
            lane: Lane(0),
            due_at
        }]
    );
}

#[test]
fn a20_2_a_run_goes_on_from_a_snapshot_and_an_agenda_that_were_rebuilt() {
    let mut desk = Desk::new(chain(3));
    let run = desk.start();
    for _ in 0..3 {
        let folded = desk.folded(run);
        let stored: Vec<_> = desk.tables.tasks_of(run).cloned().collect();
        assert_eq!(folded.agenda(&desk.definition), stored, "nothing is leased");
        assert_eq!(folded.encode(), desk.tables.run(run).unwrap().state);
        desk.tables.damage(run, folded.encode());
        let task = desk.claim_one(1);
        assert_eq!(desk.settle(1, success(&task)), SlotReply::Accepted);
    }
    assert_eq!(desk.status(run), Status::Completed);
}
