//! Leases: renewal, caps, hand-backs.

use squid_mesh_core::definition::{Draft, DraftStep};
use squid_mesh_core::operation::{HeldReply, Leases, SlotReply};

use crate::desk::{Desk, LEASE, chain, engine, held, no_leases, secs, success};

#[test]
fn a6_9_a_renewed_lease_is_not_lost() {
    let mut desk = Desk::new(chain(1));
    desk.start();
    let task = desk.claim_one(1);
    for _ in 0..60 {
        desk.pass(secs(10));
        let renewed = desk.leases(Leases {
            renew: vec![held(&task)],
            ..no_leases()
        });
        assert_eq!(
            renewed,
            [HeldReply::Held {
                lease: LEASE,
                stop: false
            }]
        );
        assert_eq!(desk.claim(2), []);
    }
    assert_eq!(desk.settle(1, success(&task)), SlotReply::Accepted);
}

#[test]
fn a_renewal_does_not_reach_beyond_the_timeout_and_its_margin() {
    let step = DraftStep {
        timeout: Some(secs(20).into()),
        ..DraftStep::handler("a", "work")
    };
    let mut desk = Desk::new(Draft {
        steps: vec![step],
        ..Draft::new("order", 1)
    });
    desk.start();
    let task = desk.claim_one(1);
    desk.pass(secs(15));
    let renewed = desk.leases(Leases {
        renew: vec![held(&task)],
        ..no_leases()
    });
    assert_eq!(
        renewed,
        [HeldReply::Held {
            lease: secs(15),
            stop: false
        }],
        "20 s and a margin of 5 s, but not below the lease it has"
    );
}

#[test]
fn a_renewal_under_another_token_is_told_that_the_lease_is_lost() {
    let mut desk = Desk::new(chain(1));
    desk.start();
    let zombie = desk.claim_one(1);
    desk.pass(LEASE);
    let item = desk.claim_one(2);
    assert_eq!(
        desk.leases(Leases {
            renew: vec![held(&zombie)],
            ..no_leases()
        }),
        [HeldReply::Lost]
    );
    desk.settle(2, engine(&item));
}

#[test]
fn a17_8_what_is_handed_back_is_due_at_once_and_not_counted_as_lost() {
    let mut desk = Desk::new(chain(1));
    let run = desk.start();
    let task = desk.claim_one(1);
    assert_eq!(
        desk.leases(Leases {
            hand_back: vec![held(&task)],
            ..no_leases()
        }),
        [HeldReply::HandedBack]
    );
    let again = desk.claim_one(2);
    assert_eq!(
        (
            again.attempt,
            again.expired,
            desk.run(run).steps()[0].tries.lost
        ),
        (1, false, 0)
    );
    assert_eq!(
        desk.leases(Leases {
            hand_back: vec![held(&task)],
            ..no_leases()
        }),
        [HeldReply::Lost]
    );
}

#[test]
fn a_handed_back_loss_is_still_recorded_by_the_next_one() {
    let mut desk = Desk::new(chain(1));
    let run = desk.start();
    desk.claim_one(1);
    desk.pass(LEASE);
    let item = desk.claim_one(2);
    desk.leases(Leases {
        hand_back: vec![held(&item)],
        ..no_leases()
    });
    assert_eq!(desk.run_engine(1), 1);
    assert_eq!(desk.run(run).steps()[0].tries.lost, 1);
}
