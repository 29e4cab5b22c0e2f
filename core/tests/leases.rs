//! Renewals, marks and hand-backs of what is claimed.

mod common;

use common::*;
use serde_json::json;
use squid_mesh_core::id::{RunId, Shard};
use squid_mesh_core::operation::{Held, HeldReply, Leases, Operation, Outcome, Reply, SlotReply};
use squid_mesh_core::run::{Stage, Status};
use squid_mesh_core::task::{Item, TaskRow};

fn ship() -> (Desk, RunId) {
    let definition = workflow(json!([
        {"name": "ship", "handler": "h", "irreversible": true},
    ]));
    let mut desk = Desk::new([definition]);
    let run = desk.started(1);
    (desk, run)
}

fn held(row: &TaskRow) -> Held {
    Held {
        key: row.key,
        token: row.token().expect("it was claimed"),
    }
}

fn nothing() -> Leases {
    Leases {
        shard: Shard::default(),
        lease: secs(30),
        renew: Vec::new(),
        begun: Vec::new(),
        hand_back: Vec::new(),
    }
}

fn lease(desk: &mut Desk, leases: Leases) -> Vec<HeldReply> {
    match desk.perform(&Operation::Lease(leases)) {
        Reply::Leased(replies) => replies,
        other => panic!("{other:?}"),
    }
}

fn kept(stop: bool) -> HeldReply {
    let lease = secs(30);
    HeldReply::Held { lease, stop }
}

fn lose(desk: &mut Desk, run: RunId) {
    let row = desk.claim(run, 0);
    assert_eq!(row.item(), Item::Loss);
    desk.finish_claimed(&row, Outcome::Engine(Item::Loss));
}

#[test]
fn a_mark_that_goes_with_a_renewal_of_the_same_lease_is_written() {
    let (mut desk, run) = ship();
    let row = desk.claim(run, 0);
    let leases = Leases {
        renew: vec![held(&row)],
        begun: vec![held(&row)],
        ..nothing()
    };
    assert_eq!(lease(&mut desk, leases), [kept(false), kept(false)]);
    let after = &desk.tasks_of(run)[0];
    assert!(after.begun, "the handler was told to begin");
    assert_eq!(after.due_at, due(30));
    lose(&mut desk, run);
    assert!(matches!(desk.run(run).step(A).stage, Stage::Held { .. }));
}

#[test]
fn a_step_of_a_run_that_is_ending_is_not_marked_and_stops() {
    let (mut desk, run) = ship();
    let row = desk.claim(run, 0);
    desk.cancel(plain_cancel(run, 5)).unwrap();
    let begun = vec![held(&row)];
    let leases = Leases { begun, ..nothing() };
    assert_eq!(lease(&mut desk, leases), [kept(true)]);
    assert!(!desk.tasks_of(run)[0].begun);
}

#[test]
fn what_is_handed_back_never_began_whatever_was_marked() {
    for cancelled in [false, true] {
        let (mut desk, run) = ship();
        let row = desk.claim(run, 0);
        let begun = vec![held(&row)];
        lease(&mut desk, Leases { begun, ..nothing() });
        if cancelled {
            desk.cancel(plain_cancel(run, 5)).unwrap();
        }
        let hand_back = vec![held(&row)];
        let leases = Leases {
            hand_back,
            ..nothing()
        };
        assert_eq!(lease(&mut desk, leases), [HeldReply::HandedBack]);
        if cancelled {
            lose(&mut desk, run);
            let run = desk.run(run);
            assert_eq!(run.status(), Status::Cancelled);
            assert!(!run.step(A).doubtful, "its own worker says so");
        } else {
            let row = desk.claim(run, 0);
            assert_eq!((row.item(), row.begun), (Item::Attempt, false));
        }
    }
}

#[test]
fn a_loss_that_is_handed_back_still_knows_that_its_attempt_began() {
    let (mut desk, run) = ship();
    desk.claim(run, 0);
    desk.mark_begun(run, 0);
    let loss = desk.claim(run, 0);
    let hand_back = vec![held(&loss)];
    let leases = Leases {
        hand_back,
        ..nothing()
    };
    assert_eq!(lease(&mut desk, leases), [HeldReply::HandedBack]);
    lose(&mut desk, run);
    assert!(matches!(desk.run(run).step(A).stage, Stage::Held { .. }));
    let late = desk.settle(&loss, Outcome::Engine(Item::Loss));
    assert_eq!(late, SlotReply::Accepted, "an engine item is a nudge");
}

#[test]
fn what_is_not_held_any_more_is_lost() {
    let (mut desk, run) = ship();
    let row = desk.claim(run, 0);
    desk.claim(run, 0);
    let leases = Leases {
        renew: vec![held(&row)],
        begun: vec![held(&row)],
        hand_back: vec![held(&row)],
        ..nothing()
    };
    assert_eq!(lease(&mut desk, leases), [HeldReply::Lost; 3]);
}
