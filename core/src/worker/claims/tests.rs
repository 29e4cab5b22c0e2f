use super::*;
use crate::limits;
use crate::operation::{QueueDemand, SlotReply};
use crate::worker::rig::{Rig, config, first, name, wait};
use crate::worker::{QueueConfig, Reason};

fn hint(queue: Option<&str>) -> crate::worker::Input {
    let queue = queue.map(|queue| {
        if queue.starts_with('$') {
            Name::stored(queue)
        } else {
            name(queue)
        }
    });
    crate::worker::Input::Hint(Hint { queue })
}

fn slots(claim: &Claim) -> u32 {
    claim.offer.queues.iter().map(|demand| demand.slots).sum()
}

#[test]
fn the_first_claim_leaves_at_once_with_everything_free() {
    let mut rig = Rig::of(config());
    let (_, claim) = rig.claim();
    let queues = [QueueDemand {
        queue: name("default"),
        slots: 4,
        floor: None,
    }];
    assert_eq!((claim.number, &claim.offer.queues[..]), (1, &queues[..]));
    assert_eq!(
        (claim.offer.engine, claim.offer.lease),
        (limits::ENGINE_SLOTS, config().lease)
    );
    assert_eq!(
        rig.worker.deadline(),
        None,
        "the answer is what it waits for"
    );
}

#[test]
fn a_claim_is_offered_few_slots_until_one_took_as_many() {
    let mut rig = Rig::of(Config {
        queues: vec![QueueConfig {
            name: name("default"),
            slots: 100,
        }],
        ..config()
    });
    let mut next = 1;
    for (offered, takes) in [(8, 3), (8, 8), (16, 16), (32, 2), (8, 0)] {
        let (ticket, claim) = rig.claim();
        assert_eq!(slots(&claim), offered);
        let tasks: Vec<_> = (next..next + takes).map(first).collect();
        next += takes;
        rig.claimed(
            ticket,
            Claimed {
                tasks,
                ..Claimed::default()
            },
        );
        rig.actions();
        rig.handle(hint(Some("default")));
    }
}

#[test]
fn an_idle_worker_wakes_at_the_poll_interval_only() {
    let mut rig = Rig::idle();
    for (number, at) in [(2, 1_000), (3, 2_000), (4, 3_000)] {
        assert_eq!(rig.deadline(), Some((at, Reason::Poll)));
        assert_eq!(rig.at(at - 1).actions(), []);
        let (ticket, claim) = rig.at(at).claim();
        assert_eq!(claim.number, number);
        rig.claimed(ticket, Claimed::default());
        assert_eq!(rig.actions(), []);
    }
}

#[test]
fn a_worker_wakes_when_the_next_task_falls_due_never_before_and_a_little_spread() {
    let mut rig = Rig::of(config());
    let (ticket, _) = rig.claim();
    let next_due = Some(Duration::from_millis(300));
    rig.claimed(
        ticket,
        Claimed {
            next_due,
            ..Claimed::default()
        },
    );
    let (at, reason) = rig.deadline().unwrap();
    assert!((300..302).contains(&at), "{at}");
    assert_eq!(reason, Reason::TaskDue);
    assert_eq!(rig.at(299).actions(), []);
    let (ticket, _) = rig.at(302).claim();
    rig.claimed(
        ticket,
        Claimed {
            next_due: Some(Duration::from_secs(60)),
            ..Claimed::default()
        },
    );
    assert_eq!(rig.deadline(), Some((1_302, Reason::Poll)));
}

#[test]
fn hints_during_a_claim_make_one_more_claim() {
    let mut rig = Rig::idle();
    rig.handle(hint(None));
    let (ticket, _) = rig.claim();
    for queue in [None, Some("default"), Some("$engine"), None] {
        rig.handle(hint(queue));
    }
    assert_eq!(rig.actions(), []);
    rig.claimed(ticket, Claimed::default());
    let (ticket, claim) = rig.claim();
    assert_eq!(claim.number, 3);
    rig.claimed(ticket, Claimed::default());
    assert_eq!(rig.actions(), []);
    rig.handle(hint(Some("elsewhere")));
    assert_eq!(rig.actions(), [], "a queue that is not served");
}

/// A worker all of whose slots were taken by the first claim, and what it holds.
fn filled(left: Vec<(Name, i16)>) -> (Rig, Vec<crate::task::TaskRow>) {
    let mut rig = Rig::of(config());
    rig.worker
        .cache
        .keep_definition(crate::worker::rig::definition());
    let tasks: Vec<_> = (1..=4).map(first).collect();
    let (ticket, _) = rig.claim();
    rig.claimed(
        ticket,
        Claimed {
            tasks: tasks.clone(),
            more: true,
            left,
            ..Claimed::default()
        },
    );
    (rig, tasks)
}

#[test]
fn a_queue_with_more_is_claimed_from_as_soon_as_one_of_its_slots_is_free() {
    let (mut rig, tasks) = filled(vec![(name("default"), 3)]);
    assert_eq!(rig.actions().len(), 4, "four attempts and no claim");
    rig.handle(hint(Some("default")));
    assert_eq!(rig.actions(), [], "no slot is free");
    rig.finish(&tasks[0]);
    let (ticket, settle) = rig.settle();
    let offered = [QueueDemand {
        queue: name("default"),
        slots: 1,
        floor: Some(3),
    }];
    assert_eq!(
        settle.offer.queues, offered,
        "its own slot, for nothing less urgent than what waits"
    );
    rig.settled(ticket, vec![SlotReply::Accepted], vec![]);
    let (_, claim) = rig.claim();
    assert_eq!(slots(&claim), 1);
}

#[test]
fn a_queue_all_of_whose_slots_a_claim_took_is_claimed_from_again_when_one_is_free() {
    // The claim read no more than it had slots for, so that it cannot say what it left.
    let (mut rig, tasks) = filled(Vec::new());
    assert_eq!(rig.actions().len(), 4, "four attempts and no claim");
    rig.finish(&tasks[0]);
    let (ticket, _) = rig.settle();
    rig.settled(ticket, vec![SlotReply::Accepted], vec![]);
    let (_, claim) = rig.claim();
    assert_eq!(slots(&claim), 1);
}

#[test]
fn a_claim_for_other_places_does_not_make_the_worker_forget_a_queue_that_was_full() {
    let (mut rig, tasks) = filled(Vec::new());
    rig.actions();
    let (ticket, claim) = rig.at(1_000).claim();
    assert_eq!(slots(&claim), 0, "it is for engine items");
    rig.claimed(ticket, Claimed::default());
    rig.finish(&tasks[0]);
    let (ticket, _) = rig.settle();
    rig.settled(ticket, vec![SlotReply::Accepted], vec![]);
    let (ticket, claim) = rig.claim();
    assert_eq!(slots(&claim), 1);
    rig.claimed(ticket, Claimed::default());
    assert_eq!(rig.actions(), [], "once");
}

#[test]
fn what_a_claim_had_slots_for_and_did_not_get_does_not_make_it_spin() {
    let mut rig = Rig::of(config());
    let (ticket, _) = rig.claim();
    rig.claimed(
        ticket,
        Claimed {
            more: true,
            left: vec![(name("default"), 0)],
            ..Claimed::default()
        },
    );
    assert_eq!(rig.actions(), []);
    assert_eq!(rig.deadline(), Some((1_000, Reason::Poll)));
}

#[test]
fn a_full_worker_still_claims_engine_items_when_it_wakes() {
    let mut rig = Rig::holding((1..=4).map(first).collect());
    assert_eq!(rig.actions().len(), 4);
    let (ticket, claim) = rig.at(1_000).claim();
    assert_eq!(
        (slots(&claim), claim.offer.engine),
        (0, limits::ENGINE_SLOTS)
    );
    rig.claimed(
        ticket,
        Claimed {
            tasks: vec![wait(9)],
            ..Claimed::default()
        },
    );
    let (_, settle) = rig.settle();
    assert_eq!(settle.reports.len(), 1);
}

#[test]
fn every_shard_has_its_turn() {
    let mut rig = Rig::of(Config {
        shards: Shards::new(3).unwrap(),
        ..config()
    });
    let mut visited = Vec::new();
    for _ in 0..3 {
        let (ticket, claim) = rig.claim();
        visited.push(claim.shard.as_u16());
        if visited.len() == 2 {
            rig.handle(hint(Some("default")));
        }
        rig.claimed(ticket, Claimed::default());
    }
    assert_eq!(visited, [1, 2, 0]);
    let (_, claim) = rig.claim();
    assert_eq!(claim.shard.as_u16(), 1, "a hint may mean any shard");
}

#[test]
fn queues_do_not_share_slots() {
    let queue = |text, slots| QueueConfig {
        name: name(text),
        slots,
    };
    let mut rig = Rig::of(Config {
        queues: vec![queue("default", 1), queue("mail", 2)],
        ..config()
    });
    rig.worker
        .cache
        .keep_definition(crate::worker::rig::definition());
    let (ticket, _) = rig.claim();
    rig.claimed(
        ticket,
        Claimed {
            tasks: vec![first(1)],
            ..Claimed::default()
        },
    );
    rig.handle(hint(Some("default")));
    assert_eq!(
        rig.actions().len(),
        1,
        "an attempt, and no claim for a queue that is full"
    );
    rig.handle(hint(Some("mail")));
    let (_, claim) = rig.claim();
    assert_eq!(
        claim.offer.queues,
        [QueueDemand {
            queue: name("mail"),
            slots: 2,
            floor: None
        }]
    );
}
