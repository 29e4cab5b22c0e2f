//! Claims: order, repetition, fences.

use squid_mesh_core::definition::{Draft, DraftStep};
use squid_mesh_core::operation::{Reply, Start};
use squid_mesh_core::run::Seq;
use squid_mesh_core::task::Fence;

use crate::desk::{Desk, chain, name, secs};

#[test]
fn a17_1_the_more_urgent_is_claimed_first_and_then_the_earlier_due() {
    let mut desk = Desk::new(chain(1));
    let mut runs = Vec::new();
    for priority in [5, -3, 5, 0] {
        let start = Start {
            priority: Some(priority),
            ..desk.a_start()
        };
        runs.push(desk.try_start(start).unwrap().run);
        desk.pass(secs(1));
    }
    let order: Vec<_> = desk
        .claim_up_to(1, 3)
        .tasks
        .iter()
        .map(|task| task.key.run)
        .collect();
    assert_eq!(order, [runs[1], runs[3], runs[0]]);
    assert_eq!(desk.claim_one(1).key.run, runs[2]);
}

#[test]
fn a17_2_a_long_backlog_of_one_queue_does_not_keep_another_waiting() {
    let last = DraftStep {
        needs: vec!["first".into()],
        queue: Some("mail".into()),
        ..DraftStep::handler("last", "work")
    };
    let mut desk = Desk::new(Draft {
        queue: Some("bulk".into()),
        steps: vec![DraftStep::handler("first", "work"), last],
        ..Draft::new("order", 1)
    });
    for _ in 0..3_000 {
        desk.start();
    }
    for _ in 0..20 {
        desk.pass(secs(1));
        let start = Start {
            queue: Some(name("mail")),
            ..desk.a_start()
        };
        let mail = desk.try_start(start).unwrap().run;
        let claimed = desk.claim_up_to(1, 4).tasks;
        let (bulk, mails): (Vec<_>, Vec<_>) =
            claimed.iter().partition(|task| task.queue == name("bulk"));
        assert_eq!(bulk.len(), 4);
        let runs: Vec<_> = mails.iter().map(|task| task.key.run).collect();
        assert_eq!(runs, [mail]);
    }
}

#[test]
fn a_claim_says_what_it_left_behind() {
    let mut desk = Desk::new(chain(1));
    for _ in 0..3 {
        desk.start();
    }
    let claimed = desk.claim_up_to(1, 2);
    assert!(claimed.more);
    assert_eq!(desk.claim_up_to(1, 2).tasks.len(), 1);
}

#[test]
fn a_repeated_claim_is_answered_with_what_its_number_got() {
    let mut desk = Desk::new(chain(1));
    desk.start();
    let claim = desk.claim_operation(1, 4);
    let Reply::Claimed(first) = desk.perform(&claim) else {
        panic!("no claim reply")
    };
    desk.start();
    let Reply::Claimed(second) = desk.perform(&claim) else {
        panic!("no claim reply")
    };
    assert_eq!(
        second.tasks, first.tasks,
        "the other run is left for the next number"
    );
    assert_eq!(desk.claim(1).len(), 1);
}

#[test]
fn a17_10_a_worker_never_claims_what_it_cannot_run() {
    let mut desk = Desk::new(chain(1));
    desk.start();
    let mut offer = desk.offer(1, 4);
    offer.handlers = std::sync::Arc::new([name("other")].into());
    let claim = squid_mesh_core::operation::Claim {
        shard: Default::default(),
        number: 99,
        offer,
    };
    let Reply::Claimed(claimed) =
        desk.perform(&squid_mesh_core::operation::Operation::Claim(claim))
    else {
        panic!("no claim reply")
    };
    assert_eq!(claimed.tasks, []);
}

#[test]
fn a_fence_grows_with_every_claim_and_never_restarts() {
    let mut desk = Desk::new(chain(1));
    desk.start();
    let mut fences = vec![desk.claim_one(1).fence];
    for _ in 0..3 {
        desk.pass(secs(60));
        fences.push(desk.claim_one(2).fence);
    }
    assert!(fences.is_sorted_by(|a, b| a < b), "{fences:?}");
    assert_eq!(
        fences[0],
        Fence {
            seq: Seq(1),
            claims: 1
        }
    );
}

#[test]
fn a8_3_waiting_runs_take_no_slot() {
    let draft = Draft {
        steps: vec![
            DraftStep::wait("w", secs(86_400)),
            DraftStep::handler("a", "work"),
        ],
        ..Draft::new("order", 1)
    };
    let mut desk = Desk::new(draft);
    for _ in 0..1_000 {
        desk.start();
    }
    assert_eq!(desk.claim_up_to(1, 1).tasks.len(), 1);
}

#[test]
fn a8_2_a_wait_survives_its_claimers_death_and_ends_at_its_time() {
    let mut desk = Desk::new(Draft {
        steps: vec![DraftStep::wait("w", secs(3_600))],
        ..Draft::new("order", 1)
    });
    let run = desk.start();
    desk.pass(secs(1_800));
    desk.register(3);
    assert_eq!(desk.claim(3), []);
    desk.pass(secs(1_800));
    desk.claim_one(1);
    desk.pass(secs(60));
    assert_eq!(desk.run_engine(2), 1);
    assert!(desk.run(run).is_ended());
}
