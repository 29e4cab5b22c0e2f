use super::*;
use crate::operation::Claimed;
use crate::worker::rig::{Rig, config, first, unavailable};
use crate::worker::{Config, Reason};

#[test]
fn an_operation_whose_commit_is_unknown_is_performed_again_unchanged_until_it_is_known() {
    let mut rig = Rig::of(config());
    let (ticket, claim) = rig.claim();
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let before = rig.now;
        rig.error(ticket, unavailable());
        assert_eq!(rig.actions(), []);
        let (at, reason) = rig.worker.deadline().unwrap();
        assert_eq!(reason, Reason::Backoff);
        pauses.push(at.since(before));
        rig.now = at;
        assert_eq!(rig.operation(), (ticket, Operation::Claim(claim.clone())));
    }
    assert!(
        pauses[0] > Duration::from_millis(14) && pauses[0] <= limits::BACKOFF_MIN,
        "{pauses:?}"
    );
    assert!(
        pauses.iter().all(|pause| *pause <= limits::BACKOFF_MAX),
        "{pauses:?}"
    );
    assert!(pauses[11] > limits::BACKOFF_MAX / 2, "{pauses:?}");
    rig.claimed(
        ticket,
        Claimed {
            tasks: vec![first(1)],
            ..Claimed::default()
        },
    );
    assert_eq!(rig.worker.stats().repeated, 12);
}

#[test]
fn an_answer_to_what_is_not_in_flight_is_ignored() {
    let mut rig = Rig::of(config());
    let (ticket, _) = rig.claim();
    rig.error(ticket, unavailable());
    let late = || Claimed {
        tasks: vec![first(1)],
        ..Claimed::default()
    };
    rig.claimed(ticket, late());
    assert_eq!(rig.actions(), [], "it is to be performed again first");
    rig.at(20).claim();
    rig.claimed(ticket, Claimed::default());
    rig.claimed(ticket, late());
    rig.claimed(Ticket(99), late());
    assert_eq!(rig.actions(), []);
    assert_eq!(
        (rig.worker.stats().late, rig.worker.stats().received),
        (3, 0)
    );
}

#[test]
fn a_conflict_is_tried_again_almost_at_once_and_a_refusal_much_later() {
    let mut rig = Rig::of(config());
    let (ticket, claim) = rig.claim();
    rig.error(ticket, StoreError::Conflict);
    assert_eq!(rig.at(1).operation(), (ticket, Operation::Claim(claim)));
    rig.error(ticket, StoreError::Refused("read-only".into()));
    assert!(rig.deadline().unwrap().0 >= 750);
}

#[test]
fn workers_do_not_come_back_all_at_once() {
    let pause = |incarnation: u128| {
        let incarnation = crate::id::Incarnation::from_u128(incarnation);
        Rig::of(Config {
            incarnation,
            ..config()
        })
        .worker
        .backoff(&unavailable(), 3, 1)
    };
    assert_eq!(pause(1), pause(1));
    assert_ne!(pause(1), pause(2));
}

#[test]
#[should_panic(expected = "was answered with")]
fn a_reply_to_another_kind_of_operation_is_a_broken_driver() {
    let mut rig = Rig::of(config());
    let (ticket, _) = rig.claim();
    rig.reply(ticket, Reply::Leased(Vec::new()));
}
